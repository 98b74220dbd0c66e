//! `Ctx`: what a forward pass is run under.
//!
//! Six things, each in its file: what kind of pass it is ([`Mode`]), the type that it computes in (precision.rs), where in the model
//! it is with that place's random streams (place.rs), what it leaves to be done (effects.rs), what layers carry to the next pass (carrying.rs), and what looks on ([`Probe`]).

mod carrying;
mod constrained;
mod effects;
mod mode;
mod place;
mod precision;
mod probes;
mod profiled;
mod recorded;
mod replay;

pub use carrying::CarriedUse;
pub use mode::Mode;
pub use place::Here;
pub(crate) use place::located;
pub use precision::full_precision_layers;
pub use probes::{KeptOutputs, NotFinite, Probe};
pub(crate) use replay::Replay;

use crate::per_sample::Recorder;
use crate::value::IntoValue;
use crate::{Describe, Layer, Param, Segment};
use carrying::Carrying;
use effects::Effects;
use kiln_autograd::{LeafId, Var};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Device, Error, Result, Tensor};
use place::Place;
use precision::Conversions;
use std::any::Any;
use std::cell::{Cell, RefCell};

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
    mode: Mode,
    /// In a part that is run again in the backward pass, and now records nothing.
    silent: Cell<bool>,
    place: Place,
    effects: Effects,
    carrying: Carrying,
    replacements: RefCell<Vec<(LeafId, Var)>>,
    conversions: Conversions,
    probes: Vec<Box<dyn Probe>>,
    /// Where layers tell how they use their parameters, in a pass that asks for it.
    recorder: Option<Box<Recorder>>,
}

impl Ctx {
    /// Training: dropout drops, statistics are those of the batch, gradients are recorded. The same seed, step and place in
    /// the model give the same random numbers.
    pub fn train(seed: u64, step: u64) -> Self {
        Ctx {
            mode: Mode::TRAIN,
            silent: Cell::new(false),
            place: Place::new(seed, step),
            effects: Effects::default(),
            carrying: Carrying::default(),
            replacements: RefCell::default(),
            conversions: Conversions::default(),
            probes: Vec::new(),
            recorder: None,
        }
    }

    /// Evaluation: nothing is random and nothing is recorded.
    pub fn eval() -> Self {
        Ctx { mode: Mode::EVAL, ..Ctx::train(0, 0) }
    }

    /// The same, recording gradients of parameters or not, whatever the mode.
    #[must_use]
    pub fn recording(mut self, records: bool) -> Self {
        self.mode.recording = records;
        self
    }

    /// The same, with something more that looks on: [`NotFinite`], [`KeptOutputs`], or one of your own.
    #[must_use]
    pub fn with_probe(mut self, probe: impl Probe) -> Self {
        self.probes.push(Box::new(probe));
        self
    }

    /// The probe of this type, where there is one.
    pub fn probe<P: Probe>(&self) -> Option<&P> {
        self.probes.iter().find_map(|probe| (&**probe as &dyn Any).downcast_ref())
    }

    /// Whether a layer may leave its output to be computed where it is asked for: nothing looks at it here.
    pub(crate) fn may_defer(&self) -> bool {
        self.probes.is_empty() && self.recorder.is_none()
    }

    /// What kind of pass it is.
    #[inline]
    pub fn mode(&self) -> Mode {
        Mode { recording: self.records(), compute: self.compute_setting(), ..self.mode }
    }

    /// Whether layers behave as in training.
    #[inline]
    pub fn is_training(&self) -> bool {
        self.mode.training
    }

    /// Whether gradients of parameters are recorded.
    #[inline]
    pub fn records(&self) -> bool {
        self.mode.recording && !self.silent.get()
    }

