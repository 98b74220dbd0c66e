//! Numbers for each spatial axis, and paddings, as users write them.

use super::{MAX_SPATIAL, Window};
use crate::{Error, Result};
use std::fmt;

/// No stride, dilation or padding is longer: what is computed from several of them cannot overflow then.
const LONGEST: usize = i32::MAX as usize;

/// One number for every spatial axis, or one for each: `3` or `[3, 5]`.
///
/// ```
/// use kiln_tensor::PerAxis;
/// let (square, flat): (PerAxis, PerAxis) = (3.into(), [1, 7].into());
/// assert_eq!((square.to_string(), flat.to_string()), ("3".into(), "1×7".into()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PerAxis<T = usize> {
    values: [T; MAX_SPATIAL],
    /// How many were given.
    count: usize,
}

impl<T: Copy> PerAxis<T> {
    /// What was given: one for all axes, or one for each.
    pub fn given(&self) -> &[T] {
        &self.values[..self.count]
    }

    /// The values as three, those of the `spatial` axes last, before them `absent`.
    fn aligned(&self, what: &str, spatial: usize, absent: T) -> Result<[T; MAX_SPATIAL], String>
    where
        Self: fmt::Display,
    {
        let mut out = [absent; MAX_SPATIAL];
        let own = &mut out[MAX_SPATIAL - spatial..];
        match self.count {
            1 => own.fill(self.values[0]),
            count if count == spatial => own.copy_from_slice(self.given()),
            count => return Err(format!("{what} {self} is for {count} spatial axes, there are {spatial}")),
        }
        Ok(out)
    }
}

impl PerAxis {
    /// The numbers as three, those of the `spatial` axes last; those of absent axes are 1.
    ///
    /// # Errors
    /// Numbers for another number of axes, a 0, or one beyond 2³¹.
    pub(super) fn at_least_one(
        &self,
        operation: &'static str,
        what: &str,
        spatial: usize,
    ) -> Result<[usize; MAX_SPATIAL]> {
        let numbers = self.aligned(what, spatial, 1).map_err(|message| Error::shape(operation, message))?;
        if numbers.iter().any(|number| !(1..=LONGEST).contains(number)) {
            let bound = if numbers.contains(&0) { "1 or more" } else { "below 2³¹" };
            return Err(Error::value(operation, format!("{what} {self} is out of range: it must be {bound}")));
        }
        Ok(numbers)
    }

    /// As [`PerAxis::at_least_one`], but 0 is allowed, and what absent axes have.
    pub(super) fn at_least_zero(
        &self,
        operation: &'static str,
        what: &str,
        spatial: usize,
    ) -> Result<[usize; MAX_SPATIAL]> {
        let numbers = self.aligned(what, spatial, 0).map_err(|message| Error::shape(operation, message))?;
        if numbers.iter().any(|&number| number > LONGEST) {
            return Err(Error::value(operation, format!("{what} {self} is out of range")));
        }
        Ok(numbers)
    }

    /// The same numbers for these axes, `spatial` of them: the sizes of an output, say.
    ///
    /// # Errors
    /// Numbers for another number of axes, or a 0.
    pub fn sizes(&self, operation: &'static str, spatial: usize) -> Result<[usize; MAX_SPATIAL]> {
        self.at_least_one(operation, "size", spatial.min(MAX_SPATIAL))
    }
}

impl<T: Copy> From<T> for PerAxis<T> {
    fn from(value: T) -> Self {
        PerAxis { values: [value; MAX_SPATIAL], count: 1 }
    }
}

macro_rules! from_arrays {
    ($($count:literal)+) => {$(
        impl<T: Copy> From<[T; $count]> for PerAxis<T> {
            fn from(given: [T; $count]) -> Self {
                let mut values = [given[0]; MAX_SPATIAL];
                values[..$count].copy_from_slice(&given);
                PerAxis { values, count: $count }
            }
        }
    )+};
}
from_arrays!(1 2 3);

/// `3×5`
pub(super) struct Times<'a>(pub(super) &'a [usize]);

impl fmt::Display for Times<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, number) in self.0.iter().enumerate() {
            write!(f, "{}{number}", if position > 0 { "×" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for PerAxis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Times(self.given()).fmt(f)
    }
}

impl fmt::Display for PerAxis<(usize, usize)> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.given()).finish()
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for PerAxis<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.given()).finish()
    }
}

/// What is put around an input before a window goes over it.
///
/// Made from numbers as well: `1` on every side, `[1, 2]` for each axis, `[(0, 1), (2, 2)]` before and after each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Padding {
    /// Nothing: the window stays within the input.
    #[default]
    Valid,
    /// As much as gives ⌈size/stride⌉ outputs, the odd element after the axis: TensorFlow's rule (Keras's `"same"`).
    Same,
    /// This many elements before and after each axis.
    Explicit(PerAxis<(usize, usize)>),
}

impl From<usize> for Padding {
    fn from(both: usize) -> Self {
        Padding::Explicit((both, both).into())
    }
}

impl<const N: usize> From<[usize; N]> for Padding
where
    PerAxis<(usize, usize)>: From<[(usize, usize); N]>,
{
    fn from(each: [usize; N]) -> Self {
        Padding::Explicit(each.map(|both| (both, both)).into())
    }
}

impl<const N: usize> From<[(usize, usize); N]> for Padding
where
    PerAxis<(usize, usize)>: From<[(usize, usize); N]>,
{
    fn from(sides: [(usize, usize); N]) -> Self {
        Padding::Explicit(sides.into())
    }
}

impl From<PerAxis<(usize, usize)>> for Padding {
    fn from(sides: PerAxis<(usize, usize)>) -> Self {
        Padding::Explicit(sides)
    }
}

impl Padding {
    /// Elements before and after each axis of an input of these sizes, for a window whose padding is not known yet.
    pub(super) fn sides(
        &self,
        operation: &'static str,
        window: &Window,
        sizes: [usize; MAX_SPATIAL],
        spatial: usize,
    ) -> Result<[(usize, usize); MAX_SPATIAL]> {
        match self {
            Padding::Valid => Ok([(0, 0); MAX_SPATIAL]),
            Padding::Same => Ok(std::array::from_fn(|axis| {
                let (size, stride) = (sizes[axis], window.stride[axis]);
                let reach =
                    (size.div_ceil(stride).max(1) - 1).saturating_mul(stride).saturating_add(window.extent(axis));
                let total = reach.saturating_sub(size);
                (total / 2, total - total / 2)
            })),
            Padding::Explicit(given) => {
                let sides =
                    given.aligned("padding", spatial, (0, 0)).map_err(|message| Error::shape(operation, message))?;
                if sides.iter().any(|&(before, after)| before.max(after) > LONGEST) {
                    return Err(Error::value(operation, format!("padding {given} is out of range")));
                }
                Ok(sides)
            }
        }
    }
}
