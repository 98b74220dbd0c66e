//! `kiln train` from outside: what it prints and writes, and the sentence and the exit code where it cannot.

use crate::support::{Folder, IMAGES, command, kiln, lines, text, word};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Whether `text` has the form of `pattern`, where each `#` is a digit and `*` one digit or more.
fn has_form(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    for sign in pattern.chars() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let length = match sign {
            '*' if digits > 0 => digits,
            '#' if digits > 0 => 1,
            _ if rest.starts_with(sign) => sign.len_utf8(),
            _ => return false,
        };
        rest = &rest[length..];
    }
    rest.is_empty()
}

#[test]
fn prints_a_line_an_epoch_and_the_result() {
    let folder = Folder::with_data("lines");
    let lines = lines(&kiln(&folder.0, &["--epochs", "12"]));
    assert_eq!(lines.len(), 14);
    let plan = "mnist-mlp on cpu: 101,770 parameters, 100 + 100 images, 12 epochs";
    assert_eq!(lines[0], plan);
    for (epoch, line) in (1..).zip(&lines[1..13]) {
        let numbers = "loss #.####  accuracy #.####  validation #.####  #.####  *.## s";
        assert!(has_form(line, &format!("epoch {epoch:>2}/12  {numbers}")), "{line}");
    }
    assert!(has_form(&lines[13], "test accuracy #.####  test loss #.####  fit *.## s"), "{}", lines[13]);
    // The classes of the small data set are told apart at once.
    assert!(lines[13].starts_with("test accuracy 1.0000  "), "{}", lines[13]);
}

#[test]
fn quiet_prints_the_result_alone() {
    let folder = Folder::with_data("quiet");
    let plain = lines(&kiln(&folder.0, &["--epochs", "2", "--quiet"]));
    assert_eq!(plain.len(), 1);
    assert!(has_form(&plain[0], "test accuracy #.####  test loss #.####  fit *.## s"), "{}", plain[0]);
    let json = lines(&kiln(&folder.0, &["--epochs", "2", "--quiet", "--json"]));
    assert_eq!(json.len(), 1);
    assert_eq!(serde_json::from_str::<Value>(&json[0]).unwrap()["result"], "train");
}

