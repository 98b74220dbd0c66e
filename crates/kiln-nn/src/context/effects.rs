//! What a forward pass leaves to be done: new values of buffers, penalties on the loss.

use crate::updates::Updates;
use crate::{Buffer, L1L2, Module, Param};
use kiln_autograd::{LeafId, Var};
use kiln_tensor::{Result, Tensor};
use std::cell::RefCell;

/// New values of buffers and penalties, handed in by layers as they run. Nothing is changed until the step has succeeded.
#[derive(Default, Debug)]
pub(crate) struct Effects {
    updates: RefCell<Updates>,
    penalties: RefCell<Vec<Penalty>>,
}

/// What is to be added to the loss. Sums are left to whoever asks for them: a prediction has no loss.
#[derive(Debug)]
pub(crate) enum Penalty {
    Weight(LeafId, Var, L1L2),
    Activity(Var, L1L2),
    Own(Var),
}

impl Penalty {
    /// The number; none of factors of 0.
    fn value(self) -> Result<Option<Var>> {
        match self {
            Penalty::Weight(_, weight, regularizer) => regularizer.penalty(&weight),
            Penalty::Activity(output, regularizer) => {
                let samples = output.dims().first().copied().unwrap_or(1).max(1);
                regularizer.scaled(1.0 / samples as f64).penalty(&output)
            }
            Penalty::Own(value) => Ok(Some(value)),
        }
    }
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

    /// Whether a parameter's penalty was handed in.
    pub(crate) fn penalizes(&self, parameter: &Param) -> bool {
        let known = |penalty: &Penalty| matches!(penalty, Penalty::Weight(id, ..) if *id == parameter.id());
        self.penalties.borrow().iter().any(known)
    }

    /// Adds a penalty.
    pub(crate) fn penalize(&self, penalty: Penalty) {
        self.penalties.borrow_mut().push(penalty);
    }

    /// What was handed in for buffers by a pass that went before.
    pub(crate) fn after(updates: Updates) -> Self {
        Effects { updates: updates.into(), ..Effects::default() }
    }

    /// What was handed in for buffers.
    pub(crate) fn updates(&self) -> Updates {
        self.updates.borrow().clone()
    }

    /// How many penalties were handed in.
    pub(crate) fn penalties_so_far(&self) -> usize {
        self.penalties.borrow().len()
    }

    /// The values of the penalties from this one on, but for those of weights, each with its place among all.
    pub(crate) fn penalties_of_values(&self, from: usize) -> Result<Vec<(usize, Var)>> {
        let all = self.penalties.take();
        let (mut kept, mut values) = (Vec::with_capacity(all.len()), Vec::new());
        for (at, penalty) in all.into_iter().enumerate() {
            if at < from || matches!(penalty, Penalty::Weight(..)) {
                kept.push(penalty);
            } else if let Some(value) = penalty.value()? {
                values.push((kept.len(), value.clone()));
                kept.push(Penalty::Own(value));
            }
        }
        self.penalties.replace(kept);
        Ok(values)
    }

    /// Puts a value in the place of a penalty.
    pub(crate) fn replace_penalty(&self, at: usize, value: Var) {
        if let Some(penalty) = self.penalties.borrow_mut().get_mut(at) {
            *penalty = Penalty::Own(value);
        }
    }

    /// The sum of the penalties, handed out once.
    pub(crate) fn penalty(&self) -> Result<Option<Var>> {
        let mut sum: Option<Var> = None;
        for penalty in self.penalties.take() {
            sum = match (sum, penalty.value()?) {
                (Some(sum), Some(value)) => Some(sum.add(&value)?),
                (sum, value) => sum.or(value),
            };
        }
        Ok(sum)
    }

    /// Writes what was handed in for buffers, all or none; where `applies` is given, only where it is true.
    pub(crate) fn commit<M: Module + ?Sized>(&self, model: &mut M, applies: Option<&Tensor>) -> Result<()> {
        self.updates.take().commit(model, applies)
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
        effects.commit(&mut model, None).unwrap();
        assert_eq!(model.value().to_f64_vec().unwrap(), [2.0, 2.0]);
    }

    #[test]
    fn a_buffer_that_is_not_visited_is_refused() {
        let (effects, mut model) = (Effects::default(), buffer());
        effects.update(&buffer(), model.value().clone());
        assert!(effects.commit(&mut model, None).unwrap_err().to_string().contains("not visited"));
    }
}
