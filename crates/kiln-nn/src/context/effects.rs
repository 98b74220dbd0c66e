//! What a forward pass leaves to be done: new values of buffers, constraints of parameters, penalties on the loss.

use super::constrained::Constrained;
use crate::updates::Updates;
use crate::{Buffer, Constraint, Ctx, L1L2, Module, Param};
use kiln_autograd::{LeafId, Var};
use kiln_tensor::profile::{Phase, enter};
use kiln_tensor::{DType, Result, Tensor};
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
    /// Of what stands for a parameter, which a part computes that is run again.
    Replaced(LeafId, Var, L1L2),
    Activity(Var, L1L2),
    Own(Var),
}

impl Penalty {
    /// The number; none of factors of 0.
    fn value(self) -> Result<Option<Var>> {
        match self {
            Penalty::Weight(_, weight, regularizer) | Penalty::Replaced(_, weight, regularizer) => {
                regularizer.penalty(&weight)
            }
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

    /// What a parameter is brought back to. The first one counts.
    pub(crate) fn constrain(&self, parameter: &Param, constraint: &Constraint) {
        self.constrained.borrow_mut().add(parameter.id(), constraint);
    }

    /// Whether a parameter's penalty was handed in.
    pub(crate) fn penalizes(&self, parameter: &Param) -> bool {
        let known = |penalty: &Penalty| match penalty {
            Penalty::Weight(id, ..) | Penalty::Replaced(id, ..) => *id == parameter.id(),
            Penalty::Activity(..) | Penalty::Own(_) => false,
        };
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

    /// Writes what these passes, in order, have handed in for buffers, and applies each parameter's constraint once; all or
    /// nothing. Where `applies` is given, only where it is true.
    pub(crate) fn commit<'e, M: Module + ?Sized>(
        passes: impl Iterator<Item = &'e Effects>,
        model: &mut M,
        applies: Option<&Tensor>,
    ) -> Result<()> {
        let _here = enter(Phase::Optimizer, "buffers and constraints");
        let (mut updates, mut constrained) = (Updates::default(), Constrained::default());
        for pass in passes {
            updates.append(pass.updates.take());
            constrained.append(pass.constrained.take());
        }
        let constrained = constrained.values(model, applies)?;
        updates.commit(model, applies)?;
        constrained.write(model)
    }

    /// Writes what was handed in; running averages become means over so many passes.
    pub(crate) fn commit_mean<M: Module + ?Sized>(&self, model: &mut M, passes: u64) -> Result<()> {
        self.updates.take().into_means(passes)?.commit(model, None)
    }
}

/// What a pass leaves to be done.
impl Ctx {
    /// Hands in the next value of a buffer, which [`Ctx::commit`] writes. The last one counts.
    pub fn update(&self, buffer: &Buffer, value: Tensor) {
        self.effects.update(buffer, value);
    }

    /// Hands in what a buffer is to be averaged with: [`Ctx::commit`] makes it own · buffer + share · batch, in its own memory. A
    /// layer that is used twice in a step averages twice.
    pub fn average(&self, buffer: &Buffer, batch: Tensor, own: f64, share: f64) {
        self.effects.average(buffer, batch, own, share);
    }

    /// A buffer's value as this pass sees it: with what was handed in, else what was committed.
    ///
    /// # Errors
    /// What was handed in does not fit the buffer.
    pub fn value_of(&self, buffer: &Buffer) -> Result<Tensor> {
        self.effects.value_of(buffer)
    }

    /// Adds the penalty of a parameter to the loss. A parameter that is used twice counts once, a frozen one not at all, as
    /// in Keras.
    pub fn penalize(&self, parameter: &Param, regularizer: L1L2) {
        if parameter.trainable() && !self.effects.penalizes(parameter) {
            let id = parameter.id();
            let replacement = self.replacement(parameter);
            self.effects.penalize(match replacement {
                Some(var) => Penalty::Replaced(id, self.as_penalty(var), regularizer),
                None => Penalty::Weight(id, self.as_penalty(parameter.leaf_in(self.mode)), regularizer),
            });
        }
    }

    /// Hands in what a parameter is to be brought back to once the step is made, in training; [`Ctx::commit`] does so. A frozen
    /// parameter is left alone, and of one that is used twice the first constraint counts.
    pub fn constrain(&self, parameter: &Param, constraint: &Constraint) {
        if parameter.trainable() && self.is_training() {
            self.effects.constrain(parameter, constraint);
        }
    }

    /// Adds the penalty of a layer's output to the loss, divided by the number of samples (the first axis), as in Keras: a
    /// larger batch does not make it stronger.
    pub fn penalize_activity(&self, output: &Var, regularizer: L1L2) {
        self.effects.penalize(Penalty::Activity(self.as_penalty(output.clone()), regularizer));
    }

    /// Adds one number to the loss (Keras's `add_loss`): a custom penalty.
    pub fn add_loss(&self, value: Var) {
        self.effects.penalize(Penalty::Own(self.as_penalty(value)));
    }

    /// What a penalty is computed of, in the loss's type: f32 where the pass computes in a half type.
    fn as_penalty(&self, x: Var) -> Var {
        let dtype = self.mode.compute.map_or(x.dtype(), DType::computed_in);
        if dtype == x.dtype() { x } else { x.to_dtype(dtype).unwrap_or(x) }
    }

    /// The sum of the penalties of all layers that ran, to be added to the loss; `None` where there are none. It can
    /// be taken once; its terms are then released, so that the backward pass can free them.
    ///
    /// `fit` does this, and as in Keras the losses that it and `evaluate` report include it. In a custom loop:
    ///
    /// ```
    /// # use kiln_nn::{Ctx, Dense, L2, Layer, Loss, MeanSquaredError, Sequential};
    /// # use kiln_autograd::Var;
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// # let cpu = Device::cpu();
    /// # let (x, target) = (Tensor::ones([4, 3], DType::F32, &cpu)?, Tensor::ones([4, 1], DType::F32, &cpu)?);
    /// let model = Sequential::new().push(Dense::new(1).kernel_regularizer(L2(0.01))).build([3], &cpu, 1)?;
    /// let ctx = Ctx::train(1, 0);
    /// let mut loss = MeanSquaredError::new().forward(&model.forward(&x, &ctx)?, &target)?;
    /// if let Some(penalty) = ctx.penalty()? {
    ///     loss = loss.add(&penalty)?;
    /// }
    /// let gradients = loss.backward()?;
    /// # assert_eq!(gradients.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Factors that are negative or not finite; penalties of different dtypes.
    pub fn penalty(&self) -> Result<Option<Var>> {
        self.effects.penalty()
    }

    /// Writes what was handed in for buffers into their own memory, and applies the constraints of parameters: to be called once
    /// the optimizer's step has succeeded.
    ///
    /// # Errors
    /// A value of another shape or dtype than its buffer's; a buffer or a constrained parameter that the model does not visit.
    /// Then nothing was written.
    pub fn commit<M: Module + ?Sized>(&self, model: &mut M) -> Result<()> {
        Effects::commit(std::iter::once(&self.effects), model, None)
    }

    /// As [`Ctx::commit`], of several passes whose gradients made one step: buffers get what each pass has handed in, one after
    /// the other, and a constraint is applied once. Where `applies` is given, one bool in the memory of the model's device,
    /// nothing changes where it is false: whether a loss was finite is known there before the host knows it, and no step waits.
    ///
    /// # Errors
    /// As [`Ctx::commit`].
    pub fn commit_all<M: Module + ?Sized>(passes: &[Ctx], model: &mut M, applies: Option<&Tensor>) -> Result<()> {
        Effects::commit(passes.iter().map(|pass| &pass.effects), model, applies)
    }

    /// As [`Ctx::commit`], but each running average becomes the plain mean over `passes` forward passes, of which this is the last;
    /// pass 1 discards the old value. So batch norms get the statistics of weights that were never trained with, such as an
    /// average of weights (PyTorch's `update_bn`):
    ///
    /// ```
    /// # use kiln_autograd::Var;
    /// # use kiln_nn::{BatchNorm1d, Ctx, Layer, Module, Sequential};
    /// # use kiln_tensor::{Device, Tensor};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// # let cpu = Device::cpu();
    /// # let mut model = Sequential::new().push(BatchNorm1d::new()).build([1], &cpu, 1)?;
    /// # let batch = |a: f32| Tensor::from_slice(&[a, a + 2.0], [2, 1], &cpu).map(Var::constant);
    /// # let batches = [batch(0.0)?, batch(10.0)?];
    /// for (pass, batch) in (1..).zip(&batches) {
    ///     let ctx = Ctx::train(1, pass).recording(false);
    ///     model.forward(batch, &ctx)?;
    ///     ctx.commit_mean(&mut model, pass)?;
    /// }
    /// assert_eq!(model.state_dict()["0.running_mean"].to_f64_vec()?, [6.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Ctx::commit`].
    pub fn commit_mean<M: Module + ?Sized>(&self, model: &mut M, passes: u64) -> Result<()> {
        self.effects.commit_mean(model, passes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_tensor::Device;

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
