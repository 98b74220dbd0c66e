//! Faults at each call of a training on files of its folder.

use super::folder::left;
use super::process::{Outcome, run};
use super::state::State;
use super::tasks::{Place, Size, Task};
use crate::shell::Result;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// What goes wrong at a call, by the names that xtask/faults knows.
const KINDS: [&str; 6] = ["enospc", "eio", "full", "short", "kill", "torn"];

/// A call of a training, by its number, and its name.
struct Call {
    number: usize,
    name: String,
}

/// What came of a task.
#[derive(Default)]
pub(super) struct Faulted {
    pub(super) calls: usize,
    pub(super) faults: usize,
    /// Sessions that went on, ended with an error, and were killed.
    pub(super) went_on: usize,
    pub(super) failed: usize,
    pub(super) killed: usize,
}

/// Lets each call go wrong in each way; of the short form, the calls of one checkpoint in one way each. Fails at the first training that
/// does not end with the bits of the one without faults; its folder stays.
pub(super) fn inject(place: &Place, task: &Task, short: bool) -> Result<Faulted> {
    let whole = place.folder.join(format!("{}-fixed", task.name));
    run(&mut place.begin(task, Size::Fixed, &whole, 1))?.expect_success(&format!("the training of {}", task.name))?;
    let expected = State::read(&whole)?;
    let calls = calls(place, task)?;
    let chosen = chosen(&calls, short);
    let (next, first_error) = (AtomicUsize::new(0), Mutex::new(None));
    let faulted = Mutex::new(Faulted { calls: calls.len(), faults: chosen.len(), ..Faulted::default() });
    let work = || {
        while let Some((call, kind)) = chosen.get(next.fetch_add(1, Relaxed)) {
            match one(place, task, call, kind, &expected) {
                Ok(outcome) => note(&mut locked(&faulted), &outcome),
                Err(error) => {
                    next.store(chosen.len(), Relaxed);
                    locked(&first_error).get_or_insert(error);
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    match locked(&first_error).take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut *locked(&faulted))),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn note(faulted: &mut Faulted, outcome: &Outcome) {
    match (outcome.was_killed(), outcome.is_success()) {
        (true, _) => faulted.killed += 1,
        (false, true) => faulted.went_on += 1,
        (false, false) => faulted.failed += 1,
    }
}

/// The calls of a whole training.
fn calls(place: &Place, task: &Task) -> Result<Vec<Call>> {
    let folder = place.folder.join(format!("{}-calls", task.name));
    let log = place.folder.join(format!("{}-calls.log", task.name));
    let mut command = place.begin(task, Size::Fixed, &folder.join("run"), 1);
    command.env("LD_PRELOAD", &place.faults).env("KILN_FAULTS_FOLDER", &folder).env("KILN_FAULTS_LOG", &log);
    run(&mut command)?.expect_success(&format!("the training of {} under xtask/faults", task.name))?;
    let text = fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let calls = text.lines().filter_map(|line| {
        let (number, name) = line.split_once(' ')?;
        Some(Call { number: number.parse().ok()?, name: name.to_owned() })
    });
    Ok(calls.collect())
}

/// Which calls go wrong, and how. Of many equal calls in a row, the first two and the last one.
fn chosen(calls: &[Call], short: bool) -> Vec<(&Call, &'static str)> {
    let same = |a: usize, b: usize| calls.get(a).zip(calls.get(b)).is_some_and(|(a, b)| a.name == b.name);
    let all = (0..calls.len()).filter(|&i| i < 2 || !(same(i, i - 1) && same(i, i - 2) && same(i, i + 1)));
    // A checkpoint ends when its manifest has its name: the second one, which a thread writes beside the training.
    let manifests: Vec<usize> = (0..calls.len()).filter(|&i| calls[i].name == "rename manifest.json").collect();
    let [from, to] = [0, 1].map(|index| manifests.get(index).copied().unwrap_or(0));
    let fits = |call: &Call, kind: &str| call.name.starts_with("write ") || !matches!(kind, "short" | "torn");
    if short {
        let of_one = all.filter(|&i| from < i && i <= to + (to - from) / 2);
        // Each kind in turn.
        let pairs = of_one.zip(KINDS.into_iter().cycle()).map(|(i, kind)| (&calls[i], kind));
        return pairs.map(|(call, kind)| (call, if fits(call, kind) { kind } else { "kill" })).collect();
    }
    let pairs = all.flat_map(|i| KINDS.map(|kind| (&calls[i], kind)));
    pairs.filter(|(call, kind)| fits(call, kind)).collect()
}

/// A training in which a call fails, and the session that resumes it.
fn one(place: &Place, task: &Task, call: &Call, kind: &str, expected: &State) -> Result<Outcome> {
    let parent = place.folder.join(format!("{}-{}-{kind}", task.name, call.number));
    let folder = parent.join("run");
    fs::create_dir(&parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    let what = format!("{}, {kind} at call {}, {}, in {}", task.name, call.number, call.name, parent.display());
    let mut command = place.begin(task, Size::Fixed, &folder, 1);
    command.env("LD_PRELOAD", &place.faults).env("KILN_FAULTS_FOLDER", &parent);
    command.env("KILN_FAULTS_CALL", call.number.to_string()).env("KILN_FAULTS_KIND", kind);
    let outcome = run(&mut command)?;
    if let Some(fault) = outcome.fault().filter(|_| !outcome.was_killed()) {
        return Err(format!("{what}: {fault}"));
    }
    goes_on(place, task, &folder, expected).map_err(|error| format!("{what}: {error}"))?;
    fs::remove_dir_all(&parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    Ok(outcome)
}

/// Goes on with a training, or begins it anew where nothing was left, and compares its end.
fn goes_on(place: &Place, task: &Task, folder: &Path, expected: &State) -> Result<()> {
    let mut command = match folder.exists() {
        true => place.resume(folder, 1),
        false => place.begin(task, Size::Fixed, folder, 1),
    };
    run(&mut command)?.expect_success("the session after it")?;
    let differences = expected.differences(&State::read(folder)?);
    if !differences.is_empty() {
        return Err(format!("the training ends with other bits in {}", differences.join(", ")));
    }
    match left(folder).as_slice() {
        [] => Ok(()),
        [path, ..] => Err(format!("{} is left", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, chosen};

    #[test]
    fn calls_are_chosen() {
        let names =
            ["mkdir run", "write a", "write a", "write a", "write a", "write a", "fsync a", "rename manifest.json"];
        let names = names.iter().chain(&["open b", "write b", "rename manifest.json", "rename b", "close b"]);
        let calls: Vec<Call> = names.zip(1..).map(|(name, number)| Call { number, name: (*name).to_owned() }).collect();
        let numbers = |short| chosen(&calls, short).iter().map(|(call, kind)| (call.number, *kind)).collect::<Vec<_>>();
        let all = numbers(false);
        // Ten calls in four ways, five writes in two more: of the five of a file in a row, three.
        assert_eq!(all.len(), 11 * 4 + 4 * 2, "{all:?}");
        assert!(!all.iter().any(|(number, _)| [4, 5].contains(number)), "{all:?}");
        assert_eq!(numbers(true), [(9, "enospc"), (10, "eio"), (11, "full"), (12, "kill")]);
    }
}
