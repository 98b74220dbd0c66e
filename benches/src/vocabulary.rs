//! The loss of a last layer over a large vocabulary, forward and backward: 4,096 tokens of width 768, 50,257 classes, as of GPT-2. Peak
//! memory, each form in a process of its own.
//!
//! The floor of the composed form: weight and its gradient are 154 MB each, logits and their gradient 824 MB each.
//! `Var::linear_cross_entropy` has some rows of the latter at a time.

use crate::timing::{peak_rss_mb, seconds};
use kiln::prelude::*;
use kiln::tensor::CrossEntropyOptions;
use serde_json::{Map, Value, json};
use std::process::Command;

const TOKENS: usize = 4096;
const WIDTH: usize = 768;
const CLASSES: usize = 50_257;

/// The forms, by the names that `--part` has for them.
const FORMS: [&str; 2] = ["linear_cross_entropy", "composed"];

fn operand(shape: [usize; 2], seed: u64, device: &Device) -> Result<Var> {
    let stream = RandomStream::new(seed, Purpose::Data, 0);
    Ok(Var::variable(Tensor::normal(shape, 0.0, 0.02, DType::F32, device, stream)?))
}

/// The sum of the loss and its gradients by one form: seconds, and the sum.
fn once(form: &str, device: &Device) -> Result<Value> {
    let (hidden, weight) = (operand([TOKENS, WIDTH], 0, device)?, operand([CLASSES, WIDTH], 1, device)?);
    let labels = Tensor::from_vec((0..TOKENS as i64).map(|i| i * 401 % CLASSES as i64).collect(), [TOKENS], device)?;
    let mut sum = 0.0;
    let time = kiln::tensor::Device::cpu().session(|| {
        seconds(|| {
            let loss = if form == FORMS[0] {
                hidden.linear_cross_entropy(&weight, None, &labels, None, CrossEntropyOptions::new())?
            } else {
                hidden.linear(&weight, None, None)?.cross_entropy(&labels)?.sum_all()?
            };
            sum = loss.item()?;
            loss.backward()?;
            device.synchronize()
        })
    })?;
    Ok(json!({"task": "vocabulary", "part": form, "seconds": time, "loss": sum, "peak_rss_mb": peak_rss_mb()}))
}

/// One form where it is named; else both, each in a process of its own, and the ratio of their peaks.
pub(crate) fn peaks(device: &Device, part: Option<&str>) -> Result<Value> {
    match part {
        Some(form) if FORMS.contains(&form) => once(form, device),
        Some(form) => Err(Error::value("vocabulary", format!("there is no part `{form}`, but {}", FORMS.join(", ")))),
        None => {
            let mut parts = Map::new();
            for form in FORMS {
                parts.insert(form.to_owned(), in_a_process(form, device)?);
            }
            let peak = |form: &str| parts[form]["peak_rss_mb"].as_f64();
            let ratio = peak(FORMS[0]).zip(peak(FORMS[1])).map(|(linear, composed)| linear / composed);
            Ok(json!({"task": "vocabulary", "parts": parts, "ratio": ratio}))
        }
    }
}

fn in_a_process(form: &str, device: &Device) -> Result<Value> {
    let failed = |why: String| Error::value("vocabulary", format!("the process of {form}: {why}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let arguments = ["vocabulary", "--device", device.name(), "--part", form];
    let output = Command::new(program).args(arguments).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}
