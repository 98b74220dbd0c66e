//! Weighted sums of the indices of an axis.

use super::Tensor;
use crate::{Arithmetic, Call, Error, ErrorKind, Out, Ran, Result, ScatterOp, Shape, View};
use kiln_cpu::blend::Taps;
use std::sync::Arc;

/// out\[…, i, …\] = Σ weight · x\[…, place, …\] over the taps of i along an axis.
#[derive(Clone, Copy, Debug)]
pub struct BlendCall<'a> {
    /// Of x's dtype and shape, but for the axis, which has as many indices as there are lists of taps.
    pub out: Out<'a>,
    /// Row-major, f32 or f64.
    pub x: View<'a>,
    /// The axis.
    pub axis: usize,
    /// The taps of each index of the result, on the host.
    pub taps: &'a Taps,
}

/// The composed form.
///
/// # Errors
/// Those of the operations.
pub fn composed<T: Arithmetic>(x: &T, axis: usize, taps: &Taps) -> Result<T> {
    let (shape, device) = (x.shape(), x.value().device());
    let index = |of: &dyn Fn((usize, usize, f64)) -> usize| {
        Tensor::write_with([taps.count()], device, |to: &mut [i64]| {
            to.iter_mut().zip(taps.each()).for_each(|(to, tap)| *to = of(tap) as i64);
            Ok(())
        })
    };
    let weights = Tensor::write_with([taps.count()], device, |to: &mut [f64]| {
        to.iter_mut().zip(taps.each()).for_each(|(to, tap)| *to = tap.2);
        Ok(())
    })?;
    let mut along = vec![1; shape.rank() - axis];
    along[0] = taps.count();
    let weights = T::constant(weights.to_dtype(x.value().dtype())?.reshape(along)?);
    let parts = x.index_select(axis, &index(&|(_, from, _)| from)?)?.mul(&weights)?;
    let zeros = Tensor::zeros(shape.with_size(axis, taps.to())?, x.value().dtype(), device)?;
    T::constant(zeros).put_rows(ScatterOp::Add, axis, &index(&|(to, ..)| to)?, &parts)
}

/// As [`Taps::new`], with an error of an operation.
///
/// # Errors
/// More taps than memory holds, or than 2²⁸.
#[doc(hidden)]
pub fn taps<R: IntoIterator<Item = (usize, f64)>>(
    operation: &'static str,
    [from, to]: [usize; 2],
    most: usize,
    row: impl Fn(usize) -> R,
) -> Result<Arc<Taps>> {
    Taps::new(from, to, most, row).map(Arc::new).ok_or_else(|| out_of_memory(operation, to))
}

/// As [`Taps::transposed`], with an error of an operation.
///
/// # Errors
/// More taps than memory holds.
#[doc(hidden)]
pub fn transposed_taps(operation: &'static str, taps: &Taps) -> Result<Arc<Taps>> {
    taps.transposed().map(Arc::new).ok_or_else(|| out_of_memory(operation, taps.from()))
}

#[cold]
fn out_of_memory(operation: &'static str, indices: usize) -> Error {
    Error::new(ErrorKind::Memory, operation, format!("out of memory for the weights of {indices} indices"))
}

impl Tensor {
    /// Each index of an axis as a weighted sum of indices: what resampling is made of.
    ///
    /// # Errors
    /// A dtype that is not f32 or f64, taps of an axis of another size, out of memory.
    #[doc(hidden)]
    pub fn blend(&self, axis: usize, taps: &Taps) -> Result<Tensor> {
        if self.shape()[axis] != taps.from() {
            let message = format!("taps of {} indices for axis {axis} of {}", taps.from(), self.shape());
            return Err(Error::shape("blend", message));
        }
        let x = self.contiguous()?;
        let shape: Shape = self.shape().with_size(axis, taps.to())?;
        let out = Tensor::output(&shape, self.dtype, self.device())?;
        match self.device().run(&Call::Blend(BlendCall { out: out.out(), x: x.view(), axis, taps }))? {
            Ran::Done => Ok(out),
            Ran::NotHere => composed(&x, axis, taps),
        }
    }
}
