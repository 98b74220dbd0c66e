//! `Ctx`: what a forward pass is run under.

use crate::streams::Draws;
use crate::updates::Updates;
use crate::{Buffer, L1L2, Layer, Module, Param, Path, Segment};
use kiln_autograd::{LeafId, Var};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Device, Error, Result, Tensor};
use std::cell::RefCell;

/// The context of one forward pass: whether it trains, where in the model it is, its random streams, the new values of
/// buffers that it has computed, and the penalties of its layers' regularizers.
///
/// ```
/// # use kiln_nn::{Activation, Ctx, Dense, Dropout, Layer, Sequential};
/// # use kiln_autograd::Var;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let mut model = Sequential::new().push(Dense::new(2)).push(Dropout::new(0.5)).build([3], &cpu, 1)?;
/// # let x = Var::constant(Tensor::ones([1, 3], DType::F32, &cpu)?);
/// let ctx = Ctx::train(1, 0); // seed, number of the step
/// let y = model.forward(&x, &ctx)?;
/// // … loss, backward, optimizer.step …
/// ctx.commit(&mut model)?;
///
/// let y = model.forward(&x, &Ctx::eval())?;
/// assert!(!y.requires_grad());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Ctx {
    training: bool,
    records: bool,
    seed: u64,
    step: u64,
    path: RefCell<Path>,
    draws: RefCell<Draws>,
    updates: RefCell<Updates>,
    penalties: RefCell<Vec<Penalty>>,
    mask: RefCell<Option<Tensor>>,
    check: Option<Check>,
    outputs: Option<RefCell<Vec<(String, Tensor)>>>,
}

/// The first values that were found not to be finite.
type Check = RefCell<Option<String>>;

/// What is to be added to the loss. Sums are left to whoever asks for them: a prediction has no loss.
#[derive(Debug)]
enum Penalty {
    Weight(LeafId, Var, L1L2),
    Activity(Var, L1L2),
    Own(Var),
}

impl Ctx {
    /// Training: dropout drops, statistics are those of the batch, gradients are recorded. The same seed, step and place in
    /// the model give the same random numbers.
    pub fn train(seed: u64, step: u64) -> Self {
        Ctx {
            training: true,
            records: true,
            seed,
            step,
            path: RefCell::new(Path::new()),
            draws: RefCell::new(Draws::default()),
            updates: RefCell::default(),
            penalties: RefCell::new(Vec::new()),
            mask: RefCell::new(None),
            check: None,
            outputs: None,
        }
    }

    /// Evaluation: nothing is random and nothing is recorded.
    pub fn eval() -> Self {
        Ctx { training: false, records: false, ..Ctx::train(0, 0) }
    }

    /// The same, recording gradients of parameters or not, whatever the mode.
    #[must_use]
    pub fn recording(mut self, records: bool) -> Self {
        self.records = records;
        self
    }

    /// Also checks the inputs and outputs of every layer for NaN and infinity
    /// ([`Ctx::first_not_finite`]). To find out why a loss became NaN: each layer's values are copied to the host.
    #[must_use]
    pub fn checking(mut self) -> Self {
        self.check = Some(Check::default());
        self
    }

    /// Where [`Ctx::checking`] first met values that are NaN or infinite: `the output of model.2 (Dense)`.
    pub fn first_not_finite(&self) -> Option<String> {
        self.check.as_ref().and_then(|found| found.borrow().clone())
    }

    /// The same, keeping what comes out of every layer ([`Ctx::take_outputs`]): feature maps to be looked at.
    #[must_use]
    pub fn keeping_outputs(mut self) -> Self {
        self.outputs = Some(RefCell::default());
        self
    }

