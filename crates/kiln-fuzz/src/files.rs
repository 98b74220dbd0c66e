//! The files of data sets of images.

use crate::Target;
use crate::scratch::Folder;
use crate::source::Source;
use flate2::Compression;
use flate2::write::GzEncoder;
use kiln::datasets::{Cifar10, Cifar100, Cifar100Labels, Emnist, EmnistSplit, ImageDataset, Mnist, read_idx};
use std::io::Write;

/// The first byte says how many axes are expected and whether the file is compressed.
pub(crate) const IDX: Target = Target { name: "idx", run: idx, seeds: idx_seeds, words: &[&[0, 0, 8], &[0x1f, 0x8b]] };
/// Files are made of what the bytes say: lengths, labels, what is cut.
pub(crate) const CIFAR: Target = Target { name: "cifar", run: cifar, seeds: cifar_seeds, words: &[] };
/// Headers are the bytes', contents of the length that fits or nearly.
pub(crate) const EMNIST: Target = Target { name: "emnist", run: emnist, seeds: emnist_seeds, words: &[&[0, 0, 0, 28]] };

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a buffer takes everything");
    encoder.finish().expect("a buffer takes everything")
}

/// An IDX file of this magic number, sizes and content.
fn idx_file(magic: u32, sizes: &[u32], content: &[u8]) -> Vec<u8> {
    let numbers = std::iter::once(&magic).chain(sizes).flat_map(|number| number.to_be_bytes());
    numbers.chain(content.iter().copied()).collect()
}

fn idx(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let form = source.byte();
    let axes = usize::from(form & 7);
    let folder = Folder::new();
    let path = match form >> 3 & 3 {
        0 => folder.write("plain", source.rest()),
        1 => folder.write("as-it-is.gz", source.rest()),
        _ => folder.write("compressed.gz", &gzip(source.rest())),
    };
    if let Ok(idx) = read_idx(&path, axes) {
        assert_eq!(idx.shape.len(), axes);
        assert_eq!(idx.shape.iter().product::<usize>(), idx.data.len());
        assert!(idx.data.capacity() <= 2 * idx.data.len() + (1 << 16), "a buffer of {}", idx.data.capacity());
    }
}

fn idx_seeds() -> Vec<Vec<u8>> {
    let small = idx_file(0x0803, &[2, 2, 3], &[1; 12]);
    let labels = idx_file(0x0801, &[5], &[0, 1, 2, 3, 4]);
    // A header that asks for terabytes.
    let large = idx_file(0x0803, &[u32::MAX, 28, 28], &[0; 8]);
    vec![
        [&[3][..], &small].concat(),
        [&[1][..], &labels].concat(),
        [&[3 + 16][..], &small].concat(),
        [&[3 + 8][..], &gzip(&small)].concat(),
        [&[3 + 16][..], &large].concat(),
        [&[3][..], &large].concat(),
    ]
}

/// What every data set of images promises.
fn check(images: &ImageDataset) {
    let size: usize = kiln::datasets::Dataset::input_shape(images).iter().product();
    assert_eq!(images.pixels().len(), images.labels().len() * size);
    assert!(images.labels().iter().all(|&label| usize::from(label) < images.classes()));
}

fn cifar(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let folder = Folder::new();
    let (names, labels): (&[&str], usize) = if source.flag() {
        (&["cifar-100-binary/train.bin", "cifar-100-binary/test.bin"], 2)
    } else {
        (
            &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
                "test_batch.bin",
            ],
            1,
        )
    };
    for name in names {
        let mut file = Vec::new();
        for _ in 0..source.below(4) {
            (0..labels).for_each(|_| file.push(source.byte()));
            file.resize(file.len() + 3072, source.byte());
        }
        let cut = source.byte();
        if cut & 1 == 1 {
            file.truncate(file.len().saturating_sub(usize::from(cut)));
        }
        if cut & 2 == 2 {
            file.push(cut);
        }
        if cut & 252 != 4 {
            let name = if labels == 1 { format!("cifar-10-batches-bin/{name}") } else { (*name).to_owned() };
            folder.write(&name, &file);
        }
    }
    if labels == 1 {
        if let Ok(cifar) = Cifar10::load(folder.path()) {
            check(&cifar.train);
            check(&cifar.test);
        }
        return;
    }
    for labels in [Cifar100Labels::Fine, Cifar100Labels::Coarse] {
        if let Ok(cifar) = Cifar100::load(folder.path(), labels) {
            check(&cifar.train);
            check(&cifar.test);
        }
    }
}

fn cifar_seeds() -> Vec<Vec<u8>> {
    let ten = [1, 3, 7, 0].repeat(6);
    let hundred = [2, 3, 7, 9, 1, 99, 5, 0].repeat(2);
    vec![[&[0][..], &ten].concat(), [&[1][..], &hundred].concat(), [&[0, 2][..], &ten].concat()]
}

fn emnist(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let split = source.of(&EmnistSplit::ALL);
    let (folder, mnist) = (Folder::new(), source.flag());
    let parts = if mnist { ["train", "t10k"] } else { ["train", "test"] };
    for part in parts {
        for (kind, axes) in [("images-idx3", 3), ("labels-idx1", 1)] {
            let (magic, sizes) = (source.u32(), (0..axes).map(|_| source.u32()).collect::<Vec<u32>>());
            // As many bytes as the header says, or a few more or less.
            let full = sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size as usize)).unwrap_or(0);
            let length = (full.min(1 << 12) + source.below(4)).saturating_sub(source.below(4));
            let (first, step) = (source.byte(), source.byte());
            let content: Vec<u8> = (0..length).map(|i| first.wrapping_add(step.wrapping_mul(i as u8))).collect();
            let file = idx_file(magic, &sizes, &content);
            let prefix = if mnist { "mnist/".to_owned() } else { format!("emnist/emnist-{}-", split.name()) };
            let name = format!("{prefix}{part}-{kind}-ubyte");
            match source.below(4) {
                0 => folder.write(&format!("{name}.gz"), &gzip(&file)),
                _ => folder.write(&name, &file),
            };
        }
    }
    if mnist {
        if let Ok(mnist) = Mnist::load(folder.path()) {
            check(&mnist.train);
            check(&mnist.test);
        }
    } else if let Ok(emnist) = Emnist::load(folder.path(), split) {
        check(&emnist.train);
        check(&emnist.test);
    }
}

fn emnist_seeds() -> Vec<Vec<u8>> {
    // Fits, no byte more or less, first byte, step, compressed or not.
    let images = [&idx_file(0x0803, &[3, 28, 28], &[]), &[0, 0, 9, 1, 1][..]].concat();
    let labels = [&idx_file(0x0801, &[3], &[]), &[0, 0, 1, 1, 0][..]].concat();
    let part = [images, labels].concat();
    let file = |split, mnist| [&[split, mnist][..], &part, &part].concat();
    vec![file(3, 0), file(0, 1), file(4, 0)]
}
