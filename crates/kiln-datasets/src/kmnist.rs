//! KMNIST: 70,000 cursive Japanese characters in MNIST's format (Clanuwat and others 2018; CC BY-SA 4.0).

use crate::ImageDataset;
use crate::labeled::{Labeled, folder};
use kiln_tensor::Result;
use std::path::Path;

/// KMNIST's two parts, of 28 × 28 like MNIST's.
#[derive(Clone, Debug)]
pub struct Kmnist {
    /// 60,000 images.
    pub train: ImageDataset,
    /// 10,000 images.
    pub test: ImageDataset,
}

impl Kmnist {
    /// The characters' sounds; each class is one row of the table of hiragana.
    pub const CLASSES: [&str; 10] = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"];

    /// Reads `DIR/kmnist/*-ubyte[.gz]`; `DIR` may also be that folder itself.
    ///
    /// # Errors
    /// A file that is missing, cannot be read, or is not what it should be: it is named, with what was expected.
    pub fn load(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = folder(directory.as_ref(), "kmnist");
        let part = |name| Labeled::read(&directory, name)?.check(0..=9);
        Ok(Kmnist { train: part("train")?, test: part("t10k")? })
    }
}
