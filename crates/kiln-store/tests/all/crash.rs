//! A crash or an I/O error at every step of a commit leaves the old generation or the new one, whole.

use crate::quick_folder;
use kiln_store::{CHECKPOINTS, Disk, Keep, Os, Store};
use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use tempfile::TempDir;

/// What happens at the step that goes wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    /// EIO, once; a file that was being written is cut short.
    Error,
    /// EIO, once, though the step is done.
    ErrorAfter,
    /// The process is gone: this step is not done, or done half, and neither is any later one.
    Crash,
    /// As `Crash`, right after the step.
    CrashAfter,
}

/// Fails at one step.
struct Faulty {
    left: Cell<usize>,
    fault: Fault,
    crashed: Cell<bool>,
}

impl Faulty {
    fn step(&self, partly: impl FnOnce(), whole: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.crashed.get() {
            return Err(io::Error::other("crashed"));
        }
        let Some(left) = self.left.get().checked_sub(1) else { return whole() };
        self.left.set(left);
        if left > 0 {
            return whole();
        }
        self.left.set(0);
        self.crashed.set(matches!(self.fault, Fault::Crash | Fault::CrashAfter));
        match self.fault {
            Fault::ErrorAfter | Fault::CrashAfter => whole()?,
            Fault::Error | Fault::Crash => partly(),
        }
        Err(io::Error::from_raw_os_error(5))
    }
}

impl Disk for Faulty {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step(|| fs::write(path, &bytes[..bytes.len() / 2]).unwrap(), || Os.write(path, bytes))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|| {}, || Os.rename(from, to))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(|| {}, || Os.remove(path))
    }
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.step(|| {}, || Os.make_folder(path))
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|| {}, || Os.link(from, to))
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.step(|| {}, || Os.remove_folder(path))
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step(|| {}, || Os.sync_folder(folder))
    }
}

pub(crate) type Files<'a> = &'a [(&'a str, &'a [u8])];
pub(crate) const OLD: Files<'_> = &[("weights", b"old weights"), ("history", b"old"), ("curves", b"old picture")];
pub(crate) const NEW: Files<'_> = &[("weights", b"newer weights"), ("history", b"new history"), ("notes", b"new")];

fn folder_with_old() -> TempDir {
    let folder = quick_folder();
    assert_eq!(Store::new(folder.path()).lock().unwrap().commit(OLD).unwrap(), 1);
    folder
}

