//! The plain driver: seeds, then random changes of them, for some seconds. It needs nothing but the stable compiler.

use crate::Target;
use crate::mutate::{Random, mutated};
use std::cell::RefCell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longer inputs only cost time.
const LONGEST: usize = 4096;
/// No input of this length needs so long.
const SLOW: Duration = Duration::from_secs(10);

/// What came of a target.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Inputs that were run.
    pub executions: u64,
    /// How long that took.
    pub seconds: f64,
    /// The first input that failed, and why.
    pub finding: Option<(Vec<u8>, String)>,
}

/// A target's folder of seeds.
pub fn seeds(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name)
}

/// The files of a folder, in the order of their names; none where there is no such folder.
pub fn inputs(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

thread_local! {
    /// What the last panic said and where.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what panics say instead of printing it: a driver prints the one that matters.
pub fn keep_panics() {
    set_hook(Box::new(|panic| SAID.with(|said| *said.borrow_mut() = panic.to_string())));
}

/// The input that is running: its target, its bytes, and since when.
static RUNNING: Mutex<Option<(&'static str, Vec<u8>, Instant)>> = Mutex::new(None);

fn now_running(what: Option<(&'static str, Vec<u8>, Instant)>) {
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = what;
}

/// Calls `told` with the target and the input that does not end, from a thread of its own: nothing else can be done with it.
pub fn watch(told: fn(&str, &[u8], &str)) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some((name, input, since)) = running.filter(|(_, _, since)| since.elapsed() > 2 * SLOW) {
                told(name, &input, &format!("it has not ended after {:.0} s", since.elapsed().as_secs_f64()));
            }
        }
    });
}

/// Runs one input; what went wrong, if anything did.
pub fn attempt(target: &Target, input: &[u8]) -> Result<(), String> {
    let start = Instant::now();
    now_running(Some((target.name, input.to_vec(), start)));
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    now_running(None);
    outcome.map_err(|_| SAID.with(|said| said.borrow().clone()))?;
    match start.elapsed() {
        long if long > SLOW => Err(format!("it took {:.1} s", long.as_secs_f64())),
        _ => Ok(()),
    }
}

/// Runs all inputs, then changed ones until the time is over or something is found. The same seed gives the same inputs.
pub fn fuzz(target: &Target, inputs: &[Vec<u8>], time: Duration, seed: u64) -> Report {
    let start = Instant::now();
    let mut executions = 0;
    let mut run = |input: &[u8]| {
        executions += 1;
        attempt(target, input).err().map(|why| (input.to_vec(), why))
    };
    let mut finding = inputs.iter().find_map(|input| run(input));
    let mut random = Random(seed);
    let empty = Vec::new();
    while finding.is_none() && start.elapsed() < time {
        let mut any = || inputs.get(random.below(inputs.len())).unwrap_or(&empty);
        let (input, other) = (any(), any());
        finding = run(&mutated(input, other, target.words, LONGEST, &mut random));
    }
    Report { executions, seconds: start.elapsed().as_secs_f64(), finding }
}
