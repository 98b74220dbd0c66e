//! EMNIST: handwritten letters and digits in MNIST's format (Cohen, Afshar, Tapson, van Schaik 2017; NIST).

use crate::ImageDataset;
use crate::labeled::{Labeled, folder};
use kiln_tensor::Result;
use std::path::Path;

/// Which of EMNIST's six ways to cut the same collection into classes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EmnistSplit {
    /// 814,255 images: digits, upper and lower case, 62 classes.
    ByClass,
    /// 814,255 images: letters that look alike in both cases are one class, 47 in all.
    ByMerge,
    /// 131,600 images: the classes of [`ByMerge`](Self::ByMerge), as many of each.
    Balanced,
    /// 145,600 images: the letters, 26 classes, both cases in one.
    Letters,
    /// 280,000 images: the digits.
    Digits,
    /// 70,000 images: the digits, as many as in MNIST.
    Mnist,
}

impl EmnistSplit {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::ByClass, Self::ByMerge, Self::Balanced, Self::Letters, Self::Digits, Self::Mnist];

    /// The name as it stands in the files' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::ByClass => "byclass",
            Self::ByMerge => "bymerge",
            Self::Balanced => "balanced",
            Self::Letters => "letters",
            Self::Digits => "digits",
            Self::Mnist => "mnist",
        }
    }

    /// The character of each class, in order; where both cases are one class, the upper case.
    pub fn characters(self) -> &'static str {
        match self {
            Self::ByClass => "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            Self::ByMerge | Self::Balanced => "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt",
            Self::Letters => "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            Self::Digits | Self::Mnist => "0123456789",
        }
    }
}

/// The two parts of one of EMNIST's splits, of 28 × 28 like MNIST's.
///
/// The files differ from MNIST's in two ways, both undone here: their images are transposed (columns first), and the
/// labels of [`EmnistSplit::Letters`] begin at 1.
#[derive(Clone, Debug)]
pub struct Emnist {
    /// What to train on.
    pub train: ImageDataset,
    /// What to test on.
    pub test: ImageDataset,
}

impl Emnist {
    /// Reads `DIR/emnist/emnist-SPLIT-*-ubyte[.gz]`; `DIR` may also be that folder itself, and the files may lie in a folder
    /// `gzip` in it, as the archive unpacks.
    ///
    /// # Errors
    /// A file that is missing, cannot be read, or is not what it should be: it is named, with what was expected.
    pub fn load(directory: impl AsRef<Path>, split: EmnistSplit) -> Result<Self> {
        let directory = folder(directory.as_ref(), "emnist");
        let inner = directory.join("gzip");
        let directory = if inner.is_dir() { inner } else { directory };
        let first = u8::from(split == EmnistSplit::Letters);
        let last = first + split.characters().len() as u8 - 1;
        let part = |part| {
            let mut labeled = Labeled::read(&directory, &format!("emnist-{}-{part}", split.name()))?;
            labeled.transpose();
            labeled.check(first..=last)
        };
        Ok(Emnist { train: part("train")?, test: part("test")? })
    }
}
