//! Shapes of what flows between layers.

use super::arity;
use kiln_tensor::{Result, Shape};
use serde_json::Value as Json;
use std::fmt;

/// The shapes of one sample, without the batch's axis: of one value, or of several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shapes {
    /// Of one value.
    One(Shape),
    /// Of several, in order.
    Many(Vec<Shapes>),
}

impl Shapes {
    /// The shape of one value.
    ///
    /// # Errors
    /// Several values.
    pub fn one(&self) -> Result<&Shape> {
        match self {
            Shapes::One(shape) => Ok(shape),
            Shapes::Many(shapes) => Err(arity("1 value", shapes.len())),
        }
    }

    /// The shapes in order: itself where it is of one value.
    pub fn parts(&self) -> &[Shapes] {
        match self {
            Shapes::One(_) => std::slice::from_ref(self),
            Shapes::Many(shapes) => shapes,
        }
    }

    /// Numbers in one sample.
    pub fn elements(&self) -> usize {
        match self {
            Shapes::One(shape) => shape.elements(),
            Shapes::Many(shapes) => shapes.iter().map(Shapes::elements).sum(),
        }
    }

    /// `[28,28]`, or a list of such.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Shapes::One(shape) => shape.to_vec().into(),
            Shapes::Many(shapes) => shapes.iter().map(Shapes::to_json).collect(),
        }
    }
}

impl From<Shape> for Shapes {
    fn from(shape: Shape) -> Self {
        Shapes::One(shape)
    }
}

/// An axis of a size that no tensor has is taken as that of nothing: a shape of it is refused where it is used.
impl<const N: usize> From<[usize; N]> for Shapes {
    fn from(dims: [usize; N]) -> Self {
        Shapes::One(Shape::new(&dims).unwrap_or(Shape::SCALAR))
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shapes {
    fn eq(&self, dims: &[usize; N]) -> bool {
        matches!(self, Shapes::One(shape) if shape[..] == dims[..])
    }
}

impl fmt::Display for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shapes::One(shape) => shape.fmt(f),
            Shapes::Many(shapes) => {
                f.write_str("[")?;
                for (index, shape) in shapes.iter().enumerate() {
                    write!(f, "{}{shape}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// The shapes of a sample in the form of a layer's input or output: a [`Shape`] for a Var, a tuple of shapes for a tuple.
pub trait SampleShape: Clone {
    /// From the general form.
    ///
    /// # Errors
    /// Another number of values.
    fn from_shapes(shapes: &Shapes) -> Result<Self>;

    /// In the general form.
    fn into_shapes(self) -> Shapes;
}

impl SampleShape for Shape {
    fn from_shapes(shapes: &Shapes) -> Result<Self> {
        shapes.one().copied()
    }
    fn into_shapes(self) -> Shapes {
        Shapes::One(self)
    }
}

impl SampleShape for Shapes {
    fn from_shapes(shapes: &Shapes) -> Result<Self> {
        Ok(shapes.clone())
    }
    fn into_shapes(self) -> Shapes {
        self
    }
}

impl<S: SampleShape> SampleShape for Vec<S> {
    fn from_shapes(shapes: &Shapes) -> Result<Self> {
        shapes.parts().iter().map(S::from_shapes).collect()
    }
    fn into_shapes(self) -> Shapes {
        Shapes::Many(self.into_iter().map(S::into_shapes).collect())
    }
}
