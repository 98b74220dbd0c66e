//! 28 × 28 images in one IDX file and their labels in another: the form of MNIST and its family.

use crate::ImageDataset;
use crate::idx::{Opened, wrong};
use kiln_tensor::{Error, ErrorKind, Result};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Rows and columns of an image.
const SIZE: [usize; 2] = [28, 28];

/// The folder `name` in `directory`, or `directory` where that is its name.
pub(crate) fn folder(directory: &Path, name: &str) -> PathBuf {
    let inner = directory.join(name);
    if directory.ends_with(name) && !inner.is_dir() { directory.to_path_buf() } else { inner }
}

/// The file of this name, plain or compressed.
fn find(directory: &Path, name: &str) -> Result<PathBuf> {
    let plain = directory.join(name);
    let compressed = directory.join(format!("{name}.gz"));
    [plain, compressed].into_iter().find(|path| path.exists()).ok_or_else(|| {
        let message = format!(
            "{}: neither {name} nor {name}.gz is there; the data set's four files are expected in this folder",
            directory.display()
        );
        Error::new(ErrorKind::Io, "", message)
    })
}

/// Images and labels, one for each, as they were read.
pub(crate) struct Labeled {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    /// The file of the labels, which errors name.
    path: PathBuf,
}

impl Labeled {
    /// Reads `NAME-images-idx3-ubyte[.gz]` and `NAME-labels-idx1-ubyte[.gz]`.
    pub(crate) fn read(directory: &Path, name: &str) -> Result<Self> {
        let images = find(directory, &format!("{name}-images-idx3-ubyte"))?;
        let labels = find(directory, &format!("{name}-labels-idx1-ubyte"))?;
        Labeled::of(Opened::open(&images, 3)?, Opened::open(&labels, 1)?)
    }

    /// Reads the content of both files, once their headers fit.
    pub(crate) fn of(images: Opened<'_>, labels: Opened<'_>) -> Result<Self> {
        let (count, size) = (images.shape()[0], &images.shape()[1..]);
        if size != SIZE {
            return Err(wrong(
                images.path(),
                format!("images of {} × {} are expected, these are {} × {}", SIZE[0], SIZE[1], size[0], size[1]),
            ));
        }
        if count == 0 {
            return Err(wrong(images.path(), "there is no image in it"));
        }
        if count != labels.shape()[0] {
            let (found, images) = (labels.shape()[0], images.path().display());
            return Err(wrong(labels.path(), format!("{found} labels, but {images} holds {count} images")));
        }
        let path = labels.path().to_path_buf();
        Ok(Labeled { pixels: images.read()?.data, labels: labels.read()?.data, path })
    }

    /// Swaps rows and columns of the images.
    pub(crate) fn transpose(&mut self) {
        let width = SIZE[1];
        for image in self.pixels.chunks_exact_mut(width * width) {
            for row in 0..width {
                for column in 0..row {
                    image.swap(row * width + column, column * width + row);
                }
            }
        }
    }

    /// The data set, once every label is one of `expected`; the first of those is class 0.
    pub(crate) fn check(self, expected: RangeInclusive<u8>) -> Result<ImageDataset> {
        let Labeled { pixels, mut labels, path } = self;
        let (low, high) = (*expected.start(), *expected.end());
        if let Some(row) = labels.iter().position(|label| !expected.contains(label)) {
            let found = labels[row];
            return Err(wrong(&path, format!("label {row} is {found}, a number from {low} to {high} is expected")));
        }
        labels.iter_mut().for_each(|label| *label -= low);
        ImageDataset::new(pixels, labels, &SIZE, usize::from(high - low) + 1)
    }
}
