//! How rotary positions are stretched for contexts longer than those of the training.

use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// How the frequencies of [`Rotary`](crate::Rotary) are changed, for contexts longer than those that a model was first trained with.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotaryScaling {
    /// Not.
    #[default]
    None,
    /// All divided by `factor` (`"rope_type": "linear"`).
    Linear {
        /// How many times longer contexts become.
        factor: f64,
    },
    /// Llama 3.1's (`"rope_type": "llama3"`). A wavelength above original_positions / low_freq_factor is made `factor` times longer,
    /// one below original_positions / high_freq_factor stays, and between the two the frequency goes from one to the other.
    Llama3 {
        /// How many times longer long wavelengths become.
        factor: f64,
        /// See above.
        low_freq_factor: f64,
        /// See above.
        high_freq_factor: f64,
        /// The longest context of the first training (`original_max_position_embeddings`).
        original_positions: usize,
    },
}

impl RotaryScaling {
    /// What a frequency becomes.
    pub(super) fn of(self, frequency: f64) -> f64 {
        match self {
            RotaryScaling::None => frequency,
            RotaryScaling::Linear { factor } => frequency / factor,
            RotaryScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
                // How many waves fit into the original context.
                let waves = original_positions as f64 * frequency / TAU;
                let part = (waves - low_freq_factor) / (high_freq_factor - low_freq_factor);
                let part = part.clamp(0.0, 1.0);
                (1.0 - part) * frequency / factor + part * frequency
            }
        }
    }

    /// What is wrong with its numbers, if anything.
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
