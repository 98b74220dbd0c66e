//! `kiln quantize`.

use crate::arguments::QuantizeOptions;
use crate::evaluate::classes_of;
use crate::pool::in_pool;
use crate::report::{line, plain, tell};
use crate::run_folder::Run;
use crate::settings::{Prepared, Setup};
use crate::table::{Alignment, Table};
use kiln::ErrorKind;
use kiln::prelude::*;
use serde_json::json;
use std::num::NonZeroUsize;

pub(crate) fn run(options: &QuantizeOptions) -> Result<()> {
    in_pool(options.opening.computing.threads, || quantize(options))
}

/// The model's outputs for the test data compared with those of the plan of integers.
#[derive(Default)]
struct Compared {
    samples: usize,
    /// Samples whose class is right: of the model, and of the plan.
    right: [usize; 2],
    /// Sums of squares: of the outputs, and of their differences.
    squares: [f64; 2],
}

impl Compared {
    /// The error relative to the outputs, as root mean squares.
    fn error(&self) -> f64 {
        (self.squares[1] / self.squares[0].max(f64::MIN_POSITIVE)).sqrt()
    }

    fn accuracy(&self, of: usize) -> f64 {
        self.right[of] as f64 / self.samples.max(1) as f64
    }
}

fn quantize(options: &QuantizeOptions) -> Result<()> {
    let device = options.opening.computing.device.open()?;
    if device.name() != Device::cpu().name() {
        let message = format!("8-bit integers are computed on the CPU, got --device {}", device.name());
        return Err(Error::new(ErrorKind::Unsupported, "", message));
    }
    let mut run = Run::open(&options.run, options.opening.accept_changed, &device)?;
    let model = std::mem::take(&mut run.trained.model);
    let setup = Setup { data: options.data.as_deref(), device: &device, learned: Some(&run.trained) };
    let mut prepared = run.settings()?.prepare_trained(model, &setup)?;
    prepared.data.notices.iter().for_each(|notice| tell(notice));
    let batch_size = options.batch_size.map_or(prepared.plan.batch_size, NonZeroUsize::get);
    let (calibration, errors) = calibrated(options, &run, &prepared, batch_size)?;
    let compared = compared(&prepared, &calibration, batch_size)?;
    report(options, &calibration, &errors, &compared, !prepared.data.classes.is_empty());
    if let Some(out) = &options.out {
        let mut trained = run.trained;
        trained.model = std::mem::take(prepared.trainer.objective.model_mut());
        trained.quantized(calibration).save(out)?;
        if !options.json {
            plain(&format!("written to {0}; `kiln predict {0} FILE` computes with it", out.display()));
        }
    }
    Ok(())
}

/// The ranges of the layers' inputs, and the error that each layer brings. The layers that are to stay in f32 have no range.
fn calibrated(
    options: &QuantizeOptions,
    run: &Run,
    prepared: &Prepared,
    batch_size: usize,
) -> Result<(Calibration, Vec<(String, f64)>)> {
    let model = prepared.trainer.objective.model();
    let unsupported = |error: Error| {
        let message = format!("{}: {}", options.run.display(), error.message());
        Error::new(error.kind(), "", message)
    };
    let mut batches = Vec::new();
    // As they are, without augmentation.
    let loader = Loader::new(&*prepared.data.train).plain().shuffle(0).batch_size(batch_size);
    loader.epoch(0, |all| {
        for batch in all.take(options.batches.get()) {
            let batch = batch?;
            if batch.masks.iter().any(Option::is_some) || batch.inputs.count() != 1 {
                let message = format!(
                    "{}: {} has masks or several inputs, which plans of integers do not take",
                    options.run.display(),
                    run.name()
                );
                return Err(Error::new(ErrorKind::Unsupported, "", message));
            }
            batches.push(batch.inputs.into_first());
        }
        Ok(())
    })?;
    let whole = batches.first().map_or(0, |first| first.dims()[0]);
    batches.retain(|batch| batch.dims()[0] == whole);
    let mut calibration = Calibration::new(model, &batches).map_err(unsupported)?;
    for layer in &options.keep {
        calibration
            .keep(layer)
            .map_err(|error| Error::new(error.kind(), "", format!("--keep: {}", error.message())))?;
    }
    let few = batches[0].slice(0, 0..whole.min(32))?;
    let errors = calibration.errors(model, &few)?;
    let mut worst: Vec<&(String, f64)> = errors.iter().collect();
    worst.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (layer, _) in worst.into_iter().take(options.keep_worst) {
        calibration.keep(layer)?;
    }
    Ok((calibration, errors))
}

