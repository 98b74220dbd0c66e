//! `kiln plot`.

use crate::arguments::PlotOptions;
use crate::drawing::curves;
use crate::report::plain;
use crate::run_folder::curve;
use kiln::Result;
use kiln::nn::safetensors::write_atomically;

pub(crate) fn run(options: &PlotOptions) -> Result<()> {
    let runs = options.runs.iter().map(|run| curve(run)).collect::<Result<Vec<_>>>()?;
    write_atomically(&options.out, &curves(&runs)?)?;
    let width = runs.iter().map(|run| run.name.chars().count()).max().unwrap_or(0);
    for run in &runs {
        let Some(epoch) = run.log.best() else { continue };
        let numbers = ["loss", "accuracy", "val_loss", "val_accuracy"].into_iter().filter_map(|name| {
            let value = run.log.value(name, epoch)?;
            Some(format!("  {} {value:.4}", name.replace('_', " ")))
        });
        plain(&format!("{:width$}  best epoch {epoch:>3}{}", run.name, numbers.collect::<String>()));
    }
    plain(&format!("drawn to {}", options.out.display()));
    Ok(())
}
