//! Scaled dot-product attention, causal, forward and backward, as `attention_torch.py` and `attention_jax.py` time it: milliseconds, the best
//! of half a second.

use crate::timing::{best_of_half_a_second, peak_rss_mb, seconds};
use kiln::prelude::*;
use kiln::tensor::AttentionOptions;
use serde_json::{Map, Value, json};

/// Batch, heads, length and width of a head: the same list is in the peers' scripts.
const SHAPES: [[usize; 4]; 3] = [[8, 8, 512, 64], [1, 8, 4096, 64], [12, 6, 256, 64]];
/// So long that scores of all pairs would take 8 GiB.
const LONG: [usize; 4] = [1, 8, 16_384, 64];

fn operand(shape: [usize; 4], seed: u64, device: &Device) -> Result<Var> {
    let stream = RandomStream::new(seed, Purpose::Data, 0);
    Ok(Var::variable(Tensor::normal(shape, 0.0, 1.0, DType::F32, device, stream)?))
}

/// Attention as one operation, forward and backward, of three operands of this shape.
fn once([query, key, value]: &[Var; 3]) -> Result<()> {
    let y = query.attention(key, value, None, &AttentionOptions::new().causal(true))?;
    y.sum_all()?.backward()?;
    query.tensor().device().synchronize()
}

fn operands(shape: [usize; 4], device: &Device) -> Result<[Var; 3]> {
    Ok([operand(shape, 0, device)?, operand(shape, 1, device)?, operand(shape, 2, device)?])
}

fn name(shape: [usize; 4]) -> String {
    shape.map(|size| size.to_string()).join("x")
}

/// Milliseconds by shape, and the most memory of the process.
pub(crate) fn times(device: &Device) -> Result<Value> {
    let mut ms = Map::new();
    kiln::tensor::Device::cpu().session(|| -> Result<()> {
        for shape in SHAPES {
            let operands = operands(shape, device)?;
            ms.insert(name(shape), json!((best_of_half_a_second(|| once(&operands))? * 1e6).round() / 1e3));
        }
        let operands = operands(LONG, device)?;
        ms.insert(name(LONG), json!((seconds(|| once(&operands))? * 1e6).round() / 1e3));
        Ok(())
    })?;
    Ok(json!({"task": "attention", "ms": ms, "peak_rss_mb": peak_rss_mb()}))
}
