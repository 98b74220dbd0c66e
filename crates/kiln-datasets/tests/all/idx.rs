//! IDX and MNIST files: what is read, and the sentence for each way in which a file can be wrong.

// Helpers may unwrap like the tests that call them.

use crate::files::{Folder, gzip, idx};
use kiln_datasets::{Dataset, Mnist, read_idx};
use kiln_tensor::{Device, ErrorKind};
use std::fs;
use std::path::Path;

#[test]
fn plain_and_compressed_read_the_same() {
    let folder = Folder::new("same");
    let data: Vec<u8> = (0..=255).cycle().take(3 * 70 * 500).collect();
    let bytes = idx(&[3, 70, 500], &data);
    fs::write(folder.0.join("plain"), &bytes).unwrap();
    fs::write(folder.0.join("packed.gz"), gzip(&bytes)).unwrap();
    let plain = read_idx(&folder.0.join("plain"), 3).unwrap();
    assert_eq!((plain.shape.as_slice(), &plain.data), ([3, 70, 500].as_slice(), &data));
    assert_eq!(plain, read_idx(&folder.0.join("packed.gz"), 3).unwrap());
    // No image at all is a well-formed file.
    fs::write(folder.0.join("none"), idx(&[0, 28, 28], &[])).unwrap();
    assert_eq!(read_idx(&folder.0.join("none"), 3).unwrap().shape, [0, 28, 28]);
}

