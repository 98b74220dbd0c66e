//! Branches side by side.

use super::list::Layers;
use crate::{AnyLayer, Ctx, Describe, Init, Layer, LayerPrecision, MaskRule, Module, Shapes, Value, architecture};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde_json::{Map, Value as Json};
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
/// assert_eq!(model.output_shapes()[0], [4 + 8 + 4, 6, 6]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Default)]
pub struct Concat {
    #[module(flatten)]
    branches: Layers,
    /// The shapes that the branches give for a sample, once built.
    #[module(skip)]
    outputs: Vec<Shapes>,
}

impl Concat {
    /// No branches yet.
    pub fn new() -> Self {
        Concat::default()
    }

    /// The same with one branch more.
    #[must_use]
    pub fn branch(mut self, layer: impl AnyLayer + 'static) -> Self {
        self.branches.add(None, Box::new(layer));
        self
    }

    /// The same with one branch more, which paths call by this name.
    #[must_use]
    pub fn branch_named(mut self, name: impl Into<String>, layer: impl AnyLayer + 'static) -> Self {
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
    type Input = Value;
    type Output = Var;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    /// Every branch is given the input with its mask; axis 1 of the output has no steps that a mask speaks of.
    fn forward(&self, x: Value, ctx: &Ctx) -> Result<Var> {
        let branches = self.branches.iter().map(|(segment, layer)| ctx.layer(segment, layer, x.clone())?.var());
        let outputs = ctx.alike(branches.collect::<Result<Vec<Var>>>()?)?;
        Var::concat(&outputs.iter().collect::<Vec<_>>(), 1)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shapes, init: &mut Init) -> Result<Shape> {
        self.branches.check_names()?;
        let branches = self.branches.iter_mut().map(|(segment, layer)| init.layer(segment, layer, input));
        self.outputs = branches.collect::<Result<Vec<Shapes>>>()?;
        let outputs = self.outputs.iter().map(|output| output.one().copied()).collect::<Result<Vec<Shape>>>()?;
        side_by_side("build", &outputs, 0)
    }

    fn reset_states(&self) {
        self.branches.iter().for_each(|(_, layer)| layer.forget());
    }
}

/// The shape of samples side by side along an axis.
pub(super) fn side_by_side(operation: &'static str, samples: &[Shape], axis: usize) -> Result<Shape> {
    let Some(first) = samples.first() else {
        return Err(Error::value(operation, "no branches: there must be 1 or more"));
    };
    let fits = |other: &&Shape| {
        let alike = |(at, (a, b)): (usize, (&usize, &usize))| at == axis || a == b;
        axis < first.rank() && other.rank() == first.rank() && other.iter().zip(first.iter()).enumerate().all(alike)
    };
    if let Some(other) = samples.iter().find(|other| !fits(other)) {
        let message = format!(
            "branches give {first} and {other}: all but the channels must be the same; change strides or padding"
        );
        return Err(Error::shape(operation, message));
    }
    let mut dims = first.to_vec();
    dims[axis] = samples.iter().map(|sample| sample[axis]).sum();
    Shape::new(&dims)
}

impl Describe for Concat {
    fn spatial_axes(&self) -> Option<usize> {
        self.branches.iter().find_map(|(_, layer)| layer.spatial_axes())
    }
    fn config(&self) -> Option<Json> {
        Some(Json::Object(Map::from_iter([("branches".to_owned(), architecture::list(&self.branches))])))
    }
    fn flops(&self, _: &Shapes) -> u64 {
        self.branches.iter().zip(&self.outputs).map(|((_, layer), output)| layer.flops(output)).sum()
    }
}
