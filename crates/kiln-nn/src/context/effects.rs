//! What a forward pass leaves to be done: new values of buffers, constraints of parameters, penalties on the loss.

use super::constrained::Constrained;
use crate::updates::Updates;
use crate::{Buffer, Constraint, L1L2, Module, Param};
use kiln_autograd::{LeafId, Var};
use kiln_tensor::{Result, Tensor};
use std::cell::RefCell;

/// New values of buffers, constraints and penalties, handed in by layers as they run. Nothing is changed until the step has
/// succeeded.
#[derive(Default, Debug)]
pub(crate) struct Effects {
    updates: RefCell<Updates>,
    constrained: RefCell<Constrained>,
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
        self.updates.borrow_mut().set(buffer, value);
    }

    /// What a buffer is to be averaged with.
    pub(crate) fn average(&self, buffer: &Buffer, batch: Tensor, own: f64, share: f64) {
        self.updates.borrow_mut().average(buffer, batch, own, share);
    }

    /// A buffer's value with what was handed in, else what was committed.
    pub(crate) fn value_of(&self, buffer: &Buffer) -> Result<Tensor> {
        self.updates.borrow().value_of(buffer)
    }

    /// What a parameter is brought back to. The first one counts.
    pub(crate) fn constrain(&self, parameter: &Param, constraint: &Constraint) {
        self.constrained.borrow_mut().add(parameter.id(), constraint);
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

    /// Writes what these passes, in order, have handed in for buffers, and applies each parameter's constraint once; all or
    /// nothing. Where `applies` is given, only where it is true.
    pub(crate) fn commit<'e, M: Module + ?Sized>(
        passes: impl Iterator<Item = &'e Effects>,
        model: &mut M,
        applies: Option<&Tensor>,
    ) -> Result<()> {
        let (mut updates, mut constrained) = (Updates::default(), Constrained::default());
        for pass in passes {
            updates.append(pass.updates.take());
            constrained.append(pass.constrained.take());
        }
        let constrained = constrained.values(model, applies)?;
        updates.commit(model, applies)?;
        constrained.write(model)
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
        effects.update(&model, effects.value_of(&model).unwrap().add_scalar(1.0).unwrap());
        assert_eq!(model.value().to_f64_vec().unwrap(), [0.0, 0.0]);
        Effects::commit(std::iter::once(&effects), &mut model, None).unwrap();
        assert_eq!(model.value().to_f64_vec().unwrap(), [2.0, 2.0]);
    }

    #[test]
    fn a_buffer_that_is_not_visited_is_refused() {
        let (effects, mut model) = (Effects::default(), buffer());
        effects.update(&buffer(), model.value().clone());
        let committed = Effects::commit(std::iter::once(&effects), &mut model, None);
        assert!(committed.unwrap_err().to_string().contains("not visited"));
    }
}
