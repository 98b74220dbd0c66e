#![doc = include_str!("../README.md")]

mod batch;
#[cfg(feature = "embedded-mnist")]
mod embedded;
mod idx;
mod images;
mod labelled;
mod loader;
mod mnist;
mod tensors;

pub use batch::{Batch, Dataset};
pub use idx::{Idx, read_idx};
pub use images::ImageDataset;
pub use loader::{Epoch, Loader};
pub use mnist::Mnist;
pub use tensors::TensorDataset;
