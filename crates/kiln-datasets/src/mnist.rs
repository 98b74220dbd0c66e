//! MNIST: 70,000 handwritten digits of 28 × 28 (LeCun, Cortes, Burges).

use crate::ImageDataset;
use crate::idx::{read_idx, wrong};
use kiln_tensor::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// Rows and columns of an image.
const SIZE: [usize; 2] = [28, 28];

/// Digits.
const CLASSES: usize = 10;

/// MNIST's two parts.
#[derive(Clone, Debug)]
pub struct Mnist {
    /// 60,000 images.
    pub train: ImageDataset,
    /// 10,000 images.
    pub test: ImageDataset,
}

impl Mnist {
    /// Reads `DIR/mnist/*-ubyte[.gz]`, or the same files in `DIR` itself.
    ///
    /// # Errors
    /// A file that is missing, cannot be read, or is not what it should be: it is named, with what was expected.
    pub fn load(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref();
        let inner = directory.join("mnist");
        let directory = if inner.is_dir() { inner } else { directory.to_path_buf() };
        Ok(Mnist { train: part(&directory, "train")?, test: part(&directory, "t10k")? })
    }
}

/// The file of this name, plain or compressed.
fn find(directory: &Path, name: &str) -> Result<PathBuf> {
    let plain = directory.join(name);
    let compressed = directory.join(format!("{name}.gz"));
    [plain, compressed].into_iter().find(|path| path.exists()).ok_or_else(|| {
        Error::new(
            ErrorKind::Io,
            "",
            format!(
                "{}: neither {name} nor {name}.gz is there; MNIST's four files are expected in DIR/mnist",
                directory.display()
            ),
        )
    })
}

fn part(directory: &Path, part: &str) -> Result<ImageDataset> {
    let images = find(directory, &format!("{part}-images-idx3-ubyte"))?;
    let labels = find(directory, &format!("{part}-labels-idx1-ubyte"))?;
    let (pixels, classes) = (read_idx(&images, 3)?, read_idx(&labels, 1)?);
    let (count, size) = (pixels.shape[0], &pixels.shape[1..]);
    if size != SIZE {
        return Err(wrong(
            &images,
            format!("images of {} × {} are expected, these are {} × {}", SIZE[0], SIZE[1], size[0], size[1]),
        ));
    }
    if count == 0 {
        return Err(wrong(&images, "there is no image in it".into()));
    }
    if count != classes.shape[0] {
        let found = classes.shape[0];
        return Err(wrong(&labels, format!("{found} labels, but {} holds {count} images", images.display())));
    }
    if let Some(row) = classes.data.iter().position(|&label| usize::from(label) >= CLASSES) {
        return Err(wrong(&labels, format!("label {row} is {}, a digit from 0 to 9 is expected", classes.data[row])));
    }
    ImageDataset::new(pixels.data, classes.data, &SIZE, CLASSES)
}
