//! Lookahead.

use crate::averages::average;
use crate::check::share_or_all;
use crate::{Ascent, Optimizer, State};
use kiln_autograd::Gradients;
use kiln_nn::{Module, StateDict, Stateful};
use kiln_tensor::profile::{Phase, enter};
use kiln_tensor::{Error, ErrorKind, Result, Tensor};

/// Lookahead (Zhang et al. 2019) around another optimizer: after every k of its steps, slow weights move the share α towards the fast
/// ones, which then restart from them.
///
/// After steps k, 2k, …: s ← s + α·(p − s); p ← s. The optimizer's own state stays.
///
/// The slow weights are in the `state_dict`, under `slow.PATH`, beside the state of the optimizer within. They take as much memory as the
/// parameters.
///
/// ```
/// use kiln_optim::{Adam, Lookahead, Optimizer};
/// let optimizer = Lookahead::new(Adam::new(1e-3), 5, 0.5);
/// assert_eq!(optimizer.name(), "Adam");
/// ```
#[derive(Debug)]
pub struct Lookahead<O> {
    optimizer: O,
    every: u64,
    alpha: f64,
    /// By path; none before the first step.
    slow: StateDict,
}

impl<O: Optimizer> Lookahead<O> {
    /// Around this optimizer, after every k steps with the share α; the paper's are 5 and 0.5.
    pub fn new(optimizer: O, every: u64, alpha: f64) -> Self {
        Lookahead { optimizer, every, alpha, slow: StateDict::new() }
    }

    fn check_settings(&self) -> Result<()> {
        share_or_all("alpha of Lookahead", self.alpha)?;
        if self.every == 0 {
            return Err(Error::value(
                "optimizer.step",
                "Lookahead with k = 0: k must be at least 1; nothing was changed",
            ));
        }
        Ok(())
    }

    /// Refuses a model of other shapes than those of loaded slow weights.
    fn expect(&self, model: &dyn Module) -> Result<()> {
        for (path, parameter) in model.parameters() {
            let shape = parameter.value().shape();
            if let Some(slow) = self.slow.get(&path).filter(|slow| slow.shape() != shape) {
                let message = format!(
                    "the slow weights of {path} are {}, the parameter {shape}; nothing was changed",
                    slow.shape()
                );
                return Err(Error::shape("optimizer.step", message));
            }
        }
        Ok(())
    }

    /// The slow weights go a part of the way, and the fast ones to them.
    fn meet(&mut self, model: &mut dyn Module, apply: Option<&Tensor>) -> Result<()> {
        let mut parameters = model.parameters_mut();
        for (path, parameter) in &parameters {
            let value = parameter.value();
            match self.slow.get_mut(path) {
                Some(slow) => *slow = slow.to_dtype(value.dtype().computed_in())?.to_device(value.device())?,
                None => drop(self.slow.insert(path.clone(), wide(value)?)),
            }
        }
        let slow = self.slow.iter_mut().filter_map(|(path, slow)| {
            let (_, parameter) = parameters.iter().find(|(of, _)| of == path)?;
            Some((slow, parameter.value()))
        });
        average(slow.collect(), 1.0 - self.alpha, self.alpha, apply)?;
        let fast =
            parameters.iter_mut().filter_map(|(path, parameter)| Some((parameter.value_mut(), self.slow.get(path)?)));
        average(fast.collect(), 0.0, 1.0, apply)
    }
}

/// A copy in the type that is computed in.
fn wide(value: &Tensor) -> Result<Tensor> {
    value.to_dtype(value.dtype().computed_in())?.copied()
}

impl<O: Optimizer> Optimizer for Lookahead<O> {
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        self.check_settings()?;
        let _step = enter(Phase::Optimizer, "optimizer");
        self.expect(&*model)?;
        let start = match self.slow.is_empty() {
            true => {
                let values =
                    model.parameters().into_iter().map(|(path, parameter)| Ok((path, wide(parameter.value())?)));
                Some(values.collect::<Result<StateDict>>()?)
            }
            false => None,
        };
        self.optimizer.step_if(model, gradients, apply)?;
        if let Some(start) = start {
            self.slow = start;
        }
        if self.optimizer.steps().is_multiple_of(self.every) { self.meet(model, apply) } else { Ok(()) }
    }
    fn check(&self, model: &dyn Module) -> Result<()> {
        self.check_settings()?;
        self.optimizer.check(model)
    }
    fn ascent(&mut self) -> Option<&mut dyn Ascent> {
        self.optimizer.ascent()
    }
    by_its_optimizer!();
}

impl<O: Optimizer> Stateful for Lookahead<O> {
    fn state_dict(&self) -> Result<StateDict> {
        let mut state = self.optimizer.state_dict()?;
        state.extend(self.slow.iter().map(|(path, value)| (format!("slow.{path}"), value.clone())));
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let (mut slow, mut own) = (StateDict::new(), StateDict::new());
        for (name, value) in state {
            match name.strip_prefix("slow.") {
                Some(path) => slow.insert(path.to_owned(), value.clone()),
                None => own.insert(name.clone(), value.clone()),
            };
        }
        let stepped = state.get("step").map_or(Ok(0.0), Tensor::item)? > 0.0;
        if slow.is_empty() && stepped {
            let message =
                "there are no slow weights: this is the state of an optimizer without Lookahead; nothing was changed";
            return Err(Error::new(ErrorKind::Format, "optimizer.load_state_dict", message));
        }
        self.optimizer.load_state_dict(&own)?;
        self.slow = slow;
        Ok(())
    }
}
