//! Trainings that are killed, and whose file system fails: each must end with the bits of one that was left alone.

mod faults;
mod folder;
mod kills;
mod process;
mod random;
mod state;
mod tasks;

use crate::ci;
use crate::shell::{self, Result, cargo, target};
use random::Random;
use std::path::PathBuf;
use std::time::Instant;
use tasks::{Place, TASKS, Task};

/// What is done, and how often.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often trainings are killed, all tasks together
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: usize,
    /// What the instants of the kills follow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Only the tasks whose name contains this: mnist-mlp, mnist-cnn, char-lstm, settings
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// What CI does: a few kills of two tasks, and faults at the calls of one checkpoint, with the program that tests have built
    #[arg(long)]
    short: bool,
    /// Torture this program, instead of one that is built for it
    #[arg(long, value_name = "FILE")]
    kiln: Option<PathBuf>,
    /// Instead, fits, checkpoints and evaluations in one process for so many minutes, whose memory must stay as it is
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = "10", conflicts_with_all = ["kills", "seed", "only", "short", "kiln"])]
    soak: Option<f64>,
}

/// The short form: the calls of one checkpoint, in one way each.
pub(crate) fn short() -> Result<()> {
    run(&Options { kills: 6, seed: 1, only: None, short: true, kiln: None, soak: None })
}

/// Tortures all tasks, or lets one process run for long.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(minutes) = options.soak {
        let words = [
            "run",
            "--release",
            "--quiet",
            "-p",
            "kiln-benches",
            "--bin",
            "kiln-soak",
            "--",
            "--minutes",
            &minutes.to_string(),
        ];
        return shell::run(&mut cargo(&words));
    }
    if !cfg!(target_os = "linux") {
        println!("torture: it needs Linux, whose loader puts xtask/faults in the place of the system's calls");
        return Ok(());
    }
    let wanted = |task: &&Task| match &options.only {
        Some(part) => task.name.contains(part.as_str()),
        None => !options.short || ["mnist-mlp", "settings"].contains(&task.name),
    };
    let tasks: Vec<&Task> = TASKS.iter().filter(wanted).collect();
    if tasks.is_empty() {
        return Err(format!("no task is called {:?}", options.only.as_deref().unwrap_or_default()));
    }
    let place = build(options)?;
    kills(&place, &tasks, options)?;
    faults(&place, &tasks, options.short)?;
    std::fs::remove_dir_all(&place.folder).map_err(|error| format!("{}: {error}", place.folder.display()))
}

/// Builds the programs, or takes those of the tests.
fn build(options: &Options) -> Result<Place> {
    let (profile, folder): (&[&str], _) = if options.short { (&[], "debug") } else { (&["--release"], "release") };
    let built = target().join(folder);
    let kiln = match &options.kiln {
        Some(kiln) => shell::root().join(kiln),
        None => {
            if options.short {
                ci::tests(&["--test", "bad_input", "--no-run"])?;
            } else {
                shell::run(cargo(&["build", "-p", "kiln-cli"]).args(profile))?;
            }
            built.join("kiln")
        }
    };
    shell::run(cargo(&["build", "-p", "kiln-faults"]).args(profile))?;
    Place::make(kiln, built.join("libkiln_faults.so"), target().join("torture"))
}

fn kills(place: &Place, tasks: &[&Task], options: &Options) -> Result<()> {
    println!("{} kills, seed {}\n", options.kills, options.seed);
    println!(
        "| | kills | in a write | before a folder was there | sessions resumed | newest checkpoint | damaged, fell back | trainings, all equal | |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (index, task) in tasks.iter().enumerate() {
        // Evenly, and none is lost.
        let share = |tasks_done: usize| options.kills * tasks_done / tasks.len();
        let mut random = Random::new(options.seed ^ (index as u64 + 1) << 32);
        let start = Instant::now();
        let kills::Killed { kills, in_writes, trainings, anew, resumed, newest, damaged, fell_back } =
            kills::kill(place, task, share(index + 1) - share(index), &mut random)?;
        println!(
            "| {} | {kills} | {in_writes} | {anew} | {resumed} | {newest} | {damaged}, {fell_back} | {trainings} | {:.0} s |",
            task.name,
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn faults(place: &Place, tasks: &[&Task], short: bool) -> Result<()> {
    println!("\nENOSPC, EIO, short writes, a full disk and kills at the calls of a training on files\n");
    println!("| | calls | faults | went on | ended with an error | killed | all equal | |");
    println!("|---|---|---|---|---|---|---|---|");
    let tasks = if short { &tasks[tasks.len() - 1..] } else { tasks };
    for task in tasks {
        let start = Instant::now();
        let faults::Faulted { calls, faults, went_on, failed, killed } = faults::inject(place, task, short)?;
        println!(
            "| {} | {calls} | {faults} | {went_on} | {failed} | {killed} | yes | {:.0} s |",
            task.name,
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
