//! `kiln train --log`: files that a training writes into the run's folder while it runs.

use crate::support::{Folder, Running, command, kiln, lines, text, word};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

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
    // A run that replaces it has no logs of the old one.
    lines(&kiln(&folder.0, &["--epochs", "1", "--quiet", "--log", "jsonl", "--force", "--out", word(&run)]));
    let left = |file: &str| run.join(file).exists();
    let files = ["log.jsonl", "log.csv", "log.steps.csv", "tensorboard/train/events.out.tfevents.kiln"];
    assert_eq!(files.map(left), [true, false, false, false]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_the_log_and_not_the_training() {
    let folder = Folder::with_data("logs-full");
    let run = folder.join("run");
    let options = ["--epochs", "2", "--quiet", "--log", "jsonl", "--force", "--out", word(&run)];
    lines(&kiln(&folder.0, &options));
    let log = run.join("log.jsonl");
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let output = kiln(&folder.0, &options);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told = said.lines().filter(|line| line.contains("log.jsonl: the log cannot be written: No space left"));
    assert_eq!(told.count(), 1, "{said}");
    assert_eq!(fs::read_to_string(run.join("history.csv")).unwrap().lines().count(), 3);
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
    let without = said(&["--log", "csv"], 2);
    assert!(without.contains("--out <DIR>"), "{without}");
    let unknown = said(&["--set", "training.log=[\"cvs\"]", "--out", word(&run)], 1);
    assert!(unknown.contains("unknown log \"cvs\"; known are tensorboard, csv, jsonl"), "{unknown}");
    let without = said(&["--set", "training.log=[\"csv\"]"], 1);
    assert!(without.contains("training.log") && without.contains("--out DIR"), "{without}");
    assert!(!run.exists());
}

/// The logs of a run without the times in them: of the events each begins with one.
fn untimed(run: &Path) -> (String, Vec<Value>, Vec<Vec<u8>>) {
    let read = |file: &str| fs::read(run.join(file)).unwrap();
    let text = |file: &str| String::from_utf8(read(file)).unwrap();
    let mut lines: Vec<Value> = text("log.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("seconds")));
    let mut events = Vec::new();
    for part in &EVENTS[1..] {
        let file = read(&format!("tensorboard/{part}/events.out.tfevents.kiln"));
        let mut rest = &file[..];
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let (event, after) = after[4..].split_at(u64::from_le_bytes(*length) as usize);
            events.push(event[9..].to_vec());
            rest = &after[4..];
        }
    }
    (text("log.steps.csv"), lines, events)
}

#[test]
fn a_killed_and_resumed_run_has_the_logs_of_one_that_was_not_killed() {
    let folder = Folder::with_data("logs-killed");
    let (whole, run) = (folder.join("whole"), folder.join("run"));
    let logs = ["--log", "tensorboard,csv,jsonl", "--set", "training.log_steps=1"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_kiln"));
    child.args(["train", "mnist-mlp", "--json", "--epochs", "1000000", "--checkpoint-every", "3-steps", "--data"]);
    let child = child.arg(&folder.0).args(["--out", word(&run)]).args(logs).stdout(Stdio::piped());
    let mut child = Running::spawn(child);
    BufReader::new(child.stdout.take().unwrap()).lines().nth(2).unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let status: Value = serde_json::from_slice(&fs::read(run.join("progress.json")).unwrap()).unwrap();
    let epochs = (status["epoch"].as_u64().unwrap() + 2).to_string();
    // What is logged does not change the run; here it stays as it was.
    lines(&command(&[
        "train",
        "--resume",
        word(&run),
        "--epochs",
        &epochs,
        "--quiet",
        "--log",
        "tensorboard,csv,jsonl",
    ]));
    lines(&kiln(&folder.0, &[&logs[..], &["--epochs", &epochs, "--quiet", "--out", word(&whole)]].concat()));
    assert!(untimed(&run) == untimed(&whole), "{epochs} epochs");
    let table = |run: &Path| {
        let text = fs::read_to_string(run.join("log.csv")).unwrap();
        text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(table(&run), table(&whole));
}
