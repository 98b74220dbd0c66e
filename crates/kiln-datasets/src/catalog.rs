//! The data sets known by name: who made them, which files they consist of, and where to download those.
//!
//! The SHA-256 sums are those that TensorFlow Datasets publishes for the same addresses.

use crate::labeled::folder;
use crate::mnist;
use std::path::{Path, PathBuf};

/// A data set: its name, its folder, and the files that it is fetched as.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The name that [`source`] and `fetch` know it by.
    pub name: &'a str,
    /// What it holds, in a line.
    pub about: &'a str,
    /// Who made it, and what they allow.
    pub license: &'a str,
    /// Its folder, inside of the folder of all data.
    pub folder: &'a str,
    /// What is fetched.
    pub files: &'a [Remote<'a>],
}

/// A file that can be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// Folders that hold it, as addresses that end in `/`, or addresses of the file itself; they are tried in this order.
    pub mirrors: &'a [&'a str],
    /// Its name here, and in those folders.
    pub name: &'a str,
    /// Bytes, where they are known beforehand.
    pub size: Option<u64>,
    /// SHA-256, in hexadecimal digits.
    pub sha256: &'a str,
    /// What it is.
    pub content: Content<'a>,
}

/// What a fetched file is.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// One of the data set's files.
    File,
    /// A compressed tar archive of these.
    TarGz(&'a [&'a str]),
    /// A zip archive of these.
    Zip(&'a [&'a str]),
}

impl<'a> Source<'a> {
    /// Bytes that are fetched, of the files whose size is known.
    pub fn size(&self) -> u64 {
        self.files.iter().filter_map(|file| file.size).sum()
    }

    /// The names of the files that the data set consists of, once it is there.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.files
            .iter()
            .flat_map(|file| match &file.content {
                Content::File => std::slice::from_ref(&file.name),
                Content::TarGz(names) | Content::Zip(names) => names,
            })
            .copied()
    }

    /// The data set's folder where `directory` is the folder of all data, or is that folder itself.
    pub fn folder(&self, directory: impl AsRef<Path>) -> PathBuf {
        folder(directory.as_ref(), self.folder)
    }

    /// Whether every file is there, under its name or decompressed. What is in them is seen when they are read.
    pub fn is_present(&self, directory: impl AsRef<Path>) -> bool {
        let directory = directory.as_ref();
        // MNIST's files may lie in the folder of all data itself, as `Mnist::load` takes them.
        let folder = if self.name == "mnist" { mnist::folder(directory) } else { self.folder(directory) };
        let is_file = |name: &str| folder.join(name).is_file();
        self.names().all(|name| is_file(name) || name.strip_suffix(".gz").is_some_and(is_file))
    }
}

/// The data set of this name.
pub fn source(name: &str) -> Option<&'static Source<'static>> {
    CATALOG.iter().find(|source| source.name == name)
}

