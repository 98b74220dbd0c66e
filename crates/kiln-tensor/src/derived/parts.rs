//! Parts of a tensor: pieces, diagonals, triangles, windows.
#![allow(missing_docs, clippy::missing_errors_doc)] // the list has them

use super::named;
use super::shape::distinct;
use crate::{
    Arithmetic, ConvOptions, Convolution, Error, IntoAxis, MAX_SPATIAL, PerAxis, Result, ScatterOp, Shape, Tensor,
    Window, axis_index,
};

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_parts {
    ($callback:path) => {
        $callback! { parts {
            /// Pieces of `size` indices of an axis each, the last of what is left. Views of a tensor.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::zeros([7, 2], DType::F32, &Device::cpu())?;
            /// let sizes: Vec<usize> = x.split(0, 3)?.iter().map(|piece| piece.dims()[0]).collect();
            /// assert_eq!(sizes, [3, 3, 1]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, a size of 0.
            fn split(axis: impl $crate::IntoAxis, size: usize) -> Vec<Self>;

            /// Pieces of these sizes of an axis, which they fill. Views of a tensor. PyTorch's `split` with a list.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::zeros([7, 2], DType::F32, &Device::cpu())?;
            /// assert_eq!(x.split_sizes(0, &[1, 4, 2])?[1].dims(), [4, 2]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, sizes that do not add up to its size.
            fn split_sizes(axis: impl $crate::IntoAxis, sizes: &[usize]) -> Vec<Self>;

            /// An axis in at most `count` pieces of ⌈size / count⌉ indices, the last of what is left. Views of a tensor. As in
            /// PyTorch, there may be fewer pieces: 6 indices in 4 are pieces of 2, 2 and 2.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::zeros([5, 2], DType::F32, &Device::cpu())?;
            /// let sizes: Vec<usize> = x.chunk(0, 2)?.iter().map(|piece| piece.dims()[0]).collect();
            /// assert_eq!(sizes, [3, 2]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, a count of 0.
            fn chunk(axis: impl $crate::IntoAxis, count: usize) -> Vec<Self>;

            /// Each index of an axis, which goes: as many values as the axis has indices. Views of a tensor.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::zeros([2, 3], DType::F32, &Device::cpu())?;
            /// assert_eq!(x.unbind(1)?.len(), 3);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range.
            #[doc(alias = "unstack")]
            fn unbind(axis: impl $crate::IntoAxis) -> Vec<Self>;

            /// The diagonals of the matrices in two axes, along a new last axis in the place of these: y\[…, i\] = x\[…, i, i + offset\],
            /// or x\[…, i − offset, i\] below the main one. A view of a tensor whose matrices lie row-major.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3], &Device::cpu())?;
            /// assert_eq!(x.diagonal(1, 0, 1)?.to_vec::<f32>()?, [2.0, 6.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, twice the same axis.
            fn diagonal(offset: isize, rows: impl $crate::IntoAxis, columns: impl $crate::IntoAxis) -> Self;

            /// Of a vector (n) the matrix with it on a diagonal, of a matrix its diagonal. NumPy's `diag`.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// assert_eq!(x.diag(0)?.to_vec::<f32>()?, [1.0, 0.0, 0.0, 2.0]);
            /// assert_eq!(x.diag(0)?.diag(1)?.to_vec::<f32>()?, [0.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Another number of axes than one or two.
            fn diag(offset: isize) -> Self;

            /// Matrices of zeros with this (…, n) on a diagonal, `offset` above the main one or, negative, below it: rows and columns
            /// are the axes of the result that are named so. The adjoint of [`diagonal`](Self::diagonal).
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::ones([4, 2], DType::F32, &Device::cpu())?;
            /// assert_eq!(x.diag_embed(1, -2, -1)?.dims(), [4, 3, 3]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// No axis, an axis out of range, twice the same axis, more axes than there can be.
            fn diag_embed(offset: isize, rows: impl $crate::IntoAxis, columns: impl $crate::IntoAxis) -> Self;

            /// The sum of a matrix's diagonal, a scalar: Σ x\[i, i\].
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// assert_eq!(Tensor::eye(3, DType::F32, &Device::cpu())?.trace()?.item()?, 3.0);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// A value that is not of two axes, a dtype without sums.
            fn trace() -> Self;

            /// The lower triangles of the matrices in the last two axes: x\[…, i, j\] where j − i ≤ `diagonal`, else 0.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::ones([2, 2], DType::F32, &Device::cpu())?;
            /// assert_eq!(x.tril(0)?.to_vec::<f32>()?, [1.0, 0.0, 1.0, 1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Fewer than two axes.
            fn tril(diagonal: isize) -> Self;

            /// The upper triangles of the matrices in the last two axes: x\[…, i, j\] where j − i ≥ `diagonal`, else 0.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::ones([2, 2], DType::F32, &Device::cpu())?;
            /// assert_eq!(x.triu(1)?.to_vec::<f32>()?, [0.0, 1.0, 0.0, 0.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Fewer than two axes.
            fn triu(diagonal: isize) -> Self;

            /// Windows of `size` elements of an axis, one at every `step`, along a new last axis: y\[…, i, …, j\] = x\[…, i·step + j, …\].
            /// A view of a tensor. PyTorch's `Tensor.unfold`; for images see [`im2col`](Self::im2col).
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [4], &Device::cpu())?;
            /// assert_eq!(x.unfold(0, 2, 1)?.to_vec::<f32>()?, [1.0, 2.0, 2.0, 3.0, 3.0, 4.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis out of range, a window that does not fit it, a step of 0, more axes than there can be.
            fn unfold(axis: impl $crate::IntoAxis, size: usize, step: usize) -> Self;

            /// Windows of images as columns: of x (N, C, H, W) the (N, C·K, L), where K are the taps of the kernel and L its places, both
            /// in row-major order. One or two spatial axes; of the options, padding, stride and dilation count.
            /// PyTorch's `nn.functional.unfold`.
            ///
            /// ```
            /// # use kiln_tensor::{ConvOptions, DType, Device, Tensor};
            /// let images = Tensor::zeros([8, 3, 5, 5], DType::F32, &Device::cpu())?;
            /// let columns = images.im2col([3, 3], &ConvOptions::new().padding(1))?;
            /// assert_eq!(columns.dims(), [8, 27, 25]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Another number of axes, a kernel that does not fit.
            #[doc(alias = "unfold")]
            fn im2col(kernel: impl Into<$crate::PerAxis>, options: &$crate::ConvOptions) -> Self;

            /// The adjoint of [`im2col`](Self::im2col): of columns (N, C·K, L) the images (N, C, H, W) of these sizes, where what
            /// windows share is added up. PyTorch's `nn.functional.fold`.
            ///
            /// ```
            /// # use kiln_tensor::{ConvOptions, DType, Device, Tensor};
            /// let columns = Tensor::ones([1, 4, 9], DType::F32, &Device::cpu())?;
            /// let image = columns.col2im([4, 4], [2, 2], &ConvOptions::new())?;
            /// assert_eq!(image.get(kiln_tensor::idx![0, 0, 0])?.to_vec::<f32>()?, [1.0, 2.0, 2.0, 1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Columns that are not those of such images, a kernel that does not fit, truth values.
            #[doc(alias = "fold")]
            fn col2im(
                sizes: impl Into<$crate::PerAxis>, kernel: impl Into<$crate::PerAxis>, options: &$crate::ConvOptions,
            ) -> Self;
        } }
    };
}

