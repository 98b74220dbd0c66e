//! Gathering by index, and its adjoint.

use super::{IntoAxis, Tensor, axis_index, check_device, check_pair};
use crate::{DType, Error, ErrorKind, Layout, MAX_RANK, Result, ScatterOp, Shape, View, unsupported_dtype};
use kiln_cpu::gather::Nonzero;

/// The error of a label or index out of range.
#[cold]
pub(crate) fn label_outside(operation: &'static str, row: usize, label: i64, classes: usize) -> Error {
    Error::new(
        ErrorKind::Index,
        operation,
        format!(
            "row {row} has index {label}, expected 0 to {}: there are {classes} to choose from",
            classes as i128 - 1
        ),
    )
}

/// That the sizes of an index are at most those of the tensor that it is an index of, along all axes but one.
fn check_sizes(operation: &'static str, shape: &Shape, index: &Shape, axis: usize) -> Result<()> {
    let fits = |other: usize| other == axis || index[other] <= shape[other];
    if index.rank() == shape.rank() && (0..shape.rank()).all(fits) {
        return Ok(());
    }
    Err(Error::shape(
        operation,
        format!(
            "an index {index} does not fit {shape} along axis {axis}: it needs as many axes, and is to be no larger along the others"
        ),
    ))
}

impl Tensor {
    /// An index tensor as i64, checked against an axis where the host can see its values.
    pub(crate) fn checked_index(&self, operation: &'static str, index: &Tensor, size: usize) -> Result<Tensor> {
        check_device(operation, self, index)?;
        if !index.dtype.is_integer() {
            return Err(unsupported_dtype(operation, index.dtype, "an index of integers"));
        }
        let index = index.to_dtype(DType::I64)?;
        if self.device().backend().is_host() {
            let values = index.contiguous()?;
            if crate::profile::is_on() && crate::plan::recorder::is_on() {
                // The host may read the example's values: a step checks those of each run.
                crate::plan::recorder::index(operation, &values, size)?;
                self.device().check_index(operation, &values.view(), size)?;
                return Ok(values);
            }
            let values = values.as_slice::<i64>()?;
            if let Some(row) = kiln_cpu::gather::outside(values, size) {
                return Err(label_outside(operation, row, values[row], size));
            }
        }
        Ok(index)
    }

    /// An index (one axis) of whole rows along an axis, as backends take it: repeated along the others of `shape`.
    fn rows_index(&self, operation: &'static str, axis: usize, index: &Tensor) -> Result<Tensor> {
        if index.rank() != 1 {
            check_device(operation, self, index)?;
            return Err(Error::shape(operation, format!("an index of one axis is expected, got {}", index.shape())));
        }
        let index = self.checked_index(operation, index, self.dims()[axis])?;
        let mut layout = *index.layout();
        for _ in 0..axis {
            layout = layout.unsqueeze(0)?;
        }
        while layout.shape().rank() < self.rank() {
            layout = layout.unsqueeze(layout.shape().rank())?;
        }
        Ok(index.with_layout(layout.broadcast_to(&self.shape().with_size(axis, index.elements())?)?))
    }

    /// This with its other axes cut to the sizes of an index, row-major.
    fn cut_to(&self, index: &Shape, axis: usize) -> Result<Layout> {
        let mut layout = self.layout;
        for other in (0..self.rank()).filter(|&other| other != axis) {
            layout = layout.slice(other, 0, index[other], 1)?;
        }
        Ok(layout)
    }

    /// Gathers by an index as backends take it, which was checked.
    fn gather_checked(&self, axis: usize, index: &Tensor) -> Result<Tensor> {
        let out = Tensor::output(index.shape(), self.dtype, self.device())?;
        if out.elements() > 0 {
            let source = self.with_layout(self.cut_to(index.shape(), axis)?).contiguous()?;
            self.device().gather(out.out(), source.view(), index.view(), axis)?;
        }
        Ok(out)
    }

