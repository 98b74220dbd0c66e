//! Elements by index and by mask, and elements put there.
#![allow(missing_docs, clippy::missing_errors_doc)] // the list has them

use super::named;
use crate::indexing::{IndexItem, Plan};
use crate::{Arithmetic, CompareOp, DType, Error, IntoAxis, ReduceOp, Result, ScatterOp, Shape, Tensor, axis_index};
use crate::{broadcast_shapes, unsupported_dtype};

/// The family's signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! derived_pick {
    ($callback:path) => {
        $callback! { pick {
            /// The elements that an index names, NumPy's way; see `idx!`. Without index tensors it is a view of a
            /// tensor. A mask is read on the host, so it waits for a device.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor, idx};
            /// let x = Tensor::arange(12, &Device::cpu())?.reshape([3, 4])?;
            /// assert_eq!(x.get(idx![-1, ..2])?.to_vec::<i64>()?, [8, 9]);
            /// assert_eq!(x.get(idx![.., ..;-2])?.dims(), [3, 2]);
            /// let rows = Tensor::from_slice(&[2i64, 0], [2], &Device::cpu())?;
            /// assert_eq!(x.get(idx![&rows, 1])?.to_vec::<i64>()?, [9, 1]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// More items than axes, two ellipses, an index or a range out of range, a step of 0, an index tensor of floats, a mask
            /// of another shape than its axes, index tensors that do not broadcast, more axes than there can be.
            fn get(index: impl AsRef<[$crate::IndexItem]>) -> Self;

            /// This, in which the elements that an index names are `value`, which may broadcast. Where an index tensor names one twice,
            /// the last value stays. Tensors have `assign` too, which writes in place.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor, idx};
            /// let x = Tensor::arange(4, &Device::cpu())?.reshape([2, 2])?;
            /// let y = x.put(idx![.., 0], &Tensor::scalar(9i64, &Device::cpu())?)?;
            /// assert_eq!(y.to_vec::<i64>()?, [9, 1, 9, 3]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`get`](Self::get); a value that does not broadcast to what the index names, dtypes or devices that differ.
            #[doc(alias = "index_put")]
            fn put(index: impl AsRef<[$crate::IndexItem]>, value: &Self) -> Self;

            /// This, in which `value` was added to the elements that an index names, as often as it names them.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor, idx};
            /// let x = Tensor::arange(3, &Device::cpu())?;
            /// let twice = Tensor::from_slice(&[1i64, 1], [2], &Device::cpu())?;
            /// let y = x.put_add(idx![&twice], &Tensor::scalar(10i64, &Device::cpu())?)?;
            /// assert_eq!(y.to_vec::<i64>()?, [0, 21, 2]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`put`](Self::put); truth values.
            #[doc(alias = "index_put")]
            fn put_add(index: impl AsRef<[$crate::IndexItem]>, value: &Self) -> Self;

            /// The elements at `index` (integers, any shape), counted in row-major order over all axes; the result has the index's shape.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
            /// let index = Tensor::from_slice(&[3i64, 0], [2], &Device::cpu())?;
            /// assert_eq!(x.take(&index)?.to_vec::<f32>()?, [4.0, 1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An index out of range (a negative one too), that is not of integers or on another device.
            fn take(index: &$crate::Tensor) -> Self;

            /// As [`gather`](Self::gather) with an index that broadcasts: along the other axes this and the index have equal sizes, or
            /// one of them 1. NumPy's `take_along_axis`, PyTorch's `take_along_dim`; with `argsort` it sorts.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
            /// let index = Tensor::from_slice(&[1i64, 0], [1, 2], &Device::cpu())?;
            /// assert_eq!(x.take_along(1, &index)?.to_vec::<f32>()?, [2.0, 1.0, 4.0, 3.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis or an index out of range, an index that is not of integers or of another number of axes, sizes that do not broadcast.
            #[doc(alias = "take_along_axis")]
            #[doc(alias = "take_along_dim")]
            fn take_along(axis: impl $crate::IntoAxis, index: &$crate::Tensor) -> Self;

            /// This, in which the elements of `source` were put at `index` (integers, of its shape) along `axis`:
            /// y\[index\[i, j\], j\] = source\[i, j\] for axis 0. Of several at one place the last stays, as of the gradient. Along the other
            /// axes the index may be smaller. PyTorch's `scatter`.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::zeros([1, 3], DType::F32, &Device::cpu())?;
            /// let index = Tensor::from_slice(&[2i64, 0], [1, 2], &Device::cpu())?;
            /// let source = Tensor::from_slice(&[5.0f32, 6.0], [1, 2], &Device::cpu())?;
            /// assert_eq!(x.scatter(1, &index, &source)?.to_vec::<f32>()?, [6.0, 0.0, 5.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis or an index out of range (a negative one too), an index that is not of integers, not of the source's shape, of another
            /// number of axes or larger along another axis; dtypes or devices that differ.
            fn scatter(axis: impl $crate::IntoAxis, index: &$crate::Tensor, source: &Self) -> Self;

            /// As [`scatter`](Self::scatter), but the source's elements are added to what is there, in ascending order of position.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::ones([1, 3], DType::F32, &Device::cpu())?;
            /// let index = Tensor::from_slice(&[2i64, 2], [1, 2], &Device::cpu())?;
            /// let source = Tensor::from_slice(&[5.0f32, 6.0], [1, 2], &Device::cpu())?;
            /// assert_eq!(x.scatter_add(1, &index, &source)?.to_vec::<f32>()?, [1.0, 1.0, 12.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`scatter`](Self::scatter); truth values.
            fn scatter_add(axis: impl $crate::IntoAxis, index: &$crate::Tensor, source: &Self) -> Self;

            /// As [`scatter`](Self::scatter), but each place becomes the sum, mean, product or extremum of what goes there, and of what
            /// was there where `include_self`; places that nothing goes to stay. Equal extrema share the gradient. Second derivatives
            /// of a product are those where no element is 0.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, ReduceOp, Tensor};
            /// let x = Tensor::full([1, 2], 9.0, DType::F32, &Device::cpu())?;
            /// let index = Tensor::from_slice(&[0i64, 0], [1, 2], &Device::cpu())?;
            /// let source = Tensor::from_slice(&[5.0f32, 6.0], [1, 2], &Device::cpu())?;
            /// let largest = x.scatter_reduce(1, &index, &source, ReduceOp::Max, false)?;
            /// assert_eq!(largest.to_vec::<f32>()?, [6.0, 9.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`scatter`](Self::scatter); truth values; the mean of integers.
            fn scatter_reduce(
                axis: impl $crate::IntoAxis, index: &$crate::Tensor, source: &Self, reduce: $crate::ReduceOp, include_self: bool,
            ) -> Self;

            /// This, to which the rows of `source` were added at `index` (integers, one axis) of `axis`; equal indices add up in order.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::zeros([3, 2], DType::F32, &Device::cpu())?;
            /// let index = Tensor::from_slice(&[2i64, 2], [2], &Device::cpu())?;
            /// let y = x.index_add(0, &index, &Tensor::ones([2, 2], DType::F32, &Device::cpu())?)?;
            /// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.0, 0.0, 0.0, 2.0, 2.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis or an index out of range (a negative one too), an index that is not of integers or not of one axis, a source of another
            /// shape, dtypes or devices that differ, truth values.
            fn index_add(axis: impl $crate::IntoAxis, index: &$crate::Tensor, source: &Self) -> Self;

            /// This, in which the rows at `index` (integers, one axis) of `axis` are those of `source`; of equal indices the last stays.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::zeros([2, 2], DType::F32, &Device::cpu())?;
            /// let index = Tensor::from_slice(&[1i64], [1], &Device::cpu())?;
            /// let y = x.index_copy(0, &index, &Tensor::ones([1, 2], DType::F32, &Device::cpu())?)?;
            /// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`index_add`](Self::index_add), for every dtype.
            fn index_copy(axis: impl $crate::IntoAxis, index: &$crate::Tensor, source: &Self) -> Self;

            /// This with `value` in the rows at `index` (integers, one axis) of `axis`.
            ///
            /// ```
            /// # use kiln_tensor::{DType, Device, Tensor};
            /// let x = Tensor::zeros([2, 2], DType::F32, &Device::cpu())?;
            /// let index = Tensor::from_slice(&[1i64], [1], &Device::cpu())?;
            /// assert_eq!(x.index_fill(0, &index, 3.0)?.to_vec::<f32>()?, [0.0, 0.0, 3.0, 3.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis or an index out of range (a negative one too), an index that is not of integers or not of one axis.
            fn index_fill(axis: impl $crate::IntoAxis, index: &$crate::Tensor, value: f64) -> Self;

            /// `value` where the mask (bool) holds, else this; both broadcast.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// let mask = Tensor::from_slice(&[false, true], [2], &Device::cpu())?;
            /// assert_eq!(x.masked_fill(&mask, -1.0)?.to_vec::<f32>()?, [1.0, -1.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Shapes that do not broadcast, a mask that is not bool or on another device.
            fn masked_fill(mask: &$crate::Tensor, value: f64) -> Self;

            /// The elements where the mask (bool) holds, one after the other in row-major order; both broadcast. How many there are
            /// depends on the mask, so this waits for a device and reads the mask from there.
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &Device::cpu())?;
            /// let mask = Tensor::from_slice(&[false, true], [2], &Device::cpu())?;
            /// assert_eq!(x.masked_select(&mask)?.to_vec::<f32>()?, [2.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// Shapes that do not broadcast, a mask that is not bool or on another device.
            fn masked_select(mask: &$crate::Tensor) -> Self;

            /// The elements of `source`, in row-major order, in the places where the mask (bool) holds, else this; the mask broadcasts to
            /// this. Waits for a device, as [`masked_select`](Self::masked_select).
            ///
            /// ```
            /// # use kiln_tensor::{Device, Tensor};
            /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], [3], &Device::cpu())?;
            /// let mask = Tensor::from_slice(&[true, false, true], [3], &Device::cpu())?;
            /// let source = Tensor::from_slice(&[7.0f32, 8.0], [2], &Device::cpu())?;
            /// assert_eq!(x.masked_scatter(&mask, &source)?.to_vec::<f32>()?, [7.0, 2.0, 8.0]);
            /// # Ok::<(), kiln_tensor::Error>(())
            /// ```
            ///
            /// # Errors
            /// A mask that does not broadcast to this, is not bool or on another device; fewer elements than places; dtypes that differ.
            fn masked_scatter(mask: &$crate::Tensor, source: &Self) -> Self;
        } }
    };
}

