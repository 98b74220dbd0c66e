//! How rotary positions are scaled for contexts longer than those of the training.

use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// How the frequencies of [`Rotary`](crate::Rotary) are scaled for contexts longer than those of the first training.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotaryScaling {
    /// They are not scaled.
    #[default]
    None,
    /// All frequencies are divided by `factor` (`"rope_type": "linear"`).
    Linear {
        /// How many times longer contexts become.
        factor: f64,
    },
    /// As in Llama 3.1 (`"rope_type": "llama3"`). A wavelength above original_positions / low_freq_factor becomes `factor` times longer. A
    /// wavelength below original_positions / high_freq_factor stays. Between the two, the frequency is interpolated.
    Llama3 {
        /// How many times longer long wavelengths become.
        factor: f64,
        /// Sets which wavelengths are long.
        low_freq_factor: f64,
        /// Sets which wavelengths are short.
        high_freq_factor: f64,
        /// The longest context of the first training (`original_max_position_embeddings`).
        original_positions: usize,
    },
}

impl RotaryScaling {
    /// The scaled frequency.
    pub(super) fn of(self, frequency: f64) -> f64 {
        match self {
            RotaryScaling::None => frequency,
            RotaryScaling::Linear { factor } => frequency / factor,
            RotaryScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
                // The number of waves in the original context.
                let waves = original_positions as f64 * frequency / TAU;
                let part = (waves - low_freq_factor) / (high_freq_factor - low_freq_factor);
                let part = part.clamp(0.0, 1.0);
                (1.0 - part) * frequency / factor + part * frequency
            }
        }
    }

    /// What is wrong with the numbers, if anything.
    pub(super) fn fault(self) -> Option<String> {
        match self {
            RotaryScaling::None => None,
            RotaryScaling::Linear { factor } | RotaryScaling::Llama3 { factor, .. } if factor.is_nan() || factor <= 0.0 => {
                Some(format!("the `factor` of a rotary scaling must be above 0, got {factor}"))
            }
            RotaryScaling::Llama3 { low_freq_factor: low, high_freq_factor: high, .. } if high.is_nan() || low.is_nan() || high <= low => {
                Some(format!("`high_freq_factor` must be above `low_freq_factor`, got {high} and {low}"))
            }
            _ => None,
        }
    }
}