pub fn split<A: Arithmetic>(x: &A, axis: impl IntoAxis, size: usize) -> Result<Vec<A>> {
    let axis = axis_index("split", axis, x.shape())?;
    if size == 0 {
        return Err(Error::value("split", "the size of the pieces must be above 0"));
    }
    let extent = x.shape()[axis];
    (0..extent).step_by(size).map(|start| x.slice(axis, start..extent.min(start.saturating_add(size)))).collect()
}

pub fn split_sizes<A: Arithmetic>(x: &A, axis: impl IntoAxis, sizes: &[usize]) -> Result<Vec<A>> {
    let axis = axis_index("split_sizes", axis, x.shape())?;
    let total = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
    if total != Some(x.shape()[axis]) {
        return Err(Error::shape(
            "split_sizes",
            format!("sizes {sizes:?} must add up to {}, the size of axis {axis} of {}", x.shape()[axis], x.shape()),
        ));
    }
    let mut start = 0;
    let piece = |&size: &usize| {
        start += size;
        x.slice(axis, start - size..start)
    };
    sizes.iter().map(piece).collect()
}

pub fn chunk<A: Arithmetic>(x: &A, axis: impl IntoAxis, count: usize) -> Result<Vec<A>> {
    let axis = axis_index("chunk", axis, x.shape())?;
    if count == 0 {
        return Err(Error::value("chunk", "the number of pieces must be above 0"));
    }
    match x.shape()[axis] {
        0 => Ok(vec![x.clone()]),
        extent => split(x, axis, extent.div_ceil(count)),
    }
}