pub fn get<A: Arithmetic>(x: &A, index: impl AsRef<[IndexItem]>) -> Result<A> {
    let plan = Plan::new("get", x.shape(), x.value().device(), index.as_ref())?;
    let y = plan.cut(x)?;
    match plan.rows("get")? {
        None => Ok(y),
        Some(rows) => {
            let merged = y.permute(&rows.order)?.reshape(rows.merged)?;
            merged.index_select(rows.axis, &rows.index)?.reshape(rows.picked)
        }
    }
}

/// [`put`] and [`put_add`].
fn write<A: Arithmetic>(x: &A, index: &[IndexItem], value: &A, op: ScatterOp) -> Result<A> {
    let plan = Plan::new("put", x.shape(), x.value().device(), index)?;
    let Some(rows) = plan.rows("put")? else {
        let value = stretched(value, &plan.dims)?;
        let value = if op == ScatterOp::Add { plan.cut(x)?.add(&value)? } else { value };
        return x.clone().put_part(&plan.cuts, &value.reshape(plan.cut_shape(x.shape()))?);
    };
    let merged = plan.cut(x)?.permute(&rows.order)?.reshape(rows.merged)?;
    let value = stretched(value, &rows.picked)?;
    let value = value.reshape(rows.merged.with_size(rows.axis, rows.index.elements())?)?;
    let mut back = vec![0; rows.order.len()];
    rows.order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
    let permuted = Shape::new(&rows.order.iter().map(|&axis| plan.dims[axis]).collect::<Vec<_>>())?;
    let written = merged.put_rows(op, rows.axis, &rows.index, &value)?.reshape(permuted)?.permute(&back)?;
    let written = written.reshape(plan.cut_shape(x.shape()))?;
    if plan.cuts.is_empty() { Ok(written) } else { x.clone().put_part(&plan.cuts, &written) }
}

