//! `Layer`: a module that maps a Var to a Var.

use crate::{Ctx, Init, Module, Sequential};
use kiln_autograd::Var;
use kiln_tensor::{Result, Shape};
use serde_json::Value;

/// A module with one input and one output. Implement [`Layer::forward`]; a layer whose parameters depend on its input's
/// shape also implements [`Layer::build`].
pub trait Layer: Module + Send + Sync {
    /// The output for a batch: the first axis of `x` counts samples.
    ///
    /// # Errors
    /// An input that does not fit, or a layer that was not built.
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var>;

    /// Makes the parameters for inputs of this shape (without the batch axis) and gives the output's shape. Building a
    /// layer again for the same input changes nothing.
    ///
    /// By default there is nothing to make, and the shape is found by running the layer on zeros.
    ///
    /// # Errors
    /// A shape that the layer cannot take, or another than it was built for.
    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        init.output_shape(self, input)
    }

    /// Forgets what was carried from batch to batch: the states of recurrent layers that are stateful.
    fn reset_states(&self) {}

    /// The type's name, as error messages and summaries show it.
    fn name(&self) -> &'static str {
        let path = std::any::type_name::<Self>();
        let path = path.split('<').next().unwrap_or(path);
        path.rsplit("::").next().unwrap_or(path)
    }

    /// The settings from which Kiln makes the layer again ([`Sequential::from_architecture`](crate::Sequential)), as a JSON
    /// object; none where it cannot, as of custom layers. A `layer` in it stands for [`Layer::name`].
    fn config(&self) -> Option<Value> {
        None
    }

    /// Floating-point operations of the forward pass for one sample with an output of this shape: two for each
    /// multiplication and addition of matrix products and convolutions, as PyTorch's `FlopCounterMode` counts; elementwise
    /// work is left out.
    ///
    /// By default each weight (out, …) is taken to meet every position of the output once, as in dense layers and
    /// convolutions.
    fn flops(&self, output: &Shape) -> u64 {
        let weights = self.parameters().into_iter().map(|(_, parameter)| parameter.value().shape());
        let products = weights.filter(|shape| shape.rank() >= 2 && shape[0] > 0);
        products.map(|shape| 2 * shape.elements() as u64 * (output.elements() / shape[0]) as u64).sum()
    }

    /// How many spatial axes the samples (C, D…) have that the layer takes: 2 of images (C, H, W). None where it takes others;
    /// a container says that of its first layer. By it [`Sequential::build`] knows a shape with channels last.
    fn spatial_axes(&self) -> Option<usize> {
        None
    }

    /// The layer as a [`Sequential`], where it is one: summaries show the layers in it.
    fn as_sequential(&self) -> Option<&Sequential> {
        None
    }
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        (**self).forward(x, ctx)
    }
    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        (**self).build(input, init)
    }
    fn reset_states(&self) {
        (**self).reset_states();
    }
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn config(&self) -> Option<Value> {
        (**self).config()
    }
    fn flops(&self, output: &Shape) -> u64 {
        (**self).flops(output)
    }
    fn spatial_axes(&self) -> Option<usize> {
        (**self).spatial_axes()
    }
    fn as_sequential(&self) -> Option<&Sequential> {
        (**self).as_sequential()
    }
}
