//! A step that moves each parameter along a direction, as far as a number in device memory says.

use super::State;
use super::whole::{After, Whole};
use kiln_autograd::Gradients;
use kiln_math::UpdateRule;
use kiln_math::update::{Adam, Average, CONSTANTS, Listed, MAX_STATES, Rule, Step};
use kiln_nn::{Module, Param};
use kiln_tensor::{DType, Device, Result, Tensor, UpdateTensors};

/// How a parameter moves: p ← keep·p + by·along.
#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) keep: f64,
    /// One number on the parameter's device, of the type that is computed in.
    pub(crate) by: Tensor,
    /// Of the parameter's shape.
    pub(crate) along: Tensor,
}

impl State {
    /// One step by a rule that says how each parameter moves.
    pub(crate) fn step_moves(
        &mut self,
        model: &mut dyn Module,
        gradients: &Gradients,
        apply: Option<&Tensor>,
        mut rule: impl FnMut(&Whole<'_>) -> Result<After<Move>>,
    ) -> Result<()> {
        self.stepping(model, gradients, |state, parameters, device, gradients| {
            let made = state.compute(&parameters, &gradients, apply, |whole| rule(whole).map(Some))?;
            state.finish(made, parameters, device, apply)
        })
    }

    /// One step by a rule that says how some parameters move; the others take a step of the elementwise rule `rest`.
    pub(crate) fn step_moves_or<R: Listed>(
        &mut self,
        rest: &R,
        model: &mut dyn Module,
        gradients: &Gradients,
        apply: Option<&Tensor>,
        rule: impl FnMut(&Whole<'_>) -> Result<Option<After<Move>>>,
    ) -> Result<()> {
        self.stepping(model, gradients, |state, mut parameters, device, gradients| {
            let made = state.compute(&parameters, &gradients, apply, rule)?;
            let others = gradients.iter().zip(&made).map(|(gradient, made)| gradient.filter(|_| made.is_none()));
            let others: Vec<Option<&Tensor>> = others.collect();
            if others.iter().any(Option::is_some) {
                let targets = parameters.iter_mut().map(|parameter| parameter.value_mut()).collect();
                state.update(rest, &|step| rest.constants(step), targets, device, &others, apply)?;
            }
            state.finish(made, parameters, device, apply)
        })
    }

    /// One step along the directions of Adam, −m̂ / (√v̂ + ε), whose moments are the first two states. The kernel of Adam's step makes
    /// them: from zeros, at a learning rate of 1. `rule` is given each parameter with its direction.
    pub(crate) fn step_along(
        &mut self,
        adam: &Adam,
        model: &mut dyn Module,
        gradients: &Gradients,
        apply: Option<&Tensor>,
        mut rule: impl FnMut(&Whole<'_>, Tensor) -> Result<Move>,
    ) -> Result<()> {
        self.stepping(model, gradients, |state, parameters, device, gradients| {
            let zeros = |parameter: &&mut Param| {
                let value = parameter.value();
                Tensor::zeros(value.shape(), value.dtype().computed_in(), device)
            };
            let mut directions = parameters.iter().map(zeros).collect::<Result<Vec<Tensor>>>()?;
            let at = |step: &Step| adam.constants(&Step { learning_rate: 1.0, weight_decay: 0.0, ..*step });
            state.update(adam, &at, directions.iter_mut().collect(), device, &gradients, apply)?;
            let mut of_gradients = directions.into_iter().zip(&gradients).filter(|(_, gradient)| gradient.is_some());
            let made = state.compute(&parameters, &gradients, apply, |whole| {
                let next = of_gradients.next();
                next.map(|(direction, _)| Ok((rule(whole, direction)?, Vec::new()))).transpose()
            })?;
            let moves = made.into_iter().map(|made| made.map(|(made, _)| made)).collect();
            move_all(parameters, moves, device, apply)
        })
    }

    /// Moves the parameters and keeps their states.
    fn finish(
        &mut self,
        made: Vec<Option<After<Move>>>,
        parameters: Vec<&mut Param>,
        device: &Device,
        apply: Option<&Tensor>,
    ) -> Result<()> {
        let mut moves = Vec::with_capacity(made.len());
        let mut all_states = Vec::with_capacity(made.len());
        for made in made {
            let (one, states) = made.unzip();
            moves.push(one);
            all_states.push(states);
        }
        move_all(parameters, moves, device, apply)?;
        for (slot, states) in self.slots.slots.iter_mut().zip(all_states) {
            if let Some(states) = states {
                slot.tensors = states;
            }
        }
        Ok(())
    }
}

/// Moves all parameters that have a move, those of one type in one pass, by the rule of running averages.
fn move_all(
    parameters: Vec<&mut Param>,
    moves: Vec<Option<Move>>,
    device: &Device,
    apply: Option<&Tensor>,
) -> Result<()> {
    let mut by_type = [(DType::F32, Vec::new()), (DType::F64, Vec::new())];
    for (parameter, made) in parameters.into_iter().zip(&moves) {
        if let Some(made) = made {
            by_type[usize::from(made.along.dtype() == DType::F64)].1.push((parameter, made));
        }
    }
    for (dtype, of_type) in by_type {
        if of_type.is_empty() {
            continue;
        }
        let moves: Vec<&Move> = of_type.iter().map(|(_, made)| *made).collect();
        let constants = constants(&moves, dtype, device)?;
        let tensors = of_type.into_iter().enumerate().map(|(row, (parameter, made))| UpdateTensors {
            parameter: parameter.value_mut(),
            gradient: &made.along,
            states: [const { None }; MAX_STATES],
            row,
        });
        Tensor::update(UpdateRule::Average, &constants, apply, &mut tensors.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// A row of constants for each move. How far it goes is known to the device alone, and is written into its column there.
fn constants(moves: &[&Move], dtype: DType, device: &Device) -> Result<Tensor> {
    let step = Step { learning_rate: 0.0, weight_decay: 0.0, number: 1.0, smallest: dtype.smallest_normal() };
    let rows = moves.iter().flat_map(|made| Average { own: made.keep, share: 0.0 }.constants(&step));
    let mut constants = Tensor::from_vec(rows.collect::<Vec<f64>>(), [moves.len(), CONSTANTS], &Device::cpu())?
        .to_dtype(dtype)?
        .to_device(device)?;
    let by: Vec<&Tensor> = moves.iter().map(|made| &made.by).collect();
    constants.slice_assign(1, 1..2, &Tensor::stack(&by, 0)?.unsqueeze(1)?)?;
    Ok(constants)
}
