//! `kiln predict`.

use crate::arguments::PredictOptions;
use crate::pool::in_pool;
use crate::recipes::Makes;
use crate::report::{line, plain};
use crate::run_folder::Run;
use kiln::ErrorKind;
use kiln::prelude::*;
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Images at a time, where the run does not say what it was trained with.
const BATCH: usize = 32;
/// How many classes are named.
const TOP: usize = 3;

pub(crate) fn run(options: &PredictOptions) -> Result<()> {
    in_pool(options.computing.threads, || predict(options))
}

fn predict(options: &PredictOptions) -> Result<()> {
    let device = options.computing.device.open()?;
    device.session(|| predict_on(options, &device))
}

fn predict_on(options: &PredictOptions, device: &Device) -> Result<()> {
    let run = Run::open(&options.run, options.accept_changed, device)?;
    if run.recipe.makes() == Makes::Images {
        let message = format!(
            "{}: {} names no classes; `kiln generate` draws what it makes",
            run.description.display(),
            run.recipe.name()
        );
        return Err(Error::new(ErrorKind::Unsupported, "", message));
    }
    let input = run.recipe.input();
    run.expect_input(input.called, input.shape)?;
    let batch_size = options.batch_size.map(NonZeroUsize::get).or(run.batch_size).unwrap_or(BATCH);
    for images in options.images.chunks(batch_size) {
        let mut pixels = Vec::with_capacity(input.shape.iter().product::<usize>() * images.len());
        for path in images {
            pixels.extend(input.read(path)?);
        }
        let inputs = Tensor::from_vec(pixels, [&[images.len()], input.shape].concat(), device)?;
        let outputs = run.model.forward(inputs, &Ctx::eval())?.into_tensor().to_vec::<f32>()?;
        report(options, images, &outputs, &run.recipe.classes());
    }
    Ok(())
}

/// Says what images were taken for.
fn report(options: &PredictOptions, images: &[PathBuf], outputs: &[f32], classes: &[String]) {
    for (path, probabilities) in images.iter().zip(outputs.chunks_exact(classes.len())) {
        let mut ranked: Vec<(&str, f32)> =
            classes.iter().map(String::as_str).zip(probabilities.iter().copied()).collect();
        // Stable: of equal ones, the first stays first.
        ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        ranked.truncate(TOP);
        if options.json {
            let top = ranked.iter().map(|(class, probability)| json!({ "class": class, "probability": probability }));
            line(&json!({ "result": "predict", "image": path.to_string_lossy(), "top": top.collect::<Vec<_>>() }));
        } else {
            let top: Vec<String> =
                ranked.iter().map(|(class, probability)| format!("{class} {probability:.4}")).collect();
            plain(&format!("{}: {}", path.display(), top.join("  ")));
        }
    }
}