/// A value broadcast to what an index names.
fn stretched<A: Arithmetic>(value: &A, shape: &Shape) -> Result<A> {
    value.broadcast_to(*shape).map_err(|_| {
        Error::shape("put", format!("a value {} does not broadcast to {shape}, which the index names", value.shape()))
    })
}

pub fn put<A: Arithmetic>(x: &A, index: impl AsRef<[IndexItem]>, value: &A) -> Result<A> {
    write(x, index.as_ref(), value, ScatterOp::Set)
}

pub fn put_add<A: Arithmetic>(x: &A, index: impl AsRef<[IndexItem]>, value: &A) -> Result<A> {
    write(x, index.as_ref(), value, ScatterOp::Add)
}

/// All elements along one axis.
fn flat<A: Arithmetic>(x: &A) -> Result<A> {
    x.reshape(Shape::new(&[x.shape().elements()])?)
}

pub fn take<A: Arithmetic>(x: &A, index: &Tensor) -> Result<A> {
    named("take", flat(x)?.index_select(0, &index.reshape([index.elements()])?))?.reshape(*index.shape())
}

pub fn take_along<A: Arithmetic>(x: &A, axis: impl IntoAxis, index: &Tensor) -> Result<A> {
    let axis = axis_index("take_along", axis, x.shape())?;
    if index.rank() != x.shape().rank() {
        return Err(Error::shape(
            "take_along",
            format!("an index {} for {}: it needs as many axes", index.shape(), x.shape()),
        ));
    }
    let others = broadcast_shapes("take_along", &x.shape().with_size(axis, 1)?, &index.shape().with_size(axis, 1)?)?;
    let (wide, picked) = (others.with_size(axis, x.shape()[axis])?, others.with_size(axis, index.dims()[axis])?);
    let index = named("take_along", index.broadcast_to(picked))?;
    if *x.shape() == wide {
        return named("take_along", x.gather(axis, &index));
    }
    // The gradient adds up twice: of half types it is rounded once.
    named("take_along", x.in_wide(|x| x.broadcast_to(wide)?.gather(axis, &index)))
}