pub fn unbind<A: Arithmetic>(x: &A, axis: impl IntoAxis) -> Result<Vec<A>> {
    let axis = axis_index("unbind", axis, x.shape())?;
    (0..x.shape()[axis]).map(|at| super::shape::index(x, axis, at)).collect()
}

/// The axes of a shape with these two last.
fn matrices_last(shape: &Shape, rows: usize, columns: usize) -> Vec<usize> {
    (0..shape.rank()).filter(|&axis| axis != rows && axis != columns).chain([rows, columns]).collect()
}

/// Where a diagonal begins in a row-major matrix (n, m), and how many elements it has.
fn along_diagonal(offset: isize, n: usize, m: usize) -> (usize, usize) {
    let by = offset.unsigned_abs();
    if offset >= 0 { (by, n.min(m.saturating_sub(by))) } else { (by.saturating_mul(m), m.min(n.saturating_sub(by))) }
}

pub fn diagonal<A: Arithmetic>(x: &A, offset: isize, rows: impl IntoAxis, columns: impl IntoAxis) -> Result<A> {
    let pair = distinct("diagonal", vec![rows.into_axis(), columns.into_axis()], x.shape())?;
    let y = x.permute(&matrices_last(x.shape(), pair[0], pair[1]))?;
    let (lead, last) = (y.shape().rank() - 2, y.shape().rank() - 1);
    let (n, m) = (y.shape()[lead], y.shape()[last]);
    let (start, count) = along_diagonal(offset, n, m);
    let flat = y.reshape(y.shape().without_axis(last).with_size(lead, n * m)?)?;
    match count {
        0 => flat.slice(lead, 0..0),
        _ => flat.slice_by(lead, start..start + (count - 1) * (m + 1) + 1, m as isize + 1),
    }
}

pub fn diag<A: Arithmetic>(x: &A, offset: isize) -> Result<A> {
    match x.shape().rank() {
        1 => diag_embed(x, offset, 0, 1),
        2 => diagonal(x, offset, 0, 1),
        _ => Err(Error::shape(
            "diag",
            format!("{} is neither a vector nor a matrix; use `diagonal` or `diag_embed` for others", x.shape()),
        )),
    }
}

