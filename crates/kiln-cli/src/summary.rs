//! `kiln summary`.

use crate::arguments::SummaryOptions;
use crate::goal::Goal;
use crate::recipes::Recipe;
use crate::report::{plain, tell};
use crate::run_folder::Run;
use crate::settings::{Settings, Setup};
use clap::ValueEnum;
use kiln::ErrorKind;
use kiln::nn::TrainingMemory;
use kiln::prelude::*;
use std::path::Path;

/// The forward pass of a batch is run where it is at most so many FLOPs; what a larger one keeps is computed from two smaller ones.
const MEASURED: u64 = 50_000_000_000;
/// The same, of the bytes of the batch and of its outputs of all layers.
const MEASURED_BYTES: usize = 128 << 20;

/// Shows the layers of a recipe, of a settings file or of a run's model, and the memory of its training; or its plan for inference.
pub(crate) fn run(options: &SummaryOptions) -> Result<()> {
    let name = options.what.as_str();
    let device = Device::cpu();
    let (what, recipe) = (Path::new(name), Recipe::from_str(name, false));
    let (model, settings) = match recipe {
        Ok(recipe) => of_settings(recipe.settings()?, &device)?,
        Err(_) if what.is_dir() => {
            let run = Run::open(what, false, &device)?;
            (run.trained.model, run.settings)
        }
        Err(_) => of_settings(Settings::read(what)?, &device)?,
    };
    if options.plan {
        return show_plan(&model, options);
    }
    plain(model.summary(name).trim_end());
    if let Some(settings) = settings {
        match memory(&settings, &model) {
            Ok(memory) => plain(memory.to_string().trim_end()),
            Err(error) => tell(&format!("the memory of its training is not known: {error}")),
        }
    }
    Ok(())
}

/// The steps of the model compiled for inference.
fn show_plan(model: &Sequential, options: &SummaryOptions) -> Result<()> {
    let Some(sample) = model.input_shape().filter(|sample| sample.elements() > 0) else {
        return Err(Error::value("summary", "a plan is shown for models with one input"));
    };
    let shape = Shape::new(&[&[options.batch_size.get()], sample.dims()].concat())?;
    let how = if options.fast { InferenceOptions::new().fast() } else { InferenceOptions::new() };
    let stream = RandomStream::new(0, Purpose::Data, 0);
    let mut example = [Tensor::normal(shape, 0.0, 1.0, DType::F32, &Device::cpu(), stream)?];
    let plan = match InferencePlan::compile(model, &example, &how) {
        // The model takes tokens.
        Err(error) if error.kind() == ErrorKind::DType => {
            example = [Tensor::zeros(shape, DType::I64, &Device::cpu())?];
            InferencePlan::compile(model, &example, &how)?
        }
        plan => plan?,
    };
    plain(plan.table(&example)?.trim_end());
    if options.fast {
        plain(&format!(
            "largest error {:.1e} of the largest output, compared with the exact computation",
            plan.error()
        ));
    }
    Ok(())
}

fn of_settings(settings: Settings, device: &Device) -> Result<(Sequential, Option<Settings>)> {
    let model = settings.model(&Setup { data: None, device, learned: None })?;
    Ok((model, Some(settings)))
}

/// What a training step by these settings holds.
fn memory(settings: &Settings, model: &Sequential) -> Result<TrainingMemory> {
    // With memory of its own, so that nothing else is counted.
    let device = Device::cpu_of(usize::MAX);
    let copy = Sequential::from_architecture(&model.architecture(), &device)?;
    let mut goal = settings.goal(copy)?;
    let batch_size = settings.plan()?.batch_size;
    let largest = largest(&*goal);
    let mut memory = goal.training_memory(batch_size.min(largest))?;
    if batch_size > largest {
        let half = goal.training_memory(largest / 2)?;
        let measured = [(largest / 2, half.activations), (largest, memory.activations)];
        memory.activations = extended(batch_size, measured);
        (memory.batch_size, memory.measured) = (batch_size, false);
    }
    memory.optimizer_state = optimizer_state(&mut *settings.optimizer()?, &mut *goal, &device)?;
    Ok(memory)
}

/// Samples of the largest batch whose forward pass is run.
fn largest(goal: &dyn Goal) -> usize {
    let outputs = goal.model().output_shapes();
    let flops: u64 = goal.model().layers().zip(outputs).map(|(layer, output)| layer.flops(output)).sum();
    let of_sample = goal.takes().map_or(0, |sample| sample.elements());
    let elements = outputs.iter().fold(of_sample, |all, output| all.saturating_add(output.elements()));
    let by_bytes = MEASURED_BYTES / elements.saturating_mul(DType::F32.size()).max(1);
    usize::try_from(MEASURED / flops.max(1)).unwrap_or(usize::MAX).min(by_bytes).max(4)
}

/// The bytes of a batch, computed from the samples and bytes of two smaller ones.
fn extended(batch_size: usize, [(half, of_half), (whole, of_whole)]: [(usize, usize); 2]) -> usize {
    let [more, samples, beyond] =
        [of_whole.saturating_sub(of_half), whole - half, batch_size - whole].map(|number| number as u128);
    of_whole.saturating_add(usize::try_from(more * beyond / samples).unwrap_or(usize::MAX))
}

/// What an optimizer remembers of the parameters after its first step.
fn optimizer_state(optimizer: &mut dyn Optimizer, goal: &mut dyn Goal, device: &Device) -> Result<usize> {
    let mut gradients = Gradients::default();
    for (_, parameter) in goal.parameters() {
        if parameter.trainable() {
            let value = parameter.value();
            gradients.insert(parameter.id(), Tensor::zeros(value.shape(), value.dtype(), device)?);
        }
    }
    if let Some(ascent) = optimizer.ascent() {
        ascent.ascend(&mut *goal, &gradients, None)?;
    }
    optimizer.step(&mut *goal, &gradients)?;
    let kept = optimizer.state_dict()?.into_iter();
    let of_parameters = kept.filter(|(name, _)| name.starts_with("state.") || name.starts_with("slow."));
    Ok(of_parameters.map(|(_, state)| state.elements() * state.dtype().size()).sum())
}