    /// The elements at `index` (integers, one axis) of `axis`: rows of an embedding, say.
    ///
    /// # Errors
    /// An axis or an index out of range, an index that is not of integers.
    pub fn index_select(&self, axis: impl IntoAxis, index: &Tensor) -> Result<Tensor> {
        let axis = axis_index("index_select", axis, self.shape())?;
        self.gather_checked(axis, &self.rows_index("index_select", axis, index)?)
    }

    /// See [`crate::Arithmetic::gather`]; the operation is named for its errors.
    pub(crate) fn gather_along(&self, operation: &'static str, axis: usize, index: &Tensor) -> Result<Tensor> {
        check_sizes(operation, self.shape(), index.shape(), axis)?;
        let index = self.checked_index(operation, index, self.dims()[axis])?;
        self.gather_checked(axis, &index.contiguous()?)
    }

    /// The elements at `index` (integers, as many axes as this) along `axis`: y\[i, j\] = x\[index\[i, j\], j\] for axis 0. Along the
    /// other axes the index may be smaller. Negative indices are refused. PyTorch's `gather`.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
    /// let index = Tensor::from_slice(&[0i64, 0, 1, 0], [2, 2], &Device::cpu())?;
    /// assert_eq!(x.gather(1, &index)?.to_vec::<f32>()?, [1.0, 1.0, 4.0, 3.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// An axis or an index out of range, an index that is not of integers, that has another number of axes or is larger along another axis.
    pub fn gather(&self, axis: impl IntoAxis, index: &Tensor) -> Result<Tensor> {
        self.gather_along("gather", axis_index("gather", axis, self.shape())?, index)
    }

    /// self\[index\[i, j\], j\] = `op`(that, source\[i, j\]) for axis 0: the source's elements go to `index` (integers, of the source's
    /// shape) along `axis`. What goes to one place is combined in ascending order of position, so that results repeat bit for bit;
    /// with [`ScatterOp::Set`] the last one stays. Half types are computed in f32 and rounded once. Negative indices are refused.
    ///
    /// # Errors
    /// An axis or an index out of range; an index that is not of integers, not of the source's shape, of another number of axes or larger
    /// along another axis; dtypes or devices that differ; truth values, but with [`ScatterOp::Set`].
    pub fn scatter_assign(
        &mut self,
        op: ScatterOp,
        axis: impl IntoAxis,
        index: &Tensor,
        source: &Tensor,
    ) -> Result<()> {
        check_pair("scatter", self, source)?;
        let axis = axis_index("scatter", axis, self.shape())?;
        check_sizes("scatter", self.shape(), index.shape(), axis)?;
        if index.shape() != source.shape() {
            return Err(Error::shape(
                "scatter",
                format!("an index {} and a source {} must have one shape", index.shape(), source.shape()),
            ));
        }
        let index = self.checked_index("scatter", index, self.dims()[axis])?;
        self.scatter_checked(op, axis, &index.contiguous()?, source)
    }

    /// self += source at `index` (integers, one axis) of `axis`; equal indices add up in order.
    ///
    /// # Errors
    /// Shapes that do not fit, an axis or an index out of range, dtypes or devices that differ.
    pub fn index_add_assign(&mut self, axis: impl IntoAxis, index: &Tensor, source: &Tensor) -> Result<()> {
        self.index_put_rows("index_add", ScatterOp::Add, axis, index, source)
    }

    /// The rows of a source to `index` of `axis`.
    pub(crate) fn index_put_rows(
        &mut self,
        operation: &'static str,
        op: ScatterOp,
        axis: impl IntoAxis,
        index: &Tensor,
        source: &Tensor,
    ) -> Result<()> {
        check_pair(operation, self, source)?;
        let axis = axis_index(operation, axis, self.shape())?;
        let rows = self.rows_index(operation, axis, index)?;
        if source.shape() != rows.shape() {
            return Err(Error::shape(
                operation,
                format!(
                    "an index {} into axis {axis} of {} needs a source of {}, got {}",
                    index.shape(),
                    self.shape(),
                    rows.shape(),
                    source.shape()
                ),
            ));
        }
        self.scatter_checked(op, axis, &rows, source)
    }

