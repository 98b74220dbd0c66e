//! A recurrent layer step by step.

use super::RecurrentOptions;
use crate::{Arithmetic, RecurrentCell, Result, Shape, Tensor};
use kiln_math::UnaryOp;

/// States of all steps.
pub struct RecurrentSteps<T> {
    /// (T, N, H): the state after each step.
    pub states: T,
    /// (T, N, H): an LSTM's cell state after each step.
    pub cells: Option<T>,
}

/// The weight by gates, and what goes with it.
struct Layer<'a, T> {
    cell: RecurrentCell,
    /// (G·H, H)
    weight: &'a T,
    bias: Option<&'a T>,
    keep: Option<T>,
    /// N, H
    size: [usize; 2],
}

impl<T: Arithmetic> Layer<'_, T> {
    /// h · Wᵀ of one gate.
    fn product(&self, h: &T, gate: usize) -> Result<T> {
        let hidden = self.size[1];
        h.matmul(&self.weight.slice(0, gate * hidden..(gate + 1) * hidden)?.transpose(0, 1)?)
    }

    /// The states after one step, before any mask, from the input's part of the gates' arguments (N, G·H) and the states before.
    fn step(&self, input: &T, h: &T, c: Option<&T>) -> Result<(T, Option<T>)> {
        let hidden = self.size[1];
        let kept = match &self.keep {
            Some(keep) => h.mul(keep)?,
            None => h.clone(),
        };
        let part = |gate: usize| input.slice(1, gate * hidden..(gate + 1) * hidden);
        let gate = |gate: usize, op: UnaryOp| part(gate)?.add(&self.product(&kept, gate)?)?.map(op);
        match (self.cell, c) {
            (RecurrentCell::Lstm, Some(c)) => {
                let (i, f) = (gate(0, UnaryOp::Sigmoid)?, gate(1, UnaryOp::Sigmoid)?);
                let (g, o) = (gate(2, UnaryOp::Tanh)?, gate(3, UnaryOp::Sigmoid)?);
                let c = f.mul(c)?.add(&i.mul(&g)?)?;
                Ok((o.mul(&c.map(UnaryOp::Tanh)?)?, Some(c)))
            }
            (RecurrentCell::Gru { reset_after }, _) => {
                let (r, z) = (gate(0, UnaryOp::Sigmoid)?, gate(1, UnaryOp::Sigmoid)?);
                let reset = if reset_after {
                    let product = self.product(&kept, 2)?;
                    r.mul(&self.bias.map_or(Ok(product.clone()), |bias| product.add(bias))?)?
                } else {
                    self.product(&r.mul(&kept)?, 2)?
                };
                let n = part(2)?.add(&reset)?.map(UnaryOp::Tanh)?;
                Ok((n.add(&z.mul(&h.sub(&n)?)?)?, None))
            }
            (RecurrentCell::Relu, _) => Ok((gate(0, UnaryOp::Relu)?, None)),
            _ => Ok((gate(0, UnaryOp::Tanh)?, None)),
        }
    }
}

/// The composed form: all steps of one direction from the input's part of the gates' arguments (T, N, G·H) and the weight (G·H, H).
///
/// # Errors
/// Those of the operations; shapes were checked.
pub fn composed<T: Arithmetic>(input: &T, weight: &T, options: &RecurrentOptions<'_, T>) -> Result<RecurrentSteps<T>> {
    let (steps, hidden) = (input.value().dims()[0], weight.value().dims()[1]);
    let size @ [batch, _] = [input.value().dims()[1], hidden];
    let layer =
        Layer { cell: options.cell, weight, bias: options.bias, keep: options.keep.cloned().map(T::constant), size };
    let (dtype, device) = (weight.value().dtype(), weight.value().device());
    let first = |given: Option<&T>| match given {
        Some(state) => Ok(state.clone()),
        None => Tensor::zeros(size, dtype, device).map(T::constant),
    };
    let mut h = first(options.h0)?;
    let mut c = if options.cell.has_cell_state() { Some(first(options.c0)?) } else { None };
    let none = || Tensor::zeros([0, batch, hidden], dtype, device).map(T::constant);
    if steps == 0 {
        return Ok(RecurrentSteps { states: none()?, cells: c.map(|_| none()).transpose()? });
    }
    let (mut states, mut cells) = (vec![h.clone(); steps], vec![]);
    cells.extend(c.iter().flat_map(|c| vec![c.clone(); steps]));
    for i in 0..steps {
        let t = if options.reverse { steps - 1 - i } else { i };
        let width = input.value().dims()[2];
        let now = input.slice(0, t..t + 1)?.reshape(Shape::new(&[batch, width])?)?;
        let (mut h_after, mut c_after) = layer.step(&now, &h, c.as_ref())?;
        if let Some(mask) = options.mask {
            let mask = mask.index(0, t)?.unsqueeze(1)?;
            h_after = T::select(&mask, &h_after, &h)?;
            if let (Some(after), Some(before)) = (&c_after, &c) {
                c_after = Some(T::select(&mask, after, before)?);
            }
        }
        states[t] = h_after.clone();
        if let Some(c) = &c_after {
            cells[t] = c.clone();
        }
        (h, c) = (h_after, c_after);
    }
    let all = |steps: Vec<T>| T::stack(&steps.iter().collect::<Vec<_>>(), 0);
    Ok(RecurrentSteps { states: all(states)?, cells: if cells.is_empty() { None } else { Some(all(cells)?) } })
}
