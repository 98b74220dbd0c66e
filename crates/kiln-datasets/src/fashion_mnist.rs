//! Fashion-MNIST: 70,000 pictures of clothes in MNIST's format (Xiao, Rasul, Vollgraf 2017; MIT license).

use crate::ImageDataset;
use crate::labeled::{Labeled, folder};
use kiln_tensor::Result;
use std::path::Path;

/// Fashion-MNIST's two parts, of 28 × 28 like MNIST's.
#[derive(Clone, Debug)]
pub struct FashionMnist {
    /// 60,000 images.
    pub train: ImageDataset,
    /// 10,000 images.
    pub test: ImageDataset,
}

impl FashionMnist {
    /// What the classes show.
    pub const CLASSES: [&str; 10] =
        ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

    /// Reads `DIR/fashion-mnist/*-ubyte[.gz]`; `DIR` may also be that folder itself.
    ///
    /// # Errors
    /// A file that is missing, cannot be read, or is not what it should be: it is named, with what was expected.
    pub fn load(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = folder(directory.as_ref(), "fashion-mnist");
        let part = |name| Labeled::read(&directory, name)?.check(0..=9);
        Ok(FashionMnist { train: part("train")?, test: part("t10k")? })
    }
}
