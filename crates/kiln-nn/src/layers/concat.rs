//! Branches side by side.

use super::list::Layers;
use crate::{Ctx, Init, Layer, Module, architecture};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde_json::{Map, Value};
use std::fmt;

/// Several layers of the same x (N, C, …), their outputs one after the other along the channels: Inception's and DenseNet's
/// blocks. Paths are `0.…`, `1.…`, or the branches' names.
///
/// ```
/// use kiln_nn::{Activation, Concat, Conv2d, MaxPool2d, Sequential};
/// use kiln_tensor::{Device, Padding};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let block = Concat::new()
///     .branch(Activation::Linear) // x itself
///     .branch(Conv2d::new(8, 3).padding(Padding::Same))
///     .branch_named("pool", MaxPool2d::new(3).stride(1).padding(1));
/// let model = Sequential::new().push(block).build([4, 6, 6], &Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0].dims(), [4 + 8 + 4, 6, 6]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Default)]
pub struct Concat {
    #[module(flatten)]
    branches: Layers,
    /// The shapes that the branches give for a sample, once built.
    #[module(skip)]
    outputs: Vec<Shape>,
}

impl Concat {
    /// No branches yet.
    pub fn new() -> Self {
        Concat::default()
    }

    /// The same with one branch more.
    #[must_use]
    pub fn branch(mut self, layer: impl Layer + 'static) -> Self {
        self.branches.add(None, Box::new(layer));
        self
    }

    /// The same with one branch more, which paths call by this name.
    #[must_use]
    pub fn branch_named(mut self, name: impl Into<String>, layer: impl Layer + 'static) -> Self {
        self.branches.add(Some(name.into()), Box::new(layer));
        self
    }

    /// Of branches that were described.
    pub(crate) fn of(branches: Layers) -> Self {
        Concat { branches, outputs: Vec::new() }
    }
}

impl fmt::Debug for Concat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.branches.iter().map(|(_, layer)| layer.name())).finish()
    }
}

impl Layer for Concat {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let mask = ctx.mask();
        let branches = self.branches.iter().map(|(segment, layer)| {
            ctx.set_mask(mask.clone());
            ctx.layer(segment, layer, x)
        });
        let outputs = branches.collect::<Result<Vec<Var>>>()?;
        // Axis 1 is put together: it has no steps that a mask speaks of.
        ctx.set_mask(None);
        Var::concat(&outputs.iter().collect::<Vec<_>>(), 1)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        self.branches.check_names()?;
        let branches = self.branches.iter_mut().map(|(segment, layer)| init.layer(segment, layer, input));
        let outputs = branches.collect::<Result<Vec<Shape>>>()?;
        let Some(first) = outputs.first() else {
            return Err(Error::value("build", "no branches: there must be 1 or more"));
        };
        if let Some(other) = outputs.iter().find(|output| output.get(1..) != first.get(1..) || output.is_empty()) {
            let message = format!(
                "branches give {first} and {other}: all but the channels must be the same; change strides or padding"
            );
            return Err(Error::shape("build", message));
        }
        let mut dims = first.to_vec();
        dims[0] = outputs.iter().map(|output| output[0]).sum();
        self.outputs = outputs;
        Shape::new(&dims)
    }

    fn spatial_axes(&self) -> Option<usize> {
        self.branches.iter().find_map(|(_, layer)| layer.spatial_axes())
    }

    fn config(&self) -> Option<Value> {
        Some(Value::Object(Map::from_iter([("branches".to_owned(), architecture::list(&self.branches))])))
    }

    fn flops(&self, _: &Shape) -> u64 {
        self.branches.iter().zip(&self.outputs).map(|((_, layer), output)| layer.flops(output)).sum()
    }
}