pub fn scatter<A: Arithmetic>(x: &A, axis: impl IntoAxis, index: &Tensor, source: &A) -> Result<A> {
    let axis = axis_index("scatter", axis, x.shape())?;
    named("scatter", x.clone().put_elements(ScatterOp::Set, axis, index, source))
}

pub fn scatter_add<A: Arithmetic>(x: &A, axis: impl IntoAxis, index: &Tensor, source: &A) -> Result<A> {
    let axis = axis_index("scatter_add", axis, x.shape())?;
    named("scatter_add", x.clone().put_elements(ScatterOp::Add, axis, index, source))
}

pub fn scatter_reduce<A: Arithmetic>(
    x: &A,
    axis: impl IntoAxis,
    index: &Tensor,
    source: &A,
    reduce: ReduceOp,
    include_self: bool,
) -> Result<A> {
    let axis = axis_index("scatter_reduce", axis, x.shape())?;
    named("scatter_reduce", reduced(x, axis, index, source, reduce, include_self))
}

fn reduced<A: Arithmetic>(
    x: &A,
    axis: usize,
    index: &Tensor,
    source: &A,
    reduce: ReduceOp,
    include_self: bool,
) -> Result<A> {
    let dtype = x.value().dtype();
    if reduce == ReduceOp::Mean && !dtype.is_float() {
        return Err(unsupported_dtype("scatter_reduce", dtype, "floats for a mean"));
    }
    // What changes nothing takes the place of elements that do not count.
    let (op, nothing) = match reduce {
        ReduceOp::Sum | ReduceOp::Mean => (ScatterOp::Add, 0.0),
        ReduceOp::Prod => (ScatterOp::Mul, 1.0),
        ReduceOp::Max => (ScatterOp::Max, f64::NEG_INFINITY),
        ReduceOp::Min => (ScatterOp::Min, f64::INFINITY),
    };
    let filled = |value: f64| Tensor::full(source.shape(), value, dtype, source.value().device());
    let start = match include_self {
        true => x.clone(),
        false => x.clone().put_elements(ScatterOp::Set, axis, index, &A::constant(filled(nothing)?))?,
    };
    if reduce != ReduceOp::Mean {
        return start.put_elements(op, axis, index, source);
    }
    let start_dtype = dtype.computed_in();
    let mut counts = Tensor::ones(x.shape(), start_dtype, x.value().device())?;
    let ones = filled(1.0)?.to_dtype(start_dtype)?;
    if !include_self {
        counts.scatter_assign(ScatterOp::Set, axis, index, &ones.zeros_like()?)?;
    }
    counts.scatter_assign(ScatterOp::Add, axis, index, &ones)?;
    // Where nothing goes, the element itself is the mean.
    let counts = A::constant(counts.maximum(&counts.ones_like()?)?);
    let wide = start.to_dtype(start_dtype)?.put_elements(op, axis, index, &source.to_dtype(start_dtype)?)?;
    wide.div(&counts)?.to_dtype(dtype)
}

