//! From what flows between layers to what a layer takes, and back.

use super::{Mask, SampleShape, Shapes, Value, arity};
use kiln_autograd::Var;
use kiln_tensor::{Result, Shape, Tensor};

/// What a layer can give: a [`Var`], a [`Sequence`], a tuple or a Vec of such, or a struct of such with
/// `#[derive(IntoValue)]`.
pub trait IntoValue: Sized {
    /// The shape of one sample: [`Shape`] for a Var, a tuple of shapes for a tuple or a struct.
    type Shape: SampleShape;

    /// Whether it says itself which steps count, so that [`MaskRule`](crate::MaskRule) does not.
    const CARRIES_MASK: bool = true;

    /// As what flows between layers.
    fn into_value(self) -> Value;

    /// Shows every Var in it, in order.
    fn for_each_var<'v>(&'v self, f: &mut dyn FnMut(&'v Var));

    /// The same with other Vars, in order; masks stay.
    #[must_use]
    fn map_vars(self, f: &mut dyn FnMut(Var) -> Var) -> Self;
}

/// What a layer can take: as [`IntoValue`], with `#[derive(FromValue, IntoValue)]` for structs.
pub trait FromValue: IntoValue {
    /// From what flows between layers.
    ///
    /// # Errors
    /// Another number of values than this takes.
    fn from_value(value: Value) -> Result<Self>;
}

/// Sequences (N, T, …) and which of their steps count: what a layer takes and gives that reads or changes the mask.
///
/// A layer of `Input = Var` does not see the mask; its [`mask`](crate::Layer::mask) says whether it goes on.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// The values.
    pub values: Var,
    /// bool (N, T); without it all steps count.
    pub mask: Option<Mask>,
}

impl Sequence {
    /// Sequences with a mask, bool (N, T).
    pub fn new(values: Var, mask: impl Into<Mask>) -> Self {
        Sequence { values, mask: Some(mask.into()) }
    }
}

impl IntoValue for Value {
    type Shape = Shapes;
    #[inline]
    fn into_value(self) -> Value {
        self
    }
    fn for_each_var<'v>(&'v self, f: &mut dyn FnMut(&'v Var)) {
        match self {
            Value::One(var, _) => f(var),
            Value::Projection(projection, _) => projection.vars().for_each(f),
            Value::Many(values) => values.iter().for_each(|value| value.for_each_var(f)),
        }
    }
    fn map_vars(self, f: &mut dyn FnMut(Var) -> Var) -> Self {
        match self {
            Value::One(var, mask) => Value::One(f(var), mask),
            Value::Projection(projection, mask) => Value::Projection(Box::new(projection.map_vars(f)), mask),
            Value::Many(values) => Value::Many(values.map_vars(f)),
        }
    }
}

impl FromValue for Value {
    #[inline]
    fn from_value(value: Value) -> Result<Self> {
        Ok(value)
    }
}

impl IntoValue for Var {
    type Shape = Shape;
    const CARRIES_MASK: bool = false;
    #[inline]
    fn into_value(self) -> Value {
        Value::One(self, None)
    }
    fn for_each_var<'v>(&'v self, f: &mut dyn FnMut(&'v Var)) {
        f(self);
    }
    fn map_vars(self, f: &mut dyn FnMut(Var) -> Var) -> Self {
        f(self)
    }
}

impl FromValue for Var {
    #[inline]
    fn from_value(value: Value) -> Result<Self> {
        value.var()
    }
}

impl IntoValue for Sequence {
    type Shape = Shape;
    fn into_value(self) -> Value {
        Value::One(self.values, self.mask)
    }
    fn for_each_var<'v>(&'v self, f: &mut dyn FnMut(&'v Var)) {
        f(&self.values);
    }
    fn map_vars(self, f: &mut dyn FnMut(Var) -> Var) -> Self {
        Sequence { values: f(self.values), mask: self.mask }
    }
}

impl FromValue for Sequence {
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::One(values, mask) => Ok(Sequence { values, mask }),
            Value::Projection(projection, mask) => Ok(Sequence { values: projection.compute()?.clone(), mask }),
            Value::Many(values) => Err(arity("1 value", values.len())),
        }
    }
}

impl From<Sequence> for Value {
    fn from(sequence: Sequence) -> Self {
        sequence.into_value()
    }
}

macro_rules! sequences {
    ($($ty:ty),+) => {$(
        /// Without a mask.
        impl From<$ty> for Sequence {
            fn from(values: $ty) -> Self {
                Sequence { values: values.into(), mask: None }
            }
        }
    )+};
}
sequences!(Var, &Var, Tensor, &Tensor);

/// Any number of values.
impl<T: IntoValue> IntoValue for Vec<T> {
    type Shape = Vec<T::Shape>;
    fn into_value(self) -> Value {
        Value::Many(self.into_iter().map(T::into_value).collect())
    }
    fn for_each_var<'v>(&'v self, f: &mut dyn FnMut(&'v Var)) {
        self.iter().for_each(|value| value.for_each_var(f));
    }
    fn map_vars(self, f: &mut dyn FnMut(Var) -> Var) -> Self {
        self.into_iter().map(|value| value.map_vars(f)).collect()
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::Many(values) => values.into_iter().map(T::from_value).collect(),
            one => Ok(vec![T::from_value(one)?]),
        }
    }
}

impl<T: IntoValue> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        values.into_value()
    }
}

macro_rules! tuples {
    ($($count:literal: $($name:ident $variable:ident)+;)+) => {$(
        impl<$($name: SampleShape),+> SampleShape for ($($name,)+) {
            fn from_shapes(shapes: &Shapes) -> Result<Self> {
                let [$($variable),+] = shapes.parts() else {
                    return Err(arity(concat!($count, " values"), shapes.parts().len()));
                };
                Ok(($($name::from_shapes($variable)?,)+))
            }
            fn into_shapes(self) -> Shapes {
                let ($($variable,)+) = self;
                Shapes::Many(vec![$($variable.into_shapes()),+])
            }
        }

        impl<$($name: IntoValue),+> IntoValue for ($($name,)+) {
            type Shape = ($($name::Shape,)+);
            fn into_value(self) -> Value {
                let ($($variable,)+) = self;
                Value::Many(vec![$($variable.into_value()),+])
            }
            fn for_each_var<'v>(&'v self, f: &mut dyn FnMut(&'v Var)) {
                let ($($variable,)+) = self;
                $($variable.for_each_var(f);)+
            }
            fn map_vars(self, f: &mut dyn FnMut(Var) -> Var) -> Self {
                let ($($variable,)+) = self;
                ($($variable.map_vars(f),)+)
            }
        }

        impl<$($name: FromValue),+> FromValue for ($($name,)+) {
            fn from_value(value: Value) -> Result<Self> {
                let values = match value {
                    Value::Many(values) => values,
                    one => vec![one],
                };
                let [$($variable),+] = <[Value; $count]>::try_from(values)
                    .map_err(|values| arity(concat!($count, " values"), values.len()))?;
                Ok(($($name::from_value($variable)?,)+))
            }
        }

        impl<$($name: Into<Value>),+> From<($($name,)+)> for Value {
            fn from(($($variable,)+): ($($name,)+)) -> Self {
                Value::Many(vec![$($variable.into()),+])
            }
        }
    )+};
}
tuples! {
    2: A a B b;
    3: A a B b C c;
    4: A a B b C c D d;
    5: A a B b C c D d E e;
    6: A a B b C c D d E e F f;
}
