//! Making tensors.

use super::Tensor;
use crate::storage::Storage;
use crate::{DType, Device, Element, Error, IntoShape, Layout, Result, Shape};
use std::sync::Arc;

/// Plain elements as bytes.
fn bytes_of<T: Element>(data: &[T]) -> &[u8] {
    // SAFETY: elements are plain data without padding.
    unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), size_of_val(data)) }
}

impl Tensor {
    /// A tensor with a copy of `data` in row-major order.
    ///
    /// ```
    /// use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
    /// assert_eq!(x.to_string(), "[[1., 2.],\n [3., 4.]]");
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// A shape with another number of elements than `data`.
    pub fn from_slice<T: Element>(data: &[T], shape: impl IntoShape, device: &Device) -> Result<Tensor> {
        let shape = shape.into_shape()?;
        if shape.elements() != data.len() {
            return Err(Error::shape(
                "from_slice",
                format!("{} values do not fill {shape}, which has {} elements", data.len(), shape.elements()),
            ));
        }
        let tensor = Tensor::output(&shape, T::DTYPE, device)?;
        device.upload(tensor.storage.buffer(), 0, bytes_of(data))?;
        Ok(tensor)
    }

    /// As [`Tensor::from_slice`], of a vector.
    ///
    /// # Errors
    /// As [`Tensor::from_slice`].
    pub fn from_vec<T: Element>(data: Vec<T>, shape: impl IntoShape, device: &Device) -> Result<Tensor> {
        Tensor::from_slice(&data, shape, device)
    }

    /// A scalar: a tensor without axes.
    ///
    /// # Errors
    /// Out of memory.
    pub fn scalar<T: Element>(value: T, device: &Device) -> Result<Tensor> {
        Tensor::from_slice(&[value], Shape::SCALAR, device)
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// Out of memory.
    pub fn zeros(shape: impl IntoShape, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = shape.into_shape()?;
        let storage = Arc::new(Storage::zeroed(&shape, dtype, device)?);
        Ok(Tensor { storage, layout: Layout::contiguous(shape), dtype })
    }

    /// A tensor of ones.
    ///
    /// # Errors
    /// Out of memory.
    pub fn ones(shape: impl IntoShape, dtype: DType, device: &Device) -> Result<Tensor> {
        Tensor::full(shape, 1.0, dtype, device)
    }

    /// A tensor of one value, converted to `dtype`.
    ///
    /// # Errors
    /// Out of memory.
    pub fn full(shape: impl IntoShape, value: f64, dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = Tensor::output(&shape.into_shape()?, dtype, device)?;
        device.fill(tensor.out(), value)?;
        Ok(tensor)
    }

    /// 0, 1, …, n − 1 as i64.
    ///
    /// # Errors
    /// Out of memory.
    pub fn arange(n: usize, device: &Device) -> Result<Tensor> {
        Tensor::write_with([n], device, |to: &mut [i64]| {
            to.iter_mut().zip(0..).for_each(|(to, i)| *to = i);
            Ok(())
        })
    }

    /// start, start + step, … before `end`, computed in f64 and converted to `dtype`; i64 is exact up to 2⁵³.
    ///
    /// ```
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// let x = Tensor::arange_by(1.0, 2.0, 0.25, DType::F32, &Device::cpu())?;
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 1.25, 1.5, 1.75]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// A step of 0 or away from the end, numbers that are not finite, out of memory.
    pub fn arange_by(start: f64, end: f64, step: f64, dtype: DType, device: &Device) -> Result<Tensor> {
        let count = ((end - start) / step).ceil();
        if !(start.is_finite() && end.is_finite() && step.is_finite()) || step == 0.0 || count < 0.0 {
            return Err(Error::value(
                "arange_by",
                format!("from {start} to {end} by {step}: finite numbers and a step towards the end are needed"),
            ));
        }
        // A number beyond what can be counted is refused for its memory.
        Tensor::computed(count as usize, dtype, device, |i| start + i as f64 * step)
    }

    /// `count` numbers at equal distances from `start` to `end`, both included: start + i·(end − start)/(count − 1).
    ///
    /// ```
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// let x = Tensor::linspace(0.0, 1.0, 5, DType::F32, &Device::cpu())?;
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 0.25, 0.5, 0.75, 1.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Numbers that are not finite, out of memory.
    pub fn linspace(start: f64, end: f64, count: usize, dtype: DType, device: &Device) -> Result<Tensor> {
        if !(start.is_finite() && end.is_finite()) {
            return Err(Error::value("linspace", format!("from {start} to {end}: finite numbers are needed")));
        }
        Tensor::computed(count, dtype, device, |i| between(start, end, count, i))
    }

