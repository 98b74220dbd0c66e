//! Weight normalization.

use super::computed_weight::{ComputedWeight, visit_at, visit_mut_at};
use crate::{AnyLayer, Ctx, Describe, Init, Layer, LayerPrecision, Module, Param, Shapes, Value, Visitor, VisitorMut};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Tensor};
use serde_json::{Value as Json, json};

/// A layer whose weight is learned as a length and a direction: weight = g · v / ‖v‖, with a norm for each index of one axis,
/// over all others (Salimans and Kingma 2016; PyTorch's `weight_norm`).
///
/// Any layer with a parameter `weight` will do; of one with several, [`parameter`](WeightNorm::parameter) names another. Paths
/// are PyTorch's: `weight_g` (out, 1, …) and `weight_v` in the place of `weight`. When it is built, the weight is what the
/// layer's initializer has made.
///
/// ```
/// use kiln_nn::{Dense, Module, Sequential, WeightNorm};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(WeightNorm::new(Dense::new(10))).build([4], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.state_dict().keys().collect::<Vec<_>>(), ["0.bias", "0.weight_g", "0.weight_v"]);
/// assert_eq!(model.state_dict()["0.weight_g"].dims(), [10, 1]);
/// # Ok(())
/// # }
/// ```
pub struct WeightNorm {
    layer: ComputedWeight,
    dim: Option<usize>,
    g: Option<Param>,
}

impl WeightNorm {
    /// With a norm for each index of the weight's first axis: each output of a dense layer, each filter.
    pub fn new(layer: impl AnyLayer + 'static) -> Self {
        WeightNorm::of(Box::new(layer))
    }

    pub(crate) fn of(layer: Box<dyn AnyLayer>) -> Self {
        WeightNorm { layer: ComputedWeight::new(layer, "_v"), dim: Some(0), g: None }
    }

    /// The axis each of whose indices has a norm of its own, by default 0; `None` for one norm of the whole weight.
    #[must_use]
    pub fn dim(mut self, dim: impl Into<Option<usize>>) -> Self {
        self.dim = dim.into();
        self
    }

    /// Another parameter than `weight`, by its path in the layer: `weight_hh_l0` of an LSTM.
    #[must_use]
    pub fn parameter(mut self, path: impl Into<String>) -> Self {
        self.layer.set_path(path.into());
        self
    }

    /// The lengths g and the directions v, once built.
    pub fn parts(&self) -> Option<(&Param, &Param)> {
        self.g.as_ref().zip(self.layer.parameter().ok())
    }

    /// The axes that a norm is over.
    fn axes(&self, rank: usize) -> Result<Vec<usize>> {
        match self.dim {
            Some(dim) if dim >= rank => {
                Err(Error::value("weight_norm", format!("axis {dim} is out of range of a weight of {rank} axes")))
            }
            dim => Ok((0..rank).filter(|&axis| Some(axis) != dim).collect()),
        }
    }

    /// The lengths of a weight, as it is now.
    fn lengths(&self, weight: &Tensor, placeholders: bool) -> Result<Tensor> {
        let axes = self.axes(weight.rank())?;
        let lengths = match self.dim {
            Some(_) => weight.norm_keepdim(2.0, &axes[..])?,
            None => weight.norm(2.0, ..)?,
        };
        if !placeholders && lengths.min(..)?.item()? == 0.0 {
            let message = "a weight whose norm is 0 has no direction: choose another initializer than zeros";
            return Err(Error::value("weight_norm", message));
        }
        Ok(lengths)
    }
}

impl Layer for WeightNorm {
    type Input = Value;
    type Output = Value;

    fn forward(&self, x: Value, ctx: &Ctx) -> Result<Value> {
        let parameter = self.layer.parameter()?;
        let g = self.g.as_ref().ok_or_else(|| super::weights::unbuilt("Sequential::build"))?;
        let dtype = parameter.value().dtype();
        let wide = |var: Var| var.to_dtype(dtype.computed_in());
        let (g, v) = (wide(g.own_var(ctx))?, wide(parameter.own_var(ctx))?);
        let norms = v.norm_keepdim(2.0, &self.axes(v.shape().rank())?[..])?;
        let weight = v.mul(&g.div(&norms)?)?.to_dtype(dtype)?;
        self.layer.forward(parameter, weight, x, ctx)
    }

    fn build(&mut self, input: &Shapes, init: &mut Init) -> Result<Shapes> {
        let output = self.layer.layer_mut().build_any(input, init)?;
        if self.g.is_none() {
            let weight = self.layer.parameter()?.value();
            self.g = Some(Param::new(self.lengths(weight, init.makes_placeholders())?));
        }
        Ok(output)
    }

    fn reset_states(&self) {
        self.layer.layer().forget();
    }

    fn precision(&self) -> LayerPrecision {
        self.layer.layer().any_precision()
    }
}

impl Module for WeightNorm {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        if let Some(g) = &self.g {
            visit_at(&self.layer.beside("_g"), g, visitor);
        }
        self.layer.visit(visitor);
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        if let Some(g) = &mut self.g {
            visit_mut_at(&self.layer.beside("_g"), g, visitor);
        }
        self.layer.visit_mut(visitor);
    }
}

impl Describe for WeightNorm {
    fn config(&self) -> Option<Json> {
        let mut config = self.layer.config()?;
        config.insert("dim".to_owned(), json!(self.dim));
        Some(Json::Object(config))
    }
    fn spatial_axes(&self) -> Option<usize> {
        self.layer.layer().spatial_axes()
    }
    fn flops(&self, output: &Shapes) -> u64 {
        self.layer.layer().flops(output)
    }
}
