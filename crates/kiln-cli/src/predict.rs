//! `kiln predict`.

use crate::arguments::PredictOptions;
use crate::pool::in_pool;
use crate::report::{line, plain};
use crate::run_folder::Run;
use kiln::Result;
use kiln::autograd::Var;
use kiln::prelude::*;
use serde_json::json;

/// How many classes are named.
const TOP: usize = 3;

pub(crate) fn run(options: &PredictOptions) -> Result<()> {
    in_pool(options.computing.threads, || kiln::run(|| predict(options)))
}

fn predict(options: &PredictOptions) -> Result<()> {
    let device = options.computing.device.open()?;
    let run = Run::open(&options.run, &device)?;
    let input = run.recipe.input();
    run.expect_input(input.called, input.shape)?;
    let mut pixels = Vec::with_capacity(input.shape.iter().product::<usize>() * options.images.len());
    for path in &options.images {
        pixels.extend(input.read(path)?);
    }
    let inputs = Tensor::from_vec(pixels, [&[options.images.len()], input.shape].concat(), &device)?;
    let outputs = Ctx::eval().run(&run.model, &Var::constant(inputs))?.into_tensor().to_vec::<f32>()?;
    let classes = run.recipe.classes();
    for (path, probabilities) in options.images.iter().zip(outputs.chunks_exact(classes.len())) {
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
    Ok(())
}
