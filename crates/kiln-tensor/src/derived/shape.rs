//! Operations that move elements.
#![allow(missing_docs, clippy::missing_errors_doc)] // the list has them

use super::named;
use crate::{Arithmetic, Error, IntoAxes, IntoAxis, Result, Several, Shape, axis_index};

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_shape {
    ($callback:path) => {
        $callback! { shape {
            /// The elements moved by `shift` places along an axis, or by several shifts along as many axes; those that leave one end
            /// enter at the other: y\[i\] = x\[(i − shift) mod size\]. NumPy's `roll`.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
            /// assert_eq!(x.roll(1, 0)?.to_vec::<f32>()?, [3.0, 4.0, 1.0, 2.0]);
            /// assert_eq!(x.roll([1, -1], [0, 1])?.to_vec::<f32>()?, [4.0, 3.0, 2.0, 1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, another number of shifts than axes.
            fn roll(shift: impl $crate::Several, axis: impl $crate::Several) -> Self;

            /// One axis, or several, the other way round. A view of a tensor.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
            /// assert_eq!(x.flip([0, 1])?.to_vec::<f32>()?, [4.0, 3.0, 2.0, 1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range or named twice.
            fn flip(axes: impl $crate::IntoAxes) -> Self;

            /// Turned by `quarters` · 90° in the plane of two axes, from the first towards the second one; a negative number turns
            /// back. A view of a tensor.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
            /// assert_eq!(x.rot90(1, 0, 1)?.to_vec::<f32>()?, [2.0, 4.0, 1.0, 3.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, twice the same axis.
            fn rot90(quarters: isize, from: impl $crate::IntoAxis, to: impl $crate::IntoAxis) -> Self;

            /// The axes `from` moved to the places `to`; the others keep their order. One axis or as many as there are places. A view
            /// of a tensor. PyTorch's `movedim`, NumPy's `moveaxis`.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let images = Tensor::zeros([8, 32, 24, 3], DType::F32, &Device::cpu())?;
            /// assert_eq!(images.movedim(-1, 1)?.dims(), [8, 3, 32, 24]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range or named twice, another number of axes than of places.
            #[doc(alias = "moveaxis")]
            fn movedim(from: impl $crate::Several, to: impl $crate::Several) -> Self;

            /// Stretched to `sizes`, where −1 keeps the size of an axis; axes of size 1 repeat, and new ones may come first. A view of
            /// a tensor. As [`broadcast_to`](Self::broadcast_to) for sizes that are not all known.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::zeros([3, 1], DType::F32, &Device::cpu())?;
            /// assert_eq!(x.expand([2, -1, 4])?.dims(), [2, 3, 4]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Fewer sizes than axes, another negative size than −1, −1 for a new axis, a size that an axis does not stretch to.
            fn expand(sizes: impl $crate::Several) -> Self;

            /// Index `at` of one axis, which goes; negative ones count from the end. A view of a tensor. PyTorch's `select`.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
            /// assert_eq!(x.index(0, -1)?.to_vec::<f32>()?, [3.0, 4.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis or index out of range.
            #[doc(alias = "select")]
            fn index(axis: impl $crate::IntoAxis, at: impl $crate::IntoAxis) -> Self;

            /// `size` indices of one axis from `start` on, which counts from the end where it is negative. A view of a tensor.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [4], &Device::cpu())?;
            /// assert_eq!(x.narrow(0, -3, 2)?.to_vec::<f32>()?, [2.0, 3.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, indices that leave the axis.
            fn narrow(axis: impl $crate::IntoAxis, start: impl $crate::IntoAxis, size: usize) -> Self;
        } }
    };
}

pub fn roll<A: Arithmetic>(x: &A, shift: impl Several, axis: impl Several) -> Result<A> {
    let (shifts, axes) = (shift.several(), axis.several());
    if shifts.len() != axes.len() {
        return Err(Error::value(
            "roll",
            format!("{} shifts for {} axes: give one for each axis", shifts.len(), axes.len()),
        ));
    }
    let mut y = x.clone();
    for (shift, axis) in shifts.into_iter().zip(axes) {
        let axis = axis_index("roll", axis, x.shape())?;
        let size = x.shape()[axis];
        let by = if size == 0 { 0 } else { shift.rem_euclid(size as isize) as usize };
        if by > 0 {
            let cut = size - by;
            y = A::concat(&[&y.slice(axis, cut..size)?, &y.slice(axis, 0..cut)?], axis)?;
        }
    }
    Ok(y)
}

pub fn flip<A: Arithmetic>(x: &A, axes: impl IntoAxes) -> Result<A> {
    let axes = named("flip", axes.into_axes(x.shape()))?;
    let mut y = x.clone();
    for &axis in axes.iter() {
        y = y.slice_by(axis, 0..x.shape()[axis], -1)?;
    }
    Ok(y)
}

