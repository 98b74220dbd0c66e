//! What `train` prints beside the progress bar: plain lines, or JSON where that was asked for.

use crate::arguments::TrainOptions;
use crate::run_folder::{FILES, SAMPLES};
use console::Term;
use kiln::tensor::grouped;
use kiln::train::{EpochRecord, Evaluation};
use kiln::{Error, ErrorKind, Result};
use serde_json::json;
use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

pub(crate) struct Report {
    json: bool,
    quiet: bool,
}

/// What there is to say at the beginning.
pub(crate) struct Plan<'a> {
    pub(crate) recipe: &'a str,
    pub(crate) parameters: usize,
    /// Training and test samples, and what they are called.
    pub(crate) samples: (usize, usize, &'a str),
    pub(crate) epochs: usize,
    pub(crate) device: &'a str,
    /// The half type of mixed precision, and what there is to say about it.
    pub(crate) precision: Option<(&'static str, Vec<String>)>,
    /// Where a run goes on.
    pub(crate) resumed: Option<String>,
}

/// What there is to say at the end.
pub(crate) struct Summary<'a> {
    /// On data that is for validation alone.
    pub(crate) validation: Option<&'a Evaluation>,
    /// None where the training was ended before there was one.
    pub(crate) test: Option<&'a Evaluation>,
    pub(crate) seconds: f64,
    pub(crate) images: usize,
    pub(crate) device: &'a str,
    pub(crate) seed: u64,
    pub(crate) interrupted: bool,
}

impl Report {
    pub(crate) fn new(options: &TrainOptions) -> Self {
        Report { json: options.json, quiet: options.quiet }
    }

    /// Says what is about to be trained: an epoch may take long.
    pub(crate) fn begin(&self, plan: &Plan<'_>) {
        if self.quiet || self.json {
            return;
        }
        let Plan { recipe, parameters, samples: (train, test, samples), epochs, device, precision, resumed } = plan;
        let precision = precision.as_ref().map_or_else(String::new, |(name, notes)| match notes.is_empty() {
            true => format!(" in {name}"),
            false => format!(" in {name} ({})", notes.join("; ")),
        });
        let [parameters, train, test] = [*parameters, *train, *test].map(|number| grouped(number as u64));
        let epochs = counted(*epochs as u64);
        let resumed = resumed.as_ref().map(|place| format!("; going on {place}")).unwrap_or_default();
        prose(&format!(
            "{recipe} on {device}{precision}: {parameters} parameters, {train} + {test} {samples}, {epochs}{resumed}"
        ));
    }

    pub(crate) fn epoch(&self, record: &EpochRecord, epochs: usize) {
        if self.quiet {
            return;
        }
        if self.json {
            let validation = record.validation.as_ref();
            let mut object = json!({ "epoch": record.epoch, "loss": record.train.loss });
            add(&mut object, "", &record.train);
            if let Some(validation) = validation {
                object["val_loss"] = validation.loss.into();
                add(&mut object, "val_", validation);
            }
            object["seconds"] = record.seconds.into();
            line(&object);
        } else {
            prose(&record.line(epochs));
        }
    }

    /// Says where the run is kept, and whether with samples.
    pub(crate) fn saved(&self, folder: &Path, samples: bool) {
        if !self.quiet && !self.json {
            let samples = if samples { format!(", {SAMPLES}") } else { String::new() };
            prose(&format!("saved in {}: {}{samples}", folder.display(), FILES.join(", ")));
        }
    }

    /// Says that nothing is left to be trained of a run.
    pub(crate) fn complete(&self, folder: &Path, epochs: u64) {
        if self.json {
            line(&json!({ "result": "train", "complete": true, "epochs": epochs }));
        } else {
            prose(&format!("{}: complete, {}; --epochs N trains more", folder.display(), counted(epochs)));
        }
    }

    /// Says that a callback has ended the training.
    pub(crate) fn ended_early(&self, epoch: usize, epochs: usize) {
        if !self.quiet && !self.json {
            prose(&format!("ended by a callback after epoch {epoch} of {epochs}"));
        }
    }

    pub(crate) fn finish(&self, summary: &Summary<'_>) {
        let Summary { validation, test, seconds, images, device, seed, interrupted } = summary;
        if self.json {
            let mut result = json!({ "result": "train" });
            for (prefix, measured) in [("val_", validation), ("test_", test)] {
                if let Some(measured) = measured {
                    add(&mut result, prefix, measured);
                    result[format!("{prefix}loss")] = measured.loss.into();
                }
            }
            if let Some(r2) = test.and_then(|test| test.metric("r2")) {
                result["r2"] = r2.into();
            }
            result["fit_s"] = (*seconds).into();
            result["images_per_s"] = (*images as f64 / seconds).into();
            result["peak_rss_mb"] = peak_rss_mb().into();
            result["device"] = (*device).into();
            result["seed"] = (*seed).into();
            if *interrupted {
                result["interrupted"] = true.into();
            }
            line(&result);
        } else {
            let test = test.map_or_else(String::new, |test| measured("test ", test) + "  ");
            prose(&format!("{test}fit {seconds:.2} s"));
        }
    }
}

/// Adds each metric under its name.
pub(crate) fn add(object: &mut serde_json::Value, prefix: &str, measured: &Evaluation) {
    for (name, value) in &measured.metrics {
        object[format!("{prefix}{name}")] = (*value).into();
    }
}

/// The metrics and the loss: `test accuracy 0.9595  test loss 0.1301`.
pub(crate) fn measured(prefix: &str, measured: &Evaluation) -> String {
    let metrics =
        measured.metrics.iter().map(|(name, value)| format!("{prefix}{} {value:.4}  ", name.replace('_', " ")));
    metrics.collect::<String>() + &format!("{prefix}loss {:.4}", measured.loss)
}

/// Prints a line.
pub(crate) fn plain(text: &str) {
    print(format_args!("{text}\n"));
}

/// Prints a line, broken between words where the terminal is too narrow for it.
pub(crate) fn prose(text: &str) {
    plain(&broken(text, &Term::stdout()));
}

/// Prints a line on stderr, broken as [`prose`] is.
pub(crate) fn tell(text: &str) {
    // Where the terminal is closed nobody reads it, and the work goes on.
    let _ = writeln!(io::stderr(), "{}", broken(text, &Term::stderr()));
}

/// `1 epoch`, `2 epochs`.
fn counted(epochs: u64) -> String {
    format!("{epochs} {}", if epochs == 1 { "epoch" } else { "epochs" })
}

/// A line in as many lines as the terminal needs; where there is none, the line.
fn broken<'a>(text: &'a str, term: &Term) -> Cow<'a, str> {
    let Some((_, columns)) = term.size_checked() else { return Cow::Borrowed(text) };
    Cow::Owned(kiln::train::wrapped(text, columns.into()))
}

/// The first error of stdout. Work goes on after it, so that a training saves what it was asked to save; the command ends with
/// it.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Writes to stdout and flushes it.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    let mut out = io::stdout();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        // The reader of a closed pipe has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => drop(FAILED.set(error)),
        _ => {}
    }
}

/// Fails where something could not be printed.
pub(crate) fn all_printed() -> Result<()> {
    match FAILED.get() {
        Some(error) => Err(Error::new(ErrorKind::Io, "", format!("stdout: cannot be written: {error}"))),
        None => Ok(()),
    }
}

pub(crate) fn line(object: &serde_json::Value) {
    plain(&object.to_string());
}

/// The most memory that the process has held, in MB (10⁶ bytes); null where the system does not say.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: f64 =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    Some((kib * 1024.0 / 1e5).round() / 10.0)
}
