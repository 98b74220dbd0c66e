//! L-BFGS.

mod line_search;
mod memory;
mod objective;
mod settings;

use crate::check::above_zero;
use kiln_autograd::Var;
use kiln_nn::{Module, StateDict, Stateful};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use line_search::{Point, strong_wolfe};
use memory::{Before, Memory, dot};
use objective::{Objective, largest, values, write};
use settings::Settings;

/// L-BFGS (Liu and Nocedal 1989), as in PyTorch: for full-batch problems of smooth losses, which it solves in few iterations.
///
/// A step is up to [`iterations`](Lbfgs::iterations) iterations p ← p + t·d with d = −H·g, where H estimates the inverse Hessian from the
/// last [`history`](Lbfgs::history) changes of parameters and gradient. t is the learning rate (in the first iteration times
/// min(1, 1/Σ|g|)), or found by a [`line_search`](Lbfgs::line_search).
///
/// It looks at the loss several times a step, so [`step`](Lbfgs::step) takes a function that computes it; the loss must be the same
/// function each time: no dropout, no other batch. It is no [`Optimizer`](crate::Optimizer), and `fit` does not take it. It reads numbers back in
/// each iteration, so on a GPU each one waits for the device. Memory: 2·history copies of the parameters.
///
/// Defaults are PyTorch's: 20 iterations, 25 evaluations, a history of 100, tolerances of 1e−7 for the gradient and 1e−9 for changes, no line
/// search; its usual learning rate is 1.
///
/// ```
/// use kiln_autograd::Var;
/// use kiln_nn::{Ctx, Dense, Layer, Loss, MeanSquaredError, Sequential};
/// use kiln_optim::Lbfgs;
/// use kiln_tensor::{Device, Tensor};
///
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// let x = Var::constant(Tensor::from_slice(&[0f32, 1.0, 2.0, 3.0], [4, 1], &cpu)?);
/// let y = Tensor::from_slice(&[1f32, 3.0, 5.0, 7.0], [4, 1], &cpu)?;
/// let mut line = Sequential::new().push(Dense::new(1)).build([1], &cpu, 1)?;
/// let mut optimizer = Lbfgs::new(1.0).line_search(true);
/// for _ in 0..3 {
///     optimizer.step(&mut line, |line| MeanSquaredError::new().forward(&line.forward(&x, &Ctx::train(1, 0))?, &y))?;
/// }
/// let loss = MeanSquaredError::new().forward(&line.forward(&x, &Ctx::eval())?, &y)?.item()?;
/// assert!(loss < 1e-9, "{loss}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Lbfgs {
    learning_rate: f64,
    settings: Settings,
    memory: Memory,
}

impl Lbfgs {
    /// The default settings at this learning rate, which is usually 1.
    pub fn new(learning_rate: f64) -> Self {
        Lbfgs { learning_rate, settings: Settings::default(), memory: Memory::default() }
    }

