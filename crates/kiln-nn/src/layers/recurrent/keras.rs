//! Weights as Keras lays them out.

use super::stack::{Stack, unbuilt};
use crate::{Param, StateDict};
use kiln_tensor::{Error, RecurrentCell, Result, Shape, Tensor};

/// The weights of one direction of one layer as Keras's `get_weights` gives them, G gates side by side: an LSTM's i, f, c, o,
/// a GRU's z, r, h.
#[derive(Clone, Debug)]
pub struct KerasWeights {
    /// (features, G·units)
    pub kernel: Tensor,
    /// (units, G·units)
    pub recurrent_kernel: Tensor,
    /// (G·units,); of a GRU with `reset_after` (2, G·units), the input's and the recurrent one.
    pub bias: Option<Tensor>,
}

/// Keras's place of each of our gates.
fn order(cell: RecurrentCell) -> &'static [usize] {
    match cell {
        // r, z, n of Keras's z, r, h
        RecurrentCell::Gru | RecurrentCell::GruResetBefore => &[1, 0, 2],
        _ => &[0, 1, 2, 3][..cell.gates()],
    }
}

/// (…, G·units) as (G·units, …) with the gates in our order.
fn reordered(cell: RecurrentCell, units: usize, weights: &Tensor) -> Result<Tensor> {
    let last = weights.rank() - 1;
    let gates: Vec<Tensor> =
        order(cell).iter().map(|&gate| weights.slice(last, gate * units..(gate + 1) * units)).collect::<Result<_>>()?;
    let joined = Tensor::concat(&gates.iter().collect::<Vec<_>>(), last)?;
    if last == 0 { Ok(joined) } else { joined.t()?.contiguous() }
}

impl Stack {
    pub(super) fn set_keras_weights(&mut self, layer: usize, reverse: bool, weights: &KerasWeights) -> Result<()> {
        let (cell, units, directions) = (self.settings.cell, self.settings.units, self.settings.directions());
        if self.directions.is_empty() {
            return Err(unbuilt());
        }
        let Some(direction) = self.directions.get_mut(layer * directions + usize::from(reverse)) else {
            return Err(Error::value("keras weights", format!("there is no layer {layer} with reverse {reverse}")));
        };
        if direction.unit_weights.is_some() {
            return Err(Error::value("keras weights", format!("Keras has no layer with the cell `{}`", cell.name())));
        }
        if direction.composed.is_some() {
            return Err(Error::value("keras weights", "Keras has no LSTM with a projection or layer normalization"));
        }
        let rows = cell.gates() * units;
        let expect = |what: &str, found: &Tensor, expected: &[usize]| {
            if found.dims() == expected {
                return Ok(());
            }
            let message = format!("{what} has shape {}, expected {}", found.shape(), Shape::new(expected)?);
            Err(Error::shape("keras weights", message))
        };
        expect("kernel", &weights.kernel, &[direction.weight_ih.value().dims()[1], rows])?;
        expect("recurrent_kernel", &weights.recurrent_kernel, &[units, rows])?;
        let like = |parameter: &Param, value: Tensor| -> Result<Tensor> {
            value.to_dtype(parameter.value().dtype())?.to_device(parameter.value().device())
        };
        let weight_ih = like(&direction.weight_ih, reordered(cell, units, &weights.kernel)?)?;
        let weight_hh = like(&direction.weight_hh, reordered(cell, units, &weights.recurrent_kernel)?)?;
        let biases = match (&direction.biases, &weights.bias) {
            (None, None) => None,
            (Some([ih, hh]), Some(bias)) => {
                let (input, recurrent) = if cell == RecurrentCell::Gru {
                    expect("bias", bias, &[2, rows])?;
                    (reordered(cell, units, &bias.index(0, 0)?)?, reordered(cell, units, &bias.index(0, 1)?)?)
                } else {
                    // Keras has one bias, PyTorch two that are added.
                    expect("bias", bias, &[rows])?;
                    (reordered(cell, units, bias)?, Tensor::zeros([rows], bias.dtype(), bias.device())?)
                };
                Some([like(ih, input)?, like(hh, recurrent)?])
            }
            (has, _) => {
                let (has, given) = if has.is_some() { ("a bias", "none") } else { ("no bias", "one") };
                return Err(Error::value("keras weights", format!("this layer has {has}, {given} is given")));
            }
        };
        direction.weight_ih.set(weight_ih)?;
        direction.weight_hh.set(weight_hh)?;
        if let (Some([ih, hh]), Some([input, recurrent])) = (&mut direction.biases, biases) {
            ih.set(input)?;
            hh.set(recurrent)?;
        }
        Ok(())
    }

    pub(super) fn load_keras(&mut self, state: &StateDict) -> Result<()> {
        let both = self.settings.bidirectional.is_some();
        let use_bias = self.settings.use_bias;
        let find = |direction: &str, name: &str| -> Result<Tensor> {
            let fits = |path: &str| path.rsplit('/').next() == Some(name) && (!both || path.contains(direction));
            let mut found = state.iter().filter(|(path, _)| fits(path));
            match (found.next(), found.next()) {
                (Some((_, tensor)), None) => Ok(tensor.clone()),
                (None, _) => {
                    let of = if both { format!(" of the {direction} direction") } else { String::new() };
                    Err(Error::value("keras weights", format!("there is no `{name}`{of} among the names")))
                }
                (Some((a, _)), Some((b, _))) => {
                    Err(Error::value("keras weights", format!("`{a}` and `{b}` are both a `{name}`: one is expected")))
                }
            }
        };
        let directions: &[(&str, bool)] = if both { &[("forward", false), ("backward", true)] } else { &[("", false)] };
        let mut copy = self.clone();
        for &(direction, reverse) in directions {
            let weights = KerasWeights {
                kernel: find(direction, "kernel")?,
                recurrent_kernel: find(direction, "recurrent_kernel")?,
                bias: if use_bias { Some(find(direction, "bias")?) } else { None },
            };
            copy.set_keras_weights(0, reverse, &weights)?;
        }
        // All of them fit: the values go to the parameters themselves, which keep their identity.
        for (to, from) in self.directions.iter_mut().zip(copy.directions) {
            to.weight_ih.set(from.weight_ih.value().clone())?;
            to.weight_hh.set(from.weight_hh.value().clone())?;
            for (to, from) in to.biases.iter_mut().flatten().zip(from.biases.iter().flatten()) {
                to.set(from.value().clone())?;
            }
        }
        Ok(())
    }
}