    /// The outputs that [`Ctx::keeping_outputs`] has kept since it was last asked: of every layer its path and what it gave,
    /// in the order in which they were done, a container after the layers in it.
    ///
    /// ```
    /// # use kiln_nn::{Activation, Ctx, Dense, Sequential};
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// # let cpu = Device::cpu();
    /// # let x = Tensor::ones([1, 3], DType::F32, &cpu)?;
    /// let model = Sequential::new().push(Dense::new(4)).push(Activation::Relu).build([3], &cpu, 1)?;
    /// let ctx = Ctx::eval().keeping_outputs();
    /// ctx.run(&model, &(&x).into())?;
    /// let paths: Vec<String> = ctx.take_outputs().into_iter().map(|(path, _)| path).collect();
    /// assert_eq!(paths, ["0", "1", ""]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_outputs(&self) -> Vec<(String, Tensor)> {
        self.outputs.as_ref().map_or_else(Vec::new, RefCell::take)
    }

    /// Whether layers behave as in training.
    #[inline]
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// Whether gradients of parameters are recorded.
    #[inline]
    pub fn records(&self) -> bool {
        self.records
    }

    /// Runs a layer one step down the path; its error tells where that is: `model.1 (Dense): linear: …`.
    ///
    /// ```
    /// # use kiln_nn::{Ctx, Dense, Layer, Module};
    /// # use kiln_autograd::Var;
    /// # use kiln_tensor::Result;
    /// #[derive(Module)]
    /// struct Residual {
    ///     inner: Dense,
    /// }
    /// impl Layer for Residual {
    ///     fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
    ///         ctx.layer("inner", &self.inner, x)?.add(x)
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of the layer.
    #[inline]
    pub fn layer<'s, L: Layer + ?Sized>(&self, segment: impl Into<Segment<'s>>, layer: &L, x: &Var) -> Result<Var> {
        self.scope(segment, || self.run(layer, x))
    }

    /// Runs a layer at this place of the path: a whole model, at its beginning.
    ///
    /// # Errors
    /// Those of the layer, which tell where it is.
    #[inline]
    pub fn run<L: Layer + ?Sized>(&self, layer: &L, x: &Var) -> Result<Var> {
        if self.check.is_some() || self.outputs.is_some() {
            return self.run_watched(layer, x);
        }
        layer.forward(x, self).map_err(|error| self.locate(error, layer.name()))
    }

    #[cold]
    fn run_watched<L: Layer + ?Sized>(&self, layer: &L, x: &Var) -> Result<Var> {
        self.look_at("input", layer.name(), x.tensor())?;
        let y = layer.forward(x, self).map_err(|error| self.locate(error, layer.name()))?;
        self.look_at("output", layer.name(), y.tensor())?;
        if let Some(outputs) = &self.outputs {
            outputs.borrow_mut().push((self.path.borrow().to_string(), y.tensor().clone()));
        }
        Ok(y)
    }

    /// Takes down where values were first not finite.
    fn look_at(&self, what: &str, layer: &str, values: &Tensor) -> Result<()> {
        let Some(check) = &self.check else { return Ok(()) };
        if check.borrow().is_none() && !values.to_f64_vec()?.iter().all(|value| value.is_finite()) {
            *check.borrow_mut() = Some(format!("the {what} of {}", place(&self.path.borrow(), layer)));
        }
        Ok(())
    }

    /// Runs something one step down the path: a part of a model that is no [`Layer`].
    ///
    /// # Errors
    /// Those of `run`.
    #[inline]
    pub fn scope<'s, R>(&self, segment: impl Into<Segment<'s>>, run: impl FnOnce() -> Result<R>) -> Result<R> {
        self.path.borrow_mut().push(segment.into());
        let result = run();
        self.path.borrow_mut().pop();
        result
    }

    /// The error as seen from here, unless it was located further inside.
    #[cold]
    pub fn locate(&self, error: Error, layer: &str) -> Error {
        located(error, &self.path.borrow(), layer)
    }

    /// A random stream for this place, step and repetition.
    pub fn stream(&self, purpose: Purpose) -> RandomStream {
        let number = self.draws.borrow_mut().next(self.path.borrow().as_str(), self.step);
        RandomStream::new(self.seed, purpose, number)
    }

    /// As [`Ctx::stream`], in a device's memory, where its kernels read it.
    ///
    /// # Errors
    /// Out of memory.
    pub fn stream_tensor(&self, purpose: Purpose, device: &Device) -> Result<Tensor> {
        Tensor::random_stream(&self.stream(purpose), device)
    }

    /// Which steps of the sequences count, from here on: bool (N, T). Layers that look at single steps hand it on, recurrent
    /// ones leave the state as it is where it is false, and one whose output has no such steps takes it away: a recurrent one
    /// that gives its last state, convolutions, pooling, [`Flatten`](crate::Flatten). A custom layer that does so should
    /// call this with `None`, for what is left after the model says which steps count in losses and metrics.
    pub fn set_mask(&self, mask: Option<Tensor>) {
        *self.mask.borrow_mut() = mask;
    }

    /// Which steps of the sequences count, where that was said.
    pub fn mask(&self) -> Option<Tensor> {
        self.mask.borrow().clone()
    }

    /// Hands in the next value of a buffer, which [`Ctx::commit`] writes. The last one counts.
    pub fn update(&self, buffer: &Buffer, value: Tensor) {
        self.updates.borrow_mut().set(buffer, value);
    }

    /// Hands in what a buffer is to be averaged with: [`Ctx::commit`] makes it own · buffer + share · batch, in its own memory. A
    /// layer that is used twice in a step averages twice.
    pub fn average(&self, buffer: &Buffer, batch: Tensor, own: f64, share: f64) {
        self.updates.borrow_mut().average(buffer, batch, own, share);
    }

    /// A buffer's value as this pass sees it: with what was handed in, else what was committed.
    ///
    /// # Errors
    /// What was handed in does not fit the buffer.
    pub fn value_of(&self, buffer: &Buffer) -> Result<Tensor> {
        self.updates.borrow().value_of(buffer)
    }

    /// Adds the penalty of a parameter to the loss. A parameter that is used twice counts once, a frozen one not at all, as
    /// in Keras.
    pub fn penalize(&self, parameter: &Param, regularizer: L1L2) {
        let mut penalties = self.penalties.borrow_mut();
        let known = |penalty: &Penalty| matches!(penalty, Penalty::Weight(id, ..) if *id == parameter.id());
        if parameter.trainable() && !penalties.iter().any(known) {
            penalties.push(Penalty::Weight(parameter.id(), parameter.var(self), regularizer));
        }
    }

    /// Adds the penalty of a layer's output to the loss, divided by the number of samples (the first axis), as in Keras: a
    /// larger batch does not make it stronger.
    pub fn penalize_activity(&self, output: &Var, regularizer: L1L2) {
        self.penalties.borrow_mut().push(Penalty::Activity(output.clone(), regularizer));
    }

    /// Adds one number to the loss (Keras's `add_loss`): a penalty of a layer's own.
    pub fn add_loss(&self, value: Var) {
        self.penalties.borrow_mut().push(Penalty::Own(value));
    }

    /// The sum of the penalties of all layers that ran, to be added to the loss; `None` where there are none. It is handed
    /// out once: what it is the sum of is then let go, so that the backward pass can free it.
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
    /// let mut loss = MeanSquaredError::new().forward(&model.forward(&Var::from(&x), &ctx)?, &target)?;
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
        let mut sum: Option<Var> = None;
        for penalty in self.penalties.take() {
            let value = match penalty {
                Penalty::Weight(_, weight, regularizer) => regularizer.penalty(&weight)?,
                Penalty::Activity(output, regularizer) => {
                    let samples = output.dims().first().copied().unwrap_or(1).max(1);
                    regularizer.scaled(1.0 / samples as f64).penalty(&output)?
                }
                Penalty::Own(value) => Some(value),
            };
            sum = match (sum, value) {
                (Some(sum), Some(value)) => Some(sum.add(&value)?),
                (sum, value) => sum.or(value),
            };
        }
        Ok(sum)
    }

    /// Writes what was handed in for buffers into their own memory: to be called once the step has succeeded.
    ///
    /// # Errors
    /// A value of another shape or dtype than its buffer's, or of a buffer that the model does not visit. Then nothing was
    /// written.
    pub fn commit<M: Module + ?Sized>(&self, model: &mut M) -> Result<()> {
        self.updates.take().commit(model, None)
    }

    /// As [`Ctx::commit`], where `applies`, one bool in the memory of the model's device, is true; else the buffers keep their
    /// values. Whether a loss was finite is known there before the host knows it, and no step waits.
    ///
    /// # Errors
    /// As [`Ctx::commit`].
    pub fn commit_where<M: Module + ?Sized>(&self, model: &mut M, applies: &Tensor) -> Result<()> {
        self.updates.take().commit(model, Some(applies))
    }
}

/// `model.5 (MaxPool2d)`
fn place(path: &Path, layer: &str) -> String {
    let dot = if path.as_str().is_empty() { "" } else { "." };
    format!("model{dot}{path} ({layer})")
}

/// The error with the place it is from.
#[cold]
pub(crate) fn located(error: Error, path: &Path, layer: &str) -> Error {
    error.at(&place(path, layer))
}