    /// Most iterations of a step.
    #[must_use]
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.settings.iterations = iterations;
        self
    }

    /// The most evaluations of the loss in a step: no iteration begins after them, and a line search takes what is left of them and one
    /// more, as in PyTorch. By default 1.25 · iterations, which is few for a search in a step of one or two iterations: set more there.
    #[must_use]
    pub fn evaluations(mut self, evaluations: usize) -> Self {
        self.settings.evaluations = Some(evaluations);
        self
    }

    /// How many iterations are remembered.
    #[must_use]
    pub fn history(mut self, iterations: usize) -> Self {
        self.settings.history = iterations;
        self
    }

    /// A step ends once no element of the gradient exceeds `gradient`, or once no parameter, or the loss, changes by more than `change`.
    #[must_use]
    pub fn tolerances(mut self, gradient: f64, change: f64) -> Self {
        (self.settings.gradient_tolerance, self.settings.change_tolerance) = (gradient, change);
        self
    }

    /// Whether each iteration searches for a length that satisfies the strong Wolfe conditions. It costs several evaluations more and makes
    /// failures rare. PyTorch's `line_search_fn="strong_wolfe"`.
    #[must_use]
    pub fn line_search(mut self, search: bool) -> Self {
        self.settings.line_search = search;
        self
    }

    /// The learning rate.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Sets the learning rate of the steps that follow.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    /// How many times the loss was computed, in all steps.
    pub fn evaluations_made(&self) -> u64 {
        self.memory.evaluations
    }

    /// One step. `loss` computes the loss of the model as it is, one number; it is called several times. Gives the first one, before the
    /// step. Parameters that are frozen stay as they are.
    ///
    /// # Errors
    /// Settings that make no sense, a loss that fails, a loss or a gradient that is not finite, a loaded state of another model: the
    /// parameters are those from before the step then.
    pub fn step<M: Module>(&mut self, model: &mut M, mut loss: impl FnMut(&M) -> Result<Var>) -> Result<f64> {
        above_zero("learning rate", self.learning_rate)?;
        self.settings.check()?;
        let start = values(model)?;
        if let Some(size) = self.memory.size().filter(|size| *size != start.elements()) {
            let message = format!(
                "the state is of {size} numbers, the model has {} that learn: is it that of another model? nothing was changed",
                start.elements()
            );
            return Err(Error::shape("optimizer.step", message));
        }
        let mut memory = self.memory.clone();
        memory.convert(start.dtype(), start.device())?;
        let done = self.iterate(&mut memory, &mut Objective { model: &mut *model, loss: &mut loss }, &start);
        match done {
            Ok(first) => {
                self.memory = memory;
                Ok(first)
            }
            Err(error) => {
                write(model, &start)?;
                Err(error)
            }
        }
    }

    /// The iterations of a step.
    fn iterate<M: Module>(&self, memory: &mut Memory, objective: &mut Objective<'_, M>, start: &Tensor) -> Result<f64> {
        let settings = self.settings;
        let most_evaluations = settings.most_evaluations();
        let mut values = start.clone();
        let (first, mut gradient) = objective.evaluate()?;
        finite("loss", first)?;
        memory.evaluations += 1;
        let (mut loss, mut evaluations) = (first, 1);
        if steepest(&gradient)? <= settings.gradient_tolerance {
            return Ok(first);
        }
        for iteration in 1..=settings.iterations {
            let direction = memory.direction(&gradient, settings.history)?;
            memory.iterations += 1;
            let (slope, before) = (dot(&gradient, &direction)?, loss);
            let mut length = self.learning_rate;
            if memory.iterations == 1 {
                length *= (1.0 / gradient.abs()?.sum_all()?.item()?).min(1.0);
            }
            let last = Before { direction: direction.clone(), length, gradient: gradient.clone() };
            let last = memory.before.insert(last);
            if slope > -settings.change_tolerance {
                break;
            }
            let mut made = 0;
            if settings.line_search {
                let from = Point { at: 0.0, loss, gradient: gradient.clone(), slope };
                let mut evaluate = |at: f64| objective.point(&values, &direction, at);
                let most = most_evaluations - evaluations;
                let (found, count) = strong_wolfe(&mut evaluate, &from, length, largest(&direction)?, most)?;
                (length, loss, gradient, made) = (found.at, found.loss, found.gradient, count);
                last.length = length;
            }
            values = values.add(&direction.mul_scalar(length)?)?;
            write(objective.model, &values)?;
            if !settings.line_search && iteration < settings.iterations {
                (loss, gradient) = objective.evaluate()?;
                made = 1;
            }
            finite("loss", loss)?;
            let steepest = steepest(&gradient)?;
            evaluations += made;
            memory.evaluations += made as u64;
            let moved = largest(&direction)? * length;
            if evaluations >= most_evaluations
                || steepest <= settings.gradient_tolerance
                || moved <= settings.change_tolerance
                || (loss - before).abs() < settings.change_tolerance
            {
                break;
            }
        }
        Ok(first)
    }
}

/// The largest element of a gradient, which has to be finite.
fn steepest(gradient: &Tensor) -> Result<f64> {
    finite("largest element of the gradient", largest(gradient)?)
}

/// Refuses a value that is not finite.
fn finite(what: &str, value: f64) -> Result<f64> {
    if value.is_finite() {
        return Ok(value);
    }
    let message = format!(
        "the {what} is {value}: a smaller learning rate or the line search may help; the parameters are those from before the step"
    );
    Err(Error::new(ErrorKind::Diverged, "optimizer.step", message))
}

impl Stateful for Lbfgs {
    /// PyTorch's names: `n_iter`, `func_evals`, `d`, `t`, `old_dirs`, `old_stps`, `ro`, `H_diag`, `prev_flat_grad`; and `learning_rate`.
    fn state_dict(&self) -> Result<StateDict> {
        let mut state = StateDict::new();
        state.insert("learning_rate".into(), Tensor::scalar(self.learning_rate, &Device::cpu())?);
        self.memory.save(&mut state)?;
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let memory = Memory::load(state)?;
        let Some(learning_rate) = state.get("learning_rate") else {
            let message = "`learning_rate` is missing: this is not the state of Lbfgs; nothing was changed";
            return Err(Error::new(ErrorKind::Format, "optimizer.load_state_dict", message));
        };
        self.learning_rate = learning_rate.item()?;
        self.memory = memory;
        Ok(())
    }
}
