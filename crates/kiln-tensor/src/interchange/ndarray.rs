//! To and from the arrays of the crate ndarray.

use crate::tensor::room;
use crate::{Device, Element, Error, ErrorKind, Result, Tensor};
use ndarray::{ArrayBase, ArrayD, ArrayViewD, Data, Dimension, IxDyn};

impl Tensor {
    /// A tensor with a copy of an array's elements, in whatever order they lie.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let array = ndarray::array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
    /// let x = Tensor::from_ndarray(&array.t(), &Device::cpu())?;
    /// assert_eq!(x.dims(), [3, 2]);
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// More than six axes, out of memory.
    pub fn from_ndarray<T, S, D>(array: &ArrayBase<S, D>, device: &Device) -> Result<Tensor>
    where
        T: Element,
        S: Data<Elem = T>,
        D: Dimension,
    {
        if let Some(elements) = array.as_slice() {
            return Tensor::from_slice(elements, array.shape(), device);
        }
        let mut elements = room(array.len())?;
        elements.extend(array.iter().copied());
        Tensor::from_vec(elements, array.shape(), device)
    }

    /// The elements in place as an array, without a copy, where the device's memory is the host's and they lie row-major.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
    /// assert_eq!(x.as_ndarray::<f32>()?.sum(), 10.0);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::as_slice`]: use [`Tensor::to_ndarray`] there.
    pub fn as_ndarray<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        ArrayViewD::from_shape(IxDyn(self.dims()), self.as_slice::<T>()?).map_err(unfit)
    }

    /// The elements as an array of its own, row-major.
    ///
    /// ```
    /// # use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
    /// assert_eq!(x.t()?.to_ndarray::<f32>()?[[0, 1]], 3.0);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Another dtype than `T`'s; a fault of the device that surfaced.
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        ArrayD::from_shape_vec(IxDyn(self.dims()), self.to_vec()?).map_err(unfit)
    }
}

#[cold]
fn unfit(error: ndarray::ShapeError) -> Error {
    Error::new(ErrorKind::Shape, "ndarray", format!("ndarray does not take the shape: {error}")).with_source(error)
}
