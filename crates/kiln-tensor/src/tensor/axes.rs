//! Axes as users name them: from the end with negative numbers, several at once, or all.

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
    fn new(axes: impl Iterator<Item = isize>, shape: &Shape) -> Result<Self> {
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

/// The axis `axis` of a shape; negative ones count from the end.
///
/// # Errors
/// An axis out of range.
#[inline]
pub fn axis_index(operation: &'static str, axis: isize, shape: &Shape) -> Result<usize> {
    let rank = shape.rank() as isize;
    if axis < -rank || axis >= rank {
        return Err(Error::shape(operation, format!("axis {axis} is out of range for {shape}, which has {rank} axes")));
    }
    Ok(if axis < 0 { axis + rank } else { axis } as usize)
}

/// What names axes: `-1`, `[0, 2]`, a slice, `..` for all.
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
impl IntoAxes for isize {
    fn into_axes(self, shape: &Shape) -> Result<Axes> {
        Axes::new(std::iter::once(self), shape)
    }
}
impl IntoAxes for RangeFull {
    fn into_axes(self, shape: &Shape) -> Result<Axes> {
        Axes::new(0..shape.rank() as isize, shape)
    }
}
impl IntoAxes for &[isize] {
    fn into_axes(self, shape: &Shape) -> Result<Axes> {
        Axes::new(self.iter().copied(), shape)
    }
}
impl<const N: usize> IntoAxes for [isize; N] {
    fn into_axes(self, shape: &Shape) -> Result<Axes> {
        Axes::new(self.into_iter(), shape)
    }
}
impl IntoAxes for &[usize] {
    fn into_axes(self, shape: &Shape) -> Result<Axes> {
        // One beyond all axes, not one from the end, where it overflows.
        Axes::new(self.iter().map(|&axis| isize::try_from(axis).unwrap_or(isize::MAX)), shape)
    }
}
