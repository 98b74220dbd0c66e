//! `kiln find-lr` from outside, and the callbacks of settings files that report numbers.

use crate::support::{Folder, command, lines, text, word};
use serde_json::Value;
use std::fs;
use std::process::Command;

fn object(words: &[&str]) -> Value {
    let lines = lines(&command(words));
    assert_eq!(lines.len(), 1, "{lines:?}");
    serde_json::from_str(&lines[0]).unwrap()
}

#[test]
fn prints_a_rate_that_trains_and_draws_the_losses() {
    let folder = Folder::new("find-lr");
    let out = folder.join("lr.png");
    // The images that the command carries: the small data set is learned before the loss diverges.
    let output = command(&["find-lr", "mnist-mlp", "--out", word(&out), "--min", "1e-5", "--max", "1e4"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(
        said[0].starts_with("mnist-mlp: ") && said[0].contains(" steps with learning rates from 1e-5 to "),
        "{said:?}"
    );
    assert!(said[0].ends_with(", where the loss diverged"), "{said:?}");
    let rate = said[2].strip_prefix("kiln train mnist-mlp --lr ").unwrap();
    let middle =
        format!("suggested learning rate: {rate}, in the middle of the loss's longest fall; it falls fastest at ");
    assert!(said[1].starts_with(&middle), "{said:?}");
    assert_eq!(said[3], format!("drawn to {}", out.display()));
    assert_eq!(&fs::read(&out).unwrap()[..8], b"\x89PNG\r\n\x1a\n");
    // Nothing else is written.
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    let accuracy = |rate: &str| {
        let train = ["train", "mnist-mlp", "--json", "--quiet", "--epochs", "1", "--limit", "2000", "--lr", rate];
        let result: Value = serde_json::from_str(&text(&command(&train).stdout)).unwrap();
        result["test_accuracy"].as_f64().unwrap()
    };
    assert!(accuracy(rate) > 0.8 && accuracy("1e-5") < 0.5, "{rate}");
}

#[test]
fn json_has_all_points_and_the_same_ones_again() {
    let folder = Folder::with_data("find-lr-json");
    let (data, out) = (word(&folder.0).to_owned(), folder.join("lr.png"));
    let words = ["find-lr", "mnist-mlp", "--data", &data, "--json", "--steps", "30", "--out", word(&out)];
    let first = object(&[&words[..], &["--threads", "1"]].concat());
    let points = first["points"].as_array().unwrap();
    assert_eq!((&first["result"], points[0]["lr"].as_f64()), (&"find-lr".into(), Some(1e-7)));
    assert!(points.iter().all(|point| point["loss"].is_number() && point["smoothed"].is_number()));
    assert!(first["suggestion"].is_number() && first["steepest"].is_number(), "{first}");
    assert_eq!(first["picture"], word(&out));
    // Whatever the number of threads, the schedule and the callbacks of the settings.
    let others = ["--threads", "2", "--set", "schedule.name=\"CosineDecay\"", "--set", "callbacks=\"TerminateOn\""];
    let other = command(&[&words[..], &others].concat());
    assert!(text(&other.stderr).contains("callbacks.monitor"), "settings are read: {}", text(&other.stderr));
    assert_eq!(object(&[&words[..], &others[..4]].concat()), first);
    assert_ne!(object(&[&words[..], &["--seed", "5"]].concat())["points"], first["points"]);
}

#[test]
fn settings_files_are_searched_and_the_picture_is_lr_png() {
    let folder = Folder::with_data("find-lr-config");
    let settings = "[data]\nname = \"mnist\"\n[model]\nlayers = [{ layer = \"Flatten\" }, { layer = \"Dense\", units = 10, \
                    activation = \"softmax\" }]\n[loss]\nname = \"SparseCategoricalCrossentropy\"\n[optimizer]\nname = \"Sgd\"\nlr = 0.1\n";
    fs::write(folder.join("my.toml"), settings).unwrap();
    let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
    kiln.current_dir(&folder.0)
        .args(["find-lr", "--config", "my.toml", "--data", ".", "--steps", "20", "--max", "1e3"])
        .args(["--seed", "3", "--batch-size", "20", "--set", "optimizer.momentum = 0.9"]);
    let said = lines(&kiln.output().unwrap());
    // All that was asked for, so that it trains the same.
    let train = "kiln train --config my.toml --batch-size 20 --seed 3 --data . --set 'optimizer.momentum = 0.9' --lr ";
    assert!(said[0].starts_with("my: ") && said[2].starts_with(train), "{said:?}");
    assert!(folder.join("lr.png").is_file());
}

#[test]
fn callbacks_that_report_are_settings_and_config_toml_keeps_them() {
    let folder = Folder::with_data("reporting");
    let (run, again) = (folder.join("run"), folder.join("again"));
    // A bias far below 0 leaves no unit alive.
    let settings = "metrics = [\"Accuracy\"]\n[data]\nname = \"mnist\"\n[model]\nlayers = [{ layer = \"Flatten\" }, { layer = \"Dense\", \
                    units = 8, activation = \"relu\", bias_initializer = { constant = -100.0 } }, { layer = \"Dense\", units = 10 }]\n\
                    [loss]\nname = \"SparseCategoricalCrossentropy\"\nfrom_logits = true\n[[callbacks]]\nname = \"GradientNorms\"\n\
                    every = 2\nby_layer = true\nupdate_ratios = true\n[[callbacks]]\nname = \"activation_statistics\"\nevery = 1\n\
                    [[callbacks]]\nname = \"Meter\"\n[training]\nepochs = 2\n";
    fs::write(folder.join("my.toml"), settings).unwrap();
    let data = word(&folder.0).to_owned();
    let train =
        |config: &str, out: &str| command(&["train", "--config", config, "--data", &data, "--quiet", "--out", out]);
    let output = train(word(&folder.join("my.toml")), word(&run));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let warned = text(&output.stderr);
    let dead =
        "8 of 8 units of 1 (Dense) were 0 for all samples of the 4 batches looked at in epoch 1, and do not learn: ";
    assert!(warned.starts_with(dead) && warned.lines().count() == 1, "{warned}");
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    for kept in ["name = \"GradientNorms\"\nevery = 2\nby_layer = true\nupdate_ratios = true", "name = \"Meter\""] {
        assert!(config.contains(kept), "{config}");
    }
    let output = train(word(&run.join("config.toml")), word(&again));
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), warned));
    assert_eq!(fs::read(run.join("model.safetensors")).unwrap(), fs::read(again.join("model.safetensors")).unwrap());
}
