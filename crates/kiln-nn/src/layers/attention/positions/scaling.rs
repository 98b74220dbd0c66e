//! How rotary positions are changed for contexts longer than those of the training.

use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// How the frequencies of [`Rotary`](crate::Rotary) are changed, for contexts longer than those that a model was first trained with.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotaryScaling {
    /// The frequencies stay as they are.
    #[default]
    None,
    /// Every frequency is divided by `factor` (`"rope_type": "linear"`).
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
    /// YaRN (Peng et al. 2023; `"rope_type": "yarn"`); [`RotaryScaling::yarn`] has the paper's settings.
    ///
    /// The pair number i of d/2 has the frequency f = theta^(−2i/d), which becomes (1 − r)·f + r·f/factor with
    /// r = clamp((i − low) / (high − low), 0, 1). Here low is the number of the pair that turns `beta_fast` times within the original context,
    /// d·ln(original_positions / (2π·beta_fast)) / (2·ln theta), and high that of the pair that turns `beta_slow` times. Cosines and sines
    /// are multiplied by `attention_factor`, so that scores are by its square.
    Yarn {
        /// How many times longer long wavelengths become.
        factor: f64,
        /// The longest context of the first training (`original_max_position_embeddings`).
        original_positions: usize,
        /// Pairs that turn more often within the original context keep their frequency.
        beta_fast: f64,
        /// Pairs that turn less often within the original context have theirs divided by `factor`.
        beta_slow: f64,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
        /// Whether low is rounded down and high is rounded up, as in `transformers`.
        truncate: bool,
    },
}

impl RotaryScaling {
    /// YaRN with the paper's settings: `beta_fast` 32, `beta_slow` 1, and an `attention_factor` of 0.1·ln(factor) + 1.
    ///
    /// ```
    /// use kiln_nn::{Rotary, RotaryScaling};
    /// // For contexts of 32,768 tokens, of a model that was trained with 8,192.
    /// let rotary = Rotary::new().scaling(RotaryScaling::yarn(4.0, 8192));
    /// ```
    pub fn yarn(factor: f64, original_positions: usize) -> Self {
        RotaryScaling::Yarn {
            factor,
            original_positions,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: RotaryScaling::yarn_magnitude(factor, 1.0),
            truncate: true,
        }
    }

    /// What YaRN multiplies cosines and sines by for contexts that are `factor` times longer: 0.1·scale·ln(factor) + 1.
    pub(crate) fn yarn_magnitude(factor: f64, scale: f64) -> f64 {
        if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 }
    }

    /// The frequencies of the pairs of `width` elements.
    pub(super) fn frequencies(self, theta: f64, width: usize) -> Vec<f64> {
        let pairs = width / 2;
        let frequencies: Vec<f64> = (0..pairs).map(|pair| theta.powf(-2.0 * pair as f64 / width as f64)).collect();
        // Which part of each frequency is divided by the factor.
        let (factor, parts): (f64, Vec<f64>) = match self {
            RotaryScaling::None => return frequencies,
            RotaryScaling::Linear { factor } => (factor, vec![1.0; pairs]),
            RotaryScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, original_positions } => {
                // How many waves fit into the original context.
                let waves = frequencies.iter().map(|frequency| original_positions as f64 * frequency / TAU);
                (factor, waves.map(|waves| 1.0 - ((waves - low) / (high - low)).clamp(0.0, 1.0)).collect())
            }
            RotaryScaling::Yarn { factor, original_positions, beta_fast, beta_slow, truncate, .. } => {
                let waves = |turns: f64| (original_positions as f64 / (turns * TAU)).ln();
                let pair = |turns: f64| width as f64 * waves(turns) / (2.0 * theta.ln());
                let (low, high) = (pair(beta_fast), pair(beta_slow));
                let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
                let (low, high) = (low.max(0.0), high.min(width as f64 - 1.0));
                let span = if high == low { 0.001 } else { high - low };
                (factor, (0..pairs).map(|pair| ((pair as f64 - low) / span).clamp(0.0, 1.0)).collect())
            }
        };
        let scaled = |(frequency, part): (f64, f64)| (1.0 - part) * frequency + part * frequency / factor;
        frequencies.into_iter().zip(parts).map(scaled).collect()
    }

    /// What cosines and sines are multiplied by.
    pub(super) fn magnitude(self) -> f64 {
        match self {
            RotaryScaling::Yarn { attention_factor, .. } => attention_factor,
            _ => 1.0,
        }
    }

    /// What is wrong with its numbers, if anything, for frequencies of this base.
    pub(super) fn fault(self, theta: f64) -> Option<String> {
        let positive = |name: &str, value: f64| {
            let fault = || format!("the `{name}` of a rotary scaling must be above 0, got {value}");
            (value.is_nan() || value <= 0.0).then(fault)
        };
        let above = |[high_name, low_name]: [&str; 2], high: f64, low: f64| {
            (high.is_nan() || low.is_nan() || high <= low).then(|| format!("`{high_name}` must be above `{low_name}`, got {high} and {low}"))
        };
        match self {
            RotaryScaling::None => None,
            RotaryScaling::Linear { factor } => positive("factor", factor),
            RotaryScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, .. } => {
                positive("factor", factor).or_else(|| above(["high_freq_factor", "low_freq_factor"], high, low))
            }
            RotaryScaling::Yarn { factor, original_positions, beta_fast, beta_slow, attention_factor, .. } => {
                let positions = original_positions as f64;
                let values = [("factor", factor), ("original_positions", positions), ("beta_slow", beta_slow), ("attention_factor", attention_factor)];
                let fault = values.into_iter().find_map(|(name, value)| positive(name, value));
                let fault = fault.or_else(|| above(["beta_fast", "beta_slow"], beta_fast, beta_slow));
                fault.or_else(|| (theta <= 1.0).then(|| format!("with a scaling by YaRN `theta` must be above 1, got {theta}")))
            }
        }
    }
}
