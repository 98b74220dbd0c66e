//! `kiln sweep` that is stopped or killed, and what others do to its files and trials meanwhile.

use super::{GRID, Sweep, refused};
use crate::support::{command, lines, text, word};
use kiln::store::Store;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A training that is not over before a test looks at it, and ends by itself where the test fails.
const LONG: &str = "epochs = 4000";

/// Two trials.
const LRS: &str = "[parameters]\n\"optimizer.lr\" = [0.01, 0.02]\n";

impl Sweep {
    fn start(&self, options: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.args(self.words(options)).env_remove("KILN_DATA_DIR");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn is_saved(&self, trial: usize) -> bool {
        self.trial(trial).join("manifest.json").exists()
    }

    /// The process that trains a trial.
    fn process(&self, trial: usize) -> Option<u32> {
        Store::new(self.trial(trial)).writer()?.process
    }
}

/// Waits until something is so.
fn until(what: &str, is: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(5));
    }
}

fn signal(name: &str, process: &Child) {
    assert!(Command::new("kill").args([name, &process.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_sweep_that_was_ended_goes_on_to_the_same_bits() {
    let text = GRID.replace("epochs = 2", "epochs = 8");
    let whole = Sweep::new("sweep-whole", &text);
    let (_, result) = whole.run(&["--parallel", "2"]);
    for name in ["-KILL", "-INT"] {
        let ended = Sweep::new(&format!("sweep{name}"), &text);
        let mut going = ended.start(&["--parallel", "2"]);
        until("the third trial is saved", || ended.is_saved(3));
        signal(name, &going);
        going.wait().unwrap();
        // The processes of a killed sweep may still be running; they are stopped and resumed.
        let (_, other) = ended.run(&[]);
        assert_eq!(result["best"], other["best"]);
        for trial in 1..=4 {
            assert_eq!((whole.history(trial), whole.weights(trial)), (ended.history(trial), ended.weights(trial)));
        }
    }
}

#[test]
fn a_stopped_sweep_hands_signals_on_and_says_how_to_go_on() {
    let stopped = Sweep::new("sweep-stopped", &format!("method = \"grid\"\n{LONG}\n{LRS}"));
    let mut going = stopped.start(&["--json"]);
    until("the first trial is saved", || stopped.is_saved(1));
    signal("-USR1", &going);
    let mut stderr = BufReader::new(going.stderr.take().unwrap()).lines().map(Result::unwrap);
    let said = stderr.next().unwrap();
    assert!(said.starts_with("trial-001: saved "), "{said}");
    signal("-INT", &going);
    let stderr: Vec<String> = stderr.collect();
    let output = going.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr.len()), (Some(130), 1), "{stderr:?}");
    let says = "interrupted: 0 of 2 trials are done and the others saved in ";
    assert!(stderr[0].starts_with(says), "{stderr:?}");
    let last = text(&output.stdout).lines().last().unwrap().to_owned();
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!((&last["result"], &last["interrupted"]), (&"sweep".into(), &true.into()));
    // Nobody is at work any more.
    let states: Vec<String> = lines(&command(&["runs", word(&stopped.out), "--json"]));
    assert!(states.iter().all(|run| run.contains("\"stopped\"")), "{states:?}");
}

#[test]
fn all_processes_that_a_killed_sweep_has_left_are_ended() {
    let sweep = Sweep::new("sweep-left-over", &format!("method = \"grid\"\n{LONG}\n{LRS}"));
    let mut killed = sweep.start(&["--parallel", "2"]);
    until("both trials are saved", || sweep.is_saved(1) && sweep.is_saved(2));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = [1, 2].map(|trial| sweep.process(trial));
    assert!(left.iter().all(Option::is_some), "{left:?}");
    // The second trial has its turn after the first one.
    let mut going = sweep.start(&["--parallel", "1"]);
    until("the first trial has another process", || ![None, left[0]].contains(&sweep.process(1)));
    assert_eq!(sweep.process(2), None);
    signal("-INT", &going);
    assert_eq!(going.wait().unwrap().code(), Some(130));
}

#[test]
fn a_process_of_somebody_else_is_refused_and_stays() {
    let sweep = Sweep::new("sweep-foreign", &GRID.replace("epochs = 2", "epochs = 1"));
    sweep.run(&["--parallel", "2"]);
    fs::remove_dir_all(sweep.trial(2)).unwrap();
    fs::create_dir(sweep.trial(2)).unwrap();
    let _writer = Store::new(sweep.trial(2)).lock().unwrap();
    let said = refused(&command(&sweep.words(&[])));
    let process = format!("process {} is training this trial and was not started by this sweep", std::process::id());
    assert!(said.contains("trial-002: ") && said.contains(&process), "{said}");
}

#[test]
fn trials_are_made_of_the_base_as_it_was_at_the_beginning() {
    let sweep = Sweep::new("sweep-base", "");
    let base = sweep.folder.join("base.toml");
    let layers = "layers = [{ layer = \"Flatten\" }, { layer = \"Dense\", units = 10 }]";
    let settings = format!(
        "[data]\nname = \"mnist\"\n[model]\n{layers}\n[loss]\nname = \"SparseCategoricalCrossentropy\"\nfrom_logits = true\n"
    );
    fs::write(&base, &settings).unwrap();
    fs::write(&sweep.file, format!("base = \"base.toml\"\nmethod = \"grid\"\nepochs = 10\n{LRS}")).unwrap();
    let mut going = sweep.start(&[]);
    until("the sweep begins", || sweep.out.join("sweep.json").exists());
    fs::write(&base, settings.replace("units = 10", "units = 12")).unwrap();
    assert!(going.wait().unwrap().success());
    for trial in 1..=2 {
        let config = fs::read_to_string(sweep.trial(trial).join("config.toml")).unwrap();
        assert!(config.contains("units = 10"), "{config}");
    }
}
