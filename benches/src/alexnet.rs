//! A training step of the AlexNet listing on images of 32 × 32, batch 64: forward, backward, Adam.

use crate::timing::{median, peak_rss_mb, seconds};
use kiln::models;
use kiln::prelude::*;
use serde_json::{Value, json};

/// Steps that are timed, after three that are not.
const STEPS: u64 = 20;
const BATCH: usize = 64;

/// Milliseconds of a step and of its parts, medians.
pub(crate) fn step(device: &Device) -> Result<Value> {
    let mut model = models::alexnet_cifar(10).build([3, 32, 32], device, 0)?;
    let parameters = model.parameter_count();
    let mut optimizer = Adam::new(0.001);
    let loss_of = SparseCategoricalCrossentropy::from_logits();
    let images = RandomStream::new(0, Purpose::Data, 0);
    let images = Var::from(&Tensor::uniform([BATCH, 3, 32, 32], 0.0, 1.0, DType::F32, device, images)?);
    let labels: Vec<i64> = (0..BATCH as i64).map(|i| i * 7 % 10).collect();
    let labels = Tensor::from_slice(&labels, [BATCH], device)?;
    let mut times: [Vec<f64>; 4] = Default::default();
    kiln::tensor::Device::cpu().session(|| -> Result<()> {
        for step in 0..STEPS + 3 {
            let ctx = Ctx::train(0, step);
            let (mut loss, mut gradients) = (None, None);
            let forward = seconds(|| {
                loss = Some(loss_of.forward(&model.forward(&images, &ctx)?, &labels)?);
                device.synchronize()
            })?;
            let backward = seconds(|| {
                gradients = loss.take().map(|loss| loss.backward()).transpose()?;
                device.synchronize()
            })?;
            let adam = seconds(|| {
                if let Some(gradients) = gradients.take() {
                    optimizer.step(&mut model, &gradients)?;
                }
                ctx.commit(&mut model)?;
                device.synchronize()
            })?;
            if step >= 3 {
                let all = [forward + backward + adam, forward, backward, adam];
                times.iter_mut().zip(all).for_each(|(times, time)| times.push(time));
            }
        }
        Ok(())
    })?;
    let [step, forward, backward, adam] = times.map(|times| median(times) * 1e3);
    Ok(json!({
        "task": "alexnet-step",
        "batch": BATCH,
        "params": parameters,
        "step_ms": step,
        "forward_ms": forward,
        "backward_ms": backward,
        "adam_ms": adam,
        "peak_rss_mb": peak_rss_mb(),
    }))
}
