//! What a checkpoint costs the training loop: AlexNet with Adam, 260 MB, every few steps.

use crate::timing::median;
use kiln::models;
use kiln::prelude::*;
use serde_json::{Value, json};
use std::time::Instant;

/// Steps from one checkpoint to the next, and checkpoints. The first two allocate what later ones use again.
const EVERY: u64 = 8;
const CHECKPOINTS: u64 = 7;
const BATCH: usize = 64;

/// Takes the times of steps, and of what lies between two: there the callbacks' hooks run.
#[derive(Default)]
struct Times {
    begun: Option<Instant>,
    ended: Option<Instant>,
    steps: Vec<f64>,
    between: Vec<f64>,
}

impl Callback for Times {
    fn on_batch_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.between.extend(self.ended.map(|ended| ended.elapsed().as_secs_f64() * 1e3));
        self.begun = Some(Instant::now());
        Ok(())
    }

    fn on_batch_end(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.steps.extend(self.begun.map(|begun| begun.elapsed().as_secs_f64() * 1e3));
        self.ended = Some(Instant::now());
        Ok(())
    }
}

/// Milliseconds: a step, the wait at a checkpoint, what the next step takes longer as it moves all tensors, and what all steps until the
/// next checkpoint take longer together, as the thread that writes needs a core too.
pub(crate) fn costs(device: &Device) -> Result<Value> {
    let folder = std::env::temp_dir().join("kiln-bench-checkpoint");
    let model = models::alexnet_cifar(10).build([3, 32, 32], device, 0)?;
    let mut trainer = compile(model, Adam::new(0.001), SparseCategoricalCrossentropy::from_logits());
    let samples = BATCH * (EVERY * (CHECKPOINTS + 1)) as usize;
    let images = RandomStream::new(0, Purpose::Data, 0);
    let images = Tensor::uniform([samples, 3, 32, 32], 0.0, 1.0, DType::F32, &Device::cpu(), images)?;
    let labels: Vec<i64> = (0..samples as i64).map(|i| i * 7 % 10).collect();
    let data = TensorDataset::new(images, Tensor::from_slice(&labels, [samples], &Device::cpu())?)?;
    let mut times = Times::default();
    let checkpoint = Checkpoint::new(&folder).replace(true).every(Every::Steps(EVERY));
    let options = FitOptions::new().batch_size(BATCH).quiet().snapshot(false);
    trainer.fit(&data, options.callback(&mut times).callback(checkpoint))?;
    let bytes: u64 = ["model.safetensors", "training.safetensors"]
        .iter()
        .filter_map(|name| std::fs::metadata(folder.join(name)).ok())
        .map(|file| file.len())
        .sum();
    let _ = std::fs::remove_dir_all(&folder);
    // Step `EVERY · k` is followed by a checkpoint; the last steps of each group have none beside them.
    let group = EVERY as usize;
    let quiet = |times: &[f64]| median(times.chunks(group).skip(3).flat_map(|group| group[group.len() - 3..].to_vec()).collect());
    let step = quiet(&times.steps);
    let between = median(times.between.iter().skip(3 * group).enumerate().filter(|(at, _)| (at + 1) % group != 0).map(|(_, time)| *time).collect());
    let at_checkpoint: Vec<f64> = times.between.iter().skip(3 * group - 1).step_by(group).map(|time| time - between).collect();
    let next: Vec<f64> = times.steps.iter().skip(3 * group).step_by(group).map(|time| time - step).collect();
    let all: Vec<f64> =
        times.steps.chunks_exact(group).skip(3).map(|group| group.iter().map(|time| time - step).sum()).collect();
    let rounded = |number: f64| (number * 100.0).round() / 100.0;
    Ok(json!({
        "task": "checkpoint",
        "megabytes": bytes as f64 / 1e6,
        "step_ms": rounded(step),
        "wait_ms": rounded(median(at_checkpoint)),
        "next_step_ms": rounded(median(next)),
        "all_steps_ms": rounded(median(all)),
        "device": device.name(),
    }))
}