/// The generation that a reader finds, whose files must all be its own.
fn found(folder: &Path) -> u64 {
    let generation = Store::new(folder).current().unwrap().unwrap();
    let expected = if generation.number() == 1 { OLD } else { NEW };
    assert_eq!(generation.names().count(), expected.len());
    for (name, bytes) in expected {
        assert_eq!(generation.read(name).unwrap(), *bytes, "{name} of generation {}", generation.number());
    }
    generation.number()
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_step_of_a_commit_may_fail() {
    // Three files, folder, manifest; manifest's rename, folder, three names, one removal, folder.
    every_step(&Keep::default(), 6, 12);
    // Two folders, four links, a folder, its name and a folder before the manifest.
    every_step(&Keep::last(1), 15, 21);
}

/// The new files are there from this step on, of so many.
fn every_step(keep: &Keep, changes: usize, steps: usize) {
    for fault in [Fault::Error, Fault::ErrorAfter, Fault::Crash, Fault::CrashAfter] {
        let mut ends = Vec::new();
        for step in 1.. {
            let folder = folder_with_old();
            let disk = Faulty { left: Cell::new(step), fault, crashed: Cell::new(false) };
            let store = Store::on(folder.path(), &disk);
            // Bound before the match: the lock is let go here, as it would be by the end of the process.
            let result = store.lock().and_then(|mut writer| writer.commit_keeping(NEW, keep));
            let generation = found(folder.path());
            if result.is_ok() {
                assert_eq!(generation, 2);
                assert_eq!(folder.path().join(CHECKPOINTS).exists(), *keep != Keep::default());
                break;
            }
            ends.push(generation);
            // The next writer puts all in order, and its readers find what was there before.
            drop(Store::new(folder.path()).lock().unwrap());
            assert_eq!(found(folder.path()), generation, "{fault:?} at step {step}");
            let expected = if generation == 1 { OLD } else { NEW };
            for (name, bytes) in expected {
                assert_eq!(fs::read(folder.path().join(name)).unwrap(), *bytes, "{name}, {fault:?} at step {step}");
            }
            assert!(names(folder.path()).iter().all(|name| !name.starts_with('.')), "{:?}", names(folder.path()));
            let kept = folder.path().join(CHECKPOINTS);
            assert!(!kept.exists() || names(&kept).iter().all(|name| name == "1"), "{:?}", names(&kept));
            assert_eq!(Store::new(folder.path()).latest().unwrap().generation.number(), generation);
            // And it can go on.
            let number = Store::new(folder.path()).lock().unwrap().commit_keeping(NEW, keep).unwrap();
            assert_eq!((number, found(folder.path()).min(2)), (generation + 1, 2));
            assert_eq!(kept.join(generation.to_string()).exists(), *keep != Keep::default());
        }
        assert_eq!(ends.len(), steps, "{fault:?}: {ends:?}");
        let changed = ends.iter().position(|&generation| generation == 2).unwrap();
        assert_eq!(
            changed,
            if matches!(fault, Fault::ErrorAfter | Fault::CrashAfter) { changes - 1 } else { changes },
            "{fault:?}: {ends:?}"
        );
        assert!(ends[changed..].iter().all(|&generation| generation == 2), "{fault:?}: {ends:?}");
    }
}

#[test]
fn recovery_may_fail_too() {
    for step in 1..=4 {
        let folder = folder_with_old();
        // Dies right after the manifest's rename: three files have their names still to come.
        let disk = Faulty { left: Cell::new(6), fault: Fault::CrashAfter, crashed: Cell::new(false) };
        assert!(Store::on(folder.path(), &disk).lock().unwrap().commit(NEW).is_err());
        let disk = Faulty { left: Cell::new(step), fault: Fault::Crash, crashed: Cell::new(false) };
        let result = Store::on(folder.path(), &disk).lock().map(drop);
        assert_eq!(result.is_err(), step <= 3);
        assert_eq!(found(folder.path()), 2);
    }
}

#[test]
fn changed_files_are_found() {
    let folder = folder_with_old();
    let current = || Store::new(folder.path()).current().unwrap().unwrap();
    let says = |name: &str| current().read(name).unwrap_err().message().to_owned();
    fs::write(folder.path().join("weights"), b"OLD weights").unwrap();
    fs::write(folder.path().join("history"), b"ol").unwrap();
    fs::remove_file(folder.path().join("curves")).unwrap();
    assert!(says("weights").ends_with("weights: this file differs from the manifest: it was changed or cut short"));
    assert!(says("history").contains("differs from the manifest"));
    assert!(says("curves").contains("curves: cannot be read: "));
    assert!(says("other").ends_with("other: manifest.json does not list this file"));
}

#[test]
fn manifests_that_cannot_be_used() {
    let folder = folder_with_old();
    let path = folder.path().join("manifest.json");
    let says = |text: &str| {
        fs::write(&path, text).unwrap();
        Store::new(folder.path()).current().unwrap_err().message().to_owned()
    };
    assert!(says("{").contains("manifest.json: this is not JSON: "));
    assert!(says("{\"format\": 1}").contains("this is not a manifest: missing field `generation`"));
    assert!(says("{\"format\": 2}").ends_with("format 2 is newer than this version of Kiln reads (1)"));
    let outside = "{\"format\": 1, \"generation\": 1, \"files\": {\"../x\": {\"bytes\": 0, \"xxh3\": \"\"}}}";
    assert!(says(outside).ends_with("\"../x\" is not the name of a file in this folder"));
    fs::remove_file(&path).unwrap();
    assert!(Store::new(folder.path()).current().unwrap().is_none());
}

#[test]
fn one_writer_at_a_time() {
    let folder = folder_with_old();
    let store = Store::new(folder.path());
    let writer = store.lock().unwrap();
    let error = Store::new(folder.path()).lock().map(drop).unwrap_err();
    assert!(error.message().contains(&format!(": process {} is writing here", std::process::id())), "{error}");
    drop(writer);
    // What a crash leaves is not a lock.
    fs::write(folder.path().join(".lock"), "999999999").unwrap();
    drop(store.lock().unwrap());
    assert_eq!(names(folder.path()), ["curves", "history", "manifest.json", "weights"]);
}

#[test]
fn names_are_checked_before_anything_is_written() {
    let folder = folder_with_old();
    let store = Store::new(folder.path());
    let mut writer = store.lock().unwrap();
    for name in ["", ".hidden", "a/b", "..", "manifest.json"] {
        let error = writer.commit(&[("fine", "x"), (name, "y")]).unwrap_err();
        assert!(error.message().contains("is not the name of a file in"), "{error}");
    }
    fs::create_dir(folder.path().join("taken")).unwrap();
    let error = writer.commit(&[("fine", "x"), ("taken", "y")]).unwrap_err();
    assert!(error.message().ends_with("taken: cannot be written: this is a folder"), "{error}");
    drop(writer);
    assert_eq!(names(folder.path()), ["curves", "history", "manifest.json", "taken", "weights"]);
    assert_eq!(found(folder.path()), 1);
}
