//! Values made larger, or of the same shape: repetition, padding, grids.
#![allow(missing_docs, clippy::missing_errors_doc)] // the list has them

use super::named;
use crate::{Arithmetic, Error, IntoAxis, MAX_RANK, Result, Shape, Tensor, axis_index};

/// What [`Tensor::pad_with`] puts before and after an axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum PadMode {
    /// This number.
    Constant(f64),
    /// The elements mirrored at the outermost one, which is not repeated: cb|abcd|cb.
    Reflect,
    /// The outermost element: aa|abcd|dd.
    Replicate,
    /// The elements from the other end: cd|abcd|ab.
    Circular,
}

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_grow {
    ($callback:path) => {
        $callback! { grow {
            /// The whole value repeated so many times along each axis; counts for more axes than there are put new ones first, fewer
            /// are for the last axes. NumPy's `tile`, PyTorch's `repeat` and `tile`.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// assert_eq!(x.tile([2])?.to_vec::<f32>()?, [1.0, 2.0, 1.0, 2.0]);
            /// assert_eq!(x.tile([3, 2])?.dims(), [3, 4]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// More counts than there can be axes, more elements than memory can hold.
            #[doc(alias = "repeat")]
            fn tile(counts: impl $crate::IntoShape) -> Self;

            /// Each index of an axis repeated `count` times, one after the other: aabbcc.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// assert_eq!(x.repeat_interleave(2, 0)?.to_vec::<f32>()?, [1.0, 1.0, 2.0, 2.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, more elements than memory can hold.
            fn repeat_interleave(count: usize, axis: impl $crate::IntoAxis) -> Self;

            /// Each index of an axis repeated as many times as its own count says.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// assert_eq!(x.repeat_each(&[1, 3], 0)?.to_vec::<f32>()?, [1.0, 2.0, 2.0, 2.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, another number of counts than the axis has indices, more elements than memory can hold.
            #[doc(alias = "repeat_interleave")]
            fn repeat_each(counts: &[usize], axis: impl $crate::IntoAxis) -> Self;

            /// Elements before and after the last axes, as many as there are pairs, by a mode: `&[(1, 1), (0, 2)]` pads the last axis
            /// but one by one on either side, and the last by two at its end.
            ///
            /// ```
            /// # use kiln_tensor::{Device, PadMode, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], [3], &Device::cpu())?;
            /// assert_eq!(x.pad_with(&[(1, 2)], PadMode::Reflect)?.to_vec::<f32>()?, [2.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
            /// assert_eq!(x.pad_with(&[(2, 1)], PadMode::Circular)?.to_vec::<f32>()?, [2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// More pairs than axes; more elements of an axis than it has for `Circular`, as many as it has for `Reflect`; an empty axis
            /// that is to be continued; more elements than memory can hold.
            fn pad_with(sides: &[(usize, usize)], mode: $crate::PadMode) -> Self;

            /// Zeros of this shape and dtype.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// assert_eq!(x.zeros_like()?.to_vec::<f32>()?, [0.0, 0.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Out of memory.
            fn zeros_like() -> Self;

            /// Ones of this shape and dtype.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// assert_eq!(x.ones_like()?.to_vec::<f32>()?, [1.0, 1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Out of memory.
            fn ones_like() -> Self;

            /// One value, converted to this dtype, in this shape.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// assert_eq!(x.full_like(7.0)?.to_vec::<f32>()?, [7.0, 7.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Out of memory.
            fn full_like(value: f64) -> Self;
        } }
    };
}

