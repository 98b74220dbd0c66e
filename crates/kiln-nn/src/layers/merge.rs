//! Several values as one: sums, products, side by side.

use super::concat::side_by_side;
use super::setters::setters;
use crate::value::Mask;
use crate::{ClassAxis, Ctx, Describe, Init, Layer, LayerPrecision, Module, Sequence};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// The steps that count in all inputs that say so.
fn common(inputs: &[Sequence]) -> Result<Option<Mask>> {
    let mut masks = inputs.iter().filter_map(|input| input.mask.as_ref());
    let Some(first) = masks.next() else { return Ok(None) };
    masks.try_fold(first.clone(), |all, mask| all.and(mask)).map(Some)
}

/// Fails where there are fewer values than two, or not all of one shape: nothing is broadcast.
fn expect_alike(operation: &'static str, shapes: &[Shape]) -> Result<Shape> {
    let [first, others @ ..] = shapes else { return Err(too_few(operation, 0)) };
    if others.is_empty() {
        return Err(too_few(operation, 1));
    }
    match others.iter().find(|other| *other != first) {
        None => Ok(*first),
        Some(other) => Err(Error::shape(operation, format!("values of one shape are needed, got {first} and {other}"))),
    }
}

#[cold]
fn too_few(operation: &'static str, given: usize) -> Error {
    Error::value(operation, format!("two values or more are needed, got {given}"))
}

macro_rules! merges {
    ($($(#[$doc:meta])+ $name:ident, $operation:literal, $method:ident $(, $share:expr)?;)+) => {$(
        $(#[$doc])+
        ///
        /// Takes several values of one shape. A step counts that counts in all of them.
        #[derive(Module, Describe, Clone, Copy, Debug, Default, Serialize, Deserialize)]
        #[describe(settings)]
        pub struct $name {}

        impl $name {
            /// The layer.
            pub const fn new() -> Self {
                $name {}
            }
        }

        impl Layer for $name {
            type Input = Vec<Sequence>;
            type Output = Sequence;

            fn forward(&self, inputs: Vec<Sequence>, _: &Ctx) -> Result<Sequence> {
                let shapes: Vec<Shape> = inputs.iter().map(|input| *input.values.shape()).collect();
                expect_alike($operation, &shapes)?;
                let mask = common(&inputs)?;
                let mut values = inputs.into_iter().map(|input| input.values);
                let first = values.next().ok_or_else(|| too_few($operation, 0))?;
                let values = values.try_fold(first, |all, value| all.$method(&value))?;
                $(let values = values.mul_scalar($share(shapes.len()))?;)?
                Ok(Sequence { values, mask })
            }

            fn build(&mut self, inputs: &Vec<Shape>, _: &mut Init) -> Result<Shape> {
                expect_alike($operation, inputs)
            }
        }
    )+};
}
merges! {
    /// The sum (Keras's `Add`).
    Add, "add", add;
    /// The mean (Keras's `Average`).
    Average, "average", add, |count: usize| 1.0 / count as f64;
    /// The largest, element by element (Keras's `Maximum`). Equal ones share the gradient. NaN wins.
    Maximum, "maximum", maximum;
    /// The smallest, element by element (Keras's `Minimum`). Equal ones share the gradient. NaN wins.
    Minimum, "minimum", minimum;
    /// The product, element by element (Keras's `Multiply`).
    Multiply, "multiply", mul;
    /// The first less the others (Keras's `Subtract`).
    Subtract, "subtract", sub;
}

/// Values side by side along an axis (Keras's `Concatenate`): the last one, of maps (N, C, H, W) axis 1, the channels; or that
/// of [`axis`](Concatenate::axis).
///
/// A step counts that counts in all values; along axis 1, which counts steps, no mask goes on.
#[derive(Module, Describe, Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[describe(settings)]
pub struct Concatenate {
    #[module(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    axis: Option<isize>,
}

impl Concatenate {
    /// Along the features, or the channels.
    pub fn new() -> Self {
        Concatenate::default()
    }

    setters! {
        /// Along this axis of a batch, whose axis 0 counts samples; negative ones count from the end.
        fn axis(self, axis: isize) { self.axis = Some(axis) }
    }

    fn of(self, batch: &Shape) -> Result<usize> {
        let axis = self.axis.map_or(ClassAxis::BY_RANK, ClassAxis::at).of("concatenate", batch)?;
        match axis {
            0 => Err(Error::value("concatenate", "axis 0 counts samples: another axis is needed")),
            axis => Ok(axis),
        }
    }
}

impl Layer for Concatenate {
    type Input = Vec<Sequence>;
    type Output = Sequence;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    fn forward(&self, inputs: Vec<Sequence>, _: &Ctx) -> Result<Sequence> {
        let first = inputs.first().ok_or_else(|| too_few("concatenate", 0))?;
        let axis = self.of(first.values.shape())?;
        let values: Vec<&Var> = inputs.iter().map(|input| &input.values).collect();
        Ok(Sequence { values: Var::concat(&values, axis)?, mask: if axis == 1 { None } else { common(&inputs)? } })
    }

    fn build(&mut self, inputs: &Vec<Shape>, _: &mut Init) -> Result<Shape> {
        let first = inputs.first().ok_or_else(|| too_few("concatenate", 0))?;
        let axis = self.of(&Shape::new(&[&[1], &first[..]].concat())?)?;
        side_by_side("concatenate", inputs, axis - 1)
    }
}
