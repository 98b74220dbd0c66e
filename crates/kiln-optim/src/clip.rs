//! Gradient clipping.

use crate::check::bound;
use crate::norm::{clip_factor, clip_factor_there};
use crate::{Ascent, Optimizer, State};
use kiln_autograd::Gradients;
use kiln_nn::{Module, StateDict, Stateful};
use kiln_tensor::profile::{Phase, enter};
use kiln_tensor::{Result, Tensor};

/// How gradients are clipped.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Rule {
    Norm(f64),
    Value(f64),
}

impl Rule {
    fn check(self) -> Result<Self> {
        match self {
            Rule::Norm(max) => bound("gradient norm to clip at", max)?,
            Rule::Value(max) => bound("gradient value to clip at", max)?,
        };
        Ok(self)
    }
}

/// An optimizer that clips gradients before its step: made by [`Clip`].
#[derive(Debug)]
pub struct Clipped<O> {
    optimizer: O,
    rule: Rule,
}

/// Clipping, of any optimizer: `Adam::new(0.001).clip_norm(1.0)`. Gradients that explode, as those of recurrent networks may,
/// then make a step of bounded length (Pascanu et al. 2013).
///
/// ```
/// use kiln_optim::{Adam, Clip, Optimizer};
/// let optimizer = Adam::new(0.001).clip_norm(1.0);
/// assert_eq!(optimizer.name(), "Adam");
/// ```
pub trait Clip: Optimizer + Sized {
    /// Where the norm of all gradients together, √Σg², is above `max`, all are multiplied by max / (norm + 1e−6): PyTorch's
    /// `clip_grad_norm_`, Keras's `global_clipnorm`.
    fn clip_norm(self, max: f64) -> Clipped<Self> {
        Clipped { optimizer: self, rule: Rule::Norm(max) }
    }

    /// Every number of every gradient is kept within ±`max`: PyTorch's `clip_grad_value_`, Keras's `clipvalue`.
    fn clip_value(self, max: f64) -> Clipped<Self> {
        Clipped { optimizer: self, rule: Rule::Value(max) }
    }
}

impl<O: Optimizer> Clip for O {}

/// What [`Clip::clip_norm`] makes of gradients; they are given back as they are where their norm is not above `max`. On a device both
/// the norm and what follows from it stay in its memory: the host waits for nothing.
///
/// # Errors
/// A fault of the device that surfaced, out of memory.
pub fn clip_gradient_norm(mut gradients: Gradients, max: f64) -> Result<Gradients> {
    let on_host = gradients.iter().all(|(_, gradient)| gradient.device().backend().is_host());
    if on_host {
        if let Some(factor) = clip_factor(gradients.norm()?, max) {
            gradients.scale(factor)?;
        }
    } else if max < f64::INFINITY
        && let Some(factor) = clip_factor_there(&gradients, max)?
    {
        return gradients.try_map(|gradient| {
            let computed = gradient.dtype().computed_in();
            gradient.to_dtype(computed)?.mul(&factor.to_dtype(computed)?)?.to_dtype(gradient.dtype())
        });
    }
    Ok(gradients)
}

/// What [`Clip::clip_value`] makes of gradients.
///
/// # Errors
/// Out of memory.
pub fn clip_gradient_value(gradients: Gradients, max: f64) -> Result<Gradients> {
    gradients.try_map(|gradient| gradient.clamp(-max, max))
}

impl<O: Optimizer> Optimizer for Clipped<O> {
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        let _step = enter(Phase::Optimizer, "optimizer");
        // Only the gradients of this model count.
        let mut own = Gradients::default();
        for (_, parameter) in model.parameters() {
            if let Some(gradient) = gradients.get(parameter.id()) {
                own.insert(parameter.id(), gradient.clone());
            }
        }
        let clipped = match self.rule.check()? {
            Rule::Norm(max) => clip_gradient_norm(own, max)?,
            Rule::Value(max) => clip_gradient_value(own, max)?,
        };
        self.optimizer.step_if(model, &clipped, apply)
    }
    fn check(&self, model: &dyn Module) -> Result<()> {
        self.rule.check()?;
        self.optimizer.check(model)
    }
    fn ascent(&mut self) -> Option<&mut dyn Ascent> {
        self.optimizer.ascent()
    }
    by_its_optimizer!();
}

impl<O: Optimizer> Stateful for Clipped<O> {
    fn state_dict(&self) -> Result<StateDict> {
        self.optimizer.state_dict()
    }
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.optimizer.load_state_dict(state)
    }
}
