//! `kiln plot`.

use crate::arguments::PlotOptions;
use crate::drawing::{curves, quantities, short};
use crate::filters;
use crate::report::plain;
use crate::run_folder::curve;
use kiln::store::write_atomically;
use kiln::{Error, Result};
use std::path::Path;

pub(crate) fn run(options: &PlotOptions) -> Result<()> {
    let out = options.out.as_deref();
    if !options.filters {
        return curves_of(options, out.unwrap_or(Path::new("curves.png")));
    }
    match options.runs.as_slice() {
        [run] => filters::run(options, run, out.unwrap_or(Path::new("filters.png"))),
        _ => Err(Error::value("", "--filters draws one run: name one only")),
    }
}

fn curves_of(options: &PlotOptions, out: &Path) -> Result<()> {
    let runs = options.runs.iter().map(|run| curve(run, options.accept_changed)).collect::<Result<Vec<_>>>()?;
    write_atomically(out, &curves(&runs)?)?;
    let width = runs.iter().map(|run| run.name.chars().count()).max().unwrap_or(0);
    for run in &runs {
        let best = ["loss", "accuracy", "val_loss", "val_accuracy"].into_iter().filter_map(|name| {
            let (epoch, value) = run.log.best(name)?;
            Some(format!("  {} {} in epoch {epoch}", name.replace('_', " "), short(value)))
        });
        let best: String = best.collect();
        let best = if best.is_empty() { "  no finite loss or accuracy" } else { &best };
        plain(&format!("{:width$}  best:{best}", run.name));
    }
    let (all, drawn) = quantities(&runs);
    let some =
        if drawn < all.len() { format!(", the first {drawn} of {} quantities", all.len()) } else { String::new() };
    plain(&format!("drawn to {}{some}", out.display()));
    Ok(())
}
