//! Shapes: the sizes of a tensor's axes, held inline.

use crate::{Error, Result};
use std::fmt;
use std::ops::Deref;

/// The largest number of axes. Shapes and strides are held inline, so that a tensor costs no allocation but its storage;
/// with six of them a tensor is 128 bytes, which are moved by two or three vector instructions, not by a call.
pub const MAX_RANK: usize = 6;

/// The sizes of a tensor's axes, at most [`MAX_RANK`] of them. Derefs to `[usize]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// The shape of a scalar: no axes, one element.
    pub const SCALAR: Shape = Shape { dims: [0; MAX_RANK], rank: 0 };

    /// A shape of these axes.
    ///
    /// # Errors
    /// More than [`MAX_RANK`] axes, or a number of elements that overflows `isize` bytes.
    #[inline]
    pub fn new(dims: &[usize]) -> Result<Self> {
        if dims.len() > MAX_RANK {
            return Err(Error::shape(
                "shape",
                format!("{dims:?} has {} axes, at most {MAX_RANK} are supported", dims.len()),
            ));
        }
        let mut shape = Shape { dims: [0; MAX_RANK], rank: dims.len() as u8 };
        let mut elements = 1usize;
        for (to, &from) in shape.dims.iter_mut().zip(dims) {
            *to = from;
            // Zero-sized axes must not hide an overflow of the others: views may drop them.
            elements = match elements.checked_mul(from.max(1)) {
                Some(n) if n <= isize::MAX as usize / 8 => n,
                _ => return Err(Error::shape("shape", format!("{dims:?} has more elements than memory can hold"))),
            };
        }
        Ok(shape)
    }

    /// Sizes of the axes.
    #[inline]
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }

    /// Sizes of the axes, to be changed; the rank stays.
    #[inline]
    pub(crate) fn dims_mut(&mut self) -> &mut [usize] {
        &mut self.dims[..self.rank as usize]
    }

    /// With another axis, of size `size`, before axis `axis`.
    ///
    /// # Errors
    /// As [`Shape::new`].
    pub(crate) fn with_axis(&self, axis: usize, size: usize) -> Result<Self> {
        let mut dims = [0; MAX_RANK + 1];
        let rank = self.rank();
        dims[..axis].copy_from_slice(&self[..axis]);
        dims[axis] = size;
        dims[axis + 1..=rank].copy_from_slice(&self[axis..]);
        Shape::new(&dims[..=rank])
    }

    /// Without axis `axis`.
    pub(crate) fn without_axis(&self, axis: usize) -> Self {
        let mut out = *self;
        out.dims.copy_within(axis + 1..self.rank(), axis);
        out.rank -= 1;
        // What lies past the rank is 0, as everywhere: shapes are compared whole.
        out.dims[out.rank()] = 0;
        out
    }

    /// With `size` in the place of axis `axis`'s.
    ///
    /// # Errors
    /// As [`Shape::new`].
    pub(crate) fn with_size(&self, axis: usize, size: usize) -> Result<Self> {
        let mut out = *self;
        out.dims[axis] = size;
        Shape::new(&out)
    }

    /// Number of axes.
    #[inline]
    pub fn rank(&self) -> usize {
        self.rank as usize
    }

    /// Number of elements: the product of the sizes, 1 for a scalar.
    #[inline]
    pub fn elements(&self) -> usize {
        self.dims().iter().product()
    }
}

impl Deref for Shape {
    type Target = [usize];
    #[inline]
    fn deref(&self) -> &[usize] {
        self.dims()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (i, d) in self.dims().iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{d}")?;
        }
        // As Python writes a tuple of one.
        f.write_str(if self.rank == 1 { ",)" } else { ")" })
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What can be given where a shape is wanted: `28`, `[28, 28]`, `(2, 3)`, a slice, a `Shape`.
pub trait IntoShape {
    /// The shape.
    ///
    /// # Errors
    /// As [`Shape::new`].
    fn into_shape(self) -> Result<Shape>;
}

impl IntoShape for Shape {
    #[inline]
    fn into_shape(self) -> Result<Shape> {
        Ok(self)
    }
}
impl IntoShape for &Shape {
    #[inline]
    fn into_shape(self) -> Result<Shape> {
        Ok(*self)
    }
}
impl IntoShape for usize {
    #[inline]
    fn into_shape(self) -> Result<Shape> {
        Shape::new(&[self])
    }
}
impl IntoShape for () {
    #[inline]
    fn into_shape(self) -> Result<Shape> {
        Ok(Shape::SCALAR)
    }
}
impl IntoShape for &[usize] {
    #[inline]
    fn into_shape(self) -> Result<Shape> {
        Shape::new(self)
    }
}
impl IntoShape for Vec<usize> {
    #[inline]
    fn into_shape(self) -> Result<Shape> {
        Shape::new(&self)
    }
}
impl IntoShape for &Vec<usize> {
    #[inline]
    fn into_shape(self) -> Result<Shape> {
        Shape::new(self)
    }
}
impl<const N: usize> IntoShape for [usize; N] {
    #[inline]
    fn into_shape(self) -> Result<Shape> {
        Shape::new(&self)
    }
}
impl<const N: usize> IntoShape for &[usize; N] {
    #[inline]
    fn into_shape(self) -> Result<Shape> {
        Shape::new(self)
    }
}
macro_rules! tuple_shape {
    ($($n:ident)+) => {
        #[allow(non_snake_case)] // the tuple's type parameters name its fields
        impl IntoShape for ($(tuple_shape!(@ $n),)+) {
            #[inline]
            fn into_shape(self) -> Result<Shape> { let ($($n,)+) = self; Shape::new(&[$($n),+]) }
        }
    };
    (@ $n:ident) => { usize };
}
tuple_shape!(A);
tuple_shape!(A B);
tuple_shape!(A B C);
tuple_shape!(A B C D);
tuple_shape!(A B C D E);

/// The shape that NumPy's broadcasting gives `a` and `b`: aligned at the last axis, axes of size 1 stretch.
///
/// # Errors
/// Axes that differ where neither is 1, with both shapes named; more elements than memory can hold.
pub fn broadcast_shapes(operation: &'static str, a: &Shape, b: &Shape) -> Result<Shape> {
    if a == b {
        return Ok(*a);
    }
    let (long, short) = if a.rank() >= b.rank() { (a, b) } else { (b, a) };
    let mut out = *long;
    let lead = long.rank() - short.rank();
    for (axis, &size) in short.iter().enumerate() {
        let to = &mut out.dims[lead + axis];
        if *to == 1 {
            *to = size;
        } else if size != 1 && size != *to {
            return Err(Error::shape(
                operation,
                format!(
                    "shapes {a} and {b} do not broadcast: axis {} is {} against {size}; equal sizes or 1 are needed",
                    lead + axis,
                    *to
                ),
            ));
        }
    }
    // Views may each stretch over another axis: together these may be more than can be counted.
    Shape::new(&out)
}
