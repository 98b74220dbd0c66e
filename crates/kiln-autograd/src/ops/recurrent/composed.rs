//! A recurrent layer step by step in Vars: the fused form's reference, and what its gradient is differentiated through.

use super::{RecurrentOutput, Settings};
use crate::Var;
use kiln_tensor::{Error, RecurrentCell, Result, Tensor};

/// Index `at` of the first axis.
fn step(x: &Var, at: usize) -> Result<Var> {
    x.slice(0, at..at + 1)?.squeeze(0)
}

/// One step: the states after, before any mask.
struct Cell<'a> {
    cell: RecurrentCell,
    hidden: usize,
    weight: &'a Var,
    bias: Option<&'a Var>,
    keep: Option<Var>,
}

impl Cell<'_> {
    fn gate(&self, x: &Var, at: usize) -> Result<Var> {
        x.slice(1, at * self.hidden..(at + 1) * self.hidden)
    }

    /// h · Wᵀ of one gate.
    fn product(&self, h: &Var, gate: usize) -> Result<Var> {
        h.matmul(&self.weight.slice(0, gate * self.hidden..(gate + 1) * self.hidden)?.t()?)
    }

    fn forward(&self, input: &Var, h: &Var, c: Option<&Var>) -> Result<(Var, Option<Var>)> {
        let kept = match &self.keep {
            Some(keep) => h.mul(keep)?,
            None => h.clone(),
        };
        let argument = |gate: usize| self.gate(input, gate)?.add(&self.product(&kept, gate)?);
        match (self.cell, c) {
            (RecurrentCell::Lstm, Some(c)) => {
                let [i, f, g, o] = [argument(0)?, argument(1)?, argument(2)?, argument(3)?];
                let c = f.sigmoid()?.mul(c)?.add(&i.sigmoid()?.mul(&g.tanh()?)?)?;
                Ok((o.sigmoid()?.mul(&c.tanh()?)?, Some(c)))
            }
            (RecurrentCell::Gru { reset_after }, _) => {
                let (r, z) = (argument(0)?.sigmoid()?, argument(1)?.sigmoid()?);
                let part = if reset_after {
                    let product = self.product(&kept, 2)?;
                    let inner = match self.bias {
                        Some(bias) => product.add(bias)?,
                        None => product,
                    };
                    r.mul(&inner)?
                } else {
                    self.product(&r.mul(&kept)?, 2)?
                };
                let n = self.gate(input, 2)?.add(&part)?.tanh()?;
                Ok((n.add(&z.mul(&h.sub(&n)?)?)?, None))
            }
            (RecurrentCell::Relu, _) => Ok((argument(0)?.relu()?, None)),
            _ => Ok((argument(0)?.tanh()?, None)),
        }
    }
}

/// The layer of these operands: the input's part of the gates, the weight, h0, c0 and the bias.
pub(super) fn forward(settings: &Settings, operands: &[Option<Var>; 5]) -> Result<Var> {
    let [Some(input), Some(weight), h0, c0, bias] = operands else {
        return Err(Error::value("recurrent", "input and weight are needed"));
    };
    let (&[steps, batch, _], &[_, hidden]) = (input.dims(), weight.dims()) else {
        return Err(Error::shape(
            "recurrent",
            format!("{} and {} are no gates and weights", input.shape(), weight.shape()),
        ));
    };
    let keep = settings.keep.clone().map(Var::constant);
    let cell = Cell { cell: settings.cell, hidden, weight, bias: bias.as_ref(), keep };
    let first = |given: &Option<Var>| match given {
        Some(state) => Ok(state.clone()),
        None => Tensor::zeros([batch, hidden], input.dtype(), input.device()).map(Var::constant),
    };
    let mut h = first(h0)?;
    let mut c = if settings.cell.has_cell_state() { Some(first(c0)?) } else { None };
    let mut states = vec![h.clone(); steps];
    for i in 0..steps {
        let t = if settings.reverse { steps - 1 - i } else { i };
        let (mut h_after, mut c_after) = cell.forward(&step(input, t)?, &h, c.as_ref())?;
        if let Some(mask) = &settings.mask {
            let mask = mask.index(0, t)?.unsqueeze(1)?.broadcast_to([batch, hidden])?;
            h_after = Var::select(&mask, &h_after, &h)?;
            if let (Some(after), Some(before)) = (&c_after, &c) {
                c_after = Some(Var::select(&mask, after, before)?);
            }
        }
        states[t] = h_after.clone();
        (h, c) = (h_after, c_after);
    }
    if settings.output == RecurrentOutput::Last {
        return Ok(h);
    }
    if settings.output == RecurrentOutput::WithCell {
        states.extend(c);
    }
    Var::stack(&states.iter().collect::<Vec<_>>(), 0)
}
