//! `kiln train --resume`: runs that were killed, interrupted or complete.

use crate::support::{Folder, Running, command, kiln, lines, text, word};
use std::fs;
use std::path::{Path, PathBuf};

fn file(run: &Path, name: &str) -> Vec<u8> {
    fs::read(run.join(name)).unwrap()
}

/// The history without the seconds.
fn history(run: &Path) -> Vec<String> {
    let text = String::from_utf8(file(run, "history.csv")).unwrap();
    text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect()
}

/// A data folder with a run of one epoch in it.
fn trained(name: &str) -> (Folder, PathBuf) {
    let folder = Folder::with_data(name);
    let run = folder.join("run");
    lines(&kiln(&folder.0, &["--epochs", "1", "--quiet", "--out", word(&run)]));
    (folder, run)
}

/// The sentence of a command that fails.
fn refused(words: &[&str]) -> String {
    let output = command(words);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn a_run_goes_on_for_more_epochs() {
    let folder = Folder::with_data("more");
    let (whole, run) = (folder.join("whole"), folder.join("run"));
    lines(&kiln(&folder.0, &["--epochs", "3", "--quiet", "--seed", "4", "--out", word(&whole)]));
    lines(&kiln(&folder.0, &["--epochs", "1", "--quiet", "--seed", "4", "--threads", "1", "--out", word(&run)]));
    // The data is looked for where it was.
    let said = lines(&command(&["train", "--resume", word(&run), "--epochs", "3", "--threads", "2"]));
    assert!(said[0].ends_with("3 epochs; going on after epoch 1 of 1"), "{said:?}");
    assert!(file(&whole, "model.safetensors") == file(&run, "model.safetensors"));
    assert_eq!(history(&whole), history(&run));
    // Now it is complete, with and without the number.
    let generation = file(&run, "manifest.json");
    for more in [&[][..], &["--epochs", "3"]] {
        let said = lines(&command(&[&["train", "--resume", word(&run)], more].concat()));
        assert_eq!(said, [format!("{}: complete, 3 epochs; --epochs N trains more", run.display())]);
    }
    let said = lines(&command(&["train", "mnist-mlp", "--resume", word(&run), "--json"]));
    assert_eq!(said, ["{\"complete\":true,\"epochs\":3,\"result\":\"train\"}"]);
    assert!(file(&run, "manifest.json") == generation, "nothing was written");
}

#[test]
fn a_run_killed_in_its_last_write_gets_its_files_in_order() {
    let (_folder, run) = trained("last-write");
    let manifest: serde_json::Value = serde_json::from_slice(&file(&run, "manifest.json")).unwrap();
    let weights = file(&run, "model.safetensors");
    // The manifest had its name, and the weights did not have theirs yet.
    let staged = run.join(format!(".model.safetensors.generation-{}", manifest["generation"]));
    fs::rename(run.join("model.safetensors"), &staged).unwrap();
    fs::write(run.join("model.safetensors"), "of the checkpoint before").unwrap();
    let said = lines(&command(&["train", "--resume", word(&run)]));
    assert_eq!(said, [format!("{}: complete, 1 epoch; --epochs N trains more", run.display())]);
    assert!(file(&run, "model.safetensors") == weights && !staged.exists());
}

#[test]
fn what_contradicts_a_run_is_named() {
    let (folder, run) = trained("contradictions");
    let before = file(&run, "manifest.json");
    let resume = |more: &[&str]| refused(&[&["train", "--resume", word(&run)], more].concat());
    let words = ["--lr", "0.5", "--batch-size", "7", "--seed", "0", "--set", "optimizer.beta1=0.5", "--epochs", "9"];
    let sentence = resume(&words);
    assert!(sentence.contains("optimizer.beta1 is not set, not 0.5, optimizer.lr is "), "{sentence}");
    assert!(sentence.contains(", not 0.5, ") && sentence.contains("training.batch_size is 32, not 7"), "{sentence}");
    assert!(!sentence.contains("epochs is"), "{sentence}");
    let sentence = refused(&["train", "mnist-cnn", "--resume", word(&run)]);
    assert!(sentence.contains("it is of mnist-mlp, not of mnist-cnn"), "{sentence}");
    let sentence = resume(&["--out", word(&folder.join("other"))]);
    assert!(sentence.contains("it is in ") && sentence.contains("other; leave the options out"), "{sentence}");
    let sentence = resume(&["--epochs", "9", "--data", word(&folder.join("nowhere"))]);
    assert!(sentence.contains("nowhere"), "{sentence}");
    assert!(file(&run, "manifest.json") == before && !folder.join("other").exists());
}

#[test]
fn what_is_no_run_is_refused() {
    let (folder, run) = trained("no-run");
    let resume = |run: &Path| refused(&["train", "--resume", word(run), "--epochs", "9"]);
    assert!(resume(&folder.join("nowhere")).contains("nowhere: there is no such folder"));
    assert!(resume(&folder.0).contains("so this is no run"));
    // What was damaged is done without.
    fs::write(run.join("config.toml"), "changed").unwrap();
    let output = command(&["train", "--resume", word(&run), "--epochs", "2"]);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("damaged: ") && stderr.contains("config.toml: this file differs"), "{stderr}");
    assert!(stderr.contains("the checkpoint before is used, "), "{stderr}");
    assert_eq!((output.status.code(), history(&run).len()), (Some(0), 3), "{stderr}");
    // A newer version.
    fs::write(run.join("manifest.json"), "{\"format\": 7}").unwrap();
    assert!(resume(&run).contains("format 7 is newer than this version of Kiln reads"));
}

