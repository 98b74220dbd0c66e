//! MNIST: 70,000 handwritten digits of 28 × 28 (LeCun, Cortes, Burges).

use crate::ImageDataset;
use crate::labeled::Labeled;
use kiln_tensor::Result;
use std::path::{Path, PathBuf};

/// MNIST's two parts.
#[derive(Clone, Debug)]
pub struct Mnist {
    /// 60,000 images.
    pub train: ImageDataset,
    /// 10,000 images.
    pub test: ImageDataset,
}

/// `DIR/mnist`, or `DIR` itself where there is no such folder.
pub(crate) fn folder(directory: &Path) -> PathBuf {
    let inner = directory.join("mnist");
    if inner.is_dir() { inner } else { directory.to_path_buf() }
}

impl Mnist {
    /// Reads `DIR/mnist/*-ubyte[.gz]`, or the same files in `DIR` itself.
    ///
    /// # Errors
    /// A file that is missing, cannot be read, or is not what it should be: it is named, with what was expected.
    pub fn load(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = folder(directory.as_ref());
        let part = |name| Labeled::read(&directory, name)?.check(0..=9);
        Ok(Mnist { train: part("train")?, test: part("t10k")? })
    }

    /// The subset that comes with this crate: 10,000 training images, one of every six, and 2,000 test images, one of every
    /// five.
    ///
    /// MNIST is by Yann LeCun and Corinna Cortes, under the Creative Commons Attribution-ShareAlike 3.0 license.
    ///
    /// # Errors
    /// Out of memory.
    #[cfg(feature = "embedded-mnist")]
    pub fn embedded() -> Result<Self> {
        use crate::embedded::{TEST, TRAIN};
        Ok(Mnist { train: TRAIN.labeled()?.check(0..=9)?, test: TEST.labeled()?.check(0..=9)? })
    }
}
