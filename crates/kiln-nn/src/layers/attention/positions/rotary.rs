//! Rotary positions.

use super::count::Positions;
use super::scaling::RotaryScaling;
use super::table::Table;
use crate::layers::setters::setters;
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Rotary positions (RoPE, Su et al. 2021): queries and keys are rotated by angles that grow with the position, so that their products
/// depend only on the distance of their positions. With a mask, positions count the real steps alone. A setting of [`MultiHeadAttention`](crate::MultiHeadAttention).
///
/// The elements a and b of a pair, number i of d/2, become a·cos(t·fᵢ) − b·sin(t·fᵢ) and b·cos(t·fᵢ) + a·sin(t·fᵢ) at the position t,
/// with fᵢ = theta^(−2i/d), unless a [scaling](Rotary::scaling) changes these. By default a and b are the elements i and i + d/2 of the head's d, as in Llama's weights on Hugging Face's
/// hub; see [`interleaved`](Rotary::interleaved).
///
/// ```
/// use kiln_nn::{MultiHeadAttention, Rotary, RotaryScaling};
/// let rotary = Rotary::new().theta(500_000.0).scaling(RotaryScaling::Linear { factor: 4.0 });
/// let attention = MultiHeadAttention::new(32).key_heads(8).causal(true).use_bias(false).rotary(rotary);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rotary {
    #[serde(default = "theta")]
    theta: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    #[serde(default)]
    interleaved: bool,
    #[serde(default)]
    scaling: RotaryScaling,
    #[serde(skip)]
    table: Table,
}

fn theta() -> f64 {
    10_000.0
}

impl Default for Rotary {
    fn default() -> Self {
        Rotary::new()
    }
}

impl Rotary {
    /// Rotates whole heads, with theta 10000.
    pub fn new() -> Self {
        let (theta, scaling) = (theta(), RotaryScaling::None);
        Rotary { theta, width: None, interleaved: false, scaling, table: Table::default() }
    }

    setters! {
        /// The base of the frequencies (`rope_theta`). By default 10000.
        fn theta(self, theta: f64) { (self.theta, self.table) = (theta, Table::default()) }

        /// How many elements of a head are rotated, the first ones; the others stay as they are. By default all.
        fn width(self, width: usize) { (self.width, self.table) = (Some(width), Table::default()) }

        /// Whether a pair is the elements 2i and 2i + 1, as in the paper and in Meta's own weights of Llama. By default a pair is i and i + d/2.
        fn interleaved(self, interleaved: bool) { (self.interleaved, self.table) = (interleaved, Table::default()) }

        /// How the frequencies are changed for longer contexts. By default they are not.
        fn scaling(self, scaling: RotaryScaling) { (self.scaling, self.table) = (scaling, Table::default()) }
    }

    /// How many elements of a head of this width are rotated.
    fn turned(&self, head: usize) -> usize {
        self.width.unwrap_or(head)
    }

    /// Fails where the settings do not fit heads of this width.
    pub(in super::super) fn check(&self, head: usize) -> Result<()> {
        let width = self.turned(head);
        if width == 0 || width % 2 == 1 || width > head {
            let message = format!("rotary positions turn pairs of elements: {width} of a head of {head} is not possible");
            return Err(Error::value("rotary", message));
        }
        if self.theta.is_nan() || self.theta <= 0.0 {
            return Err(Error::value("rotary", format!("`theta` must be above 0, got {}", self.theta)));
        }
        self.scaling.fault(self.theta).map_or(Ok(()), |fault| Err(Error::value("rotary", fault)))
    }

    /// Rotates x (N, T, heads, width), whose steps have the positions from `first` on.
    ///
    /// # Errors
    /// x of another rank; a width that does not fit the settings.
    pub fn rotate(&self, x: &Var, first: usize) -> Result<Var> {
        let steps = x.dims().get(1).copied().unwrap_or(0);
        self.rotate_at(x, &Positions::Range(first..first + steps))
    }

    /// Rotates x (N, T, heads, width), whose steps have these positions.
    pub(in super::super) fn rotate_at(&self, x: &Var, positions: &Positions) -> Result<Var> {
        let &[batch, steps, _, head] = x.dims() else {
            return Err(Error::shape("rotary", format!("(batch, steps, heads, width) is expected, got {}", x.shape())));
        };
        self.check(head)?;
        let width = self.turned(head);
        let table = self.table.get(positions.end(), width, (x.dtype(), x.device()), |all| self.rows(all, width))?;
        let of_steps = |table: &Tensor| match positions {
            Positions::Range(range) => table.slice(0, range.clone())?.unsqueeze(1).map(Var::constant),
            Positions::Each(each, _) => {
                let rows = table.index_select(0, &each.reshape([batch * steps])?)?;
                rows.reshape([batch, steps, 1, width]).map(Var::constant)
            }
        };
        let (cosines, sines) = (of_steps(&table[0])?, of_steps(&table[1])?);
        let turned = if width == head { x.clone() } else { x.slice(3, 0..width)? };
        let turned = turned.mul(&cosines)?.add(&self.swapped(&turned, width)?.mul(&sines)?)?;
        if width == head { Ok(turned) } else { Var::concat(&[&turned, &x.slice(3, width..head)?], 3) }
    }

    /// x with the two elements of each pair swapped.
    fn swapped(&self, x: &Var, width: usize) -> Result<Var> {
        if !self.interleaved {
            let half = width / 2;
            return Var::concat(&[&x.slice(3, half..width)?, &x.slice(3, 0..half)?], 3);
        }
        let &[batch, steps, heads, _] = x.dims() else { return Ok(x.clone()) };
        let pairs = x.reshape([batch, steps, heads, width / 2, 2])?;
        Var::concat(&[&pairs.slice(4, 1..2)?, &pairs.slice(4, 0..1)?], 4)?.reshape(*x.shape())
    }

    /// The cosines for each position, and the sines, which are negative for the first element of a pair.
    fn rows(&self, positions: usize, width: usize) -> Vec<Vec<f64>> {
        let half = width / 2;
        let place = |j: usize| if self.interleaved { (j / 2, j.is_multiple_of(2)) } else { (j % half, j < half) };
        let (of_pairs, magnitude) = (self.scaling.frequencies(self.theta, width), self.scaling.magnitude());
        let frequency = |j: usize| {
            let (pair, first) = place(j);
            (of_pairs[pair], if first { -magnitude } else { magnitude })
        };
        let frequencies: Vec<(f64, f64)> = (0..width).map(frequency).collect();
        let each = |value: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
            let row = |t: usize| frequencies.iter().map(move |&(frequency, signed)| value(t as f64 * frequency, signed));
            (0..positions).flat_map(row).collect()
        };
        vec![each(&|angle, _| magnitude * angle.cos()), each(&|angle, signed| signed * angle.sin())]
    }
}
