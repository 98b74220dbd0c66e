//! The floating-point type that a pass computes in: inputs of layers and parameters are converted to it, each parameter once a pass.

use super::Ctx;
use crate::value::IntoValue;
use crate::{AnyLayer, LayerPrecision, Param, Path};
use kiln_autograd::{LeafId, Var};
use kiln_tensor::{DType, Result};
use std::cell::{Cell, RefCell};

/// What a pass has converted so far, and where it is: parameters are converted within a run of a layer, and not in one that computes in
/// f32.
#[derive(Default, Debug)]
pub(super) struct Conversions {
    /// How many layers run, one within the other.
    runs: Cell<usize>,
    /// Within a layer of [`LayerPrecision::Full`].
    full: Cell<bool>,
    parameters: RefCell<Vec<Converted>>,
}

/// Where a pass is, as plain data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Where {
    runs: usize,
    full: bool,
}

impl Conversions {
    pub(super) fn place(&self) -> Where {
        Where { runs: self.runs.get(), full: self.full.get() }
    }

    /// At that place, with nothing converted.
    pub(super) fn at(place: Where) -> Self {
        Conversions { runs: place.runs.into(), full: place.full.into(), parameters: RefCell::default() }
    }
}

/// A parameter in another type.
#[derive(Debug)]
struct Converted {
    of: LeafId,
    /// The parameter's version: a context may be used on after a step.
    version: u64,
    /// Whether it has a place in the graph.
    recorded: bool,
    value: Var,
}

/// The Vars of floating-point types in this type; with `only_half` those of half types.
fn all_in<V: IntoValue>(x: V, dtype: DType, only_half: bool) -> Result<V> {
    let moves = |x: &Var| x.dtype() != dtype && if only_half { x.dtype().is_half() } else { x.dtype().is_float() };
    let mut any = false;
    x.for_each_var(&mut |x| any |= moves(x));
    if !any {
        return Ok(x);
    }
    let mut failed = Ok(());
    let x = x.map_vars(&mut |x| {
        if !moves(&x) {
            return x;
        }
        x.to_dtype(dtype).unwrap_or_else(|error| {
            failed = Err(error);
            x
        })
    });
    failed.map(|()| x)
}

/// Whether all Vars of floating-point types are of the same.
fn is_of_one_type<V: IntoValue>(x: &V) -> bool {
    let (mut first, mut same) = (None, true);
    x.for_each_var(&mut |x| {
        if x.dtype().is_float() {
            same &= *first.get_or_insert(x.dtype()) == x.dtype();
        }
    });
    same
}

