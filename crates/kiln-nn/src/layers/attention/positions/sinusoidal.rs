//! Sines and cosines of positions.

use super::count::Positions;
use super::place::Place;
use super::table::Table;
use crate::layers::setters::setters;
use crate::{Ctx, Describe, Init, Layer, Module, Sequence};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// Adds sines and cosines of the positions: x + p for x (N, T, width), where for the position t of a step p(t, 2i) = sin(t / 10000^(2i/width)) and
/// p(t, 2i + 1) = cos(t / 10000^(2i/width)) (Vaswani et al. 2017). Nothing is learned, and contexts may be of any length.
///
/// Masks and carried positions are as in [`PositionEmbedding`](crate::PositionEmbedding).
///
/// ```
/// use kiln_nn::{Embedding, SinusoidalPositions, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(Embedding::new(1000, 64)).push(SinusoidalPositions::new());
/// let model = model.build([20], &kiln_tensor::Device::cpu(), 1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct SinusoidalPositions {
    theta: f64,
    #[serde(default)]
    stateful: bool,
    #[module(skip)]
    #[serde(skip)]
    table: Table,
    #[serde(skip)]
    place: Place,
}

impl Default for SinusoidalPositions {
    fn default() -> Self {
        SinusoidalPositions::new()
    }
}

impl SinusoidalPositions {
    /// Positions with wavelengths from 2π to 10000 · 2π.
    pub fn new() -> Self {
        SinusoidalPositions { theta: 10_000.0, stateful: false, table: Table::default(), place: Place::default() }
    }

    setters! {
        /// The longest wavelength divided by 2π. By default 10000.
        fn theta(self, theta: f64) { (self.theta, self.table) = (theta, Table::default()) }

        /// Whether positions go on where the batch before ended, in evaluation. False by default.
        fn stateful(self, stateful: bool) { self.stateful = stateful }
    }

    /// The sines and cosines, one row for each position.
    fn rows(&self, positions: usize, width: usize) -> Vec<f64> {
        let frequency = |i: usize| self.theta.powf(-((i - i % 2) as f64) / width as f64);
        let frequencies: Vec<f64> = (0..width).map(frequency).collect();
        let row = |t: usize| {
            let angles = frequencies.iter().map(move |frequency| t as f64 * frequency);
            angles.enumerate().map(|(i, angle)| if i % 2 == 0 { angle.sin() } else { angle.cos() })
        };
        (0..positions).flat_map(row).collect()
    }
}

impl Layer for SinusoidalPositions {
    type Input = Sequence;
    type Output = Sequence;

    fn forward(&self, Sequence { values: x, mask }: Sequence, ctx: &Ctx) -> Result<Sequence> {
        let &[batch, steps, width] = x.dims() else {
            let message = format!("sequences (batch, steps, width) are expected, got {}", x.shape());
            return Err(Error::shape("sinusoidal_positions", message));
        };
        let positions = self.place.next(&x, mask.as_ref(), self.stateful, ctx)?;
        let table = self.table.get(positions.end(), width, (x.dtype(), x.device()), |all| vec![self.rows(all, width)])?;
        let vectors = match positions {
            Positions::Range(range) => table[0].slice(0, range)?,
            Positions::Each(each, _) => {
                table[0].index_select(0, &each.reshape([batch * steps])?)?.reshape([batch, steps, width])?
            }
        };
        Ok(Sequence { values: x.add(&Var::constant(vectors))?, mask })
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        if input.rank() != 2 {
            let message = format!("samples of shape (steps, width) are expected, got {input}");
            return Err(Error::shape("build", message));
        }
        if self.theta.is_nan() || self.theta <= 0.0 {
            return Err(Error::value("build", format!("`theta` must be above 0, got {}", self.theta)));
        }
        Ok(*input)
    }

    fn reset_states(&self) {
        self.place.reset();
    }
}
