//! Generations that are kept, and folders that appear when they are complete.

use kiln_store::{CHECKPOINTS, Disk, Keep, Os, Store};
use std::fs;
use std::io;
use std::path::Path;

fn kept(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder.join(CHECKPOINTS)).unwrap();
    let mut numbers: Vec<u64> = entries.map(|e| e.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn the_last_and_the_best_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Store::new(folder.path()).lock().unwrap();
    for number in 1..=7u64 {
        let keep = Keep { last: 2, also: vec![2] };
        let text = format!("weights {number}");
        assert_eq!(writer.commit_keeping(&[("weights", &text)], &keep).unwrap(), number);
    }
    assert_eq!(kept(folder.path()), [2, 5, 6]);
    for number in [2, 5, 6] {
        // Each is a store itself.
        let folder = folder.path().join(CHECKPOINTS).join(number.to_string());
        let generation = Store::new(folder).current().unwrap().unwrap();
        assert_eq!(generation.number(), number);
        assert_eq!(generation.read("weights").unwrap(), format!("weights {number}").into_bytes());
    }
    writer.commit(&[("weights", "last")]).unwrap();
    assert!(!folder.path().join(CHECKPOINTS).exists());
}

#[test]
fn a_damaged_generation_is_skipped_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let mut writer = store.lock().unwrap();
    for number in 1..=4u64 {
        writer.commit_keeping(&[("weights", format!("weights {number}"))], &Keep::last(3)).unwrap();
    }
    drop(writer);
    let path = |name: &str| folder.path().join(name);
    let latest = || store.latest().unwrap();
    assert_eq!((latest().generation.number(), latest().skipped.len()), (4, 0));
    fs::write(path("weights"), "w").unwrap();
    fs::write(path("checkpoints/3/weights"), "weights x").unwrap();
    let found = latest();
    assert_eq!((found.generation.number(), found.skipped.len()), (2, 2));
    assert!(found.skipped[0].message().contains("weights: this file differs from the manifest"));
    assert!(found.skipped[1].message().contains("checkpoints/3/weights: this file differs"));
    // A manifest that is cut short as well.
    fs::write(path("manifest.json"), "{").unwrap();
    let found = latest();
    assert!(found.skipped[0].message().contains("manifest.json: this is not JSON"));
    let mut writer = store.lock_at(&found.generation).unwrap();
    let number = writer.commit_keeping(&[("weights", "new")], &Keep::last(1)).unwrap();
    assert_eq!((number, kept(folder.path())), (4, vec![2]), "the number after the newest that can be read");
    assert_eq!(latest().generation.read("weights").unwrap(), b"new");
    for damaged in ["weights", "checkpoints/2/weights"] {
        fs::write(path(damaged), "").unwrap();
    }
    assert!(store.latest().unwrap_err().message().contains("differs from the manifest"));
    // A newer version is not damaged: nothing older is used in its place.
    fs::write(path("manifest.json"), "{\"format\": 2}").unwrap();
    assert!(store.latest().unwrap_err().message().contains("format 2 is newer"));
}

#[test]
fn a_new_folder_appears_with_its_first_generation() {
    let parent = tempfile::tempdir().unwrap();
    let names = || fs::read_dir(parent.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    let path = parent.path().join("deep/run");
    let store = Store::new(&path);
    drop(store.create().unwrap());
    assert!(names().is_empty(), "nothing came: nothing stays");
    let mut writer = store.create().unwrap();
    assert!(!path.exists() && writer.folder().exists());
    assert!(store.writer().unwrap().to_string().starts_with("process "));
    // Another writer is refused before the folder is seen, and after.
    let busy = |store: &Store| store.create().map(drop).unwrap_err().message().to_owned();
    assert!(busy(&store).contains("deep/run: process "), "{}", busy(&store));
    writer.commit(&[("weights", "1")]).unwrap();
    assert_eq!(writer.folder(), path);
    assert!(busy(&store).contains("deep/run: process "));
    assert!(store.writer().unwrap().to_string().starts_with("process "));
    writer.commit(&[("weights", "2")]).unwrap();
    drop(writer);
    assert_eq!((store.writer(), store.current().unwrap().unwrap().number()), (None, 2));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "no lock stays");
    // What a killed process has left is removed.
    let left = parent.path().join("deep/.other.new-999999");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("weights"), "x").unwrap();
    drop(Store::new(parent.path().join("deep/other")).create().unwrap());
    assert!(!left.exists() && path.exists());
}