pub fn index_add<A: Arithmetic>(x: &A, axis: impl IntoAxis, index: &Tensor, source: &A) -> Result<A> {
    let axis = axis_index("index_add", axis, x.shape())?;
    named("index_add", x.clone().put_rows(ScatterOp::Add, axis, index, source))
}

pub fn index_copy<A: Arithmetic>(x: &A, axis: impl IntoAxis, index: &Tensor, source: &A) -> Result<A> {
    let axis = axis_index("index_copy", axis, x.shape())?;
    named("index_copy", x.clone().put_rows(ScatterOp::Set, axis, index, source))
}

pub fn index_fill<A: Arithmetic>(x: &A, axis: impl IntoAxis, index: &Tensor, value: f64) -> Result<A> {
    let axis = axis_index("index_fill", axis, x.shape())?;
    let value = Tensor::full((), value, x.value().dtype(), x.value().device())?;
    let rows = A::constant(value.broadcast_to(x.shape().with_size(axis, index.elements())?)?);
    named("index_fill", x.clone().put_rows(ScatterOp::Set, axis, index, &rows))
}

pub fn masked_fill<A: Arithmetic>(x: &A, mask: &Tensor, value: f64) -> Result<A> {
    let value = A::constant(Tensor::full((), value, x.value().dtype(), x.value().device())?);
    named("masked_fill", A::select(mask, &value, x))
}

/// A mask, that it is one of these values.
fn check_mask<A: Arithmetic>(operation: &'static str, x: &A, mask: &Tensor) -> Result<()> {
    if mask.dtype() != DType::Bool {
        return Err(Error::new(
            crate::ErrorKind::DType,
            operation,
            format!("a mask is bool, this one is {}: compare it, or convert it with `to_dtype`", mask.dtype()),
        ));
    }
    crate::tensor::check_device(operation, x.value(), mask)
}

pub fn masked_select<A: Arithmetic>(x: &A, mask: &Tensor) -> Result<A> {
    check_mask("masked_select", x, mask)?;
    let shape = broadcast_shapes("masked_select", x.shape(), mask.shape())?;
    let positions = mask.broadcast_to(shape)?.positions()?;
    flat(&x.broadcast_to(shape)?)?.index_select(0, &positions)
}

pub fn masked_scatter<A: Arithmetic>(x: &A, mask: &Tensor, source: &A) -> Result<A> {
    check_mask("masked_scatter", x, mask)?;
    let Ok(mask) = mask.broadcast_to(x.shape()) else {
        return Err(Error::shape(
            "masked_scatter",
            format!("a mask {} does not broadcast to {}", mask.shape(), x.shape()),
        ));
    };
    let positions = mask.positions()?;
    let (places, given) = (positions.elements(), source.shape().elements());
    if given < places {
        return Err(Error::shape(
            "masked_scatter",
            format!("a source {} has {given} elements for {places} places", source.shape()),
        ));
    }
    let values = flat(source)?.slice(0, 0..places)?;
    flat(x)?.put_rows(ScatterOp::Set, 0, &positions, &values)?.reshape(*x.shape())
}

/// Which of the sources that go to one place stays, the last one: a mask of their shape. For the gradient of
/// [`ScatterOp::Set`].
pub fn last_ones(rows: bool, axis: usize, index: &Tensor, source: &Shape, target: &Shape) -> Result<Tensor> {
    let device = index.device();
    let positions = Tensor::arange(index.elements(), device)?.reshape(index.shape())?;
    let (places, found);
    if rows {
        places = Tensor::zeros([target[axis]], DType::I64, device)?.index_copy(0, index, &positions)?;
        found = places.index_select(0, index)?;
    } else {
        places = Tensor::zeros(target, DType::I64, device)?.scatter(axis, index, &positions)?;
        found = places.gather(axis, index)?;
    }
    let stays = found.compare(CompareOp::Eq, &positions)?;
    if !rows {
        return Ok(stays);
    }
    let mut dims = vec![1; source.rank()];
    dims[axis] = index.elements();
    stays.reshape(&dims)
}
