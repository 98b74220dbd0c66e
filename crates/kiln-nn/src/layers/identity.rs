//! A layer that changes nothing, and functions as layers.

use crate::{Ctx, Describe, FromValue, Init, IntoValue, Layer, LayerPrecision, Module, Shapes, Value, Visitor, VisitorMut};
use kiln_tensor::Result;
use serde::{Deserialize, Serialize};
use std::fmt;

/// x itself, whatever it is: one value or several, with their masks. A placeholder for an optional layer.
#[derive(Module, Describe, Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[describe(settings)]
pub struct Identity {}

impl Identity {
    /// The layer.
    pub const fn new() -> Self {
        Identity {}
    }
}

impl Layer for Identity {
    type Input = Value;
    type Output = Value;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    fn forward(&self, x: Value, _: &Ctx) -> Result<Value> {
        Ok(x)
    }

    fn build(&mut self, input: &Shapes, _: &mut Init) -> Result<Shapes> {
        Ok(input.clone())
    }
}

/// A function as a layer (Keras's `Lambda`), of one value or of a tuple of several. It has no parameters; the shape of its output is
/// found by running it on zeros.
///
/// A function cannot be written to a file: a model with a `Lambda` has an architecture that cannot be read back. Make such a model in
/// code and load its weights, or write the function as a layer of your own ([`Init::register`](crate::Init::register)).
///
/// ```
/// use kiln_autograd::Var;
/// use kiln_nn::{Dense, Lambda, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(Lambda::new(|x: Var| x.square()))
///     .push(Dense::new(2))
///     .build([3], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [3]);
/// # Ok(())
/// # }
/// ```
pub struct Lambda<I, O> {
    function: Box<Function<I, O>>,
}

type Function<I, O> = dyn Fn(I) -> Result<O> + Send + Sync;

impl<I: FromValue, O: IntoValue> Lambda<I, O> {
    /// The function as a layer. What it takes and gives is said in its signature: `|x: Var| …`, `|(a, b): (Var, Var)| …`.
    pub fn new(function: impl Fn(I) -> Result<O> + Send + Sync + 'static) -> Self {
        Lambda { function: Box::new(function) }
    }
}

impl<I: FromValue, O: IntoValue> Layer for Lambda<I, O> {
    type Input = I;
    type Output = O;

    fn forward(&self, x: I, _: &Ctx) -> Result<O> {
        (self.function)(x)
    }
}

impl<I, O> Module for Lambda<I, O> {
    fn visit<'m>(&'m self, _: &mut dyn Visitor<'m>) {}
    fn visit_mut<'m>(&'m mut self, _: &mut dyn VisitorMut<'m>) {}
}

impl<I, O> Describe for Lambda<I, O> {}

impl<I, O> fmt::Debug for Lambda<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lambda")
    }
}
