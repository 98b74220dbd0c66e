//! What is done to logits before a token is drawn: functions that leave out tokens set their logits to −∞.

use crate::{Error, Result};

/// Left out.
const OUT: f32 = f32::NEG_INFINITY;

/// Fails unless there are logits, all of them finite or left out, and not all left out.
pub(super) fn expect_finite(logits: &[f32]) -> Result<()> {
    let wrong = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY);
    match wrong {
        Some(token) => {
            let message = format!("the model's output for token {token} is {}: it predicts nothing", logits[token]);
            Err(Error::value("generate", message))
        }
        None if logits.iter().all(|&logit| logit == OUT) => {
            Err(Error::value("generate", "the model gives every token a probability of 0: nothing can come next"))
        }
        None => Ok(()),
    }
}

/// The place of the largest logit, the first of equal ones.
pub(super) fn argmax(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |best, at| if logits[at] > logits[best] { at } else { best })
}

/// Leaves the likeliest token alone.
pub(super) fn likeliest(logits: &mut [f32]) {
    let best = argmax(logits);
    (0..logits.len()).filter(|&at| at != best).for_each(|at| logits[at] = OUT);
}

/// Makes tokens that were read less likely, each once.
pub(super) fn repetition_penalty(logits: &mut [f32], read: &[i64], penalty: f32) {
    let mut tokens: Vec<usize> = read.iter().filter_map(|&token| usize::try_from(token).ok()).collect();
    tokens.sort_unstable();
    tokens.dedup();
    for token in tokens {
        if let Some(logit) = logits.get_mut(token) {
            *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
        }
    }
}

/// Logits times a number; none of them becomes infinite.
pub(super) fn scale(logits: &mut [f32], by: f64) {
    // From the largest one on, which keeps its place: only differences count.
    let largest = logits.iter().copied().fold(OUT, f32::max);
    let scaled = f64::from(largest) * by;
    let from = if scaled.abs() < f64::from(f32::MAX) { 0.0 } else { largest };
    logits.iter_mut().for_each(|logit| *logit = (f64::from(*logit - from) * by) as f32);
}

/// Leaves out all below the k-th largest.
pub(super) fn top_k(logits: &mut [f32], k: usize) {
    let Some(at) = logits.len().checked_sub(k).filter(|&at| at > 0) else { return };
    let mut sorted = logits.to_vec();
    let least = *sorted.select_nth_unstable_by(at, f32::total_cmp).1;
    logits.iter_mut().filter(|logit| **logit < least).for_each(|logit| *logit = OUT);
}

/// Leaves out the least likely tokens whose probabilities together are at most 1 − p; the likeliest stays.
pub(super) fn top_p(logits: &mut [f32], p: f64) {
    let weights = weights(logits);
    let all: f64 = weights.iter().sum();
    let mut order: Vec<usize> = (0..logits.len()).filter(|&token| weights[token] > 0.0).collect();
    order.sort_unstable_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a)));
    order.pop();
    let mut together = 0.0;
    for token in order {
        together += weights[token] / all;
        if together > 1.0 - p {
            return;
        }
        logits[token] = OUT;
    }
}

/// Leaves out tokens with less than p times the probability of the likeliest.
pub(super) fn min_p(logits: &mut [f32], p: f64) {
    let weights = weights(logits);
    logits.iter_mut().zip(weights).filter(|(_, weight)| *weight < p).for_each(|(logit, _)| *logit = OUT);
}

/// Probabilities in proportion to that of the likeliest token, which is 1.
pub(super) fn weights(logits: &[f32]) -> Vec<f64> {
    let largest = f64::from(logits.iter().copied().fold(OUT, f32::max));
    logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).collect()
}

/// Logarithms of the probabilities.
pub(super) fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = f64::from(logits.iter().copied().fold(OUT, f32::max));
    let all: f64 = weights(logits).into_iter().sum();
    let shift = largest + all.ln();
    logits.iter().map(|&logit| f64::from(logit) - shift).collect()
}
