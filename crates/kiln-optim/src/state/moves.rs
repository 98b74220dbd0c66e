//! A step that moves each parameter along a direction, as far as a number in device memory says.

use super::State;
use super::whole::{After, Whole};
use crate::averages;
use kiln_autograd::{Gradients, LeafId};
use kiln_math::UpdateRule;
use kiln_math::update::{Adam, Listed, Rule, Step};
use kiln_nn::{Module, Param};
use kiln_tensor::{DType, Device, Result, Tensor};

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
    /// them: from zeros, at a learning rate of 1. `rule` is given each parameter with its direction. It must not refuse anything, as the
    /// moments are written before it: what can be wrong is checked before the step.
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
        let rows = constants(&moves, dtype, device)?;
        let tensors = of_type.into_iter().enumerate();
        let tensors =
            tensors.map(|(row, (parameter, made))| averages::tensors(parameter.value_mut(), &made.along, row));
        Tensor::update(UpdateRule::Average, &rows, apply, &mut tensors.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// A row of constants for each move. How far it goes is known to the device alone, and is written into its column there.
fn constants(moves: &[&Move], dtype: DType, device: &Device) -> Result<Tensor> {
    let rows: Vec<_> = moves.iter().map(|made| averages::constants(made.keep, 0.0, dtype)).collect();
    let mut rows = averages::upload(&rows, dtype, device)?;
    let by: Vec<&Tensor> = moves.iter().map(|made| &made.by).collect();
    rows.slice_assign(1, 1..2, &Tensor::stack(&by, 0)?.unsqueeze(1)?)?;
    Ok(rows)
}

/// How the first pass of sharpness-aware minimization moves the parameters.
impl State {
    /// Moves the parameters by ρ·g/‖g‖, or in the adaptive form by ρ·p²·g/‖p·g‖, and gives what they were.
    pub(crate) fn ascend(
        &mut self,
        model: &mut dyn Module,
        gradients: &Gradients,
        apply: Option<&Tensor>,
        rho: f64,
        adaptive: bool,
    ) -> Result<Vec<(LeafId, Tensor)>> {
        self.with_parameters(model, gradients, |state, parameters, device, gradients| {
            let mut norms = Vec::new();
            let directions = state.compute(&parameters, &gradients, apply, |x| {
                let scaled = if adaptive { x.gradient.mul(&x.parameter)? } else { x.gradient.clone() };
                norms.push(scaled.norm(2.0, ..)?.to_dtype(DType::F64)?);
                let along = if adaptive { scaled.mul(&x.parameter)? } else { scaled };
                Ok(Some((along, Vec::new())))
            })?;
            let norm = Tensor::stack(&norms.iter().collect::<Vec<_>>(), 0)?.norm(2.0, ..)?;
            let by = Tensor::full((), rho, DType::F64, device)?.div(&norm.add_scalar(1e-12)?)?;
            let mut before = Vec::new();
            let mut moves = Vec::with_capacity(parameters.len());
            for (parameter, direction) in parameters.iter().zip(directions) {
                moves.push(match direction {
                    None => None,
                    Some((along, _)) => {
                        before.push((parameter.id(), parameter.value().copied()?));
                        Some(Move { keep: 1.0, by: by.to_dtype(along.dtype())?, along })
                    }
                });
            }
            move_all(parameters, moves, device, apply)?;
            Ok(before)
        })
    }
}
