//! Commits after one that failed, by the same writer.

use crate::crash::{Files, NEW, OLD, names};
use crate::quick_folder;
use kiln_store::{Disk, Keep, Os, Store};
use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;

/// Fails at two steps. Nothing is flushed to the disk, which would take a minute.
#[derive(Clone)]
struct Twice {
    step: Rc<Cell<usize>>,
    at: [usize; 2],
    after: bool,
}

impl Twice {
    fn step(&self, whole: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.step.set(self.step.get() + 1);
        let fails = self.at.contains(&self.step.get());
        if !fails || self.after {
            whole()?;
        }
        if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

impl Disk for Twice {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step(|| fs::write(path, bytes))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|| Os.rename(from, to))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(|| Os.remove(path))
    }
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.step(|| Os.make_folder(path))
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|| Os.link(from, to))
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.step(|| Os.remove_folder(path))
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.step(|| Ok(()))
    }
}

/// A training goes on after a save that failed, with the same writer.
#[test]
fn a_writer_goes_on_after_failed_commits() {
    // The sixth step of a commit is the manifest's rename, if no older generation is kept.
    for (kept, steps, further) in [(0, 6..=12, 10), (1, 12..=22, 18)] {
        for first in steps {
            for second in first + 1..=first + further {
                [false, true].into_iter().for_each(|after| three_commits([first, second], after, kept));
            }
        }
    }
}

/// Three commits and a fourth one, of which some fail; the folder is whole after each.
fn three_commits(at: [usize; 2], after: bool, kept: usize) {
    let folder = quick_folder();
    let on = |at| Store::on(folder.path(), Twice { step: Rc::default(), at, after });
    assert_eq!(on([0; 2]).lock().unwrap().commit(OLD).unwrap(), 1);
    let store = on(at);
    let mut writer = store.lock().unwrap();
    let third: Files<'_> = &[("weights", b"third weights"), ("history", b"third history")];
    let mut last = OLD;
    for files in [NEW, third, NEW] {
        let result = writer.commit_keeping(files, &Keep::last(kept));
        let there = Store::new(folder.path()).current().unwrap().unwrap();
        let whole = |files: Files<'_>| {
            let same = |(name, bytes): &(&str, &[u8])| there.read(name).is_ok_and(|read| read == *bytes);
            files.len() == there.names().count() && files.iter().all(same)
        };
        assert!(
            whole(files) || result.is_err() && whole(last),
            "{at:?}, after {after}: {result:?}, but generation {} is damaged",
            there.number()
        );
        last = if whole(files) { files } else { last };
    }
    assert_eq!(writer.commit_keeping(NEW, &Keep::last(kept)).unwrap(), writer.generation());
    assert!(names(folder.path()).iter().all(|name| !name.contains("generation")), "{:?}", names(folder.path()));
}
