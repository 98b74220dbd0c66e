//! A step by a rule over whole tensors.

use super::State;
use kiln_autograd::Gradients;
use kiln_nn::{Module, Param};
use kiln_tensor::{Error, Result, Tensor};

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
    /// A state; before the first step zeros like the parameter.
    ///
    /// # Errors
    /// Out of memory.
    pub fn state(&self, position: usize) -> Result<Tensor> {
        match self.states.get(position) {
            Some(Some(state)) => Ok(state.clone()),
            _ => Tensor::zeros(self.parameter.shape(), self.parameter.dtype(), self.parameter.device()),
        }
    }
}

impl State {
    /// One step by a rule over whole tensors, which gives the parameter and its states after it, as many as the optimizer has names.
    /// Groups, schedule, `apply` and the order of things are as of [`Optimizer::step_if`](crate::Optimizer::step_if).
    ///
    /// # Errors
    /// As there, and those of the rule; nothing is changed then.
    pub fn step_whole(
        &mut self,
        model: &mut dyn Module,
        gradients: &Gradients,
        apply: Option<&Tensor>,
        mut rule: impl FnMut(&Whole<'_>) -> Result<(Tensor, Vec<Tensor>)>,
    ) -> Result<()> {
        self.stepping(model, gradients, |state, parameters, _, gradients| {
            // All are computed before the first is written.
            let mut results = Vec::with_capacity(parameters.len());
            for ((at, parameter), gradient) in parameters.iter().enumerate().zip(gradients) {
                results
                    .push(gradient.map(|gradient| state.after(at, parameter, gradient, apply, &mut rule)).transpose()?);
            }
            for ((slot, parameter), result) in state.slots.slots.iter_mut().zip(parameters).zip(results) {
                if let Some((value, states)) = result {
                    parameter.value_mut().copy_from(&value)?;
                    slot.tensors = states.into_iter().map(Some).collect();
                }
            }
            Ok(())
        })
    }

    /// A parameter and its states after a step.
    fn after(
        &self,
        at: usize,
        parameter: &Param,
        gradient: &Tensor,
        apply: Option<&Tensor>,
        rule: &mut impl FnMut(&Whole<'_>) -> Result<(Tensor, Vec<Tensor>)>,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let (slot, value) = (&self.slots.slots[at], parameter.value());
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
        let (after, states) = rule(&whole)?;
        self.check_result(&whole, &after, &states)?;
        let states = states.into_iter().enumerate().map(|(at, state)| chosen(apply, state, slot.tensors.get(at)));
        let states = states.collect::<Result<Vec<Tensor>>>()?;
        Ok((chosen(apply, after.to_dtype(value.dtype())?, Some(&Some(value.clone())))?, states))
    }

    fn check_result(&self, whole: &Whole<'_>, after: &Tensor, states: &[Tensor]) -> Result<()> {
        if after.shape() == whole.parameter.shape() && states.len() == self.names.len() {
            return Ok(());
        }
        Err(Error::shape(
            "optimizer.step",
            format!(
                "the rule made of {}, {}, a parameter of {} with {} states, expected {}; nothing was changed",
                whole.path,
                whole.parameter.shape(),
                after.shape(),
                states.len(),
                self.names.len()
            ),
        ))
    }
}

/// `after` where the step is applied, else `before`, or zeros where there was nothing.
fn chosen(apply: Option<&Tensor>, after: Tensor, before: Option<&Option<Tensor>>) -> Result<Tensor> {
    let Some(apply) = apply else { return Ok(after) };
    let before = match before {
        Some(Some(before)) => before.to_dtype(after.dtype())?,
        _ => Tensor::zeros(after.shape(), after.dtype(), after.device())?,
    };
    Tensor::select(&apply.reshape(())?, &after, &before)
}
