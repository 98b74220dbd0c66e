//! The MNIST subset inside of the crate; src/embedded/README.md says what it is and whose.

use crate::idx::Opened;
use crate::labeled::Labeled;
use kiln_tensor::Result;
use std::path::PathBuf;

/// A part's two files.
pub(crate) struct Part {
    name: &'static str,
    images: &'static [u8],
    labels: &'static [u8],
}

/// 10,000 images.
pub(crate) const TRAIN: Part = Part {
    name: "train",
    images: include_bytes!("embedded/train-images-idx3-ubyte.gz"),
    labels: include_bytes!("embedded/train-labels-idx1-ubyte.gz"),
};

/// 2,000 images.
pub(crate) const TEST: Part = Part {
    name: "t10k",
    images: include_bytes!("embedded/t10k-images-idx3-ubyte.gz"),
    labels: include_bytes!("embedded/t10k-labels-idx1-ubyte.gz"),
};

impl Part {
    pub(crate) fn labeled(&self) -> Result<Labeled> {
        let open = |kind: &str, bytes: &'static [u8], axes| {
            let path = PathBuf::from(format!("embedded {}-{kind}", self.name));
            Opened::gzip(&path, bytes, bytes.len() as u64, axes)
        };
        Labeled::of(open("images", self.images, 3)?, open("labels", self.labels, 1)?)
    }
}
