//! How an answer to bad input is held to what it should be.

use super::{Folder, command, kiln, lines, text, word};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long an answer may take.
const SOON: Duration = Duration::from_secs(1);

/// What fails in the work, and what is wrong with the arguments alone.
pub(crate) const FAILED: i32 = 1;
pub(crate) const REFUSED: i32 = 2;

/// A folder with a small data set, `mnist`, and a run of three epochs on it, `run`.
pub(crate) fn healthy(name: &str) -> Folder {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let folder = Folder::with_data("template");
        lines(&kiln(&folder.0, &["--epochs", "3", "--quiet", "--out", word(&folder.join("run"))]));
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad-input");
        copy(&folder.0, &kept);
        kept
    });
    let folder = Folder::new(name);
    copy(template, &folder.0);
    folder
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in content(from) {
        let path = to.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes.unwrap_or_default()).unwrap();
    }
}

/// Everything in a folder: a file's bytes, nothing for a folder that is empty.
fn content(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(inner) = folders.pop() {
        let entries: Vec<PathBuf> = fs::read_dir(&inner).unwrap().map(|entry| entry.unwrap().path()).collect();
        if entries.is_empty() {
            found.insert(inner.strip_prefix(folder).unwrap().to_path_buf(), None);
        }
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(
                    path.strip_prefix(folder).unwrap().to_path_buf(),
                    Some(fs::read(&path).unwrap_or_default()),
                );
            }
        }
    }
    found
}

/// The sentence of an answer that is as it should be.
fn sentence(output: &Output, code: i32) -> String {
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(code), ""), "{stderr}");
    let first = stderr.lines().next().unwrap_or_default();
    // Of arguments, usage and the way to the help follow.
    assert_eq!(stderr.lines().count() == 1, code == FAILED, "{stderr}");
    assert!(code == FAILED || stderr.ends_with("\n\nFor more information, try '--help'.\n"), "{stderr}");
    first.strip_prefix("error: ").unwrap_or_else(|| unreachable!("{stderr}")).to_owned()
}

/// Runs `words`, in which `@` is the folder, and holds the answer to what it should be: the sentence begins with the first of
/// `says` and has all others in it.
pub(crate) fn check(folder: &Folder, words: &str, code: i32, says: &[&str]) {
    check_run(folder, words, code, says, command);
}

pub(crate) fn check_run(folder: &Folder, words: &str, code: i32, says: &[&str], run: impl Fn(&[&str]) -> Output) {
    let at = |text: &str| text.replace('@', word(&folder.0));
    let words: Vec<String> = words.split_whitespace().map(at).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let before = content(&folder.0);
    let mut times = Vec::new();
    // A machine that is busy with other things gets three chances.
    for _ in 0..3 {
        let start = Instant::now();
        let output = run(&words);
        times.push(start.elapsed());
        let sentence = sentence(&output, code);
        for (position, part) in says.iter().enumerate() {
            let place = sentence.find(&at(part));
            assert!(
                if position == 0 { place == Some(0) } else { place.is_some() },
                "{words:?}: {sentence}; not {part}"
            );
        }
        let after = content(&folder.0);
        assert!(after == before, "{words:?} left {:?} behind, of {:?}", after.keys(), before.keys());
        if times.last().is_some_and(|time| *time < SOON) {
            return;
        }
    }
    unreachable!("{words:?} took {times:?}");
}
