//! Sorting, order statistics and binary search.

use super::{Tensor, axis_index, check_pair};
use crate::{Call, DType, Error, ErrorKind, Out, Ran, Result, Shape, View};

/// In which order elements are sorted. NaN counts as larger than every number; equal elements stay in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// The smallest first, NaN last.
    #[default]
    Ascending,
    /// The largest first, NaN before it.
    Descending,
}

/// The first k elements of each sorted row of x, and where they were: all of a row, or fewer.
#[derive(Clone, Copy, Debug)]
pub struct SortCall<'a> {
    /// Of x's dtype, (…, k).
    pub values: Option<Out<'a>>,
    /// i64, (…, k).
    pub positions: Option<Out<'a>>,
    /// (…, n), row-major.
    pub x: View<'a>,
    /// The order.
    pub order: Order,
}

/// The element of a rank in each row of x, as if the row were sorted, and where the first such is.
#[derive(Clone, Copy, Debug)]
pub struct KthCall<'a> {
    /// Of x's dtype and its shape without the last axis.
    pub values: Out<'a>,
    /// i64, of the same shape.
    pub positions: Out<'a>,
    /// (…, n), row-major.
    pub x: View<'a>,
    /// From 0 to n − 1.
    pub rank: usize,
}

/// out = how many elements of a sorted row are less than each element of x, or as large where `right` holds.
#[derive(Clone, Copy, Debug)]
pub struct SearchCall<'a> {
    /// i64, of x's shape.
    pub out: Out<'a>,
    /// (m,) for all of x, or (…, m) with x's leading axes; row-major.
    pub sorted: View<'a>,
    /// (…, n), row-major, of the same dtype.
    pub x: View<'a>,
    /// Whether equal elements count.
    pub right: bool,
}

#[cold]
fn too_long(operation: &'static str, shape: &Shape, size: usize) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        operation,
        format!("an axis of {size} elements of {shape}: at most {} can be sorted; split it", kiln_cpu::sort::MAX_ROW),
    )
}

impl Tensor {
    /// The first k elements along the last axis in this order, and where they were, each if it is asked for.
    fn sorted_rows(&self, k: usize, order: Order, [values, positions]: [bool; 2]) -> Result<[Option<Tensor>; 2]> {
        let last = self.rank() - 1;
        let x = self.contiguous()?;
        let shape = self.shape().with_size(last, k)?;
        let output = |wanted: bool, dtype| wanted.then(|| Tensor::output(&shape, dtype, self.device())).transpose();
        let out = [output(values, self.dtype)?, output(positions, DType::I64)?];
        let [values, positions] = out.each_ref().map(|out| out.as_ref().map(Tensor::out));
        let wanted = [values.is_some(), positions.is_some()];
        match self.device().run(&Call::Sort(SortCall { values, positions, x: x.view(), order }))? {
            Ran::Done => Ok(out),
            Ran::NotHere => {
                let [values, positions] = x.at_host()?.sorted_rows(k, order, wanted)?;
                let back = |x: Option<Tensor>| x.map(|x| x.to_device(self.device())).transpose();
                Ok([back(values)?, back(positions)?])
            }
        }
    }

    /// The first `k` elements along `axis` in this order, and where they were; each only where it is `wanted`.
    pub(crate) fn sorted_along(
        &self,
        operation: &'static str,
        axis: usize,
        k: usize,
        order: Order,
        wanted: [bool; 2],
    ) -> Result<[Option<Tensor>; 2]> {
        let (last, size) = (self.rank() - 1, self.dims()[axis]);
        if size > kiln_cpu::sort::MAX_ROW {
            return Err(too_long(operation, self.shape(), size));
        }
        let [values, positions] = self.transpose(axis, last)?.sorted_rows(k, order, wanted)?;
        let back = |x: Option<Tensor>| x.map(|x| x.transpose(axis, last)).transpose();
        Ok([back(values)?, back(positions)?])
    }

    /// The element of this rank along `axis`, from 0 on, and where the first such is; both with the axis at size 1.
    pub(crate) fn kth_along(&self, axis: usize, rank: usize) -> Result<(Tensor, Tensor)> {
        let last = self.rank() - 1;
        let x = self.transpose(axis, last)?.contiguous()?;
        let shape = x.shape().without_axis(last);
        let values = Tensor::output(&shape, self.dtype, self.device())?;
        let positions = Tensor::output(&shape, DType::I64, self.device())?;
        let call = KthCall { values: values.out(), positions: positions.out(), x: x.view(), rank };
        let found = match self.device().run(&Call::Kth(call))? {
            Ran::Done => (values.unsqueeze(last)?, positions.unsqueeze(last)?),
            Ran::NotHere => composed_kth(&x, rank)?,
        };
        Ok((found.0.transpose(axis, last)?, found.1.transpose(axis, last)?))
    }