/// Both models on the test data.
fn compared(prepared: &Prepared, calibration: &Calibration, batch_size: usize) -> Result<Compared> {
    let model = prepared.trainer.objective.model();
    let test = &*prepared.data.test;
    let mut compared = Compared::default();
    let mut plan: Option<InferencePlan> = None;
    Loader::new(test).batch_size(batch_size).epoch(0, |batches| {
        for batch in batches {
            let batch = batch?;
            // The first of one.
            let inputs: &Tensor = &batch.inputs;
            let plan = match &mut plan {
                Some(plan) => plan,
                None => {
                    let options = InferenceOptions::new().int8(calibration).any_batch();
                    plan.insert(InferencePlan::compile(model, std::slice::from_ref(inputs), &options)?)
                }
            };
            let outputs = Device::cpu().session(|| model.forward(inputs, &Ctx::eval()))?.into_tensor();
            let both = [outputs, plan.run(inputs)?];
            compared.samples += inputs.dims()[0];
            let [a, b] = [both[0].to_f64_vec()?, both[1].to_f64_vec()?];
            compared.squares[0] += a.iter().map(|a| a * a).sum::<f64>();
            compared.squares[1] += a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
            if !prepared.data.classes.is_empty() {
                let classes = batch.targets.to_dtype(DType::I64)?.to_vec::<i64>()?;
                for (right, outputs) in compared.right.iter_mut().zip(&both) {
                    let said = classes_of(outputs, prepared.logits)?;
                    *right += classes.iter().zip(&said).filter(|(class, said)| class == said).count();
                }
            }
        }
        Ok(())
    })?;
    Ok(compared)
}

fn report(
    options: &QuantizeOptions,
    calibration: &Calibration,
    errors: &[(String, f64)],
    compared: &Compared,
    classes: bool,
) {
    let error_of = |layer: &str| errors.iter().find(|(name, _)| name == layer).map(|(_, error)| *error);
    if options.json {
        let layers = calibration.layers().map(|(layer, range)| {
            json!({ "layer": layer, "range": range.map(|(least, most)| [least, most]), "error": error_of(layer), "int8": range.is_some() })
        });
        let mut object = json!({ "result": "quantize", "layers": layers.collect::<Vec<_>>(), "error": compared.error(), "samples": compared.samples });
        if classes {
            object["accuracy_f32"] = compared.accuracy(0).into();
            object["accuracy_int8"] = compared.accuracy(1).into();
        }
        return line(&object);
    }
    let mut table = Table {
        columns: &[
            ("layer", Alignment::Left),
            ("computed in", Alignment::Left),
            ("input from", Alignment::Right),
            ("to", Alignment::Right),
            ("error", Alignment::Right),
        ],
        rows: Vec::new(),
    };
    for (layer, range) in calibration.layers() {
        let number = |x: Option<f32>| x.map_or_else(String::new, |x| format!("{x:.3}"));
        table.rows.push(vec![
            layer.to_owned(),
            if range.is_some() { "int8" } else { "f32" }.to_owned(),
            number(range.map(|range| range.0)),
            number(range.map(|range| range.1)),
            error_of(layer).map_or_else(String::new, |error| format!("{:.3} %", 100.0 * error)),
        ]);
    }
    table.lines().iter().for_each(|line| plain(line));
    plain(
        "(the error of a layer: the largest difference of the outputs where it alone is int8, relative to the largest output)",
    );
    let error = 100.0 * compared.error();
    if classes {
        let [f32, int8] = [0, 1].map(|of| compared.accuracy(of));
        // Without the sign of a drop that is rounded to 0.
        let drop = (1e4 * (f32 - int8)).round() / 100.0 + 0.0;
        plain(&format!(
            "test accuracy {f32:.4} in f32, {int8:.4} in int8, a drop of {drop:.2} points; outputs differ by {error:.3} %"
        ));
    } else {
        plain(&format!("outputs for {} test samples differ by {error:.3} %", compared.samples));
    }
}
