//! What is seen of a folder without locking it or reading its files.

use kiln_store::{Holder, Store};
use std::fs;
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    Store::new(folder.path()).lock().unwrap().commit(&[("weights", "0123456789"), ("history", "1")]).unwrap();
    folder
}

#[test]
fn the_writer_is_seen_and_not_disturbed() {
    let folder = folder();
    let store = Store::new(folder.path());
    assert_eq!(store.writer(), None);
    let mut writer = store.lock().unwrap();
    let process = cfg!(unix).then(std::process::id);
    assert_eq!(store.writer(), Some(Holder { process }));
    writer.commit(&[("weights", "x")]).unwrap();
    drop(writer);
    assert_eq!(store.writer(), None);
    // What a crash leaves is not a lock, and stays where it is.
    fs::write(folder.path().join(".lock"), "999999999").unwrap();
    assert_eq!(store.writer(), None);
    assert!(folder.path().join(".lock").exists());
    assert_eq!(Store::new(folder.path().join("nowhere")).writer(), None);
}

#[test]
fn lengths_are_compared_without_reading() {
    let folder = folder();
    let weights = folder.path().join("weights");
    let current = || Store::new(folder.path()).current().unwrap().unwrap();
    current().check_lengths().unwrap();
    // Only the checksum tells.
    fs::write(&weights, "0123456780").unwrap();
    current().check_lengths().unwrap();
    assert!(current().path("weights").is_err());
    fs::write(&weights, "01234").unwrap();
    let error = current().check_lengths().unwrap_err();
    assert!(error.message().contains("weights: this file differs from the manifest"), "{error}");
    fs::remove_file(&weights).unwrap();
    let error = current().check_lengths().unwrap_err();
    assert!(error.message().contains("weights: cannot be read"), "{error}");
    // Where a crash has left it before it got its name.
    fs::write(folder.path().join(".weights.generation-1"), "0123456789").unwrap();
    current().check_lengths().unwrap();
}
