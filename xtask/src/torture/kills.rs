//! Trainings that are killed again and again until they reach their end.

use super::folder::{damage, generation, is_being_written, was_being_written};
use super::process::{Outcome, run, run_until};
use super::random::Random;
use super::state::State;
use super::tasks::{Place, Size, Task};
use crate::shell::Result;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Of this share of kills, the instant is in a checkpoint's write.
const AIMED: f64 = 0.4;
/// Before this share of resumes, a file of the newest checkpoint is damaged.
const DAMAGED: f64 = 0.15;
/// The others are killed at any time of this share of the whole training's, so that most trainings are killed several times.
const EARLY: f64 = 0.6;

/// What came of a task.
#[derive(Default)]
pub(super) struct Killed {
    pub(super) kills: usize,
    /// Kills while a checkpoint was being written.
    pub(super) in_writes: usize,
    /// Trainings that reached their end, all with the bits of the one that was never killed.
    pub(super) trainings: usize,
    /// Kills before there was a folder to resume from.
    pub(super) anew: usize,
    /// Checkpoints that trainings went on from.
    pub(super) resumed: usize,
    /// The largest number of a checkpoint that one went on from.
    pub(super) newest: u64,
    /// Checkpoints that were damaged, and sessions that went on from the one before.
    pub(super) damaged: usize,
    pub(super) fell_back: usize,
}

/// Kills a training so many times. Fails at the first one that ends with other bits; its folder stays.
pub(super) fn kill(place: &Place, task: &Task, kills: usize, random: &mut Random) -> Result<Killed> {
    let whole = place.folder.join(format!("{}-whole", task.name));
    let outcome = run(&mut place.begin(task, Size::Long, &whole, 1))?;
    outcome.expect_success(&format!("the training of {}", task.name))?;
    let expected = State::read(&whole)?;
    let mut killed = Killed::default();
    while killed.kills < kills {
        one_training(place, task, kills, &outcome, random, &mut killed)?;
        let folder = place.folder.join(task.name);
        let differences = expected.differences(&State::read(&folder)?);
        if !differences.is_empty() {
            return Err(format!(
                "{}: a training that was killed differs from one that was not in {}: {} and {}",
                task.name,
                differences.join(", "),
                folder.display(),
                whole.display()
            ));
        }
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        killed.trainings += 1;
    }
    Ok(killed)
}

/// Starts, kills and resumes a training until its end.
fn one_training(
    place: &Place,
    task: &Task,
    kills: usize,
    whole: &Outcome,
    random: &mut Random,
    killed: &mut Killed,
) -> Result<()> {
    let folder = place.folder.join(task.name);
    loop {
        let threads = 1 + random.below(2);
        let resumes = folder.exists();
        if resumes && random.share() < DAMAGED && damage(&folder, random)?.is_some() {
            killed.damaged += 1;
        }
        let mut command = match resumes {
            true => place.resume(&folder, threads),
            false => place.begin(task, Size::Long, &folder, threads),
        };
        if resumes {
            killed.resumed += 1;
            killed.newest = killed.newest.max(generation(&folder).unwrap_or(0));
        }
        let outcome = if killed.kills < kills {
            run_until(&mut command, instant(&folder, whole.time, random))?
        } else {
            run(&mut command)?
        };
        killed.fell_back += usize::from(outcome.stderr.contains("the checkpoint before is used"));
        if !outcome.was_killed() {
            return outcome.expect_success(&format!("{}: a session of the training", task.name));
        }
        killed.kills += 1;
        killed.in_writes += usize::from(was_being_written(&folder));
        killed.anew += usize::from(!folder.exists());
    }
}

/// When to kill: at any time, or while a checkpoint is being written.
fn instant(folder: &Path, whole: Duration, random: &mut Random) -> Box<dyn FnMut(Duration) -> bool> {
    let at = whole.mul_f64(EARLY * random.share());
    if random.share() >= AIMED {
        return Box::new(move |time| time >= at);
    }
    let (folder, started) = (folder.to_owned(), SystemTime::now());
    // A write takes some milliseconds.
    let later = Duration::from_secs_f64(0.004 * random.share());
    let mut seen = None;
    Box::new(move |time| {
        if time >= at && seen.is_none() && is_being_written(&folder, started) {
            seen = Some(time);
        }
        seen.is_some_and(|seen| time >= seen + later)
    })
}