pub fn diag_embed<A: Arithmetic>(x: &A, offset: isize, rows: impl IntoAxis, columns: impl IntoAxis) -> Result<A> {
    let Some(last) = x.shape().rank().checked_sub(1) else {
        return Err(Error::shape("diag_embed", "a scalar has no axis to lie along a diagonal; `unsqueeze` it"));
    };
    let (count, by) = (x.shape()[last], offset.unsigned_abs());
    let n = count.saturating_add(by);
    // With as many axes as the result, so that its axes can be named.
    let full = named("diag_embed", x.shape().with_size(last, n).and_then(|shape| shape.with_axis(last, n)))?;
    let pair = distinct("diag_embed", vec![rows.into_axis(), columns.into_axis()], &full)?;
    let flat = x.shape().with_size(last, full[last] * full[last])?;
    let start = if offset >= 0 { by } else { by * n };
    let range = if count == 0 { 0..0 } else { start..start + (count - 1) * (n + 1) + 1 };
    let y = x.embed_by(last, range, n as isize + 1, flat)?.reshape(full)?;
    // The permutation that takes the last two axes back to where they are named.
    let order = matrices_last(&full, pair[0], pair[1]);
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
    y.permute(&back)
}

pub fn trace<A: Arithmetic>(x: &A) -> Result<A> {
    if x.shape().rank() != 2 {
        return Err(Error::shape("trace", format!("{} is not a matrix; sum its `diagonal`", x.shape())));
    }
    named("trace", diagonal(x, 0, 0, 1)?.sum_keepdim(&[0]))?.reshape(Shape::SCALAR)
}

/// Where `mask` of the matrices holds, this, else 0.
fn triangle<A: Arithmetic>(
    operation: &'static str,
    x: &A,
    mask: impl FnOnce(usize, usize) -> Result<Tensor>,
) -> Result<A> {
    let shape = x.shape();
    let Some(lead) = shape.rank().checked_sub(2) else {
        return Err(Error::shape(operation, format!("{shape} has no matrices: two axes are needed")));
    };
    let mask = mask(shape[lead], shape[lead + 1])?;
    let zero = A::constant(Tensor::zeros((), x.value().dtype(), x.value().device())?);
    A::select(&mask, x, &zero)
}

pub fn tril<A: Arithmetic>(x: &A, diagonal: isize) -> Result<A> {
    triangle("tril", x, |n, m| Tensor::tril_mask(n, m, diagonal, x.value().device()))
}

pub fn triu<A: Arithmetic>(x: &A, diagonal: isize) -> Result<A> {
    triangle("triu", x, |n, m| Tensor::triu_mask(n, m, diagonal, x.value().device()))
}

pub fn unfold<A: Arithmetic>(x: &A, axis: impl IntoAxis, size: usize, step: usize) -> Result<A> {
    x.windows(axis_index("unfold", axis, x.shape())?, size, step, 1)
}

/// The adjoint of [`Arithmetic::windows`]: windows (…, count, …, size) added up to where they are in `size` elements of an axis.
pub fn fold_windows<A: Arithmetic>(x: &A, axis: usize, step: usize, dilation: usize, shape: &Shape) -> Result<A> {
    let (device, dtype) = (x.value().device(), x.value().dtype());
    let last = x.shape().rank() - 1;
    let (count, size) = (x.shape()[axis], x.shape()[last]);
    let order: Vec<usize> = (0..=axis).chain([last]).chain(axis + 1..last).collect();
    let rows = x.permute(&order)?.reshape(shape.with_size(axis, count * size)?)?;
    let index = Tensor::write_with([count * size], device, |to: &mut [i64]| {
        for (at, to) in to.iter_mut().enumerate() {
            *to = (at / size * step + at % size * dilation) as i64;
        }
        Ok(())
    })?;
    A::constant(Tensor::zeros(shape, dtype, device)?).put_rows(ScatterOp::Add, axis, &index, &rows)
}

