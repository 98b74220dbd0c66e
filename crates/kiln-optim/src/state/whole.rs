//! A step by a rule over whole tensors.

use super::State;
use crate::averages;
use kiln_autograd::Gradients;
use kiln_nn::{Module, Param};
use kiln_tensor::{Error, IntoShape, Result, Tensor};

/// A parameter of a step, as a rule over whole tensors sees it. Half types are widened: the rule computes in f32 or f64.
#[derive(Debug)]
pub struct Whole<'a> {
    /// The parameter's path.
    pub path: &'a str,
    /// Its value.
    pub parameter: Tensor,
    /// Its gradient.
    pub gradient: Tensor,
    /// Its states, in the order of the optimizer's names; none before the first step.
    pub states: &'a [Option<Tensor>],
    /// The learning rate, with the factors of schedule and group.
    pub learning_rate: f64,
    /// λ, that of the group or of the optimizer.
    pub weight_decay: f64,
    /// The step's number, from 1.
    pub number: u64,
}

impl Whole<'_> {
    /// A state of the parameter's shape; before the first step zeros.
    ///
    /// # Errors
    /// A loaded state of another shape; out of memory.
    pub fn state(&self, position: usize) -> Result<Tensor> {
        self.state_of(position, *self.parameter.shape())
    }

    /// A state of this shape; before the first step zeros.
    ///
    /// # Errors
    /// A loaded state of another shape; out of memory.
    pub fn state_of(&self, position: usize, shape: impl IntoShape) -> Result<Tensor> {
        let (shape, dtype, device) = (shape.into_shape()?, self.parameter.dtype(), self.parameter.device());
        match self.states.get(position) {
            Some(Some(state)) if *state.shape() == shape => state.to_dtype(dtype)?.to_device(device),
            Some(Some(state)) => Err(Error::shape(
                "optimizer.step",
                format!("a state of {} is of {}, expected {shape}; nothing was changed", self.path, state.shape()),
            )),
            _ => Tensor::zeros(shape, dtype, device),
        }
    }

    /// own · average + share · new in one pass, without denormal numbers: the next value of a running average.
    pub(crate) fn average(&self, mut average: Tensor, own: f64, new: &Tensor, share: f64) -> Result<Tensor> {
        averages::average(vec![(&mut average, new)], own, share, None)?;
        Ok(average)
    }

    /// A number in the memory of the parameter's device.
    pub(crate) fn number(&self, value: f64) -> Result<Tensor> {
        Tensor::full((), value, self.parameter.dtype(), self.parameter.device())
    }
}

/// What a rule makes of a parameter, and the states after it, in the order of the optimizer's names; `None` for one that is not kept.
pub(crate) type After<T> = (T, Vec<Option<Tensor>>);

impl State {
    /// One step by a rule over whole tensors, which gives the parameter and its states after it, as many as the optimizer has names;
    /// `None` for a state that this parameter does not have. Groups, schedule, `apply` and the order of things are as of
    /// [`Optimizer::step_if`](crate::Optimizer::step_if).
    ///
    /// # Errors
    /// As there, and those of the rule; nothing is changed then.
    pub fn step_whole(
        &mut self,
        model: &mut dyn Module,
        gradients: &Gradients,
        apply: Option<&Tensor>,
        mut rule: impl FnMut(&Whole<'_>) -> Result<(Tensor, Vec<Option<Tensor>>)>,
    ) -> Result<()> {
        let states = self.names.len();
        self.stepping(model, gradients, |state, parameters, _, gradients| {
            let results = state.compute(&parameters, &gradients, apply, |whole| {
                let (after, given) = rule(whole)?;
                check_result(whole, &after, given.len(), states)?;
                Ok(Some((chosen(apply, after, Some(&whole.parameter))?, given)))
            })?;
            for ((slot, parameter), result) in state.slots.slots.iter_mut().zip(parameters).zip(results) {
                if let Some((value, states)) = result {
                    parameter.value_mut().copy_from(&value)?;
                    slot.tensors = states;
                }
            }
            Ok(())
        })
    }

    /// What a rule makes of each parameter that has a gradient; `None` where it makes nothing. All is computed before anything is
    /// written. The states are those from before where the step is not applied.
    pub(super) fn compute<T>(
        &self,
        parameters: &[&mut Param],
        gradients: &[Option<&Tensor>],
        apply: Option<&Tensor>,
        mut rule: impl FnMut(&Whole<'_>) -> Result<Option<After<T>>>,
    ) -> Result<Vec<Option<After<T>>>> {
        let mut results = Vec::with_capacity(parameters.len());
        for ((slot, parameter), gradient) in self.slots.slots.iter().zip(parameters).zip(gradients) {
            let Some(gradient) = *gradient else {
                results.push(None);
                continue;
            };
            let value = parameter.value();
            let wide = value.dtype().computed_in();
            let step = self.of_row(self.slots.rows[slot.row], value.dtype().smallest_normal());
            let whole = Whole {
                path: &slot.path,
                parameter: value.to_dtype(wide)?,
                gradient: gradient.to_dtype(wide)?,
                states: &slot.tensors,
                learning_rate: step.learning_rate,
                weight_decay: step.weight_decay,
                number: self.count + 1,
            };
            let result = rule(&whole)?.map(|(made, states)| {
                let states = states.into_iter().enumerate().map(|(at, state)| {
                    let before = slot.tensors.get(at).and_then(Option::as_ref);
                    state.map(|state| chosen(apply, state, before)).transpose()
                });
                Ok((made, states.collect::<Result<_>>()?))
            });
            results.push(result.transpose()?);
        }
        Ok(results)
    }
}

fn check_result(whole: &Whole<'_>, after: &Tensor, states: usize, expected: usize) -> Result<()> {
    if after.shape() == whole.parameter.shape() && states == expected {
        return Ok(());
    }
    Err(Error::shape(
        "optimizer.step",
        format!(
            "the rule made of {}, {}, a parameter of {} with {states} states, expected {expected}; nothing was changed",
            whole.path,
            whole.parameter.shape(),
            after.shape(),
        ),
    ))
}

/// `after` where the step is applied, else `before`, or zeros where there was nothing.
fn chosen(apply: Option<&Tensor>, after: Tensor, before: Option<&Tensor>) -> Result<Tensor> {
    let Some(apply) = apply else { return Ok(after) };
    let before = match before {
        Some(before) => before.to_dtype(after.dtype())?.to_device(after.device())?,
        None => Tensor::zeros(after.shape(), after.dtype(), after.device())?,
    };
    Tensor::select(&apply.reshape(())?, &after, &before)
}