    /// `base` to the powers of [`Tensor::linspace`]: base^start to base^end.
    ///
    /// ```
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// let x = Tensor::logspace(0.0, 2.0, 3, 10.0, DType::F32, &Device::cpu())?;
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 10.0, 100.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Numbers that are not finite, out of memory.
    pub fn logspace(start: f64, end: f64, count: usize, base: f64, dtype: DType, device: &Device) -> Result<Tensor> {
        if !(start.is_finite() && end.is_finite() && base.is_finite()) {
            return Err(Error::value("logspace", format!("{base}^{start} to {base}^{end}: finite numbers are needed")));
        }
        Tensor::computed(count, dtype, device, |i| base.powf(between(start, end, count, i)))
    }

    /// A vector of numbers that the host computes in f64.
    fn computed(count: usize, dtype: DType, device: &Device, number: impl Fn(usize) -> f64) -> Result<Tensor> {
        let numbers = Tensor::write_with([count], device, |to: &mut [f64]| {
            to.iter_mut().enumerate().for_each(|(i, to)| *to = number(i));
            Ok(())
        })?;
        numbers.to_dtype(dtype)
    }

    /// The identity matrix of n rows, or of a shape (n, m): 1 at \[i, i\], else 0.
    ///
    /// ```
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// assert_eq!(Tensor::eye(2, DType::F32, &Device::cpu())?.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
    /// assert_eq!(Tensor::eye([1, 3], DType::F32, &Device::cpu())?.to_vec::<f32>()?, [1.0, 0.0, 0.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// More than two sizes or none, out of memory.
    pub fn eye(shape: impl IntoShape, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = shape.into_shape()?;
        let (n, m) = match *shape {
            [n] => (n, n),
            [n, m] => (n, m),
            _ => return Err(Error::shape("eye", format!("one size or two are expected, got {shape}"))),
        };
        let ones = Tensor::write_with([n, m], device, |to: &mut [f32]| {
            to.fill(0.0);
            to.iter_mut().step_by(m + 1).take(n.min(m)).for_each(|one| *one = 1.0);
            Ok(())
        })?;
        ones.to_dtype(dtype)
    }

    /// Where j − i ≤ `diagonal` in a matrix (n, m): the mask (bool) of its lower triangle, a view of n + m − 1 elements.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let causal = Tensor::tril_mask(2, 2, 0, &Device::cpu())?;
    /// assert_eq!(causal.to_vec::<bool>()?, [true, false, true, true]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Out of memory.
    pub fn tril_mask(n: usize, m: usize, diagonal: isize, device: &Device) -> Result<Tensor> {
        Tensor::diagonals(n, m, device, |d| d <= diagonal)
    }

    /// Where j − i ≥ `diagonal` in a matrix (n, m): the mask (bool) of its upper triangle, a view of n + m − 1 elements.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let above = Tensor::triu_mask(2, 2, 1, &Device::cpu())?;
    /// assert_eq!(above.to_vec::<bool>()?, [false, true, false, false]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Out of memory.
    pub fn triu_mask(n: usize, m: usize, diagonal: isize, device: &Device) -> Result<Tensor> {
        Tensor::diagonals(n, m, device, |d| d >= diagonal)
    }

    /// A mask of a matrix by the diagonal d = j − i of its elements.
    fn diagonals(n: usize, m: usize, device: &Device, chosen: impl Fn(isize) -> bool) -> Result<Tensor> {
        Shape::new(&[n, m])?;
        if n == 0 || m == 0 {
            return Tensor::zeros([n, m], DType::Bool, device);
        }
        let mask = Tensor::write_with([n + m - 1], device, |to: &mut [bool]| {
            to.iter_mut().enumerate().for_each(|(at, to)| *to = chosen(at as isize - (n as isize - 1)));
            Ok(())
        })?;
        // Element (i, j) of the windows is element i + j, and rows go the other way round.
        mask.windows(0, m, 1, 1)?.slice_by(0, 0..n, -1)
    }

    /// The indices (2, count) of the lower triangle of a matrix (n, m), rows first: where j − i ≤ `diagonal`, in row-major order.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let indices = Tensor::tril_indices(2, 2, 0, &Device::cpu())?;
    /// assert_eq!(indices.to_vec::<i64>()?, [0, 1, 1, 0, 0, 1]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Out of memory.
    pub fn tril_indices(n: usize, m: usize, diagonal: isize, device: &Device) -> Result<Tensor> {
        Tensor::tril_mask(n, m, diagonal, &Device::cpu())?.nonzero()?.t()?.copied()?.to_device(device)
    }