#[test]
fn mixed_precision_is_a_setting_of_the_run() {
    let folder = Folder::with_data("precision");
    let run = |precision: &str| {
        let out = folder.join(precision);
        let words = ["--epochs", "3", "--precision", precision, "--out", word(&out)];
        let said = lines(&kiln(&folder.0, &words));
        let test_loss = said.last().unwrap().split("  ").nth(1).unwrap().to_owned();
        // It is measured in the precision that it was trained in.
        let evaluated = lines(&command(&["evaluate", word(&out), "--data", word(&folder.0)]));
        assert!(evaluated.last().unwrap().contains(&test_loss), "{evaluated:?}, {test_loss}");
        (said, fs::read(out.join("model.safetensors")).unwrap().len(), test_loss)
    };
    let (exact, bf16, f16) = (run("f32"), run("bf16"), run("f16"));
    assert!(exact.0[0].starts_with("mnist-mlp on cpu: "), "{:?}", exact.0);
    // Where the processor has no products of bf16 it says so, as for f16.
    assert!(bf16.0[0].starts_with("mnist-mlp on cpu in bf16"), "{:?}", bf16.0);
    let converted = "mnist-mlp on cpu in f16 (by conversion to f32: this CPU has no products of f16): ";
    assert!(f16.0[0].starts_with(converted), "{:?}", f16.0);
    // The weights are f32.
    assert_eq!((exact.1, exact.1), (bf16.1, f16.1));
    assert!(exact.2 != bf16.2 && bf16.2 != f16.2, "{} {} {}", exact.2, bf16.2, f16.2);
    let resume = |words: &[&str]| command(&[&["train", "--resume", word(&folder.join("bf16"))], words].concat());
    let other = resume(&["--epochs", "4", "--precision", "f16"]);
    assert!(text(&other.stderr).contains(r#"training.precision is "bf16", not "f16""#), "{}", text(&other.stderr));
    let said = lines(&resume(&["--epochs", "4"]));
    assert!(said[0].starts_with("mnist-mlp on cpu in bf16"), "{said:?}");
    let wrong = kiln(&folder.0, &["--set", "training.precision=\"f8\""]);
    assert!(text(&wrong.stderr).contains(r#""f32", "bf16" or "f16" is expected, got "f8""#), "{}", text(&wrong.stderr));
}

#[test]
fn json_prints_an_object_a_line() {
    let folder = Folder::with_data("json");
    let lines = lines(&kiln(&folder.0, &["--epochs", "3", "--json", "--seed", "5"]));
    let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [epochs @ .., result] = &objects[..] else { unreachable!("no line at all") };
    assert_eq!(epochs.len(), 3);
    for (number, epoch) in (1..).zip(epochs) {
        assert_eq!(epoch["epoch"], number);
        let columns = ["accuracy", "epoch", "loss", "seconds", "val_accuracy", "val_loss"];
        assert_eq!(epoch.as_object().unwrap().keys().collect::<Vec<_>>(), columns);
        assert!(columns.iter().all(|&column| epoch[column].is_number()), "{epoch}");
    }
    let keys: Vec<_> = result.as_object().unwrap().keys().collect();
    let expected = ["device", "fit_s", "images_per_s", "peak_rss_mb", "result", "seed", "test_accuracy", "test_loss"];
    assert_eq!(keys, expected);
    assert_eq!((&result["result"], &result["device"], &result["seed"]), (&"train".into(), &"cpu".into(), &5.into()));
    assert_eq!(result["test_loss"], epochs[2]["val_loss"]);
    assert_eq!(result["test_accuracy"], epochs[2]["val_accuracy"]);
    let (seconds, rate) = (result["fit_s"].as_f64().unwrap(), result["images_per_s"].as_f64().unwrap());
    assert!((rate * seconds - 3.0 * IMAGES as f64).abs() < 1e-6);
}

#[test]
fn out_holds_the_model_and_the_history() {
    let folder = Folder::with_data("out");
    // A folder in a folder, neither there yet.
    let out = folder.join("runs/first");
    let said = lines(&kiln(&folder.0, &["--epochs", "2", "--out", out.to_str().unwrap()]));
    let saved = "model.safetensors, model.json, config.toml, history.csv, curves.png";
    assert_eq!(said[3], format!("saved in {}: {saved}", out.display()));
    let mut files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    let expected = "checkpoints config.toml curves.png history.csv manifest.json model.json model.safetensors progress.json \
                    training.safetensors";
    assert_eq!(files, expected.split_whitespace().collect::<Vec<_>>());

    let history = fs::read_to_string(out.join("history.csv")).unwrap();
    let rows: Vec<Vec<&str>> = history.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]);
    assert_eq!(rows[1..].iter().map(|row| row[0]).collect::<Vec<_>>(), ["1", "2"]);
    assert!(rows[1..].iter().flatten().all(|cell| cell.parse::<f64>().is_ok()), "{history}");

    // Eight bytes say how long the header is; it names PyTorch's parameters with PyTorch's shapes.
    let model = fs::read(out.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&model[8..8 + length]).unwrap();
    let shapes = ["1.weight", "1.bias", "2.weight", "2.bias"].map(|name| header[name]["shape"].to_string());
    assert_eq!(shapes, ["[128,784]", "[128]", "[10,128]", "[10]"]);
}

#[test]
fn weights_depend_on_the_seed_and_not_on_the_threads() {
    let folder = Folder::with_data("threads");
    let weights = |name: &str, options: &[&str]| {
        let out = folder.join(name);
        let options = [options, &["--epochs", "2", "--quiet", "--out", out.to_str().unwrap()]].concat();
        lines(&kiln(&folder.0, &options));
        fs::read(out.join("model.safetensors")).unwrap()
    };
    let one = weights("one", &["--threads", "1"]);
    assert!(one == weights("two", &["--threads", "2"]));
    assert!(one == weights("default", &[]));
    assert!(one != weights("other", &["--seed", "1"]));
}

#[test]
fn options_reach_the_training() {
    let folder = Folder::with_data("options");
    let loss = |options: &[&str]| {
        let lines = lines(&kiln(&folder.0, &[options, &["--json", "--epochs", "1"]].concat()));
        serde_json::from_str::<Value>(&lines[0]).unwrap()["loss"].as_f64().unwrap()
    };
    let default = loss(&[]);
    assert_eq!(loss(&["--lr", "0.001", "--batch-size", "32", "--device", "cpu"]), default);
    assert_ne!(loss(&["--lr", "0.002"]), default);
    assert_ne!(loss(&["--limit", "50"]), default);
    assert_ne!(loss(&["--batch-size", "100"]), default);
    // The recipe's own batch size is no demand.
    loss(&["--limit", "20"]);
    // A limit above the data is no limit.
    assert_eq!(loss(&["--limit", "1000"]), default);
}

#[test]
fn the_data_folder_may_come_from_the_environment() {
    let folder = Folder::with_data("environment");
    let run = |variable: Option<&Path>, options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.args(["train", "mnist-mlp", "--quiet", "--epochs", "1"]).args(options).env_remove("KILN_DATA_DIR");
        variable.map(|folder| command.env("KILN_DATA_DIR", folder));
        command.output().unwrap()
    };
    assert_eq!(lines(&run(Some(&folder.0), &[])).len(), 1);
    // The files may lie in the folder itself.
    assert_eq!(lines(&run(Some(&folder.join("mnist")), &[])).len(), 1);
    // What the command line says counts.
    assert_eq!(lines(&run(Some(Path::new("no-such-folder")), &["--data", folder.0.to_str().unwrap()])).len(), 1);
}

#[test]
fn without_data_the_embedded_subset_is_trained_on() {
    let home = Folder::new("home");
    let run = |variable: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.args(["train", "mnist-mlp", "--json", "--epochs", "1"]).env_remove("KILN_DATA_DIR");
        command.env("HOME", &home.0).env_remove("XDG_CACHE_HOME");
        variable.map(|folder| command.env("KILN_DATA_DIR", folder));
        command.output().unwrap()
    };
    // No folder, no name of a folder, a folder without the data.
    for nothing in [None, Some(Path::new("")), Some(home.0.as_path())] {
        let output = run(nothing);
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("using the embedded subset of MNIST: "), "{stderr}");
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(0), 1));
        let stdout = text(&output.stdout);
        let epoch: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
        assert!(epoch["val_accuracy"].as_f64().unwrap() > 0.85, "{epoch}");
    }
    // What the cache holds is preferred; here it is the small data set.
    let cache = Folder::with_data("cache");
    fs::create_dir(home.join(".cache")).unwrap();
    fs::rename(&cache.0, home.join(".cache/kiln")).unwrap();
    assert_eq!(lines(&run(None)).len(), 2);
}

#[test]
fn help_and_version_succeed() {
    for arguments in [&["--help"][..], &["train", "--help"], &["--version"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_kiln")).args(arguments).output().unwrap();
        assert!(!lines(&output).is_empty());
    }
}

#[test]
#[cfg(feature = "cuda")]
fn without_a_driver_cuda_says_what_is_missing() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command
        .args(["train", "mnist-mlp", "--device", "cuda", "--epochs", "1"])
        .env("KILN_LIBCUDA", "/nowhere/libcuda.so.1");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no NVIDIA driver was found (/nowhere/libcuda.so.1 could not be opened: "), "{said}");
}
