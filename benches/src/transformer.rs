//! A training step of a small GPT: 6 blocks of width 384 with 6 heads, a context of 256, batch 12, as nanoGPT has it for characters, with
//! AdamW.
//!
//! The floor: a block has 12·384² weights, so the products take 6·(6·12·384² + 384·65)·3,072 = 196 GFLOP in all three directions, and
//! attention's seven, of which causality leaves half, 6.3 GFLOP. At 230 GFLOP/s that is 880 ms.

use crate::timing::{best_of_half_a_second, median, peak_rss_mb, seconds};
use kiln::prelude::*;
use serde_json::{Map, Value, json};

const STEPS: u64 = 9;
const BATCH: usize = 12;
const CONTEXT: usize = 256;
const VOCABULARY: usize = 65;
const WIDTH: usize = 384;
const HEADS: usize = 6;
const BLOCKS: usize = 6;

/// The model: learned positions, blocks with the normalization first, GELU, no dropout.
pub(crate) fn model(device: &Device) -> Result<Sequential> {
    let block = TransformerEncoderLayer::new(HEADS, 4 * WIDTH).causal(true).norm_first(true);
    let block = block.activation(Activation::GeluTanh);
    Sequential::new()
        .push(Embedding::new(VOCABULARY, WIDTH))
        .push(PositionEmbedding::new(CONTEXT))
        .push(TransformerEncoder::new(block, BLOCKS))
        .push(Dense::new(VOCABULARY))
        .build([CONTEXT], device, 0)
}

/// Tokens, and those that follow each.
pub(crate) fn batch(device: &Device) -> Result<(Tensor, Tensor)> {
    let tokens = |shift: i64| {
        let tokens: Vec<i64> = (0..(BATCH * CONTEXT) as i64).map(|i| (i + shift) * 31 % VOCABULARY as i64).collect();
        Tensor::from_slice(&tokens, [BATCH, CONTEXT], device)
    };
    Ok((tokens(0)?, tokens(1)?))
}

/// What a residual sum and the normalization after it take forward and backward, milliseconds: as one operation, and as a sum, a
/// normalization of rows as channels, a product and a sum.
fn add_norm(device: &Device) -> Result<Value> {
    let operand = |shape: &[usize], seed: u64| -> Result<Var> {
        let stream = RandomStream::new(seed, Purpose::Data, 0);
        Ok(Var::variable(Tensor::normal(shape, 0.0, 1.0, DType::F32, device, stream)?))
    };
    let rows = BATCH * CONTEXT;
    let (x, part) = (operand(&[rows, WIDTH], 0)?, operand(&[rows, WIDTH], 1)?);
    let (weight, bias) = (operand(&[WIDTH], 2)?, operand(&[WIDTH], 3)?);
    let fused = || x.add_layer_norm(&part, 1, Some(&weight), Some(&bias), 1e-5);
    let apart = || {
        let sum = x.add(&part)?;
        let channels = sum.reshape([1, rows, WIDTH])?.batch_norm(None, None, 1e-5, None)?.0;
        let y = channels.reshape([rows, WIDTH])?.mul(&weight)?.add(&bias)?;
        Ok((sum, y))
    };
    let mut ms = Map::new();
    for (name, form) in [("one operation", &fused as &dyn Fn() -> Result<(Var, Var)>), ("one after the other", &apart)] {
        let forward = best_of_half_a_second(|| form().and_then(|_| device.synchronize()))?;
        // The sum goes on beside the normalization, so its gradient has two parts.
        let both = best_of_half_a_second(|| {
            let (sum, y) = form()?;
            sum.mul(&y)?.sum_all()?.backward()?;
            device.synchronize()
        })?;
        ms.insert(name.to_owned(), json!({"forward": forward * 1e3, "forward, product and backward": both * 1e3}));
    }
    Ok(Value::Object(ms))
}

/// Milliseconds of a step, the median, tokens a second, and the sum and normalization of a block by itself.
pub(crate) fn step(device: &Device) -> Result<Value> {
    let mut model = model(device)?;
    let mut optimizer = AdamW::new(3e-4);
    let loss_of = SparseCategoricalCrossentropy::from_logits();
    let (inputs, targets) = batch(device)?;
    let inputs = Var::from(&inputs);
    let mut times = Vec::new();
    kiln::tensor::Device::cpu().session(|| -> Result<()> {
        for step in 0..STEPS + 2 {
            let time = seconds(|| {
                let ctx = Ctx::train(0, step);
                let gradients = loss_of.forward(&model.forward(&inputs, &ctx)?, &targets)?.backward()?;
                optimizer.step(&mut model, &gradients)?;
                ctx.commit(&mut model)?;
                device.synchronize()
            })?;
            if step >= 2 {
                times.push(time);
            }
        }
        Ok(())
    })?;
    let time = median(times);
    let peak = peak_rss_mb();
    Ok(json!({
        "task": "transformer",
        "params": model.parameter_count(),
        "step_ms": time * 1e3,
        "tokens_per_s": (BATCH * CONTEXT) as f64 / time,
        "peak_rss_mb": peak,
        "add_layer_norm_ms": kiln::tensor::Device::cpu().session(|| add_norm(device))?,
    }))
}
