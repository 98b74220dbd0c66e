//! Local response normalization.

use super::setters::setters;
use crate::{Ctx, Describe, Init, Layer, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// x / (k + α · mean of x² over `size` neighboring channels)^β of x (N, C, …): what the original AlexNet normalizes by
/// (Krizhevsky, Sutskever and Hinton 2012).
///
/// PyTorch's `LocalResponseNorm`, with its defaults α = 10⁻⁴, β = 0.75, k = 1. It takes the mean of the squares, the paper
/// and TensorFlow the sum: their α is to be multiplied by `size`. The paper's are size 5, k = 2, α = 10⁻⁴ of the sum.
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct LocalResponseNorm {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
}

impl LocalResponseNorm {
    /// The layer over so many neighboring channels.
    pub fn new(size: usize) -> Self {
        LocalResponseNorm { size, alpha: 1e-4, beta: 0.75, k: 1.0 }
    }

    setters! {
        /// The factor of the mean of squares.
        fn alpha(self, alpha: f64) { self.alpha = alpha }

        /// The exponent.
        fn beta(self, beta: f64) { self.beta = beta }

        /// What is added to the mean of squares.
        fn k(self, k: f64) { self.k = k }
    }
}

impl Layer for LocalResponseNorm {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        x.local_response_norm(self.size, self.alpha, self.beta, self.k)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        if self.size == 0 || input.is_empty() {
            let message = format!("{} neighboring channels of samples {input}: there must be 1 or more", self.size);
            return Err(Error::value("build", message));
        }
        Ok(*input)
    }
}