#[test]
fn each_malformed_file_is_one_sentence_with_its_name() {
    let whole = idx(&[2, 3], &[1, 2, 3, 4, 5, 6]);
    let packed = gzip(&whole);
    let mut flipped = packed.clone();
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    let wide = |bytes: &[u8]| [&[0, 0, 0x0d], bytes].concat();
    let cases: [(&str, Vec<u8>, ErrorKind, &str); 13] = [
        ("empty", vec![], ErrorKind::Format, "ends within its header"),
        ("header", whole[..7].to_vec(), ErrorKind::Format, "ends within its header"),
        ("short", whole[..17].to_vec(), ErrorKind::Format, "[2, 3], 6 bytes, but only 5 follow"),
        ("long", [whole.as_slice(), &[7]].concat(), ErrorKind::Format, "[2, 3], 6 bytes, but more follow"),
        ("floats", wide(&whole[3..]), ErrorKind::Format, "magic number is 0x00000d02, expected 0x00000802"),
        ("axes", idx(&[2, 3, 1], &[0; 6]), ErrorKind::Format, "magic number is 0x00000803, expected 0x00000802"),
        ("huge", idx(&[u32::MAX, u32::MAX], &[0; 6]), ErrorKind::Format, "more bytes than memory can hold"),
        ("lie", idx(&[70_000, 70_000], &[0; 6]), ErrorKind::Format, "4900000000 bytes, but only 6 follow"),
        ("zip.gz", whole.clone(), ErrorKind::Format, "no readable gzip data"),
        ("cut.gz", packed[..packed.len() - 9].to_vec(), ErrorKind::Format, "cut short"),
        ("sum.gz", flipped, ErrorKind::Format, "no readable gzip data"),
        ("more.gz", [packed.as_slice(), b"more"].concat(), ErrorKind::Format, ""),
        ("twice.gz", [packed.as_slice(), &packed].concat(), ErrorKind::Format, "but more follow"),
    ];
    let folder = Folder::new("malformed");
    for (name, bytes, kind, sentence) in cases {
        let path = folder.0.join(name);
        fs::write(&path, bytes).unwrap();
        let error = read_idx(&path, 2).expect_err(name);
        let text = error.to_string();
        assert!(text.starts_with(&path.display().to_string()) && text.contains(sentence), "{name}: {text}");
        assert!(error.kind() == kind && !text.contains('\n'), "{name}: {error:?}");
    }
    let error = read_idx(&folder.0, 2).unwrap_err();
    assert!(error.to_string().contains("directory"), "{error}");
    let error = read_idx(&folder.0.join("nowhere"), 2).unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn a_little_endian_file_is_said_to_be_one() {
    let folder = Folder::new("little");
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    for (bytes, axes, magic) in [
        ([numbers(&[0x0803, 1, 2, 3]), vec![0; 6]].concat(), 3, "0x03080000"),
        ([numbers(&[0x0801, 5]), vec![0; 5]].concat(), 1, "0x01080000"),
        ([numbers(&[0x0d02, 1, 1]), vec![0; 4]].concat(), 3, "0x020d0000"),
    ] {
        fs::write(folder.0.join("file.gz"), gzip(&bytes)).unwrap();
        let error = read_idx(&folder.0.join("file.gz"), axes).unwrap_err().to_string();
        assert!(error.contains("is little-endian") && error.contains(magic), "{error}");
        assert!(error.contains("IDX is big-endian: write its magic number and sizes with the highest byte"), "{error}");
    }
}

/// The gzip of a header and so many zeros, with an error in the compressed data not far behind its beginning.
fn bomb(sizes: &[u32], zeros: usize) -> Vec<u8> {
    let mut packed = gzip(&idx(sizes, &vec![0; zeros]));
    let half = packed.len() / 2;
    packed[half..half + 64].fill(0xff);
    packed
}

#[test]
fn no_more_is_unpacked_than_the_header_says() {
    let folder = Folder::new("bomb");
    let path = folder.0.join("bomb.gz");
    // The data that cannot be unpacked lies far behind the end of ten images: it is never met.
    fs::write(&path, bomb(&[10, 28, 28], 64 << 20)).unwrap();
    let error = read_idx(&path, 3).unwrap_err().to_string();
    assert!(error.ends_with("its header says [10, 28, 28], 7840 bytes, but more follow"), "{error}");
    // It would be met here.
    fs::write(&path, bomb(&[80_000, 28, 28], 64 << 20)).unwrap();
    let error = read_idx(&path, 3).unwrap_err().to_string();
    assert!(error.contains("no readable gzip data"), "{error}");
}

#[test]
fn sizes_and_counts_are_compared_before_anything_is_unpacked() {
    for (name, sizes, sentence) in [
        ("bomb-size", [1, 8192, 8192], "images of 28 × 28 are expected, these are 8192 × 8192"),
        ("bomb-count", [85_000, 28, 28], "3 labels, but"),
    ] {
        let folder = Folder::new(name);
        write_mnist(&folder.0, &[], &idx(&[3], &[1, 2, 3]));
        fs::remove_file(folder.0.join("mnist/train-images-idx3-ubyte")).unwrap();
        fs::write(folder.0.join("mnist/train-images-idx3-ubyte.gz"), bomb(&sizes, 64 << 20)).unwrap();
        let error = Mnist::load(&folder.0).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
}

#[test]
fn no_more_axes_than_a_byte_counts() {
    let folder = Folder::new("axes");
    fs::write(folder.0.join("file"), idx(&[1], &[1])).unwrap();
    for axes in [256, usize::MAX] {
        let error = read_idx(&folder.0.join("file"), axes).unwrap_err();
        assert!(error.to_string().contains("at most 255 axes"), "{error}");
    }
}

/// Writes the four files into DIR/mnist; the labels of the training part are given.
fn write_mnist(folder: &Path, images: &[u8], labels: &[u8]) {
    let inner = folder.join("mnist");
    fs::create_dir_all(&inner).unwrap();
    let pixels = |count: u8| (0..usize::from(count) * 784).map(|i| (i % 251) as u8).collect::<Vec<u8>>();
    fs::write(inner.join("train-images-idx3-ubyte"), images).unwrap();
    fs::write(inner.join("train-labels-idx1-ubyte.gz"), gzip(labels)).unwrap();
    fs::write(inner.join("t10k-images-idx3-ubyte.gz"), gzip(&idx(&[2, 28, 28], &pixels(2)))).unwrap();
    fs::write(inner.join("t10k-labels-idx1-ubyte"), idx(&[2], &[7, 3])).unwrap();
}

#[test]
fn mnist_is_found_plain_or_compressed_and_normalized() {
    let folder = Folder::new("mnist");
    let pixels: Vec<u8> = (0..3 * 784).map(|i| (i % 256) as u8).collect();
    write_mnist(&folder.0, &idx(&[3, 28, 28], &pixels), &idx(&[3], &[9, 0, 4]));
    for directory in [folder.0.clone(), folder.0.join("mnist")] {
        let Mnist { train, test } = Mnist::load(directory).unwrap();
        assert_eq!((train.len(), test.len(), train.input_shape()), (3, 2, [28, 28].as_slice()));
        assert_eq!((train.labels(), train.classes()), ([9, 0, 4].as_slice(), 10));
        let batch = train.batch(&[2, 0], &[], &Device::cpu()).unwrap();
        assert_eq!((batch.inputs.dims(), batch.len()), ([2, 28, 28].as_slice(), 2));
        assert_eq!(batch.targets.to_vec::<u8>().unwrap(), [4, 9]);
        let expected: Vec<f32> =
            [&pixels[2 * 784..], &pixels[..784]].concat().iter().map(|&b| f32::from(b) / 255.0).collect();
        for (found, expected) in batch.inputs.to_vec::<f32>().unwrap().iter().zip(expected) {
            assert!((found - expected).abs() <= 6e-8, "{found} {expected}");
        }
    }
}

#[test]
fn what_is_not_mnist_is_said_so() {
    let pixels = vec![0; 3 * 784];
    let labels = idx(&[3], &[1, 2, 3]);
    let cases = [
        ("counts", idx(&[3, 28, 28], &pixels), idx(&[2], &[1, 2]), "2 labels, but", "holds 3 images"),
        ("label", idx(&[3, 28, 28], &pixels), idx(&[3], &[1, 10, 2]), "label 1 is 10", "a number from 0 to 9"),
        ("size", idx(&[3, 14, 56], &pixels), labels.clone(), "28 × 28 are expected", "14 × 56"),
        ("none", idx(&[0, 28, 28], &[]), idx(&[0], &[]), "train-images", "no image"),
        ("swapped", labels.clone(), idx(&[3, 28, 28], &pixels), "train-images", "magic number"),
    ];
    for (name, images, labels, first, second) in cases {
        let folder = Folder::new(name);
        write_mnist(&folder.0, &images, &labels);
        let error = Mnist::load(&folder.0).expect_err(name);
        let text = error.to_string();
        assert!(text.contains(first) && text.contains(second) && !text.contains('\n'), "{name}: {text}");
        assert_eq!(error.kind(), ErrorKind::Format, "{name}");
    }
    let folder = Folder::new("missing");
    write_mnist(&folder.0, &idx(&[3, 28, 28], &pixels), &labels);
    fs::remove_file(folder.0.join("mnist/t10k-labels-idx1-ubyte")).unwrap();
    let error = Mnist::load(&folder.0).unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.to_string().contains("t10k-labels-idx1-ubyte.gz"), "{error}");
}