    /// Runs a layer one step down the path; its error tells where that is: `model.1 (Dense): linear: …`.
    ///
    /// ```
    /// # use kiln_nn::{Ctx, Dense, Describe, Layer, Module};
    /// # use kiln_autograd::Var;
    /// # use kiln_tensor::Result;
    /// #[derive(Module, Describe)]
    /// struct Residual {
    ///     inner: Dense,
    /// }
    /// impl Layer for Residual {
    ///     type Input = Var;
    ///     type Output = Var;
    ///     fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
    ///         ctx.layer("inner", &self.inner, &x)?.add(&x)
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of the layer.
    #[inline]
    pub fn layer<'s, L: Layer + ?Sized>(
        &self,
        segment: impl Into<Segment<'s>>,
        layer: &L,
        x: impl Into<L::Input>,
    ) -> Result<L::Output> {
        self.place.scope(segment.into(), || self.run(layer, x))
    }

    /// Runs a layer at this place of the path: a whole model, at its beginning.
    ///
    /// # Errors
    /// Those of the layer, which tell where it is.
    #[inline]
    pub fn run<L: Layer + ?Sized>(&self, layer: &L, x: impl Into<L::Input>) -> Result<L::Output> {
        let _here = self.profiled(|| layer.name());
        // A model is run at the beginning of the path.
        let begins = self.place.is_at_the_beginning();
        self.carrying.part(begins, || match self.mode.compute {
            None => self.run_here(layer, x.into()),
            Some(dtype) => self.run_converted(dtype, layer.precision(), x.into(), |x| self.run_here(layer, x)),
        })
    }

    #[inline]
    fn run_here<L: Layer + ?Sized>(&self, layer: &L, x: L::Input) -> Result<L::Output> {
        if !self.probes.is_empty() {
            return self.run_probed(layer, x);
        }
        layer.forward(x, self).map_err(|error| self.locate(error, layer.name()))
    }

    #[cold]
    fn run_probed<L: Layer + ?Sized>(&self, layer: &L, x: L::Input) -> Result<L::Output> {
        let name = layer.name();
        let config = || layer.config();
        self.place.with(name, |here| {
            let (here, inputs) = (here.with_config(&config), vars(&x));
            self.probes.iter().try_for_each(|probe| probe.before(here, &inputs))
        })?;
        let y = layer.forward(x, self).map_err(|error| self.locate(error, name))?;
        self.place.with(name, |here| {
            let (here, outputs) = (here.with_config(&config), vars(&y));
            self.probes.iter().try_for_each(|probe| probe.after(here, &outputs))
        })?;
        Ok(y)
    }

    /// Runs something of a layer one step down the path that is not its forward pass, where [nothing looks on](Ctx::may_defer): its
    /// time and its errors are the layer's, as in [`Ctx::layer`].
    pub(crate) fn with_layer<'s, L: Describe + ?Sized, R>(
        &self,
        segment: impl Into<Segment<'s>>,
        layer: &L,
        run: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        self.place.scope(segment.into(), || {
            let _here = self.profiled(|| layer.name());
            run().map_err(|error| self.locate(error, layer.name()))
        })
    }

    /// Runs a part of a model that is not a [`Layer`], under this name in the path.
    ///
    /// # Errors
    /// Those of `run`.
    #[inline]
    pub fn scope<'s, R>(&self, segment: impl Into<Segment<'s>>, run: impl FnOnce() -> Result<R>) -> Result<R> {
        self.place.scope(segment.into(), || {
            let _here = self.profiled(|| "");
            self.carrying.part(false, run)
        })
    }

    /// Runs something in which `value` stands for a parameter: whoever asks for [`Param::var`] gets it. So a weight can be
    /// computed of other parameters ([`WeightNorm`](crate::WeightNorm)), and gradients go through to those.
    pub fn replacing<R>(&self, parameter: &Param, value: Var, run: impl FnOnce() -> R) -> R {
        self.replacements.borrow_mut().push((parameter.id(), value));
        let result = run();
        self.replacements.borrow_mut().pop();
        result
    }

    /// What stands for a parameter, if anything.
    #[inline]
    pub(crate) fn replacement(&self, parameter: &Param) -> Option<Var> {
        let replacements = self.replacements.borrow();
        let (_, value) = replacements.iter().rev().find(|(id, _)| *id == parameter.id())?;
        Some(value.clone())
    }

    /// The error as seen from here, unless it was located further inside.
    #[cold]
    pub fn locate(&self, error: Error, layer: &str) -> Error {
        self.place.locate(error, layer)
    }

    /// A random stream for this place, step and repetition.
    pub fn stream(&self, purpose: Purpose) -> RandomStream {
        self.place.stream(purpose)
    }

    /// As [`Ctx::stream`], in a device's memory, where its kernels read it.
    ///
    /// # Errors
    /// Out of memory.
    pub fn stream_tensor(&self, purpose: Purpose, device: &Device) -> Result<Tensor> {
        Tensor::random_stream(&self.stream(purpose), device)
    }
}

/// All Vars in a layer's input or output.
fn vars<V: IntoValue>(value: &V) -> Vec<&Var> {
    let mut all = Vec::new();
    value.for_each_var(&mut |var| all.push(var));
    all
}
