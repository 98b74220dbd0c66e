//! CIFAR-10 and CIFAR-100: 60,000 color images of 32 × 32 each (Krizhevsky 2009), in their binary version.
//!
//! A file is a row of records: one label byte (CIFAR-100: a coarse and a fine one), then 3,072 bytes, the planes red, green
//! and blue, each row-major.

use crate::ImageDataset;
use crate::idx::{unreadable, wrong};
use crate::labeled::folder;
use kiln_tensor::Result;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Channels, rows and columns of an image.
const SHAPE: [usize; 3] = [3, 32, 32];

/// Bytes of an image.
const PIXELS: usize = SHAPE[0] * SHAPE[1] * SHAPE[2];

/// CIFAR-10's two parts: images of (3, 32, 32) with 10 classes.
#[derive(Clone, Debug)]
pub struct Cifar10 {
    /// 50,000 images.
    pub train: ImageDataset,
    /// 10,000 images.
    pub test: ImageDataset,
}

impl Cifar10 {
    /// What the classes show.
    pub const CLASSES: [&str; 10] =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

    /// Reads `DIR/cifar-10-batches-bin/*.bin`; `DIR` may also be that folder itself.
    ///
    /// # Errors
    /// A file that is missing, cannot be read, or is not what it should be: it is named, with what was expected.
    pub fn load(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = folder(directory.as_ref(), "cifar-10-batches-bin");
        let record = Record { labels: 1, of_them: 0, classes: 10, usual: 10_000 };
        let mut train = Images::default();
        for batch in 1..=5 {
            let path = directory.join(format!("data_batch_{batch}.bin"));
            let before = train.labels.len();
            let count = record.read(&path, &mut train)?;
            // A file that was cut between two images is only seen beside the others.
            if count * (batch - 1) != before {
                let each = before / (batch - 1);
                return Err(wrong(&path, format!("{count} images, but the files before it hold {each} each")));
            }
        }
        let mut test = Images::default();
        record.read(&directory.join("test_batch.bin"), &mut test)?;
        Ok(Cifar10 { train: train.dataset(10)?, test: test.dataset(10)? })
    }
}

/// Which of CIFAR-100's two labels of an image.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cifar100Labels {
    /// 100 classes.
    Fine,
    /// The 20 groups of five classes each.
    Coarse,
}

/// CIFAR-100's two parts: images of (3, 32, 32) with 100 classes in 20 groups.
#[derive(Clone, Debug)]
pub struct Cifar100 {
    /// 50,000 images.
    pub train: ImageDataset,
    /// 10,000 images.
    pub test: ImageDataset,
}

impl Cifar100 {
    /// Reads `DIR/cifar-100-binary/train.bin` and `test.bin`; `DIR` may also be that folder itself.
    ///
    /// # Errors
    /// A file that is missing, cannot be read, or is not what it should be: it is named, with what was expected.
    pub fn load(directory: impl AsRef<Path>, labels: Cifar100Labels) -> Result<Self> {
        let directory = folder(directory.as_ref(), "cifar-100-binary");
        let (of_them, classes) = match labels {
            Cifar100Labels::Coarse => (0, 20),
            Cifar100Labels::Fine => (1, 100),
        };
        let part = |name, usual| {
            let mut images = Images::default();
            Record { labels: 2, of_them, classes, usual }.read(&directory.join(name), &mut images)?;
            images.dataset(classes)
        };
        Ok(Cifar100 { train: part("train.bin", 50_000)?, test: part("test.bin", 10_000)? })
    }
}

#[derive(Default)]
struct Images {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Images {
    fn dataset(self, classes: usize) -> Result<ImageDataset> {
        ImageDataset::new(self.pixels, self.labels, &SHAPE, classes)
    }
}

/// What a record of a file is.
struct Record {
    /// Label bytes before the pixels.
    labels: usize,
    /// Which of them counts.
    of_them: usize,
    classes: usize,
    /// Records in the published file.
    usual: u64,
}

impl Record {
    /// Appends a file's images and says how many there were.
    fn read(&self, path: &Path, to: &mut Images) -> Result<usize> {
        let file = File::open(path).map_err(|e| unreadable(path, e))?;
        let metadata = file.metadata().map_err(|e| unreadable(path, e))?;
        if metadata.is_dir() {
            return Err(wrong(path, "a file is expected here, this is a directory"));
        }
        let record = (self.labels + PIXELS) as u64;
        let (length, usual) = (metadata.len(), self.usual * record);
        if length == 0 || !length.is_multiple_of(record) {
            let fault = if length < usual { "cut short" } else { "too long" };
            let published = self.usual;
            return Err(wrong(
                path,
                format!(
                    "images of {record} bytes are expected, {usual} in all for the {published} that were published, \
                     but it holds {length}: it is {fault}"
                ),
            ));
        }
        let count = (length / record) as usize;
        to.pixels.reserve(count * PIXELS);
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut labels = [0; 2];
        for row in 0..count {
            let labels = &mut labels[..self.labels];
            reader.read_exact(labels).map_err(|e| unreadable(path, e))?;
            let label = labels[self.of_them];
            if usize::from(label) >= self.classes {
                let last = self.classes - 1;
                return Err(wrong(path, format!("label {row} is {label}, a number from 0 to {last} is expected")));
            }
            to.labels.push(label);
            let start = to.pixels.len();
            to.pixels.resize(start + PIXELS, 0);
            reader.read_exact(&mut to.pixels[start..]).map_err(|e| unreadable(path, e))?;
        }
        Ok(count)
    }
}