    /// The indices (2, count) of the upper triangle of a matrix (n, m), rows first: where j − i ≥ `diagonal`, in row-major order.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let indices = Tensor::triu_indices(2, 2, 0, &Device::cpu())?;
    /// assert_eq!(indices.to_vec::<i64>()?, [0, 0, 1, 0, 1, 1]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Out of memory.
    pub fn triu_indices(n: usize, m: usize, diagonal: isize, device: &Device) -> Result<Tensor> {
        Tensor::triu_mask(n, m, diagonal, &Device::cpu())?.nonzero()?.t()?.copied()?.to_device(device)
    }

    /// One of two numbers for each element of a condition (bool): `a` where it holds, else `b`. NumPy's `where` of numbers; of
    /// tensors it is [`Tensor::select`].
    ///
    /// ```
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// let mask = Tensor::from_slice(&[true, false], [2], &Device::cpu())?;
    /// assert_eq!(mask.select_numbers(1.0, -1.0, DType::F32)?.to_vec::<f32>()?, [1.0, -1.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// A condition that is not bool.
    #[doc(alias = "where")]
    pub fn select_numbers(&self, a: f64, b: f64, dtype: DType) -> Result<Tensor> {
        let number = |value| Tensor::full((), value, dtype, self.device());
        Tensor::select(self, &number(a)?, &number(b)?)
    }

    /// A fresh tensor whose elements `write` puts down, in the device's memory itself where that is the host's. The elements
    /// given hold anything before.
    ///
    /// # Errors
    /// What `write` returns.
    pub fn write_with<T: Element>(
        shape: impl IntoShape,
        device: &Device,
        write: impl FnOnce(&mut [T]) -> Result<()>,
    ) -> Result<Tensor> {
        let shape = shape.into_shape()?;
        // A reused buffer may hold bytes that are no `bool`.
        if device.backend().is_host() && T::DTYPE != DType::Bool {
            let tensor = Tensor::output(&shape, T::DTYPE, device)?;
            let first = tensor.storage.buffer().address as *mut T;
            // SAFETY: a buffer of this many elements, 64-byte aligned, initialized (any bytes are a valid number), and
            // known to nobody else yet.
            write(unsafe { std::slice::from_raw_parts_mut(first, shape.elements()) })?;
            return Ok(tensor);
        }
        let mut staged = super::staged(shape.elements(), T::from_f64(0.0))?;
        write(&mut staged)?;
        Tensor::from_slice(&staged, shape, device)
    }

    /// The same elements on another device.
    ///
    /// # Errors
    /// Out of memory, a fault of a device.
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        if self.device() == device {
            return Ok(self.clone());
        }
        let source = self.contiguous()?;
        let mut bytes = super::staged(self.elements() * self.dtype.size(), 0u8)?;
        let offset = source.layout.offset() * self.dtype.size();
        self.device().download(&mut bytes, source.storage.buffer(), offset)?;
        let tensor = Tensor::output(self.shape(), self.dtype, device)?;
        device.upload(tensor.storage.buffer(), 0, &bytes)?;
        Ok(tensor)
    }

    /// The same elements in another dtype: floats round to nearest, integers saturate, non-zero is true.
    ///
    /// # Errors
    /// Out of memory.
    pub fn to_dtype(&self, dtype: DType) -> Result<Tensor> {
        if self.dtype == dtype {
            return Ok(self.clone());
        }
        let out = Tensor::output(self.shape(), dtype, self.device())?;
        self.device().copy(out.view(), self.view())?;
        Ok(out)
    }

    /// The same elements, row-major: a copy where they are not.
    ///
    /// # Errors
    /// Out of memory.
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.is_contiguous() { Ok(self.clone()) } else { self.copied() }
    }

    /// The same elements, row-major, in memory of their own.
    ///
    /// # Errors
    /// Out of memory.
    pub fn copied(&self) -> Result<Tensor> {
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        self.device().copy(out.view(), self.view())?;
        Ok(out)
    }
}

/// Number `i` of `count` at equal distances; counted from either end to its half, so that both are exact.
fn between(start: f64, end: f64, count: usize, i: usize) -> f64 {
    let step = (end - start) / count.saturating_sub(1).max(1) as f64;
    if i < count.div_ceil(2) { start + step * i as f64 } else { end - step * (count - 1 - i) as f64 }
}