/// A window over images of this shape, and its places.
fn window(
    operation: &'static str,
    images: &Shape,
    kernel: PerAxis,
    options: &ConvOptions,
) -> Result<(Window, [usize; MAX_SPATIAL])> {
    if !(3..=4).contains(&images.rank()) {
        return Err(Error::shape(
            operation,
            format!("images (N, C, …) of one or two spatial axes are expected, got {images}"),
        ));
    }
    let spatial = Window::spatial(operation, images)?;
    let weight = Window::shape(&[1, images[1]], kernel.sizes(operation, spatial)?, spatial)?;
    let Convolution { window, .. } = named(operation, options.groups(1).resolve(images, &weight))?;
    Ok((window, window.output_sizes(operation, images)?))
}

pub fn im2col<A: Arithmetic>(x: &A, kernel: impl Into<PerAxis>, options: &ConvOptions) -> Result<A> {
    let (window, places) = window("im2col", x.shape(), kernel.into(), options)?;
    let first = MAX_SPATIAL + 2 - x.shape().rank();
    let (n, channels) = (x.shape()[0], x.shape()[1]);
    let shape = Shape::new(&[n, channels * window.taps(), places.iter().product()])?;
    // (N, C, places…, taps…) becomes (N, C, taps…, places…).
    let spatial = MAX_SPATIAL - first;
    let order: Vec<usize> = [0, 1].into_iter().chain(2 + spatial..2 + 2 * spatial).chain(2..2 + spatial).collect();
    // The gradient adds up along each axis: of half types it is rounded once.
    x.in_wide(|x| {
        let mut y = x.pad(&window.padding[first..], 0.0)?;
        for axis in first..MAX_SPATIAL {
            y = y.windows(axis + 2 - first, window.kernel[axis], window.stride[axis], window.dilation[axis])?;
        }
        y.permute(&order)?.reshape(shape)
    })
}

pub fn col2im<A: Arithmetic>(
    x: &A,
    sizes: impl Into<PerAxis>,
    kernel: impl Into<PerAxis>,
    options: &ConvOptions,
) -> Result<A> {
    let (sizes, kernel) = (sizes.into(), kernel.into());
    let spatial = sizes.given().len().max(kernel.given().len());
    if x.shape().rank() != 3 || !(1..=2).contains(&spatial) {
        return Err(Error::shape(
            "col2im",
            format!("columns (N, C·K, L) and sizes of one or two axes are expected, got {} and {sizes}", x.shape()),
        ));
    }
    let (n, columns) = (x.shape()[0], x.shape()[1]);
    let taps = kernel.sizes("col2im", spatial)?.iter().fold(1usize, |taps, &size| taps.saturating_mul(size));
    let channels = columns / taps.max(1);
    let images = Window::shape(&[n, channels], sizes.sizes("col2im", spatial)?, spatial)?;
    let (window, places) = window("col2im", &images, kernel, options)?;
    let shape = Shape::new(&[n, channels * taps, places.iter().product()])?;
    if *x.shape() != shape {
        return Err(Error::shape(
            "col2im",
            format!("{} are not the columns of images {images}, which are {shape} for this kernel", x.shape()),
        ));
    }
    let first = MAX_SPATIAL - spatial;
    let dims =
        [n, channels].into_iter().chain(window.kernel[first..].iter().copied()).chain(places[first..].iter().copied());
    let dims = Shape::new(&dims.collect::<Vec<_>>())?;
    let order: Vec<usize> = [0, 1].into_iter().chain(2 + spatial..2 + 2 * spatial).chain(2..2 + spatial).collect();
    // Added up along one axis after the other: of half types in f32.
    x.in_wide(|x| {
        let mut y = x.reshape(dims)?.permute(&order)?;
        for axis in (first..MAX_SPATIAL).rev() {
            let (before, after) = window.padding[axis];
            let own = axis + 2 - first;
            let shape = y.shape().without_axis(y.shape().rank() - 1);
            let shape = shape.with_size(own, images[own] + before + after)?;
            y = fold_windows(&y, own, window.stride[axis], window.dilation[axis], &shape)?;
        }
        y.crop(&window.padding[first..])
    })
}