/// The signatures of those that take any number of operands.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_grow_functions {
    ($callback:path) => {
        $callback! { grow {
            /// The grid of several vectors: of each, with as many elements as the shape (n₁, n₂, …) of their sizes has, the one whose
            /// element \[i₁, i₂, …\] is its own iₖ-th. Views of tensors. NumPy's `meshgrid` with `indexing="ij"`, which is
            /// PyTorch's default.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// let y = Tensor::from_slice(&[3.0f32, 4.0, 5.0], [3], &Device::cpu())?;
            /// let grid = Tensor::meshgrid(&[&x, &y])?;
            /// assert_eq!(grid[0].to_vec::<f32>()?, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
            /// assert_eq!(grid[1].to_vec::<f32>()?, [3.0, 4.0, 5.0, 3.0, 4.0, 5.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// A value with another number of axes than one, more values than there can be axes.
            fn meshgrid(vectors: &[&Self]) -> Vec<Self>;
        } }
    };
}

/// Products of sizes, which may be more than can be counted: then as many as can.
fn times(size: usize, count: usize) -> usize {
    size.saturating_mul(count)
}

pub fn tile<A: Arithmetic>(x: &A, counts: impl crate::IntoShape) -> Result<A> {
    let counts = named("tile", counts.into_shape())?;
    let (shape, rank) = (x.shape(), x.shape().rank().max(counts.rank()));
    let padded = |list: &[usize], axis: usize| (axis + list.len()).checked_sub(rank).map_or(1, |own| list[own]);
    let pairs: Vec<(usize, usize)> = (0..rank).map(|axis| (padded(shape, axis), padded(&counts, axis))).collect();
    let sizes: Vec<usize> = pairs.iter().map(|&(size, count)| times(size, count)).collect();
    let to = named("tile", Shape::new(&sizes))?;
    let extra = pairs.iter().filter(|&&(_, count)| count != 1).count();
    if rank + extra > MAX_RANK {
        return x.in_wide(|x| tile_in_turn(x, &pairs)?.reshape(to));
    }
    let axes = |pair: &dyn Fn(usize, usize) -> [usize; 2]| {
        let axes = pairs.iter().flat_map(|&(size, count)| {
            let [first, second] = pair(count, size);
            [first, second].into_iter().skip(usize::from(count == 1))
        });
        Shape::new(&axes.collect::<Vec<_>>())
    };
    x.reshape(axes(&|_, size| [1, size])?)?.broadcast_to(axes(&|count, size| [count, size])?)?.reshape(to)
}

/// [`tile`] of more axes than can be repeated at once, one axis after the other from the last one on, while there is least to copy.
fn tile_in_turn<A: Arithmetic>(x: &A, pairs: &[(usize, usize)]) -> Result<A> {
    let mut y = x.clone();
    for (axis, &(size, count)) in pairs.iter().enumerate().rev().filter(|(_, pair)| pair.1 != 1) {
        let before: usize = pairs[..axis].iter().map(|pair| pair.0).product();
        let after: usize = pairs[axis + 1..].iter().map(|&(size, count)| size * count).product();
        let row = size * after;
        y = y.reshape(Shape::new(&[before, 1, row])?)?.broadcast_to(Shape::new(&[before, count, row])?)?;
        y = y.reshape(Shape::new(&[before * count * row])?)?;
    }
    Ok(y)
}

pub fn repeat_interleave<A: Arithmetic>(x: &A, count: usize, axis: impl IntoAxis) -> Result<A> {
    let axis = axis_index("repeat_interleave", axis, x.shape())?;
    let shape = x.shape();
    let to = named("repeat_interleave", shape.with_size(axis, times(shape[axis], count)))?;
    // As a stretched view this would be copied in runs of one element.
    x.index_select(axis, &index_of(x, (0..to[axis]).map(|at| at / count))?)
}

/// A tensor of indices.
fn index_of<A: Arithmetic>(x: &A, indices: impl ExactSizeIterator<Item = usize>) -> Result<Tensor> {
    Tensor::write_with([indices.len()], x.value().device(), |to: &mut [i64]| {
        to.iter_mut().zip(indices).for_each(|(to, index)| *to = index as i64);
        Ok(())
    })
}

