//! How long a clean release build takes, and of how many crates it consists.

use crate::layers::BUDGETS;
use crate::shell::{self, Result, cargo, target};
use crate::trees;
use std::time::Instant;

/// Crates aimed at, seconds allowed and aimed at for the packages of [`BUDGETS`], on two cores.
const AIMS: &[(usize, f64, f64)] = &[(45, 45.0, 30.0), (90, 90.0, 60.0)];

/// A package's clean release build.
pub(crate) struct Build {
    pub(crate) package: &'static str,
    pub(crate) crates: usize,
    pub(crate) crates_allowed: usize,
    pub(crate) crates_aimed: usize,
    pub(crate) seconds: f64,
    pub(crate) seconds_allowed: f64,
    pub(crate) seconds_aimed: f64,
}

/// Builds the library and the command from nothing, each in an empty folder, and prints what it took. Nothing fails where
/// a budget is exceeded: times are the machine's. (The number of crates is held by `check-layers`.)
pub(crate) fn run() -> Result<Vec<Build>> {
    // Downloads are not the build's.
    shell::run(&mut cargo(&["fetch"]))?;
    let mut builds = Vec::new();
    for (&(package, crates_allowed), &(crates_aimed, seconds_allowed, seconds_aimed)) in BUDGETS.iter().zip(AIMS) {
        let folder = target().join("budget");
        // The folder may not be there; one that cannot be emptied would show as a build of no time.
        let _ = std::fs::remove_dir_all(&folder);
        let start = Instant::now();
        shell::run(cargo(&["build", "--release", "-p", package]).env("CARGO_TARGET_DIR", &folder))?;
        let seconds = start.elapsed().as_secs_f64();
        let crates = trees::packages(package, &shell::root())?.len();
        println!(
            "{package}: {crates} crates of {crates_allowed} allowed, {seconds:.1} s of {seconds_allowed} s allowed"
        );
        builds.push(Build { package, crates, crates_allowed, crates_aimed, seconds, seconds_allowed, seconds_aimed });
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(builds)
}
