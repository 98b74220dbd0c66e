#![doc = include_str!("../README.md")]

mod batch;
mod cifar;
#[cfg(feature = "embedded-mnist")]
mod embedded;
mod emnist;
mod fashion_mnist;
mod idx;
mod images;
mod kmnist;
mod labelled;
mod loader;
mod mnist;
mod subset;
mod tensors;

pub use batch::{Batch, Dataset};
pub use cifar::{Cifar10, Cifar100, Cifar100Labels};
pub use emnist::{Emnist, EmnistSplit};
pub use fashion_mnist::FashionMnist;
pub use idx::{Idx, read_idx};
pub use images::ImageDataset;
pub use kmnist::Kmnist;
pub use loader::{Epoch, Loader};
pub use mnist::Mnist;
pub use subset::Subset;
pub use tensors::TensorDataset;
