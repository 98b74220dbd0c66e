//! A recurrent layer step by step.

use super::Recurrence;
use crate::{Arithmetic, Result, Shape, Tape, Tensor, Traced};
use kiln_math::Real;
use kiln_math::recurrent::{Before, Cell, CellVisitor, Inner};

/// States of all steps.
pub struct RecurrentSteps<T> {
    /// (T, N, H): the state after each step.
    pub states: T,
    /// (T, N, H): the second state after each step.
    pub cells: Option<T>,
}

/// One step, before any mask: its cell's formulas, run over tensors.
struct Step<'a, T> {
    layer: &'a Recurrence<&'a T, &'a Tensor>,
    /// (N, G·H): the input's part of the gates' arguments.
    input: &'a T,
    /// (N, H): the states before.
    h: &'a T,
    c: Option<&'a T>,
}

impl<T: Arithmetic> Step<'_, T> {
    /// (N, H) · Wᵀ of one gate.
    fn product(&self, x: &T, gate: usize) -> Result<T> {
        let hidden = x.value().dims()[1];
        x.matmul(&self.layer.weight.slice(0, gate * hidden..(gate + 1) * hidden)?.transpose(0, 1)?)
    }

    /// The state times what is kept of it.
    fn kept(&self, x: T) -> Result<T> {
        match self.layer.keep {
            Some(keep) => x.mul(&T::constant(keep.clone())),
            None => Ok(x),
        }
    }
}

impl<T: Arithmetic> CellVisitor for Step<'_, T> {
    type Output = Result<(T, Option<T>)>;

    /// The states after the step.
    fn visit<C: Cell<G, W>, const G: usize, const W: usize>(self, _: C) -> Self::Output {
        let (tape, hidden, kept) = (Tape::default(), self.h.value().dims()[1], self.kept(self.h.clone())?);
        let h = tape.given(self.h.clone());
        let evaluate = |number: Traced<'_, T>| tape.evaluate(number)?.into_tensors(self.h);
        let mut arguments = [h; G];
        for (gate, argument) in arguments.iter_mut().enumerate() {
            let input = self.input.slice(1, gate * hidden..(gate + 1) * hidden)?;
            let apart = gate + 1 == G && matches!(C::INNER, Inner::Product | Inner::Factor);
            *argument = tape.given(if apart { input } else { input.add(&self.product(&kept, gate)?)? });
        }
        let inner = match C::INNER {
            Inner::Nothing => Traced::constant(0.0),
            Inner::State => self.c.map_or(Traced::constant(0.0), |c| tape.given(c.clone())),
            Inner::Product => tape.given(self.product(&kept, G - 1)?),
            Inner::Factor => {
                let (gates, factor) = C::factor(arguments, h);
                let factor = self.kept(evaluate(factor)?)?;
                arguments = gates;
                arguments[G - 1] = gates[G - 1] + tape.given(self.product(&factor, G - 1)?);
                tape.given(factor)
            }
        };
        let mut weights = [Traced::constant(0.0); W];
        if let Some(own) = self.layer.unit_weights {
            for (at, weight) in weights.iter_mut().enumerate() {
                *weight = tape.given(own.slice(0, at * hidden..(at + 1) * hidden)?);
            }
        }
        let after = C::step(arguments, &Before { h, inner, weights });
        let cell = (C::INNER == Inner::State).then(|| evaluate(after.inner)).transpose()?;
        Ok((evaluate(after.h)?, cell))
    }
}

/// The composed form: all steps of one direction from the input's part of the gates' arguments (T, N, G·H).
///
/// # Errors
/// Those of the operations; shapes were checked.
pub fn composed<T: Arithmetic>(input: &T, layer: &Recurrence<&T, &Tensor>) -> Result<RecurrentSteps<T>> {
    let weight = layer.weight.value();
    let (steps, hidden) = (input.value().dims()[0], weight.dims()[1]);
    let size @ [batch, _] = [input.value().dims()[1], hidden];
    let zeros = |dims: &[usize]| Tensor::zeros(Shape::new(dims)?, weight.dtype(), weight.device()).map(T::constant);
    let first = |given: Option<&T>| given.map_or_else(|| zeros(&size), |state| Ok(state.clone()));
    let mut h = first(layer.h0)?;
    let mut c = layer.cell.has_cell_state().then(|| first(layer.c0)).transpose()?;
    if steps == 0 {
        let none = || zeros(&[0, batch, hidden]);
        return Ok(RecurrentSteps { states: none()?, cells: c.map(|_| none()).transpose()? });
    }
    let (mut states, mut cells) = (vec![h.clone(); steps], vec![]);
    cells.extend(c.iter().flat_map(|c| vec![c.clone(); steps]));
    for i in 0..steps {
        let t = if layer.reverse { steps - 1 - i } else { i };
        let width = input.value().dims()[2];
        let now = input.slice(0, t..t + 1)?.reshape(Shape::new(&[batch, width])?)?;
        let step = Step { layer, input: &now, h: &h, c: c.as_ref() };
        let (mut h_after, mut c_after) = layer.cell.visit(step)?;
        if let Some(mask) = layer.mask {
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
