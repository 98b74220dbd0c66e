//! What flows between layers: [`Value`], one Var with its mask or several.
//!
//! One over a large vocabulary may come as a [`Projection`], which is computed where a Var is asked for.
//!
//! Authors of layers never handle it: a layer says what it takes and gives, a [`Var`], a [`Sequence`], a tuple, a struct with
//! `#[derive(FromValue, IntoValue)]` ([`crate::Layer::Input`], [`crate::Layer::Output`]). Containers (`Sequential`, `Graph`)
//! hold layers of any kind as [`crate::AnyLayer`], which takes a `Value` and gives one: it converts to what the layer takes
//! and back, and hands the mask on as the layer's [`crate::MaskRule`] says. (So axum does with its handlers.)
//!
//! A mask is a part of the value that it speaks of. It is not known to layers that the value does not reach.

mod convert;
mod mask;
mod projection;
mod shapes;

pub use convert::{FromValue, IntoValue, Sequence};
pub(crate) use mask::expect_one_document;
pub use mask::{Documents, Mask};
pub use projection::{OutputPart, Projection};
pub use shapes::{SampleShape, Shapes};

use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Shape, Tensor, Tensors};

/// What flows between layers: one Var, with the mask of its steps where it has one, or several values.
#[derive(Clone, Debug)]
pub enum Value {
    /// One, and which of its steps count; without a mask all do.
    One(Var, Option<Mask>),
    /// One that is not computed before it is asked for, and which of its steps count.
    Projection(Box<Projection>, Option<Mask>),
    /// Several, in order.
    Many(Vec<Value>),
}

impl Value {
    /// The Var of one value, without its mask.
    ///
    /// # Errors
    /// Several values.
    pub fn var(self) -> Result<Var> {
        match self {
            Value::One(var, _) => Ok(var),
            Value::Projection(projection, _) => projection.compute().cloned(),
            Value::Many(values) => Err(arity("1 value", values.len())),
        }
    }

    /// As [`Value::var`], borrowed.
    ///
    /// # Errors
    /// Several values.
    pub fn as_var(&self) -> Result<&Var> {
        match self {
            Value::One(var, _) => Ok(var),
            Value::Projection(projection, _) => projection.compute(),
            Value::Many(values) => Err(arity("1 value", values.len())),
        }
    }

    /// The same, computed: what a layer takes whose output another layer follows. Of one that stays here, it is computed once.
    ///
    /// # Errors
    /// Out of memory.
    pub(crate) fn computed(&self) -> Result<Value> {
        Ok(match self {
            Value::Projection(projection, mask) => Value::One(projection.compute()?.clone(), mask.clone()),
            computed => computed.clone(),
        })
    }

    /// The values in order: itself where it is one.
    pub fn into_parts(self) -> Vec<Value> {
        match self {
            Value::Many(values) => values,
            one => vec![one],
        }
    }

    /// The mask of one value, where it has one.
    pub fn mask(&self) -> Option<&Mask> {
        match self {
            Value::One(_, mask) | Value::Projection(_, mask) => mask.as_ref(),
            Value::Many(_) => None,
        }
    }

    /// The values in order: itself where it is one.
    pub fn parts(&self) -> &[Value] {
        match self {
            Value::Many(values) => values,
            one => std::slice::from_ref(one),
        }
    }

    /// The shapes of one sample: those of the Vars without the axis of the batch.
    ///
    /// # Errors
    /// None that a Var can cause.
    pub fn sample_shapes(&self) -> Result<Shapes> {
        match self {
            Value::One(var, _) => Shape::new(var.dims().get(1..).unwrap_or(&[])).map(Shapes::One),
            Value::Projection(projection, _) => Shape::new(projection.shape().get(1..).unwrap_or(&[])).map(Shapes::One),
            Value::Many(values) => values.iter().map(Value::sample_shapes).collect::<Result<_>>().map(Shapes::Many),
        }
    }

    /// Zeros for one sample of these shapes: how a layer is tried out.
    pub(crate) fn zeros(sample: &Shapes, dtype: DType, device: &Device) -> Result<Value> {
        match sample {
            Shapes::One(shape) => {
                let batch = Shape::new(&[&[1], &shape[..]].concat())?;
                Tensor::zeros(batch, dtype, device).map(Value::from)
            }
            Shapes::Many(shapes) => {
                shapes.iter().map(|shape| Value::zeros(shape, dtype, device)).collect::<Result<_>>().map(Value::Many)
            }
        }
    }
}

/// The error of another number of values than a layer takes.
#[cold]
pub(crate) fn arity(takes: &str, given: usize) -> Error {
    let given = if given == 1 { "1 is given".to_owned() } else { format!("{given} are given") };
    Error::new(ErrorKind::Value, "forward", format!("this takes {takes}, {given}"))
}

macro_rules! one {
    ($($ty:ty),+) => {$(
        impl From<$ty> for Value {
            #[inline]
            fn from(value: $ty) -> Self {
                Value::One(value.into(), None)
            }
        }
    )+};
}
one!(Var, &Var, Tensor, &Tensor);

/// Several tensors are several values.
impl From<&Tensors> for Value {
    fn from(tensors: &Tensors) -> Self {
        match tensors.count() {
            1 => Value::from(&**tensors),
            _ => Value::Many(tensors.iter().map(Value::from).collect()),
        }
    }
}

impl From<Tensors> for Value {
    fn from(tensors: Tensors) -> Self {
        Value::from(&tensors)
    }
}
