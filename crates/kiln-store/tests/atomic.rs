//! A single file is replaced completely or not at all.

#![allow(clippy::unwrap_used)] // a panic is a test's report

use kiln_store::write_atomically;
use std::fs;

#[test]
fn a_file_is_replaced_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for text in ["first", "second, which is longer"] {
        write_atomically(&path, text.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // It may be read by those who may read any new file.
    let usual = folder.path().join("usual");
    fs::write(&usual, "").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions(), fs::metadata(&usual).unwrap().permissions());
}

#[test]
fn what_is_not_a_file_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let says = |path: &std::path::Path| write_atomically(path, b"x").unwrap_err().message().to_owned();
    assert!(says(folder.path()).ends_with(": cannot be written: this is a folder"));
    assert!(says(&folder.path().join("nowhere/file")).contains("nowhere/file: cannot be written: "));
    assert!(says(std::path::Path::new("/")).contains("cannot be written: this is not a file name"));
    if cfg!(unix) {
        assert!(says(std::path::Path::new("/dev/null")).ends_with("this is not a regular file"));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
