//! `kiln train --profile`, and the memory that `kiln summary` tells.

use crate::support::{Folder, command, kiln, lines, text, word};
use serde_json::Value;
use std::fs;
use std::process::Command;

#[test]
fn a_profile_prints_tables_and_writes_a_trace() {
    let folder = Folder::with_data("profile");
    let (plain, profiled) = (folder.join("plain"), folder.join("profiled"));
    lines(&kiln(&folder.0, &["--epochs", "2", "--quiet", "--out", word(&plain)]));
    let said = lines(&kiln(&folder.0, &["--epochs", "2", "--out", word(&profiled), "--profile"]));
    let row = |title: &str, name: &str| {
        let table = said.iter().skip_while(|line| !line.starts_with(title)).take_while(|line| !line.is_empty());
        let mut rows =
            table.filter(|line| line.starts_with(name)).map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.next().unwrap_or_else(|| panic!("no {name} among {said:#?}"))
    };
    let (begin, end) = (
        "total ms % forward backward optimizer evaluation",
        "calls GFLOP/s GB/s roofline % allocations new MB held MB",
    );
    for title in ["layer", "operation"] {
        let columns = row(title, title).join(" ");
        assert!(columns.starts_with(&format!("{title} {begin}")) && columns.ends_with(end), "{columns}");
    }
    // Name and type, time, share, and the time in each of four phases.
    let dense = row("layer", "1 (Dense)");
    let took: Vec<bool> = dense[4..8].iter().map(|time| *time != "-").collect();
    assert_eq!(took, [true, true, false, true], "{dense:?}");
    row("layer", "2 (Dense)");
    row("layer", "loss");
    // An update belongs to the optimizer's phase: name and rule, time, share.
    let update = row("operation", "update");
    let took: Vec<bool> = update[4..8].iter().map(|time| *time != "-").collect();
    assert_eq!(took, [false, false, true, false], "{update:?}");
    row("operation", "between operations");
    assert!(said.last().unwrap().starts_with("test accuracy "), "{said:#?}");

    let trace = fs::read_to_string(profiled.join("trace.json")).unwrap();
    let trace: Value = serde_json::from_str(&trace).unwrap();
    assert!(trace["traceEvents"].as_array().unwrap().iter().any(|event| event["name"] == "1 (Dense)"));
    // The same weights, bit for bit; and the trace is no part of the run.
    let weights = |run: &std::path::PathBuf| fs::read(run.join("model.safetensors")).unwrap();
    assert_eq!(weights(&plain), weights(&profiled));
    lines(&command(&["plot", word(&profiled), "--out", word(&folder.join("curves.png"))]));
}

#[test]
fn the_trace_has_a_place_without_a_run_and_any_other() {
    let folder = Folder::with_data("trace");
    let train = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.args(["train", "mnist-mlp", "--epochs", "1", "--quiet", "--data"]).arg(&folder.0).args(more);
        command.current_dir(&folder.0).env_remove("KILN_DATA_DIR").output().unwrap()
    };
    lines(&train(&["--profile"]));
    assert!(folder.join("kiln-trace.json").is_file());
    let said = lines(&train(&["--profile=own.json", "--out", "run", "--json"]));
    assert!(folder.join("own.json").is_file() && !folder.join("run/trace.json").exists());
    let [profile, result] = &said[..] else { panic!("{said:#?}") };
    let (profile, result): (Value, Value) =
        (serde_json::from_str(profile).unwrap(), serde_json::from_str(result).unwrap());
    assert_eq!((&profile["result"], &result["result"]), (&"profile".into(), &"train".into()));
    assert_eq!(profile["trace"], "own.json");
    let layers = profile["layers"].as_array().unwrap();
    let dense = layers.iter().find(|row| row["name"] == "1 (Dense)").unwrap();
    assert!(dense["forward_s"].as_f64().unwrap() > 0.0 && dense["backward_s"].as_f64().unwrap() > 0.0, "{dense}");
    assert!(profile["machine"]["gflops"].as_f64().unwrap() > 0.0);
    // 100 images in batches of 32 are 4 steps. Of each step its constants and one update; before, two moments of 4 parameters.
    let calls = |rows: &str, name: &str| {
        let mut rows = profile[rows].as_array().unwrap().iter();
        rows.find(|row| row["name"].as_str().unwrap().starts_with(name)).unwrap()["calls"].as_u64()
    };
    assert_eq!((calls("operations", "update"), calls("layers", "optimizer")), (Some(4), Some(16)));

    for (option, sentence) in [
        ("--profile=.", "error: --profile .: this is a folder; name a file with --profile=FILE\n"),
        ("--profile=no/t.json", "error: --profile no/t.json: its folder is not there: make it first\n"),
    ] {
        let output = train(&[option]);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), sentence));
    }
}

#[test]
fn summary_tells_the_memory_of_training() {
    let memory = |recipe: &str| -> Vec<String> {
        let said = lines(&command(&["summary", recipe]));
        said.into_iter().skip_while(|line| !line.starts_with(" Training ")).map(|line| line.trim().to_owned()).collect()
    };
    // 101,770 parameters; hidden layer (32, 128), logits and probabilities (32, 10).
    let expected = [
        "Training with batches of 32: 1.57 MB",
        "parameters and buffers: 397.54 KB",
        "gradients: 397.54 KB",
        "optimizer state: 795.08 KB",
        "activations kept for the backward pass: 18.50 KB",
    ];
    assert_eq!(memory("mnist-mlp"), expected);
    for recipe in ["mnist-gan", "char-lstm", "cifar10-alexnet"] {
        assert_eq!(memory(recipe).len(), 5, "{recipe}");
    }
}
