//! What `train` prints: a progress bar on a terminal, plain lines elsewhere, JSON where that was asked for.

use crate::arguments::TrainOptions;
use crate::run_folder::FILES;
use indicatif::{ProgressBar, ProgressStyle};
use kiln::train::{EpochRecord, Evaluation, Progress};
use kiln::{Error, ErrorKind, Result};
use serde_json::json;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How often the bar is drawn.
const REDRAW: Duration = Duration::from_millis(100);

pub(crate) struct Report {
    json: bool,
    quiet: bool,
    bar: Option<ProgressBar>,
    drawn: Instant,
    /// Of the epoch.
    begun: Instant,
    seen: u64,
    /// What samples are called.
    samples: &'static str,
}

/// What there is to say at the beginning.
pub(crate) struct Plan<'a> {
    pub(crate) recipe: &'a str,
    pub(crate) parameters: usize,
    /// Training and test samples, and what they are called.
    pub(crate) samples: (usize, usize, &'a str),
    pub(crate) epochs: usize,
    pub(crate) device: &'a str,
}

/// What there is to say at the end.
pub(crate) struct Summary<'a> {
    pub(crate) test: &'a Evaluation,
    pub(crate) seconds: f64,
    pub(crate) images: usize,
    pub(crate) device: &'a str,
    pub(crate) seed: u64,
    pub(crate) interrupted: bool,
}

impl Report {
    pub(crate) fn new(options: &TrainOptions, samples: &'static str) -> Self {
        let bar = (!options.json && !options.quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            let template = "{msg} [{wide_bar}] {prefix}";
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Report {
            json: options.json,
            quiet: options.quiet,
            bar,
            drawn: Instant::now(),
            begun: Instant::now(),
            seen: 0,
            samples,
        }
    }

    /// Says what is about to be trained: an epoch may take long.
    pub(crate) fn begin(&self, plan: &Plan<'_>) {
        if self.quiet || self.json {
            return;
        }
        let Plan { recipe, parameters, samples: (train, test, samples), epochs, device } = plan;
        let [parameters, train, test] = [*parameters, *train, *test].map(thousands);
        let epochs = if *epochs == 1 { "1 epoch".to_owned() } else { format!("{epochs} epochs") };
        plain(&format!("{recipe} on {device}: {parameters} parameters, {train} + {test} {samples}, {epochs}"));
    }

    /// Whether there is anything to do after a batch.
    pub(crate) fn has_bar(&self) -> bool {
        self.bar.is_some()
    }

    pub(crate) fn batch(&mut self, progress: &Progress, epochs: usize) {
        let Some(bar) = &self.bar else { return };
        if progress.batch == 1 {
            self.seen = 0;
            self.begun = Instant::now();
            bar.reset();
            bar.set_length((progress.batches * progress.samples) as u64);
            bar.set_message(format!("epoch {:>2}/{epochs}", progress.epoch));
            bar.set_prefix("");
        }
        self.seen += progress.samples as u64;
        if self.drawn.elapsed() > REDRAW {
            self.drawn = Instant::now();
            let mut text = String::new();
            if let Some(loss) = progress.loss {
                text += &format!("loss {loss:.4}  ");
            }
            if let Some((name, value)) = progress.metric {
                text += &format!("{name} {value:.4}  ");
            }
            let speed = self.seen as f64 / self.begun.elapsed().as_secs_f64();
            let left = bar.length().unwrap_or(0).saturating_sub(self.seen) as f64 / speed;
            let speed = if speed < 1e4 { format!("{speed:.0}") } else { format!("{:.0}k", speed / 1e3) };
            bar.set_prefix(text + &format!("{speed} {}/s  {:.0} s left", self.samples, left.ceil()));
            bar.set_position(self.seen);
        }
    }

    pub(crate) fn epoch(&self, record: &EpochRecord, epochs: usize) {
        if self.quiet {
            return;
        }
        if self.json {
            let validation = record.validation.as_ref();
            line(&json!({
                "epoch": record.epoch,
                "loss": record.train.loss,
                "accuracy": record.train.accuracy(),
                "val_loss": validation.map(|v| v.loss),
                "val_accuracy": validation.map(Evaluation::accuracy),
                "seconds": record.seconds,
            }));
        } else {
            self.clear();
            let mut text = format!("epoch {:>2}/{epochs}  loss {:.4}", record.epoch, record.train.loss);
            text += &accuracy("  accuracy", &record.train);
            if let Some(validation) = &record.validation {
                // Fits into 80 columns.
                text += &format!("  validation {:.4}{}", validation.loss, accuracy(" ", validation));
            }
            plain(&format!("{text}  {:.2} s", record.seconds));
        }
    }

    /// Takes the bar off the terminal.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Says where the run is kept.
    pub(crate) fn saved(&self, folder: &Path) {
        if !self.quiet && !self.json {
            plain(&format!("saved in {}: {}", folder.display(), FILES.join(", ")));
        }
    }

    pub(crate) fn finish(&self, summary: &Summary<'_>) {
        let Summary { test, seconds, images, device, seed, interrupted } = summary;
        if self.json {
            let mut result = json!({
                "result": "train",
                "test_accuracy": test.accuracy(),
                "test_loss": test.loss,
                "fit_s": seconds,
                "images_per_s": *images as f64 / seconds,
                "peak_rss_mb": peak_rss_mb(),
                "device": device,
                "seed": seed,
            });
            if *interrupted {
                result["interrupted"] = true.into();
            }
            line(&result);
        } else {
            let accuracy = accuracy("test accuracy", test);
            let gap = if accuracy.is_empty() { "" } else { "  " };
            plain(&format!("{accuracy}{gap}test loss {:.4}  fit {seconds:.2} s", test.loss));
        }
    }
}

/// The accuracy under this name, where it was measured.
pub(crate) fn accuracy(name: &str, measured: &Evaluation) -> String {
    measured.metric("accuracy").map_or_else(String::new, |accuracy| format!("{name} {accuracy:.4}"))
}

/// A number as one reads it: 60,000.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Prints a line.
pub(crate) fn plain(text: &str) {
    print(format_args!("{text}\n"));
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
