//! Axes as users name them: one or several, from the start or, with negative numbers, from the end; or all.

use crate::{Error, MAX_RANK, Result, Shape};
use std::ops::{Deref, RangeFull};

/// Axes of a shape, ascending, each once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axes {
    axes: [usize; MAX_RANK],
    count: usize,
}

impl Deref for Axes {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.axes[..self.count]
    }
}

impl Axes {
    fn new(axes: impl Iterator<Item = impl IntoAxis>, shape: &Shape) -> Result<Self> {
        let mut named = [false; MAX_RANK];
        for axis in axes {
            let index = axis_index("axes", axis, shape)?;
            if std::mem::replace(&mut named[index], true) {
                return Err(Error::shape("axes", format!("axis {index} of {shape} is named twice")));
            }
        }
        Ok(Axes::those(shape, |axis| named[axis]))
    }

    /// The axes of a shape that `chosen` picks.
    pub(crate) fn those(shape: &Shape, chosen: impl Fn(usize) -> bool) -> Self {
        let mut out = Axes { axes: [0; MAX_RANK], count: 0 };
        for axis in (0..shape.rank()).filter(|&axis| chosen(axis)) {
            out.axes[out.count] = axis;
            out.count += 1;
        }
        out
    }
}

/// One axis as users name it: an `i32`, `isize` or `usize`, where negative numbers count from the end.
///
/// ```
/// # use kiln_tensor::{DType, Device, Tensor};
/// let x = Tensor::zeros([2, 3], DType::F32, &Device::cpu())?;
/// assert_eq!(x.argmax(-1)?.dims(), x.argmax(x.rank() - 1)?.dims());
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
pub trait IntoAxis: Copy {
    /// The number as it was given; `isize::MAX` for a larger one, which is beyond every axis.
    fn into_axis(self) -> isize;
}

impl IntoAxis for i32 {
    #[inline]
    fn into_axis(self) -> isize {
        self as isize
    }
}
impl IntoAxis for isize {
    #[inline]
    fn into_axis(self) -> isize {
        self
    }
}
impl IntoAxis for usize {
    #[inline]
    fn into_axis(self) -> isize {
        isize::try_from(self).unwrap_or(isize::MAX)
    }
}

/// The index of `axis` in a shape; negative numbers count from the end.
///
/// # Errors
/// An axis out of range.
#[inline]
pub fn axis_index(operation: &'static str, axis: impl IntoAxis, shape: &Shape) -> Result<usize> {
    let (axis, rank) = (axis.into_axis(), shape.rank() as isize);
    if axis < -rank || axis >= rank {
        return Err(out_of_range(operation, axis, shape));
    }
    Ok(if axis < 0 { axis + rank } else { axis } as usize)
}

/// The index at which a new axis is inserted: 0 to the rank; negative numbers count from the end, −1 is after the last axis.
pub(super) fn new_axis_index(operation: &'static str, axis: impl IntoAxis, shape: &Shape) -> Result<usize> {
    let (axis, places) = (axis.into_axis(), shape.rank() as isize + 1);
    if axis < -places || axis >= places {
        return Err(out_of_range(operation, axis, shape));
    }
    Ok(if axis < 0 { axis + places } else { axis } as usize)
}

#[cold]
fn out_of_range(operation: &'static str, axis: isize, shape: &Shape) -> Error {
    let rank = shape.rank();
    let axes = if rank == 1 { "axis" } else { "axes" };
    Error::shape(operation, format!("axis {axis} is out of range for {shape}, which has {rank} {axes}"))
}

/// Axes as users name them: one ([`IntoAxis`]), several as an array or a slice, or `..` for all.
pub trait IntoAxes {
    /// The axes of this shape that are meant.
    ///
    /// # Errors
    /// An axis out of range or named twice.
    fn into_axes(self, shape: &Shape) -> Result<Axes>;
}

impl IntoAxes for Axes {
    fn into_axes(self, _: &Shape) -> Result<Axes> {
        Ok(self)
    }
}
impl IntoAxes for &Axes {
    fn into_axes(self, _: &Shape) -> Result<Axes> {
        Ok(*self)
    }
}
impl IntoAxes for RangeFull {
    fn into_axes(self, shape: &Shape) -> Result<Axes> {
        Ok(Axes::those(shape, |_| true))
    }
}
impl<A: IntoAxis> IntoAxes for A {
    fn into_axes(self, shape: &Shape) -> Result<Axes> {
        Axes::new(std::iter::once(self), shape)
    }
}
impl<A: IntoAxis> IntoAxes for &[A] {
    fn into_axes(self, shape: &Shape) -> Result<Axes> {
        Axes::new(self.iter().copied(), shape)
    }
}
impl<A: IntoAxis, const N: usize> IntoAxes for [A; N] {
    fn into_axes(self, shape: &Shape) -> Result<Axes> {
        Axes::new(self.into_iter(), shape)
    }
}

/// Numbers as users name them: one, or several as an array or a slice; where they are axes, negative ones count from the end.
pub trait Several {
    /// The numbers in their order.
    fn several(self) -> Vec<isize>;
}

impl<A: IntoAxis> Several for A {
    fn several(self) -> Vec<isize> {
        vec![self.into_axis()]
    }
}
impl<A: IntoAxis> Several for &[A] {
    fn several(self) -> Vec<isize> {
        self.iter().map(|axis| axis.into_axis()).collect()
    }
}
impl<A: IntoAxis, const N: usize> Several for [A; N] {
    fn several(self) -> Vec<isize> {
        self.as_slice().several()
    }
}
