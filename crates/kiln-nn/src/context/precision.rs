//! The floating-point type that a pass computes in: inputs of layers and parameters are converted to it, each parameter once a pass.

use super::Ctx;
use crate::value::IntoValue;
use crate::{AnyLayer, LayerPrecision, Param, Path};
use kiln_autograd::{LeafId, Var};
use kiln_tensor::{DType, Result};
use std::cell::{Cell, RefCell};

/// What a pass has converted so far, and whether it is in a layer that computes in f32.
#[derive(Default, Debug)]
pub(super) struct Conversions {
    /// Within a layer of [`LayerPrecision::Full`].
    full: Cell<bool>,
    parameters: RefCell<Vec<Converted>>,
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

impl Ctx {
    /// The same, computing in this floating-point type: a model of f32 that computes in bf16 (mixed precision).
    ///
    /// The model stays what it is, and so does the code around it: parameters, their gradients, and with f16 and bf16 the outputs of the
    /// model are f32. In between, each layer converts its inputs and its parameters ([`Layer::precision`](crate::Layer::precision) says which layers do not);
    /// a parameter is converted once in a pass. Sums of products, normalizations, softmax and losses are computed in f32 and
    /// rounded once. Small gradients of f16 become 0: use a `LossScale` with it.
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

    /// The type that a pass of this kind converts to, here.
    #[inline]
    pub(super) fn compute_here(&self) -> Option<DType> {
        self.mode.compute.filter(|_| !self.conversions.full.get())
    }

    /// A layer's inputs in the type that the pass computes in.
    pub(crate) fn converted<V: IntoValue>(&self, x: V) -> Result<V> {
        match self.compute_here() {
            Some(dtype) => all_in(x, dtype, false),
            None => Ok(x),
        }
    }

    /// Runs something of a layer on its inputs in the type that the layer computes in.
    #[cold]
    pub(super) fn in_precision<V: IntoValue, R>(
        &self,
        precision: LayerPrecision,
        x: V,
        dtype: DType,
        run: impl FnOnce(V) -> Result<R>,
    ) -> Result<R> {
        match precision {
            LayerPrecision::Inner => run(x),
            LayerPrecision::Full if dtype.is_half() => {
                let x = all_in(x, DType::F32, true)?;
                let before = self.conversions.full.replace(true);
                let y = run(x);
                self.conversions.full.set(before);
                y
            }
            LayerPrecision::Compute | LayerPrecision::Full => run(all_in(x, dtype, false)?),
        }
    }

    /// A model's output, which is f32 where the pass computes in a half type.
    pub(super) fn model_output<V: IntoValue>(&self, y: V) -> Result<V> {
        match self.mode.compute {
            Some(dtype) if dtype.is_half() => all_in(y, DType::F32, true),
            _ => Ok(y),
        }
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
/// `["0 (Normalization)"]`.
pub fn full_precision_layers(model: &dyn AnyLayer) -> Vec<String> {
    fn find(layer: &dyn AnyLayer, path: &mut Path, found: &mut Vec<String>) {
        if layer.any_precision() == LayerPrecision::Full {
            return found.push(format!("{} ({})", path.as_str(), layer.name()));
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
