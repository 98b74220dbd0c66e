//! What a forward pass leaves to be done: new values of buffers, penalties on the loss.

use crate::module::VisitorMut;
use crate::{Buffer, BufferId, L1L2, Module, Param};
use kiln_autograd::{LeafId, Var};
use kiln_tensor::{Error, ErrorKind, Result, Tensor};
use std::cell::RefCell;

/// New values of buffers and penalties, handed in by layers as they run. Nothing is changed until the step has succeeded.
#[derive(Default, Debug)]
pub(crate) struct Effects {
    updates: RefCell<Vec<(BufferId, Tensor)>>,
    penalties: RefCell<Vec<Penalty>>,
}

/// What is to be added to the loss. Sums are left to whoever asks for them: a prediction has no loss.
#[derive(Debug)]
pub(crate) enum Penalty {
    Weight(LeafId, Var, L1L2),
    Activity(Var, L1L2),
    Own(Var),
}

impl Effects {
    /// The next value of a buffer. The last one counts.
    pub(crate) fn update(&self, buffer: &Buffer, value: Tensor) {
        let mut updates = self.updates.borrow_mut();
        match updates.iter_mut().find(|(id, _)| *id == buffer.id()) {
            Some((_, pending)) => *pending = value,
            None => updates.push((buffer.id(), value)),
        }
    }

    /// A buffer's value: what was handed in, else what was committed.
    pub(crate) fn value_of(&self, buffer: &Buffer) -> Tensor {
        let updates = self.updates.borrow();
        updates.iter().find(|(id, _)| *id == buffer.id()).map_or_else(|| buffer.value().clone(), |(_, v)| v.clone())
    }

    /// Whether a parameter's penalty was handed in.
    pub(crate) fn penalizes(&self, parameter: &Param) -> bool {
        let known = |penalty: &Penalty| matches!(penalty, Penalty::Weight(id, ..) if *id == parameter.id());
        self.penalties.borrow().iter().any(known)
    }

    /// Adds a penalty.
    pub(crate) fn penalize(&self, penalty: Penalty) {
        self.penalties.borrow_mut().push(penalty);
    }

    /// The sum of the penalties, handed out once.
    pub(crate) fn penalty(&self) -> Result<Option<Var>> {
        let mut sum: Option<Var> = None;
        for penalty in self.penalties.take() {
            let value = match penalty {
                Penalty::Weight(_, weight, regularizer) => regularizer.penalty(&weight)?,
                Penalty::Activity(output, regularizer) => {
                    let samples = output.dims().first().copied().unwrap_or(1).max(1);
                    regularizer.scaled(1.0 / samples as f64).penalty(&output)?
                }
                Penalty::Own(value) => Some(value),
            };
            sum = match (sum, value) {
                (Some(sum), Some(value)) => Some(sum.add(&value)?),
                (sum, value) => sum.or(value),
            };
        }
        Ok(sum)
    }

    /// Writes the values that were handed in, all or none.
    pub(crate) fn commit<M: Module + ?Sized>(&self, model: &mut M) -> Result<()> {
        let updates = std::mem::take(&mut *self.updates.borrow_mut());
        if updates.is_empty() {
            return Ok(());
        }
        let mut gather = Gather { updates, pairs: Vec::new() };
        model.visit_mut(&mut gather);
        if !gather.updates.is_empty() {
            return Err(Error::new(
                ErrorKind::Value,
                "ctx.commit",
                format!(
                    "{} updated buffer(s) are not visited by this model: is one under `#[module(skip)]`?",
                    gather.updates.len()
                ),
            ));
        }
        for (buffer, value) in &gather.pairs {
            buffer.accepts(value)?;
        }
        gather.pairs.into_iter().for_each(|(buffer, value)| buffer.replace(value));
        Ok(())
    }
}

/// Pairs buffers with their new values.
struct Gather<'m> {
    updates: Vec<(BufferId, Tensor)>,
    pairs: Vec<(&'m mut Buffer, Tensor)>,
}

impl<'m> VisitorMut<'m> for Gather<'m> {
    fn parameter(&mut self, _: &'m mut Param) {}
    fn buffer(&mut self, buffer: &'m mut Buffer) {
        if let Some(at) = self.updates.iter().position(|(id, _)| *id == buffer.id()) {
            let (_, value) = self.updates.swap_remove(at);
            self.pairs.push((buffer, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tensor::{DType, Device};

    fn buffer() -> Buffer {
        Buffer::new(Tensor::zeros([2], DType::F32, &Device::cpu()).unwrap())
    }

    #[test]
    fn the_last_value_counts_and_is_written_on_commit() {
        let (effects, mut model) = (Effects::default(), buffer());
        effects.update(&model, model.value().add_scalar(1.0).unwrap());
        effects.update(&model, effects.value_of(&model).add_scalar(1.0).unwrap());
        assert_eq!(model.value().to_f64_vec().unwrap(), [0.0, 0.0]);
        effects.commit(&mut model).unwrap();
        assert_eq!(model.value().to_f64_vec().unwrap(), [2.0, 2.0]);
    }

    #[test]
    fn a_buffer_that_is_not_visited_is_refused() {
        let (effects, mut model) = (Effects::default(), buffer());
        effects.update(&buffer(), model.value().clone());
        assert!(effects.commit(&mut model).unwrap_err().to_string().contains("not visited"));
    }
}
