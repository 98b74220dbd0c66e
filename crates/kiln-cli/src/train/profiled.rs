//! `kiln train --profile`: tables after the training, and a trace.

use crate::arguments::TrainOptions;
use crate::report::{line, plain};
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::profile::{Phase, Profile, Profiling, Roofline, Row};
use kiln::store::write_atomically;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The trace in a run's folder, beside the run's own files.
const TRACE: &str = "trace.json";
/// The trace in the current folder, where there is no run's folder.
const TRACE_ALONE: &str = "kiln-trace.json";

/// A training that is measured.
pub(super) struct Profiled {
    profiling: Profiling,
    roofline: Roofline,
    trace: PathBuf,
    json: bool,
}

/// What was measured.
pub(super) struct Seen {
    profile: Profile,
    roofline: Roofline,
    trace: PathBuf,
    json: bool,
}

impl Profiled {
    /// Measures the machine, and from then on the training, whose run is kept in `run`; nothing without `--profile`.
    pub(super) fn start(options: &TrainOptions, run: Option<&Path>, device: &Device) -> Result<Option<Self>> {
        let Some(file) = &options.profile else { return Ok(None) };
        let trace = match (file, run) {
            (Some(file), _) => file.clone(),
            // The folder comes with its first files.
            (None, Some(run)) => run.join(TRACE),
            (None, None) => PathBuf::from(TRACE_ALONE),
        };
        if file.is_some() || run.is_none() {
            check(&trace)?;
        }
        let roofline = Roofline::measure(device)?;
        Ok(Some(Profiled { profiling: Profiling::start()?, roofline, trace, json: options.json }))
    }

    pub(super) fn stop(self) -> Seen {
        let Profiled { profiling, roofline, trace, json } = self;
        Seen { profile: profiling.stop(), roofline, trace, json }
    }
}

/// Fails before the training where the trace cannot be written after it.
fn check(trace: &Path) -> Result<()> {
    let folder = trace.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wrong = match () {
        () if trace.is_dir() => "this is a folder; name a file with --profile=FILE",
        () if !folder.is_dir() => "its folder is not there: make it first",
        () => return Ok(()),
    };
    Err(Error::new(ErrorKind::Io, "", format!("--profile {}: {wrong}", trace.display())))
}

impl Seen {
    /// Prints the tables, or an object of their numbers, and writes the trace.
    pub(super) fn report(&self) -> Result<()> {
        let Seen { profile, roofline, trace, json } = self;
        if *json {
            line(&self.object());
        } else {
            plain(profile.table(Some(roofline)).trim_end());
        }
        write_atomically(trace, profile.chrome_trace().as_bytes())?;
        if !json {
            let (events, left_out) = (profile.events(), profile.events_left_out());
            let cut = if left_out > 0 { format!("; {left_out} later ones are left out") } else { String::new() };
            plain(&format!("trace of {events} events in {}{cut}", trace.display()));
        }
        Ok(())
    }

    fn object(&self) -> Value {
        let Seen { profile, roofline, trace, .. } = self;
        let rows = |rows: Vec<Row>| -> Vec<Value> { rows.iter().map(|row| self.row(row)).collect() };
        json!({
            "result": "profile",
            "seconds": profile.seconds(),
            "peak_bytes": profile.peak_bytes(),
            "machine": { "gflops": roofline.gflops, "gb_per_s": roofline.gigabytes_per_second },
            "trace": trace.display().to_string(),
            "events": profile.events(),
            "events_left_out": profile.events_left_out(),
            "layers": rows(profile.layers()),
            "operations": rows(profile.operations()),
        })
    }

    fn row(&self, row: &Row) -> Value {
        let mut object = json!({
            "name": row.name,
            "seconds": row.total.nanoseconds as f64 / 1e9,
            "calls": row.total.calls,
            "flops": row.total.flops,
            "bytes": row.total.bytes,
            "gflops": row.total.gflops(),
            "gb_per_s": row.total.gigabytes_per_second(),
            "roofline": row.share_of_roofline(&self.roofline),
            "allocations": row.total.allocations,
            "allocated_bytes": row.total.allocated_bytes,
            "peak_bytes": row.total.peak_bytes,
        });
        for phase in Phase::ALL {
            object[format!("{}_s", phase.name())] = row.seconds_in(phase).into();
        }
        object
    }
}