pub fn rot90<A: Arithmetic>(x: &A, quarters: isize, from: impl IntoAxis, to: impl IntoAxis) -> Result<A> {
    let (from, to) = (axis_index("rot90", from, x.shape())?, axis_index("rot90", to, x.shape())?);
    if from == to {
        return Err(Error::shape("rot90", format!("axis {from} of {} twice: a plane has two axes", x.shape())));
    }
    match quarters.rem_euclid(4) {
        0 => Ok(x.clone()),
        1 => flip(x, to)?.transpose(from, to),
        2 => flip(x, [from, to]),
        _ => flip(&x.transpose(from, to)?, to),
    }
}

/// Axes by name as indices, none of them twice.
pub(super) fn distinct(operation: &'static str, axes: Vec<isize>, shape: &Shape) -> Result<Vec<usize>> {
    let axes = axes.into_iter().map(|axis| axis_index(operation, axis, shape)).collect::<Result<Vec<_>>>()?;
    match (1..axes.len()).find(|&i| axes[..i].contains(&axes[i])) {
        Some(twice) => Err(Error::shape(operation, format!("axis {} of {shape} is named twice", axes[twice]))),
        None => Ok(axes),
    }
}

pub fn movedim<A: Arithmetic>(x: &A, from: impl Several, to: impl Several) -> Result<A> {
    let from = distinct("movedim", from.several(), x.shape())?;
    let to = distinct("movedim", to.several(), x.shape())?;
    if from.len() != to.len() {
        return Err(Error::value(
            "movedim",
            format!("{} axes for {} places: give a place for each axis", from.len(), to.len()),
        ));
    }
    let rank = x.shape().rank();
    let mut others = (0..rank).filter(|axis| !from.contains(axis));
    let at = |place: usize| to.iter().position(|&to| to == place).map(|i| from[i]);
    let order: Vec<usize> = (0..rank).filter_map(|place| at(place).or_else(|| others.next())).collect();
    x.permute(&order)
}

pub fn expand<A: Arithmetic>(x: &A, sizes: impl Several) -> Result<A> {
    let (sizes, shape) = (sizes.several(), x.shape());
    let Some(new) = sizes.len().checked_sub(shape.rank()) else {
        return Err(Error::shape(
            "expand",
            format!("{} sizes {sizes:?} for {shape}: give one for each axis", sizes.len()),
        ));
    };
    let size = |(axis, &size): (usize, &isize)| match (size, axis.checked_sub(new)) {
        (0.., _) => Ok(size as usize),
        (-1, Some(own)) => Ok(shape[own]),
        (-1, None) => {
            Err(Error::shape("expand", format!("sizes {sizes:?}: −1 keeps an axis of {shape}, axis {axis} is new")))
        }
        _ => Err(Error::shape(
            "expand",
            format!("sizes {sizes:?} for {shape}: a size is 0 or more, or −1 to keep an axis"),
        )),
    };
    let to = named("expand", Shape::new(&sizes.iter().enumerate().map(size).collect::<Result<Vec<_>>>()?))?;
    named("expand", x.broadcast_to(to))
}

/// An index of an axis, where negative ones count from the end; `places` are the axis's size, or one more.
fn place(operation: &'static str, at: isize, axis: usize, shape: &Shape) -> Result<usize> {
    let size = shape[axis] as isize;
    if at < -size || at > size {
        return Err(index_outside(operation, at, axis, shape));
    }
    Ok(if at < 0 { at + size } else { at } as usize)
}

/// The error of an index that is not one of an axis's.
#[cold]
pub(crate) fn index_outside(operation: &'static str, at: isize, axis: usize, shape: &Shape) -> Error {
    let size = shape[axis];
    let range = if size == 0 { "it has none".to_owned() } else { format!("it has −{size} to {}", size - 1) };
    Error::new(
        crate::ErrorKind::Index,
        operation,
        format!("index {at} is out of range for axis {axis} of {shape}: {range}"),
    )
}

pub fn index<A: Arithmetic>(x: &A, axis: impl IntoAxis, at: impl IntoAxis) -> Result<A> {
    let axis = axis_index("index", axis, x.shape())?;
    let at = at.into_axis();
    let place = place("index", at, axis, x.shape())?;
    if place == x.shape()[axis] {
        return Err(index_outside("index", at, axis, x.shape()));
    }
    x.slice(axis, place..place + 1)?.reshape(x.shape().without_axis(axis))
}

pub fn narrow<A: Arithmetic>(x: &A, axis: impl IntoAxis, start: impl IntoAxis, size: usize) -> Result<A> {
    let axis = axis_index("narrow", axis, x.shape())?;
    let start = place("narrow", start.into_axis(), axis, x.shape())?;
    let extent = x.shape()[axis];
    if size > extent - start {
        return Err(Error::shape(
            "narrow",
            format!("{size} indices from {start} leave axis {axis} of {}, which has {extent}", x.shape()),
        ));
    }
    x.slice(axis, start..start + size)
}