#[cfg(unix)]
mod signals {
    use super::*;
    use serde_json::Value;
    use std::io::{BufRead, BufReader, Lines, Read};
    use std::process::{Child, ChildStdout, Command, Stdio};

    /// A training without an end, of which the first epoch is over.
    fn begun(folder: &Folder, run: &Path, more: &[&str]) -> (Running, Lines<BufReader<ChildStdout>>) {
        let words = ["train", "mnist-mlp", "--json", "--epochs", "1000000", "--data", word(&folder.0)];
        let mut child = Command::new(env!("CARGO_BIN_EXE_kiln"));
        let child = child.args(words).args(["--out", word(run)]).args(more);
        let mut child = Running::spawn(child.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        stdout.next().unwrap().unwrap();
        (child, stdout)
    }

    fn send(child: &Child, signal: &str) {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }

    /// Whether this process, and so its children, ignore a signal; where the system does not say it, they do not.
    fn is_ignored(signal: i32) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    }

    fn status(run: &Path) -> Value {
        serde_json::from_slice(&file(run, "progress.json")).unwrap()
    }

    fn said(child: &mut Child) -> String {
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        stderr
    }

    #[test]
    fn each_saves_and_has_its_exit_code() {
        let folder = Folder::with_data("signals");
        for (signal, code) in [("-TERM", 143), ("-HUP", 129), ("-INT", 130)] {
            // What started the tests may have it ignored, as `nohup` does: then the command ignores it too.
            if is_ignored(code - 128) {
                continue;
            }
            let run = folder.join(signal);
            let (mut child, stdout) = begun(&folder, &run, &[]);
            send(&child, signal);
            stdout.for_each(drop);
            let stderr = said(&mut child);
            assert_eq!(child.wait().unwrap().code(), Some(code), "{stderr}");
            let status = status(&run);
            assert_eq!((&status["phase"], status["epoch"].as_u64() > Some(0)), (&"stopped".into(), true));
            let epochs = (status["epoch"].as_u64().unwrap() + 1).to_string();
            lines(&command(&["train", "--resume", word(&run), "--epochs", &epochs, "--quiet"]));
        }
    }

    #[test]
    fn usr1_saves_without_ending() {
        let folder = Folder::with_data("usr1");
        let run = folder.join("run");
        let (mut child, stdout) = begun(&folder, &run, &["--checkpoint-every", "1h"]);
        // Or the pipe would fill.
        let drained = std::thread::spawn(|| stdout.count());
        let step = || status(&run)["step"].as_u64().unwrap();
        assert_eq!(step(), 0, "the first checkpoint");
        send(&child, "-USR1");
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let says_where = ["saved in epoch ", "saved after epoch "].iter().any(|words| line.starts_with(words));
        assert!(says_where && line.ends_with(&format!(": {}\n", run.display())), "{line}");
        assert!(step() > 0 && child.try_wait().unwrap().is_none(), "it goes on");
        child.kill().unwrap();
        child.wait().unwrap();
        drained.join().unwrap();
        let sentence = refused(&["train", "mnist-mlp", "--data", word(&folder.0), "--out", word(&run)]);
        assert!(sentence.contains("a run; --resume goes on with it, --force replaces it"), "{sentence}");
    }

    #[test]
    fn a_killed_run_goes_on_with_the_same_bits() {
        let folder = Folder::with_data("killed");
        let (whole, run) = (folder.join("whole"), folder.join("run"));
        let (mut child, mut stdout) = begun(&folder, &run, &["--checkpoint-every", "2-steps"]);
        stdout.nth(1).unwrap().unwrap();
        let busy = refused(&["train", "--resume", word(&run)]);
        assert!(busy.contains(&format!("process {} is writing here", child.id())), "{busy}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(status(&run)["phase"], "training");
        let epochs = (status(&run)["epoch"].as_u64().unwrap() + 2).to_string();
        lines(&command(&["train", "--resume", word(&run), "--epochs", &epochs, "--quiet"]));
        lines(&kiln(&folder.0, &["--epochs", &epochs, "--quiet", "--out", word(&whole)]));
        assert!(file(&whole, "model.safetensors") == file(&run, "model.safetensors"));
        assert_eq!(history(&whole), history(&run));
        let few = refused(&["train", "--resume", word(&run), "--epochs", "1"]);
        assert!(few.contains("epochs are completed, and 1 are asked for"), "{few}");
    }
}