/// Every data set that is known by name.
pub const CATALOG: &[Source<'static>] = &[
    Source {
        name: "mnist",
        about: "handwritten digits: 60,000 + 10,000 of 28 × 28, 10 classes",
        license: "Yann LeCun, Corinna Cortes; CC BY-SA 3.0",
        folder: "mnist",
        files: &four(
            &["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"],
            [
                (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
                (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
                (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
                (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
            ],
        ),
    },
    Source {
        name: "fashion-mnist",
        about: "clothes: 60,000 + 10,000 of 28 × 28, 10 classes",
        license: "Zalando SE; MIT",
        folder: "fashion-mnist",
        files: &four(
            &[
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ],
            [
                (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
                (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
                (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
                (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
            ],
        ),
    },
    Source {
        name: "kmnist",
        about: "cursive hiragana: 60,000 + 10,000 of 28 × 28, 10 classes",
        license: "CODH (KMNIST Dataset, adapted from Kuzushiji Dataset); CC BY-SA 4.0",
        folder: "kmnist",
        files: &four(
            &["https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
            [
                (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
                (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
                (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
                (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
            ],
        ),
    },
    Source {
        name: "emnist",
        about: "handwritten letters and digits: 814,255 of 28 × 28, six splits of 10 to 62 classes",
        license: "Cohen, Afshar, Tapson, van Schaik, from NIST Special Database 19; no license is stated",
        folder: "emnist",
        files: &[Remote {
            mirrors: &[
                "https://biometrics.nist.gov/cs_links/EMNIST/",
                "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
            ],
            name: "gzip.zip",
            size: Some(561_753_746),
            sha256: "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
            content: Content::Zip(&[
                "emnist-byclass-train-images-idx3-ubyte.gz",
                "emnist-byclass-train-labels-idx1-ubyte.gz",
                "emnist-byclass-test-images-idx3-ubyte.gz",
                "emnist-byclass-test-labels-idx1-ubyte.gz",
                "emnist-bymerge-train-images-idx3-ubyte.gz",
                "emnist-bymerge-train-labels-idx1-ubyte.gz",
                "emnist-bymerge-test-images-idx3-ubyte.gz",
                "emnist-bymerge-test-labels-idx1-ubyte.gz",
                "emnist-balanced-train-images-idx3-ubyte.gz",
                "emnist-balanced-train-labels-idx1-ubyte.gz",
                "emnist-balanced-test-images-idx3-ubyte.gz",
                "emnist-balanced-test-labels-idx1-ubyte.gz",
                "emnist-letters-train-images-idx3-ubyte.gz",
                "emnist-letters-train-labels-idx1-ubyte.gz",
                "emnist-letters-test-images-idx3-ubyte.gz",
                "emnist-letters-test-labels-idx1-ubyte.gz",
                "emnist-digits-train-images-idx3-ubyte.gz",
                "emnist-digits-train-labels-idx1-ubyte.gz",
                "emnist-digits-test-images-idx3-ubyte.gz",
                "emnist-digits-test-labels-idx1-ubyte.gz",
                "emnist-mnist-train-images-idx3-ubyte.gz",
                "emnist-mnist-train-labels-idx1-ubyte.gz",
                "emnist-mnist-test-images-idx3-ubyte.gz",
                "emnist-mnist-test-labels-idx1-ubyte.gz",
            ]),
        }],
    },
    Source {
        name: "cifar-10",
        about: "color images: 50,000 + 10,000 of 3 × 32 × 32, 10 classes",
        license: "Alex Krizhevsky, Vinod Nair, Geoffrey Hinton; no license is stated",
        folder: "cifar-10-batches-bin",
        files: &[Remote {
            mirrors: &["https://www.cs.toronto.edu/~kriz/"],
            name: "cifar-10-binary.tar.gz",
            size: Some(170_052_171),
            sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            content: Content::TarGz(&[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
                "test_batch.bin",
            ]),
        }],
    },
    Source {
        name: "cifar-100",
        about: "color images: 50,000 + 10,000 of 3 × 32 × 32, 100 classes in 20 groups",
        license: "Alex Krizhevsky, Vinod Nair, Geoffrey Hinton; no license is stated",
        folder: "cifar-100-binary",
        files: &[Remote {
            mirrors: &["https://www.cs.toronto.edu/~kriz/"],
            name: "cifar-100-binary.tar.gz",
            size: Some(168_513_733),
            sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            content: Content::TarGz(&["train.bin", "test.bin"]),
        }],
    },
];

/// The four files of MNIST's form, with their sizes and sums.
const fn four<'a>(mirrors: &'a [&'a str], files: [(u64, &'a str); 4]) -> [Remote<'a>; 4] {
    let [train_images, train_labels, test_images, test_labels] = files;
    [
        file(mirrors, "train-images-idx3-ubyte.gz", train_images),
        file(mirrors, "train-labels-idx1-ubyte.gz", train_labels),
        file(mirrors, "t10k-images-idx3-ubyte.gz", test_images),
        file(mirrors, "t10k-labels-idx1-ubyte.gz", test_labels),
    ]
}

const fn file<'a>(mirrors: &'a [&'a str], name: &'a str, (size, sha256): (u64, &'a str)) -> Remote<'a> {
    Remote { mirrors, name, size: Some(size), sha256, content: Content::File }
}

#[cfg(test)]
mod tests {
    use super::{CATALOG, source};

    #[test]
    fn every_entry_can_be_fetched_and_checked() {
        for entry in CATALOG {
            assert_eq!(source(entry.name).map(|s| s.folder), Some(entry.folder));
            for file in entry.files {
                assert!(file.sha256.len() == 64 && file.sha256.bytes().all(|b| b"0123456789abcdef".contains(&b)));
                assert!(
                    !file.mirrors.is_empty() && file.mirrors.iter().all(|m| m.starts_with("http") && m.ends_with('/'))
                );
            }
        }
        assert!(source("mnis").is_none());
    }
}
