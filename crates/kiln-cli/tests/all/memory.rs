//! A machine that is too small.
#![cfg(target_os = "linux")]

use crate::support::{Folder, text, word};
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
    for part in ["alloc: a tensor of shape (2500, 32, ", "of memory could not be had; tensors hold "] {
        assert!(error[0].contains(part), "{errors}");
    }
    assert!(error[0].contains(" of 461 MB are free; a smaller batch, "), "{errors}");
    assert!(!run.exists());
}