impl Ctx {
    /// The same, computing in this floating-point type: a model of f32 that computes in bf16 (mixed precision).
    ///
    /// The model stays what it is, and so does the code around it: parameters, their gradients, and with f16 and bf16 the outputs of the
    /// outermost [`Ctx::run`] or [`Ctx::layer`] are f32. Within it, each layer that is run converts its inputs and its parameters
    /// ([`Layer::precision`](crate::Layer::precision) says which layers do not); a parameter is converted once in a pass. Sums of products,
    /// normalizations, softmax and losses are computed in f32 and rounded once. Outside of a run a parameter is used as it is. Small
    /// gradients of f16 become 0: use a `LossScale` with it.
    ///
    /// ```
    /// # use kiln_nn::{Ctx, Dense, Module, Sequential};
    /// # use kiln_tensor::{DType, Device, Result, Tensor};
    /// # fn main() -> Result<()> {
    /// let model = Sequential::new().push(Dense::new(4)).build([3], &Device::cpu(), 1)?;
    /// let x = Tensor::ones([2, 3], DType::F32, &Device::cpu())?;
    /// let y = model.forward(&x, &Ctx::train(1, 0).compute(DType::BF16))?;
    /// assert_eq!(y.dtype(), DType::F32);
    /// let gradients = y.square()?.mean_all()?.backward()?;
    /// assert!(gradients.iter().all(|(_, gradient)| gradient.dtype() == DType::F32));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn compute(mut self, dtype: DType) -> Self {
        self.mode.compute = Some(dtype);
        self
    }

    /// The type that layers convert to, where they do so here.
    #[inline]
    pub(crate) fn compute_here(&self) -> Option<DType> {
        self.compute_setting().filter(|_| self.conversions.runs.get() > 0)
    }

    /// The type that layers convert to; none within a layer that computes in f32.
    #[inline]
    pub(super) fn compute_setting(&self) -> Option<DType> {
        self.mode.compute.filter(|_| !self.conversions.full.get())
    }

    /// Runs a layer, or something else that it computes, on its inputs in the type that it computes in. What leaves the outermost run
    /// is f32 where the pass computes in a half type.
    #[cold]
    pub(crate) fn run_converted<V: IntoValue, R: IntoValue>(
        &self,
        dtype: DType,
        precision: LayerPrecision,
        x: V,
        run: impl FnOnce(V) -> Result<R>,
    ) -> Result<R> {
        let runs = &self.conversions.runs;
        let before = runs.get();
        runs.set(before + 1);
        let y = self.in_precision(dtype, precision, x, run);
        runs.set(before);
        match y {
            Ok(y) if before == 0 && dtype.is_half() => all_in(y, DType::F32, true),
            y => y,
        }
    }

    fn in_precision<V: IntoValue, R>(
        &self,
        dtype: DType,
        precision: LayerPrecision,
        x: V,
        run: impl FnOnce(V) -> Result<R>,
    ) -> Result<R> {
        let full = &self.conversions.full;
        match precision {
            _ if full.get() => run(x),
            LayerPrecision::Full if dtype.is_half() => {
                let x = all_in(x, DType::F32, true)?;
                full.set(true);
                let y = run(x);
                full.set(false);
                y
            }
            LayerPrecision::AsGiven if is_of_one_type(&x) => run(x),
            _ => run(all_in(x, dtype, false)?),
        }
    }

    /// Values that are put together: where layers gave them different types, in the type that the pass computes in.
    pub(crate) fn alike<V: IntoValue>(&self, x: V) -> Result<V> {
        match self.compute_here() {
            Some(dtype) if !is_of_one_type(&x) => all_in(x, dtype, false),
            _ => Ok(x),
        }
    }

    /// Rows of a table that were chosen from it as it is, in the type that the pass computes in.
    pub(crate) fn chosen(&self, rows: Var) -> Result<Var> {
        match self.compute_here() {
            Some(dtype) => rows.to_dtype(dtype),
            None => Ok(rows),
        }
    }

    /// Lets go of the parameters that were converted, once the backward pass is done: a context that is kept for
    /// [`Ctx::commit`] needs no memory for them.
    pub fn release(&self) {
        self.conversions.parameters.borrow_mut().clear();
    }

    /// A parameter in the type that the pass computes in. It is converted once.
    pub(crate) fn converted_parameter(&self, parameter: &Param, own: Var) -> Var {
        let Some(dtype) = self.compute_here().filter(|&dtype| dtype != own.dtype()) else { return own };
        let (of, version, recorded) = (parameter.id(), parameter.version(), own.requires_grad());
        let mut known = self.conversions.parameters.borrow_mut();
        let same = |one: &Converted| one.of == of && one.recorded == recorded && one.value.dtype() == dtype;
        if let Some(at) = known.iter().position(same) {
            if known[at].version == version {
                return known[at].value.clone();
            }
            known.swap_remove(at);
        }
        // What cannot be converted for lack of memory is refused by the operation that meets two types.
        let Ok(value) = own.to_dtype(dtype) else { return own };
        known.push(Converted { of, version, recorded, value: value.clone() });
        value
    }
}

/// The layers of a model that compute in f32 under mixed precision ([`LayerPrecision::Full`]), by path and name:
/// `["0 (Normalization)"]`. Of containers those are found that tell their parts ([`Describe::parts`](crate::Describe::parts)).
pub fn full_precision_layers(model: &dyn AnyLayer) -> Vec<String> {
    fn find(layer: &dyn AnyLayer, path: &mut Path, found: &mut Vec<String>) {
        if layer.any_precision() == LayerPrecision::Full {
            let name = format!("{} ({})", path.as_str(), layer.name());
            // A layer may be called twice.
            if !found.contains(&name) {
                found.push(name);
            }
            return;
        }
        for part in layer.parts() {
            path.push(part.segment);
            find(part.layer, path, found);
            path.pop();
        }
    }
    let mut found = Vec::new();
    find(model, &mut Path::new(), &mut found);
    found
}
