//! Decoding with GPT-2 small: one token after the other, batch 1, with what the layers carry of the tokens before.
//!
//! The floor: each token reads the 124 M weights once, 498 MB; at 30 GB/s that is 16.6 ms, 60 tokens a second.

use crate::timing::{median, peak_rss_mb};
use kiln::nn::models;
use kiln::prelude::*;
use serde_json::{Value, json};
use std::time::Instant;

/// Tokens of the prompt, and those that are written.
const PROMPT: usize = 32;
const WRITTEN: usize = 48;

/// Tokens a second, and milliseconds of a token: the median.
pub(crate) fn rate(device: &Device) -> Result<Value> {
    let model = models::gpt2().build([1024], device, 0)?;
    let prompt: Vec<i64> = (0..PROMPT as i64).map(|i| i * 997 % 50_257).collect();
    let mut tokens = Tensor::from_slice(&prompt, [1, PROMPT], device)?;
    let mut times = Vec::new();
    Device::cpu().session(|| -> Result<()> {
        model.reset_states();
        for _ in 0..WRITTEN {
            let start = Instant::now();
            let logits = model.forward(&tokens, &Ctx::eval().carrying())?.into_tensor();
            let steps = logits.dims()[1];
            tokens = logits.index(1, steps - 1)?.argmax(-1)?.reshape([1, 1])?;
            tokens.to_vec::<i64>()?;
            times.push(start.elapsed().as_secs_f64());
        }
        model.reset_states();
        Ok(())
    })?;
    let prompt_ms = times.remove(0) * 1e3;
    let time = median(times);
    Ok(json!({
        "task": "generation",
        "params": model.parameter_count(),
        "prompt_ms": prompt_ms,
        "token_ms": time * 1e3,
        "tokens_per_s": 1.0 / time,
        "peak_rss_mb": peak_rss_mb(),
    }))
}
