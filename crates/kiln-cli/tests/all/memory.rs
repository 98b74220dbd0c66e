//! A machine that is too small.
#![cfg(target_os = "linux")]

use crate::support::{Folder, text, word};
use std::fs;
use std::process::Command;

#[test]
fn a_step_that_does_not_fit_is_one_sentence_and_nothing_is_left() {
    let folder = Folder::new("memory");
    let run = folder.join("run");
    let mut shell = Command::new("sh");
    // 461 MB of addresses.
    shell.args(["-c", "ulimit -v 450000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kiln"), "train", "mnist-cnn"]);
    shell.args(["--limit", "2500", "--batch-size", "2500", "--epochs", "1", "--threads", "1", "--out", word(&run)]);
    let output = shell.env_remove("KILN_DATA_DIR").output().unwrap();
    let errors = text(&output.stderr);
    let error: Vec<&str> = errors.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!((output.status.code(), error.len()), (Some(1), 1), "{errors}");
    // What was asked for, what is in use, what would help.
    for part in
        ["error: model.", "alloc: a tensor of shape (2500, 32, ", ": out of memory: ", " were asked for; tensors hold "]
    {
        assert!(error[0].contains(part), "{errors}");
    }
    assert!(error[0].contains(" of 461 MB are free; use a smaller batch, "), "{errors}");
    assert!(!run.exists());
}

#[test]
fn the_memory_of_a_batch_of_any_size_is_told_within_little_memory() {
    let recipe = include_str!("../../src/recipes/mnist-mlp.toml");
    let folder = Folder::new("memory-summary");
    let file = folder.join("large.toml");
    for (batch_size, expected) in [
        // Hidden layer, logits and probabilities: 4 · (128 + 10 + 10) bytes of a sample, in buffers whose sizes are rounded up.
        (200_000, "activations kept for the backward pass: about 119.48 MB"),
        // More than a number of bytes can say.
        (i64::MAX, "activations kept for the backward pass: about 16777216.00 TB"),
    ] {
        fs::write(&file, with_batch_size(recipe, batch_size)).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -v 600000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kiln"), "summary", word(&file)]);
        let output = shell.output().unwrap();
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && said.contains(expected), "{said}\n{errors}");
    }
}

/// The settings with another size of batches.
fn with_batch_size(settings: &str, batch_size: i64) -> String {
    let lines = settings.lines().map(|line| match line.split_once('=') {
        Some((name, _)) if name.trim() == "batch_size" => format!("batch_size = {batch_size}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}
