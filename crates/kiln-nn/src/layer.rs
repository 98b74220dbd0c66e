//! `Layer`: a module that computes something of its input; `AnyLayer`: the same behind one object-safe trait.

use crate::value::{FromValue, IntoValue, Mask, SampleShape, Shapes, Value};
use crate::{Ctx, Describe, Init, Module};
use kiln_tensor::{Error, Result};

/// The shape of one sample of a layer's input or output: [`kiln_tensor::Shape`] for a Var, a tuple of them for a tuple.
pub type ShapeOf<V> = <V as IntoValue>::Shape;

/// A module that computes something of its input. Say what it takes and gives, and implement [`Layer::forward`]; a layer whose
/// parameters depend on its input's shape also implements [`Layer::build`].
///
/// ```
/// use kiln_autograd::Var;
/// use kiln_nn::{Ctx, Dense, Describe, Layer, Module, Sequential};
/// use kiln_tensor::Result;
///
/// /// tanh(x) · scale, from two inputs.
/// #[derive(Module, Describe)]
/// struct Scaled;
///
/// impl Layer for Scaled {
///     type Input = (Var, Var);
///     type Output = Var;
///     fn forward(&self, (x, scale): (Var, Var), _: &Ctx) -> Result<Var> {
///         x.tanh()?.mul(&scale)
///     }
/// }
/// ```
pub trait Layer: Module + Describe + Send + Sync {
    /// What it takes: a [`Var`](kiln_autograd::Var), a [`Sequence`](crate::Sequence) where it reads the mask, a tuple or a
    /// struct of several. The first axis of each Var counts samples.
    type Input: FromValue;

    /// What it gives.
    type Output: IntoValue;

    /// The output for a batch.
    ///
    /// # Errors
    /// An input that does not fit, or a layer that was not built.
    fn forward(&self, x: Self::Input, ctx: &Ctx) -> Result<Self::Output>;

    /// [`Layer::forward`] as what flows between layers: a last layer over a large vocabulary may leave its output to be computed
    /// where it is asked for ([`Projection`](crate::Projection)).
    ///
    /// # Errors
    /// Those of [`Layer::forward`].
    fn forward_value(&self, x: Self::Input, ctx: &Ctx) -> Result<Value> {
        Ok(self.forward(x, ctx)?.into_value())
    }

    /// Whether the mask of the input's steps goes on with the output, where the layer takes one value and gives a Var.
    fn mask(&self) -> MaskRule {
        MaskRule::Keep
    }

    /// The type that the layer computes in under mixed precision ([`Ctx::compute`]).
    fn precision(&self) -> LayerPrecision {
        LayerPrecision::Compute
    }

    /// Makes the parameters for samples of this shape (without the batch axis) and gives the output's shape. Building a
    /// layer again for the same input changes nothing.
    ///
    /// By default there is nothing to make, and the shape is found by running the layer on zeros.
    ///
    /// # Errors
    /// A shape that the layer cannot take, or another than it was built for.
    fn build(&mut self, input: &ShapeOf<Self::Input>, init: &mut Init) -> Result<ShapeOf<Self::Output>> {
        init.output_shape(self, input)
    }

    /// Forgets what the layer carries from pass to pass: states of recurrent layers, keys and values of attention, positions
    /// ([`Carried::clear`](crate::Carried::clear)).
    fn reset_states(&self) {}

    /// Other things that it computes with the same parameters, for [`Graph::call_with`](crate::Graph::call_with).
    fn methods() -> Vec<Method<Self>>
    where
        Self: Sized,
    {
        Vec::new()
    }
}

/// Something else than [`Layer::forward`] that a layer computes with its parameters: [`Embedding::LOGITS`](crate::Embedding).
/// It is known by its name in files.
#[derive(Debug)]
pub struct Method<L> {
    name: &'static str,
    run: fn(&L, Value, &Ctx) -> Result<Value>,
    shape: Option<fn(&L, &Shapes) -> Result<Shapes>>,
}

impl<L> Method<L> {
    /// A method of this name.
    pub const fn new(name: &'static str, run: fn(&L, Value, &Ctx) -> Result<Value>) -> Self {
        Method { name, run, shape: None }
    }

    /// The same with what gives the output's shape for an input's. Without it, the shape is found by running the method on zeros.
    #[must_use]
    pub const fn with_shape(self, shape: fn(&L, &Shapes) -> Result<Shapes>) -> Self {
        Method { shape: Some(shape), ..self }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// What becomes of the mask of a layer's input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MaskRule {
    /// It goes on with an output of as many steps (axis 1); where the output has others, it ends.
    Keep,
    /// It ends: the output's axis 1 counts no steps, as of convolutions and pooling.
    Drop,
}

/// The type that a layer computes in under mixed precision: where [`Ctx::compute`] names f16 or bf16.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayerPrecision {
    /// In the half type: inputs of a floating-point type and parameters are converted to it.
    Compute,
    /// In f32, as without mixed precision: inputs of half types are converted to f32, parameters stay as they are. For a layer whose
    /// numbers need more than the 8 or 11 bits of a half type, or whose operations do not take half types.
    Full,
    /// In the type that the inputs come in: a container that hands its inputs on to other layers, a layer that only moves elements, a
    /// model that you write as a struct of layers. Inputs of several floating-point types are converted to the half type.
    AsGiven,
}

