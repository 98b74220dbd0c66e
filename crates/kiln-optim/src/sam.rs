//! Sharpness-aware minimization.

use crate::check::above_zero;
use crate::state::gather;
use crate::{Optimizer, State};
use kiln_autograd::{Gradients, LeafId};
use kiln_nn::{Module, Param, StateDict, Stateful};
use kiln_tensor::profile::{Phase, enter};
use kiln_tensor::{Error, Result, Tensor};

/// The first of an optimizer's two passes; see [`Optimizer::ascent`].
pub trait Ascent {
    /// Moves the parameters to the point at which the gradients of the step are computed.
    ///
    /// # Errors
    /// As [`Optimizer::step_if`]; nothing is changed then.
    fn ascend(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()>;

    /// Restores the parameters, bit for bit. A step does so itself where this was not called.
    ///
    /// # Errors
    /// Another model than the one that was moved.
    fn descend(&mut self, model: &mut dyn Module) -> Result<()>;

    /// Restores the parameters and gives up the step, as after a second pass that has failed: the next step begins with its first pass.
    ///
    /// # Errors
    /// As [`Ascent::descend`].
    fn cancel(&mut self, model: &mut dyn Module) -> Result<()>;
}

/// Sharpness-aware minimization (Foret et al. 2021) around another optimizer: each step uses the gradients at the worst point within
/// the radius ρ. This leads to flat minima, which generalize better.
///
/// p̂ = p + ρ·g/‖g‖ with the norm over all parameters; the step from p is by the gradients at p̂. [Adaptive](Sam::adaptive) (Kwon et al. 2021):
/// p̂ = p + ρ·p²·g/‖p·g‖, whatever the scale of the weights.
///
/// Each step takes two passes over the batch. `fit` makes both; a loop by hand calls [`Optimizer::step_with`], which does too, or makes them
/// itself:
///
/// ```
/// use kiln_autograd::{Gradients, Var};
/// use kiln_nn::{Ctx, Dense, Layer, Loss, MeanSquaredError, Sequential};
/// use kiln_optim::{Optimizer, Sam, Sgd};
/// use kiln_tensor::{DType, Device, Result, Tensor};
///
/// # fn main() -> Result<()> {
/// let cpu = Device::cpu();
/// let x = Var::constant(Tensor::ones([4, 2], DType::F32, &cpu)?);
/// let y = Tensor::ones([4, 1], DType::F32, &cpu)?;
/// let mut model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// let mut optimizer = Sam::new(Sgd::new(0.1).momentum(0.9), 0.05);
/// let loss = |model: &Sequential| MeanSquaredError::new().forward(&model.forward(&x, &Ctx::train(1, 0))?, &y);
/// optimizer.step_with(&mut model, loss)?;
///
/// // The same, by hand. Running averages are committed once, with the values of the first pass.
/// let gradients = loss(&model)?.backward()?;
/// if let Some(ascent) = optimizer.ascent() {
///     ascent.ascend(&mut model, &gradients, None)?;
/// }
/// let gradients = loss(&model)?.backward()?;
/// optimizer.step(&mut model, &gradients)?;
/// # Ok(())
/// # }
/// ```
///
/// Its state is that of the optimizer within. The norm stays in the device's memory: no step waits for it.
#[derive(Debug)]
pub struct Sam<O> {
    optimizer: O,
    rho: f64,
    adaptive: bool,
    pass: Pass,
}

/// Where a step of two passes is.
#[derive(Debug, Default)]
enum Pass {
    /// Before the first.
    #[default]
    First,
    /// The parameters are elsewhere; what they were.
    Ascended(Vec<(LeafId, Tensor)>),
    /// They are back; what is missing is the step.
    Second,
}

impl<O: Optimizer> Sam<O> {
    /// Around this optimizer, with a radius ρ; the paper's is 0.05, and for the adaptive form 0.5 to 2.
    pub fn new(optimizer: O, rho: f64) -> Self {
        Sam { optimizer, rho, adaptive: false, pass: Pass::First }
    }

    /// Whether the radius goes with the size of each weight.
    #[must_use]
    pub fn adaptive(mut self, adaptive: bool) -> Self {
        self.adaptive = adaptive;
        self
    }

    fn check_settings(&self) -> Result<()> {
        above_zero("radius of Sam", self.rho)?;
        Ok(())
    }
}

impl<O: Optimizer> Ascent for Sam<O> {
    fn ascend(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        self.check_settings()?;
        // A pass that was given up.
        self.descend(model)?;
        let before = self.optimizer.state_mut().ascend(model, gradients, apply, self.rho, self.adaptive)?;
        self.pass = Pass::Ascended(before);
        Ok(())
    }

    fn descend(&mut self, model: &mut dyn Module) -> Result<()> {
        let Pass::Ascended(before) = &self.pass else { return Ok(()) };
        let _step = enter(Phase::Optimizer, "optimizer");
        let moved = |parameter: &&mut Param, (id, _): &(LeafId, Tensor)| parameter.id() == *id;
        // In the order of the parameters, as they were gathered.
        let mut rest = before.iter().peekable();
        let mut pairs = Vec::with_capacity(before.len());
        for parameter in gather(model) {
            if let Some((_, value)) = rest.next_if(|next| moved(&parameter, next)) {
                pairs.push((parameter, value));
            }
        }
        if rest.next().is_some() {
            let message = "the first pass of Sam was over another model; nothing was changed";
            return Err(Error::value("optimizer.step", message));
        }
        pairs.into_iter().try_for_each(|(parameter, value)| parameter.value_mut().copy_from(value))?;
        self.pass = Pass::Second;
        Ok(())
    }

    fn cancel(&mut self, model: &mut dyn Module) -> Result<()> {
        self.descend(model)?;
        self.pass = Pass::First;
        Ok(())
    }
}

impl<O: Optimizer> Optimizer for Sam<O> {
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        self.descend(model)?;
        // Also where the step fails: it is not made by what is given next.
        if matches!(std::mem::take(&mut self.pass), Pass::First) {
            let message = "a step of Sam takes two passes: call `step_with`, or `ascent` before the gradients of the step; nothing was changed";
            return Err(Error::value("optimizer.step", message));
        }
        self.optimizer.step_if(model, gradients, apply)
    }
    fn check(&self, model: &dyn Module) -> Result<()> {
        self.check_settings()?;
        self.optimizer.check(model)
    }
    fn ascent(&mut self) -> Option<&mut dyn Ascent> {
        Some(self)
    }
    by_its_optimizer!();
}

impl<O: Optimizer> Stateful for Sam<O> {
    fn state_dict(&self) -> Result<StateDict> {
        self.optimizer.state_dict()
    }
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.optimizer.load_state_dict(state)?;
        self.pass = Pass::First;
        Ok(())
    }
}