pub fn repeat_each<A: Arithmetic>(x: &A, counts: &[usize], axis: impl IntoAxis) -> Result<A> {
    let axis = axis_index("repeat_each", axis, x.shape())?;
    if counts.len() != x.shape()[axis] {
        return Err(Error::shape(
            "repeat_each",
            format!("{} counts for axis {axis} of {}: give one for each index", counts.len(), x.shape()),
        ));
    }
    let total = counts.iter().fold(0usize, |sum, &count| sum.saturating_add(count));
    named("repeat_each", x.shape().with_size(axis, total))?;
    let index = Tensor::write_with([total], x.value().device(), |to: &mut [i64]| {
        let places = counts.iter().zip(0i64..).flat_map(|(&count, at)| std::iter::repeat_n(at, count));
        to.iter_mut().zip(places).for_each(|(to, at)| *to = at);
        Ok(())
    })?;
    x.index_select(axis, &index)
}

pub fn pad_with<A: Arithmetic>(x: &A, sides: &[(usize, usize)], mode: PadMode) -> Result<A> {
    if let PadMode::Constant(value) = mode {
        return named("pad_with", x.pad(sides, value));
    }
    // The gradient adds up along each axis: of half types it is rounded once.
    x.in_wide(|x| continued(x, sides, mode))
}

/// [`pad_with`] elements of the value itself.
fn continued<A: Arithmetic>(x: &A, sides: &[(usize, usize)], mode: PadMode) -> Result<A> {
    let rank = x.shape().rank();
    let Some(first) = rank.checked_sub(sides.len()) else {
        return Err(Error::shape(
            "pad_with",
            format!("{} axes are to be padded, {} has {rank}", sides.len(), x.shape()),
        ));
    };
    let mut y = x.clone();
    for (axis, &(before, after)) in (first..).zip(sides).filter(|(_, sides)| **sides != (0, 0)) {
        let size = x.shape()[axis];
        let most = match mode {
            PadMode::Reflect => size.saturating_sub(1),
            PadMode::Circular => size,
            PadMode::Replicate | PadMode::Constant(_) => usize::MAX,
        };
        if size == 0 || before.max(after) > most {
            return Err(Error::shape(
                "pad_with",
                format!("({before}, {after}) elements by {mode:?} are more than axis {axis} of {} can give", x.shape()),
            ));
        }
        let total = size.saturating_add(before).saturating_add(after);
        named("pad_with", y.shape().with_size(axis, total))?;
        let place = |at: usize| match mode {
            PadMode::Circular => (at + size - before) % size,
            PadMode::Reflect if at < before => before - at,
            PadMode::Reflect if at >= before + size => 2 * size - 2 - (at - before),
            _ => at.saturating_sub(before).min(size - 1),
        };
        y = y.index_select(axis, &index_of(x, (0..total).map(place))?)?;
    }
    Ok(y)
}

pub fn zeros_like<A: Arithmetic>(x: &A) -> Result<A> {
    Ok(A::constant(Tensor::zeros(x.shape(), x.value().dtype(), x.value().device())?))
}

pub fn ones_like<A: Arithmetic>(x: &A) -> Result<A> {
    full_like(x, 1.0)
}

pub fn full_like<A: Arithmetic>(x: &A, value: f64) -> Result<A> {
    Ok(A::constant(Tensor::full(x.shape(), value, x.value().dtype(), x.value().device())?))
}

pub fn meshgrid<A: Arithmetic>(vectors: &[&A]) -> Result<Vec<A>> {
    if let Some(other) = vectors.iter().find(|vector| vector.shape().rank() != 1) {
        return Err(Error::shape("meshgrid", format!("vectors of one axis are expected, got {}", other.shape())));
    }
    let sizes: Vec<usize> = vectors.iter().map(|vector| vector.shape()[0]).collect();
    let shape = named("meshgrid", Shape::new(&sizes))?;
    let grid = |(axis, vector): (usize, &&A)| {
        let mut dims = vec![1; sizes.len()];
        dims[axis] = sizes[axis];
        vector.reshape(Shape::new(&dims)?)?.broadcast_to(shape)
    };
    vectors.iter().enumerate().map(grid).collect()
}
