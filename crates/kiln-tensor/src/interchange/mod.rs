//! Tensors to and from what other libraries hold.

#[cfg(feature = "image")]
mod image;
#[cfg(feature = "ndarray")]
mod ndarray;
mod npy;
