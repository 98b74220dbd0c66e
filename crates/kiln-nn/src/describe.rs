//! `Describe`: what can be said of a layer without running it.

use crate::value::Shapes;
use crate::{AnyLayer, Module, Segment};
use serde::Serialize;
use serde_json::Value as Json;

/// What can be said of a layer without running it: its name, its settings, its cost, what is in it. `#[derive(Describe)]` takes
/// all defaults; `#[describe(settings)]` on the struct makes its serde form its [`config`](Describe::config).
pub trait Describe: Module {
    /// The type's name, as error messages and summaries show it.
    fn name(&self) -> &'static str {
        let path = std::any::type_name::<Self>();
        let path = path.split('<').next().unwrap_or(path);
        path.rsplit("::").next().unwrap_or(path)
    }

    /// The settings from which the layer is made again ([`Sequential::from_architecture`](crate::Sequential)), as a JSON
    /// object; none where it cannot be. A `layer` in it stands for [`Describe::name`]. Kiln knows its own layers; a custom one
    /// is made known to the reader with [`Init::register`](crate::Init::register).
    fn config(&self) -> Option<Json> {
        None
    }

    /// Floating-point operations of the forward pass for one sample with an output of these shapes: two for each
    /// multiplication and addition of matrix products and convolutions, as PyTorch's `FlopCounterMode` counts; elementwise
    /// work is left out.
    ///
    /// By default each weight (out, …) is taken to meet every position of the output once, as in dense layers and
    /// convolutions.
    fn flops(&self, output: &Shapes) -> u64 {
        let weights = self.parameters().into_iter().map(|(_, parameter)| parameter.value().shape());
        let products = weights.filter(|shape| shape.rank() >= 2 && shape[0] > 0);
        products.map(|shape| 2 * shape.elements() as u64 * (output.elements() / shape[0]) as u64).sum()
    }

    /// How many spatial axes the samples (C, D…) have that the layer takes: 2 of images (C, H, W). None where it takes others;
    /// a container says that of its first layer. By it [`Sequential::build`](crate::Sequential::build) knows a shape with
    /// channels last.
    fn spatial_axes(&self) -> Option<usize> {
        None
    }

    /// The names of a model's outputs, in order, where it has several: what losses and metrics go by.
    fn output_names(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The layers in a model, in the order in which they run, as summaries show them. A layer that is shown as one has none.
    fn parts(&self) -> Vec<Part<'_>> {
        Vec::new()
    }
}

/// A layer in a model.
#[derive(Clone)]
pub struct Part<'m> {
    /// Its step of the path.
    pub segment: Segment<'m>,
    /// The layer.
    pub layer: &'m dyn AnyLayer,
    /// The shapes that it gives for one sample, once built.
    pub output: Option<&'m Shapes>,
    /// What it is given, where that is not the output of the one before.
    pub inputs: Vec<String>,
}

/// A layer's settings by serde, for [`Describe::config`]; none where serde cannot write them.
pub fn settings<L: Serialize>(layer: &L) -> Option<Json> {
    serde_json::to_value(layer).ok()
}

impl<L: Describe + ?Sized> Describe for Box<L> {
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn config(&self) -> Option<Json> {
        (**self).config()
    }
    fn flops(&self, output: &Shapes) -> u64 {
        (**self).flops(output)
    }
    fn spatial_axes(&self) -> Option<usize> {
        (**self).spatial_axes()
    }
    fn output_names(&self) -> Vec<&str> {
        (**self).output_names()
    }
    fn parts(&self) -> Vec<Part<'_>> {
        (**self).parts()
    }
}
