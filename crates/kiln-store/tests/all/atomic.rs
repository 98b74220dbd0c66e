//! A single file is replaced completely or not at all.

use kiln_store::{rename_atomically, write_atomically, write_atomically_with};
use std::fs;
use std::io::{self, Write};

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

#[test]
fn a_writer_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    write_atomically_with(&path, |file| file.write_all(b"whole")).unwrap();
    let error = write_atomically_with(&path, |file| {
        file.write_all(b"ha")?;
        Err(io::Error::other("the content ended"))
    });
    assert!(error.unwrap_err().message().ends_with("file: cannot be written: the content ended"));
    assert_eq!((fs::read(&path).unwrap().as_slice(), fs::read_dir(folder.path()).unwrap().count()), (&b"whole"[..], 1));
}

#[test]
fn a_file_gets_another_name_or_keeps_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let [part, path] = ["file.part", "file"].map(|name| folder.path().join(name));
    fs::write(&part, "new").unwrap();
    fs::write(&path, "old").unwrap();
    assert!(rename_atomically(&part, folder.path()).unwrap_err().message().ends_with("this is a folder"));
    rename_atomically(&part, &path).unwrap();
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), part.exists()), ("new", false));
    assert!(rename_atomically(&part, &path).unwrap_err().message().contains("file: cannot be written: "));
}
