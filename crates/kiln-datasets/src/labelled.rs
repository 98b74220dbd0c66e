//! 28 × 28 images in one IDX file and their labels in another: the form of MNIST and its family.

use crate::ImageDataset;
use crate::idx::{Idx, read_idx, wrong};
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

/// Images and labels, as they were read and from where.
pub(crate) struct Labelled {
    pub(crate) images: (PathBuf, Idx),
    pub(crate) labels: (PathBuf, Idx),
}

impl Labelled {
    /// Reads `NAME-images-idx3-ubyte[.gz]` and `NAME-labels-idx1-ubyte[.gz]`.
    pub(crate) fn read(directory: &Path, name: &str) -> Result<Self> {
        let images = find(directory, &format!("{name}-images-idx3-ubyte"))?;
        let labels = find(directory, &format!("{name}-labels-idx1-ubyte"))?;
        let (pixels, classes) = (read_idx(&images, 3)?, read_idx(&labels, 1)?);
        Ok(Labelled { images: (images, pixels), labels: (labels, classes) })
    }

    /// Swaps rows and columns of square images; those of other sizes are left to [`check`](Self::check) to refuse.
    pub(crate) fn transpose(&mut self) {
        let Idx { shape, data } = &mut self.images.1;
        if shape[1..] != SIZE {
            return;
        }
        let width = SIZE[1];
        for image in data.chunks_exact_mut(width * width) {
            for row in 0..width {
                for column in 0..row {
                    image.swap(row * width + column, column * width + row);
                }
            }
        }
    }

    /// The data set, once sizes and counts are right and every label is one of `expected`; the first of those is class 0.
    pub(crate) fn check(self, expected: RangeInclusive<u8>) -> Result<ImageDataset> {
        let Labelled { images: (images, pixels), labels: (labels, mut classes) } = self;
        let (count, size) = (pixels.shape[0], &pixels.shape[1..]);
        if size != SIZE {
            return Err(wrong(
                &images,
                format!("images of {} × {} are expected, these are {} × {}", SIZE[0], SIZE[1], size[0], size[1]),
            ));
        }
        if count == 0 {
            return Err(wrong(&images, "there is no image in it"));
        }
        if count != classes.shape[0] {
            let found = classes.shape[0];
            return Err(wrong(&labels, format!("{found} labels, but {} holds {count} images", images.display())));
        }
        let (low, high) = (*expected.start(), *expected.end());
        if let Some(row) = classes.data.iter().position(|label| !expected.contains(label)) {
            let found = classes.data[row];
            return Err(wrong(&labels, format!("label {row} is {found}, a number from {low} to {high} is expected")));
        }
        classes.data.iter_mut().for_each(|label| *label -= low);
        ImageDataset::new(pixels.data, classes.data, &SIZE, usize::from(high - low) + 1)
    }
}