/// A layer of any input and output, as containers hold it. Every [`Layer`] is one: nothing is to be implemented.
pub trait AnyLayer: Module + Describe + Send + Sync {
    /// [`Layer::forward`] on a value, which is turned into what the layer takes. The mask goes on as [`Layer::mask`] says.
    ///
    /// # Errors
    /// Another number of values than the layer takes; those of the layer.
    fn forward_any(&self, x: Value, ctx: &Ctx) -> Result<Value>;

    /// A [`Method`] of the layer. The mask goes on with an output of as many steps.
    ///
    /// # Errors
    /// A name that is none of the layer's methods; those of the method.
    fn call_method(&self, method: &str, x: Value, ctx: &Ctx) -> Result<Value>;

    /// The shape that a [`Method`] gives for inputs of this shape, where the method says it without being run.
    fn method_shape(&self, method: &str, input: &Shapes) -> Option<Result<Shapes>>;

    /// [`Layer::build`] for shapes of any number of values.
    ///
    /// # Errors
    /// Another number of shapes than the layer takes values; those of the layer.
    fn build_any(&mut self, input: &Shapes, init: &mut Init) -> Result<Shapes>;

    /// [`Layer::reset_states`].
    fn forget(&self);

    /// [`Layer::precision`].
    fn any_precision(&self) -> LayerPrecision;
}

impl<L: Layer> AnyLayer for L {
    #[inline]
    fn forward_any(&self, x: Value, ctx: &Ctx) -> Result<Value> {
        let keeps = !L::Output::CARRIES_MASK && self.mask() == MaskRule::Keep;
        let kept = if keeps { Kept::of(&x) } else { None };
        let y = self.forward_value(L::Input::from_value(x)?, ctx)?;
        Ok(match kept {
            Some(kept) => kept.onto(y),
            None => y,
        })
    }

    fn call_method(&self, method: &str, x: Value, ctx: &Ctx) -> Result<Value> {
        let Some(method) = L::methods().into_iter().find(|known| known.name == method) else {
            return Err(Error::value("call_with", format!("{} has no method `{method}`", self.name())));
        };
        let kept = Kept::of(&x);
        let y = match ctx.mode().compute {
            Some(dtype) => ctx.run_converted(dtype, self.precision(), x, |x| (method.run)(self, x, ctx))?,
            None => (method.run)(self, x, ctx)?,
        };
        Ok(match kept {
            Some(kept) => kept.onto(y),
            None => y,
        })
    }

    fn method_shape(&self, method: &str, input: &Shapes) -> Option<Result<Shapes>> {
        let method = L::methods().into_iter().find(|known| known.name == method)?;
        method.shape.map(|shape| shape(self, input))
    }

    fn build_any(&mut self, input: &Shapes, init: &mut Init) -> Result<Shapes> {
        Ok(self.build(&SampleShape::from_shapes(input)?, init)?.into_shapes())
    }

    fn forget(&self) {
        self.reset_states();
    }

    fn any_precision(&self) -> LayerPrecision {
        self.precision()
    }
}

/// The mask of an input, to go on with an output of as many steps.
struct Kept {
    mask: Mask,
    steps: Option<usize>,
}

impl Kept {
    #[inline]
    fn of(x: &Value) -> Option<Self> {
        match x {
            Value::One(var, Some(mask)) => Some(Kept { mask: mask.clone(), steps: var.dims().get(1).copied() }),
            Value::Projection(projection, Some(mask)) => {
                Some(Kept { mask: mask.clone(), steps: projection.shape().get(1).copied() })
            }
            _ => None,
        }
    }

    fn onto(self, y: Value) -> Value {
        match y {
            Value::One(y, None) if y.dims().get(1).copied() == self.steps => Value::One(y, Some(self.mask)),
            Value::Projection(y, None) if y.shape().get(1).copied() == self.steps => {
                Value::Projection(y, Some(self.mask))
            }
            y => y,
        }
    }
}

/// A layer of any kind is itself a layer, of values.
impl Layer for dyn AnyLayer + '_ {
    type Input = Value;
    type Output = Value;
    #[inline]
    fn forward(&self, x: Value, ctx: &Ctx) -> Result<Value> {
        self.forward_any(x, ctx)
    }
    fn build(&mut self, input: &Shapes, init: &mut Init) -> Result<Shapes> {
        self.build_any(input, init)
    }
    fn reset_states(&self) {
        self.forget();
    }
    fn precision(&self) -> LayerPrecision {
        self.any_precision()
    }
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    type Input = L::Input;
    type Output = L::Output;
    fn forward(&self, x: L::Input, ctx: &Ctx) -> Result<L::Output> {
        (**self).forward(x, ctx)
    }
    fn forward_value(&self, x: L::Input, ctx: &Ctx) -> Result<Value> {
        (**self).forward_value(x, ctx)
    }
    fn mask(&self) -> MaskRule {
        (**self).mask()
    }
    fn build(&mut self, input: &ShapeOf<L::Input>, init: &mut Init) -> Result<ShapeOf<L::Output>> {
        (**self).build(input, init)
    }
    fn reset_states(&self) {
        (**self).reset_states();
    }
    fn precision(&self) -> LayerPrecision {
        (**self).precision()
    }
}