    /// Scatters by an index as backends take it, which was checked, with a source of its shape.
    fn scatter_checked(&mut self, op: ScatterOp, axis: usize, index: &Tensor, source: &Tensor) -> Result<()> {
        let computed = self.dtype.computed_in();
        if op != ScatterOp::Set && self.dtype == DType::Bool {
            return Err(unsupported_dtype("scatter", self.dtype, "numbers"));
        }
        if source.elements() == 0 {
            return Ok(());
        }
        if op != ScatterOp::Set && computed != self.dtype {
            // Combined in f32, rounded once.
            let mut wide = self.to_dtype(computed)?;
            wide.scatter_checked(op, axis, index, &source.to_dtype(computed)?)?;
            *self = wide.to_dtype(self.dtype)?;
            return Ok(());
        }
        let source = source.contiguous()?;
        self.own()?;
        let part = self.cut_to(index.shape(), axis)?;
        if part.shape() == self.shape() {
            return self.device().scatter(op, self.out(), source.view(), index.view(), axis);
        }
        let written = self.with_layout(part).copied()?;
        self.device().scatter(op, written.out(), source.view(), index.view(), axis)?;
        let target = View { buffer: self.storage.buffer(), dtype: self.dtype, layout: &part };
        self.device().copy(target, written.view())
    }

    /// Where the elements are that are not 0: (n, rank) of i64, one row for each in row-major order. NumPy's `argwhere`.
    ///
    /// How many there are depends on the values, so this waits for a device and reads them from there.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[0.0f32, 2.0, 3.0, 0.0], [2, 2], &Device::cpu())?;
    /// assert_eq!(x.nonzero()?.to_vec::<i64>()?, [0, 1, 1, 0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Out of memory, a fault of the device that surfaced.
    pub fn nonzero(&self) -> Result<Tensor> {
        self.with_nonzero(|found| {
            Tensor::write_with([found.count(), self.rank()], self.device(), |rows| {
                found.write_indices(self.shape(), rows);
                Ok(())
            })
        })
    }

    /// Where the elements are that are not 0, counted in row-major order: (n,) of i64. Waits for a device.
    pub(crate) fn positions(&self) -> Result<Tensor> {
        self.with_nonzero(|found| {
            Tensor::write_with([found.count()], self.device(), |to| {
                found.write(to);
                Ok(())
            })
        })
    }

    fn with_nonzero<R>(&self, run: impl FnOnce(Nonzero<'_>) -> Result<R>) -> Result<R> {
        let mask = self.to_dtype(DType::Bool)?.contiguous()?;
        match mask.as_slice::<bool>() {
            Ok(mask) => run(Nonzero::new(mask)),
            Err(_) => run(Nonzero::new(&mask.to_vec::<bool>()?)),
        }
    }

    /// A part of this, which `cuts` make, becomes `value`, which has the part's shape.
    pub(crate) fn assign_part(&mut self, operation: &'static str, cuts: &[Cut], value: &Tensor) -> Result<()> {
        check_pair(operation, self, value)?;
        let part = cut_layout(&self.layout, cuts)?;
        if part.shape() != value.shape() {
            return Err(Error::shape(operation, format!("{} is not the part's shape {}", value.shape(), part.shape())));
        }
        self.own()?;
        let part = cut_layout(&self.layout, cuts)?;
        let target = View { buffer: self.storage.buffer(), dtype: self.dtype, layout: &part };
        self.device().copy(target, value.view())
    }
}

/// Every `step`-th index of a range of one axis, as [`Tensor::slice_by`] takes it.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// The axis.
    pub axis: usize,
    /// The first index and the one after the last.
    pub range: (usize, usize),
    /// From the range's end for a negative one.
    pub step: isize,
}

/// A layout after cuts.
pub(crate) fn cut_layout(layout: &Layout, cuts: &[Cut]) -> Result<Layout> {
    debug_assert!(cuts.len() <= MAX_RANK);
    let cut = |layout: Layout, cut: &Cut| layout.slice_by(cut.axis, cut.range.0..cut.range.1, cut.step);
    cuts.iter().try_fold(*layout, cut)
}
