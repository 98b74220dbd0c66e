//! How the next token is chosen.

use super::filters;
use crate::math::RandomStream;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// How the next token is drawn from a model's logits. What is set is applied in this order, which is that of Hugging Face's transformers:
/// repetition penalty, temperature, top-k, top-p, min-p. Nothing is set at first: tokens are drawn as the model says.
///
/// ```
/// use kiln::generate::Sampling;
/// let mut logits = [3.0, 1.0, 2.0, 0.0];
/// Sampling::new().top_k(2).temperature(0.5).apply(&mut logits, &[])?;
/// assert_eq!(logits, [6.0, f32::NEG_INFINITY, 4.0, f32::NEG_INFINITY]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
    min_p: Option<f64>,
    repetition_penalty: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { temperature: 1.0, top_k: None, top_p: None, min_p: None, repetition_penalty: 1.0 }
    }
}

impl Sampling {
    /// Draws as the model says.
    pub fn new() -> Self {
        Sampling::default()
    }

    /// Always the likeliest token, the first of equally likely ones: a temperature of 0.
    pub fn greedy() -> Self {
        Sampling::new().temperature(0.0)
    }

    /// Divides the logits: below 1 likely tokens become likelier, above 1 all become more alike; 0 always takes the likeliest.
    #[must_use]
    pub fn temperature(self, temperature: f64) -> Self {
        Sampling { temperature, ..self }
    }

    /// Only the `k` likeliest tokens, and those that are as likely as the last of them.
    #[must_use]
    pub fn top_k(self, k: usize) -> Self {
        Sampling { top_k: Some(k), ..self }
    }

    /// Only the likeliest tokens whose probabilities together reach `p` (nucleus sampling; Holtzman et al. 2020).
    #[must_use]
    pub fn top_p(self, p: f64) -> Self {
        Sampling { top_p: Some(p), ..self }
    }

    /// Only tokens that have at least `p` times the probability of the likeliest one (Nguyen et al. 2024).
    #[must_use]
    pub fn min_p(self, p: f64) -> Self {
        Sampling { min_p: Some(p), ..self }
    }

    /// Divides the logits of tokens that are in the text already by this number, or multiplies them by it where they are negative (Keskar et
    /// al. 2019). Above 1 they become less likely.
    #[must_use]
    pub fn repetition_penalty(self, penalty: f64) -> Self {
        Sampling { repetition_penalty: penalty, ..self }
    }

    /// Fails where a setting makes no sense.
    ///
    /// # Errors
    /// A negative temperature, a top-k of 0, a top-p that is not above 0 and at most 1, a min-p below 0 or above 1, a penalty of 0 or less.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str, value: f64, expected: &str| {
            Err(Error::value("Sampling", format!("a {what} of {value}: {expected} is expected")))
        };
        let within = |value: Option<f64>, range: RangeInclusive<f64>| value.is_none_or(|value| range.contains(&value));
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return wrong("temperature", self.temperature, "0 or more");
        }
        if self.top_k == Some(0) {
            return wrong("top-k", 0.0, "1 or more");
        }
        if !within(self.top_p, f64::MIN_POSITIVE..=1.0) {
            return wrong("top-p", self.top_p.unwrap_or_default(), "a number above 0 and at most 1");
        }
        if !within(self.min_p, 0.0..=1.0) {
            return wrong("min-p", self.min_p.unwrap_or_default(), "a number from 0 to 1");
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            return wrong("repetition penalty", self.repetition_penalty, "a number above 0");
        }
        Ok(())
    }

    /// The logits of what may come next, by which tokens are drawn: −∞ is what is left out. `read` are the tokens before. At a temperature of 0
    /// only the likeliest token is left.
    ///
    /// # Errors
    /// As [`Sampling::check`]; logits that are NaN or infinite, or none at all.
    pub fn apply(&self, logits: &mut [f32], read: &[i64]) -> Result<()> {
        self.check()?;
        filters::expect_finite(logits)?;
        if self.repetition_penalty != 1.0 {
            filters::repetition_penalty(logits, read, self.repetition_penalty as f32);
        }
        let sharpness = 1.0 / self.temperature;
        if !sharpness.is_finite() {
            // At 0, and so near to it that nothing else is left.
            filters::likeliest(logits);
            return Ok(());
        }
        if sharpness != 1.0 {
            filters::scale(logits, sharpness);
        }
        if let Some(k) = self.top_k {
            filters::top_k(logits, k);
        }
        if let Some(p) = self.top_p {
            filters::top_p(logits, p);
        }
        if let Some(p) = self.min_p {
            filters::min_p(logits, p);
        }
        Ok(())
    }

    /// Draws the next token after those that were `read`. It takes one number of the stream.
    ///
    /// # Errors
    /// As [`Sampling::apply`].
    pub fn draw(&self, logits: &mut [f32], read: &[i64], stream: &mut RandomStream) -> Result<i64> {
        self.apply(logits, read)?;
        let weights = filters::weights(logits);
        let mut left = stream.uniform_f64() * weights.iter().sum::<f64>();
        let mut last = 0;
        for (token, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            left -= weight;
            last = token;
            if left < 0.0 {
                break;
            }
        }
        // What rounding leaves over is the last one's.
        Ok(last as i64)
    }
}