/// A file system without second names.
#[derive(Clone)]
struct NoLinks;

impl Disk for NoLinks {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        Os.write(path, bytes)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        // The names that a folder gets in the meantime are those of somebody else.
        if from.is_dir() { Err(io::ErrorKind::DirectoryNotEmpty.into()) } else { Os.rename(from, to) }
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        Os.remove(path)
    }
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        Os.make_folder(path)
    }
    fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        Os.remove_folder(path)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Os.sync_folder(folder)
    }
}

#[test]
fn a_generation_that_cannot_be_kept_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::on(folder.path(), NoLinks);
    let mut writer = store.lock().unwrap();
    writer.commit(&[("weights", "1")]).unwrap();
    let error = writer.commit_keeping(&[("weights", "2")], &Keep::last(1)).unwrap_err();
    assert!(error.message().contains("checkpoints/1: cannot be written"), "{error}");
    assert_eq!(store.latest().unwrap().generation.read("weights").unwrap(), b"1");
    drop(writer);
    // A folder of this name that came in between stays as it is.
    let path = folder.path().join("run");
    let mut writer = Store::on(&path, NoLinks).create().unwrap();
    let error = writer.commit(&[("weights", "1")]).unwrap_err();
    assert!(error.message().contains("run: this folder cannot be made"), "{error}");
    drop(writer);
    assert!(!path.exists());
}

#[test]
fn what_is_in_the_way_of_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let mut writer = store.lock().unwrap();
    let mut commit = |text: &str| writer.commit_keeping(&[("weights", text)], &Keep::last(1)).unwrap();
    commit("1");
    commit("2");
    // Somebody has written in a generation that is kept: it is removed with all that is in it.
    fs::create_dir(folder.path().join("checkpoints/1/more")).unwrap();
    fs::write(folder.path().join("checkpoints/1/more/file"), "x").unwrap();
    assert_eq!((commit("3"), kept(folder.path())), (3, vec![2]));
    drop(writer);
    // A manifest that is missing is told.
    fs::remove_file(folder.path().join("manifest.json")).unwrap();
    let latest = store.latest().unwrap();
    assert_eq!(latest.generation.number(), 2);
    assert!(latest.skipped[0].message().ends_with("manifest.json: this file is missing"), "{}", latest.skipped[0]);
    // One that cannot be read is in nobody's way who replaces all.
    fs::write(folder.path().join("manifest.json"), "{").unwrap();
    assert!(store.lock().is_err());
    store.replace().unwrap().commit(&[("weights", "new")]).unwrap();
    assert_eq!(store.latest().unwrap().generation.read("weights").unwrap(), b"new");
    // A folder that was removed is not written in by whoever had it before.
    let path = folder.path().join("run");
    let mut first = Store::new(&path).create().unwrap();
    first.commit(&[("weights", "first")]).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let mut second = Store::new(path.join(".")).create().unwrap();
    second.commit(&[("weights", "second")]).unwrap();
    if cfg!(unix) {
        let error = first.commit(&[("weights", "again")]).unwrap_err();
        assert!(error.message().ends_with("this folder was removed or replaced while it was written in"), "{error}");
        drop(first);
        assert!(Store::new(&path).lock().is_err(), "the second one's lock is there");
    }
    drop(second);
    assert_eq!(Store::new(&path).latest().unwrap().generation.read("weights").unwrap(), b"second");
}
