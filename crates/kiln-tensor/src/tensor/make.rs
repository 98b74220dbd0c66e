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
    /// Memory that could not be had.
    pub fn scalar<T: Element>(value: T, device: &Device) -> Result<Tensor> {
        Tensor::from_slice(&[value], Shape::SCALAR, device)
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// Memory that could not be had.
    pub fn zeros(shape: impl IntoShape, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = shape.into_shape()?;
        let storage = Arc::new(Storage::zeroed(shape.elements() * dtype.size(), device)?);
        Ok(Tensor { storage, layout: Layout::contiguous(shape), dtype })
    }

    /// A tensor of ones.
    ///
    /// # Errors
    /// Memory that could not be had.
    pub fn ones(shape: impl IntoShape, dtype: DType, device: &Device) -> Result<Tensor> {
        Tensor::full(shape, 1.0, dtype, device)
    }

    /// A tensor of one value, converted to `dtype`.
    ///
    /// # Errors
    /// Memory that could not be had.
    pub fn full(shape: impl IntoShape, value: f64, dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = Tensor::output(&shape.into_shape()?, dtype, device)?;
        device.fill(tensor.out(), value)?;
        Ok(tensor)
    }

    /// 0, 1, …, n − 1 as i64.
    ///
    /// # Errors
    /// Memory that could not be had.
    pub fn arange(n: usize, device: &Device) -> Result<Tensor> {
        Tensor::write_with([n], device, |to: &mut [i64]| {
            to.iter_mut().zip(0..).for_each(|(to, i)| *to = i);
            Ok(())
        })
    }

    /// The identity matrix.
    ///
    /// # Errors
    /// Memory that could not be had.
    pub fn eye(n: usize, dtype: DType, device: &Device) -> Result<Tensor> {
        let ones = Tensor::write_with([n, n], device, |to: &mut [f32]| {
            to.fill(0.0);
            to.iter_mut().step_by(n + 1).for_each(|one| *one = 1.0);
            Ok(())
        })?;
        ones.to_dtype(dtype)
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
    /// Memory that could not be had, a fault of a device.
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
    /// Memory that could not be had.
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
    /// Memory that could not be had.
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.is_contiguous() { Ok(self.clone()) } else { self.copied() }
    }

    /// The same elements, row-major, in memory of their own.
    ///
    /// # Errors
    /// Memory that could not be had.
    pub fn copied(&self) -> Result<Tensor> {
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        self.device().copy(out.view(), self.view())?;
        Ok(out)
    }
}
