//! `kiln train --log`: files that a training writes into the run's folder while it runs.

use crate::support::{Folder, command, kiln, lines, text, word};
use serde_json::Value;
use std::fs;
use std::path::Path;

const EVENTS: [&str; 3] = ["", "train", "validation"];

/// What a run's folder has of all logs.
fn check(run: &Path, epochs: usize) {
    let read = |file: &str| fs::read_to_string(run.join(file)).unwrap();
    assert_eq!(read("log.csv"), read("history.csv"));
    assert!(read("log.steps.csv").starts_with("step,name,value\n2,loss,"));
    let lines = read("log.jsonl");
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.filter(|line| line["kind"] == "epoch").count(), epochs);
    let events =
        EVENTS.map(|folder| fs::read(run.join("tensorboard").join(folder).join("events.out.tfevents.kiln")).unwrap());
    let has = |text: &str| events[0].windows(text.len()).any(|window| window == text.as_bytes());
    // The summary, the settings, a hyperparameter.
    assert!(has("0 (Flatten)") && has("name = \"mnist\"") && has("training.epochs"));
    assert!(events.iter().all(|events| events.len() > 1000));
}

#[test]
fn logs_are_in_the_runs_folder_and_its_settings_write_them_again() {
    let folder = Folder::with_data("logs");
    let [run, again] = ["run", "again"].map(|name| folder.join(name));
    let options = ["--epochs", "2", "--quiet", "--log", "tensorboard,csv,jsonl,csv", "--set", "training.log_steps=2"];
    lines(&kiln(&folder.0, &[&options[..], &["--out", word(&run)]].concat()));
    check(&run, 2);
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("log = [\"tensorboard\", \"csv\", \"jsonl\", \"csv\"]\n"), "{config}");
    let file = run.join("config.toml");
    let words = ["train", "--config", word(&file), "--quiet", "--data", word(&folder.0), "--out", word(&again)];
    lines(&command(&words));
    check(&again, 2);
}

#[test]
fn an_unknown_log_and_logs_without_a_folder_are_refused() {
    let folder = Folder::with_data("logs-refused");
    let said = |options: &[&str], code: i32| {
        let output = kiln(&folder.0, options);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let run = folder.join("run");
    let unknown = said(&["--log", "csv,tensorbord", "--out", word(&run)], 2);
    assert!(
        unknown.contains("'tensorbord'") && unknown.contains("[possible values: tensorboard, csv, jsonl]"),
        "{unknown}"
    );
    assert!(said(&["--log", "csv"], 2).contains("--out <DIR>"));
    let unknown = said(&["--set", "training.log=[\"cvs\"]", "--out", word(&run)], 1);
    assert!(unknown.contains("unknown log \"cvs\"; known are tensorboard, csv, jsonl"), "{unknown}");
    let without = said(&["--set", "training.log=[\"csv\"]"], 1);
    assert!(without.contains("training.log") && without.contains("--out DIR"), "{without}");
    assert!(!run.exists());
}