    /// Where each element of `x` belongs in this tensor, which is sorted along its last axis: how many elements are less, or where
    /// `right` holds less or equal. i64, of x's shape. This tensor has one axis, or x's leading axes before its last.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let edges = Tensor::from_slice(&[1.0f32, 3.0, 5.0], [3], &Device::cpu())?;
    /// let x = Tensor::from_slice(&[0.0f32, 3.0, 9.0], [3], &Device::cpu())?;
    /// assert_eq!(edges.searchsorted(&x, false)?.to_vec::<i64>()?, [0, 1, 3]);
    /// assert_eq!(edges.searchsorted(&x, true)?.to_vec::<i64>()?, [0, 2, 3]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Leading axes that differ, dtypes or devices that differ.
    pub fn searchsorted(&self, x: &Tensor, right: bool) -> Result<Tensor> {
        check_pair("searchsorted", self, x)?;
        let last = self.rank().wrapping_sub(1);
        let leading = self.dims().get(..last);
        let rows = x.rank().checked_sub(1).and_then(|last| x.dims().get(..last));
        let fits = self.rank() == 1 || leading.is_some() && rows == leading;
        if self.rank() == 0 || !fits {
            return Err(Error::shape(
                "searchsorted",
                format!(
                    "values {} in sorted rows {}: one axis is expected, or the values' leading axes before the last",
                    x.shape(),
                    self.shape()
                ),
            ));
        }
        let (sorted, x) = (self.contiguous()?, x.contiguous()?);
        let out = Tensor::output(x.shape(), DType::I64, self.device())?;
        if x.elements() == 0 {
            return Ok(out);
        }
        match self.device().run(&Call::Search(SearchCall {
            out: out.out(),
            sorted: sorted.view(),
            x: x.view(),
            right,
        }))? {
            Ran::Done => Ok(out),
            Ran::NotHere => sorted.at_host()?.searchsorted(&x.at_host()?, right)?.to_device(self.device()),
        }
    }

    /// The bin of each element among ascending `boundaries` (one axis): [`Tensor::searchsorted`] the other way round. Bin i is from
    /// boundary i − 1 to boundary i; where `right` holds, a boundary belongs to the bin after it.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[0.5f32, 2.0, 7.0], [3], &Device::cpu())?;
    /// let boundaries = Tensor::from_slice(&[1.0f32, 2.0, 3.0], [3], &Device::cpu())?;
    /// assert_eq!(x.bucketize(&boundaries, false)?.to_vec::<i64>()?, [0, 1, 3]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Boundaries of several axes, dtypes or devices that differ.
    pub fn bucketize(&self, boundaries: &Tensor, right: bool) -> Result<Tensor> {
        if boundaries.rank() != 1 {
            return Err(Error::shape(
                "bucketize",
                format!("boundaries of one axis are expected, got {}", boundaries.shape()),
            ));
        }
        boundaries.searchsorted(self, right)
    }
}

/// The composed form of the element of a rank along the last axis, which stays at size 1, and of its position.
///
/// # Errors
/// Those of the operations.
pub fn composed_kth(x: &Tensor, rank: usize) -> Result<(Tensor, Tensor)> {
    let last = axis_index("kthvalue", -1, x.shape())?;
    let [Some(values), Some(positions)] = x.sorted_rows(rank + 1, Order::Ascending, [true; 2])? else {
        return Err(Error::new(ErrorKind::Fault, "kthvalue", "the sorted rows have no values or no positions"));
    };
    let value = values.slice(last, rank..rank + 1)?;
    // Of equal elements the first one, which is not always at this rank.
    let first = values.searchsorted(&value, false)?;
    let rows = first.elements();
    let starts =
        Tensor::arange(rows, x.device())?.mul(&Tensor::full((), rank as f64 + 1.0, DType::I64, x.device())?)?;
    let flat = first.reshape([rows])?.add(&starts)?;
    let position = positions.reshape([positions.elements()])?.index_select(0, &flat)?;
    Ok((value, position.reshape(first.shape())?))
}
