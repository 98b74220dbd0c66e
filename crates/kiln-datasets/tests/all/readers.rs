//! The MNIST family and CIFAR: what is read, and the sentence for each way in which files can be wrong.

// Helpers may unwrap like the tests that call them.

use crate::files::{Folder, gzip, idx};
use kiln_datasets::{
    Cifar10, Cifar100, Cifar100Labels, Dataset, Emnist, EmnistSplit, FashionMnist, ImageDataset, Kmnist,
};
use kiln_tensor::{Device, Error, ErrorKind};
use std::fs;
use std::path::Path;

/// Pixels that differ from row to row and from column to column.
fn pixels(count: usize, size: usize) -> Vec<u8> {
    (0..count * size).map(|i| (i * 7 % 253) as u8).collect()
}

/// Writes `NAME-images` and `NAME-labels` of three images.
fn write_pair(folder: &Path, name: &str, labels: &[u8]) {
    fs::create_dir_all(folder).unwrap();
    let images = idx(&[labels.len() as u32, 28, 28], &pixels(labels.len(), 784));
    fs::write(folder.join(format!("{name}-images-idx3-ubyte.gz")), gzip(&images)).unwrap();
    fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), idx(&[labels.len() as u32], labels)).unwrap();
}

/// One sentence of this kind that names the file and says each of these.
fn assert_told(error: &Error, kind: ErrorKind, parts: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    assert!(!text.contains('\n') && parts.iter().all(|part| text.contains(part)), "{text}, expected {parts:?}");
}

#[test]
fn fashion_mnist_and_kmnist_read_their_own_folders() {
    let folder = Folder::new("family");
    for (name, labels) in [("fashion-mnist", [9, 0, 4]), ("kmnist", [1, 2, 3])] {
        write_pair(&folder.0.join(name), "train", &labels);
        write_pair(&folder.0.join(name), "t10k", &labels[..2]);
    }
    for inner in ["", "fashion-mnist"] {
        let FashionMnist { train, test } = FashionMnist::load(folder.0.join(inner)).unwrap();
        assert_eq!((train.labels(), test.len(), train.classes()), ([9, 0, 4].as_slice(), 2, 10));
        assert_eq!(train.pixels(), pixels(3, 784));
    }
    for inner in ["", "kmnist"] {
        let Kmnist { train, test } = Kmnist::load(folder.0.join(inner)).unwrap();
        assert_eq!((train.labels(), test.len(), train.input_shape()), ([1, 2, 3].as_slice(), 2, [28, 28].as_slice()));
    }
    // Another data set's folder has files of the same names: they must not be taken for this one's.
    let error = Kmnist::load(folder.0.join("fashion-mnist")).unwrap_err();
    assert_told(&error, ErrorKind::Io, &["fashion-mnist/kmnist", "train-images-idx3-ubyte.gz is there"]);
}

#[test]
fn emnist_is_turned_upright() {
    let folder = Folder::new("emnist");
    // The archive unpacks into a folder of its own.
    for inner in ["emnist", "emnist/gzip"] {
        write_pair(&folder.0.join(inner), "emnist-balanced-train", &[46, 0, 9]);
        write_pair(&folder.0.join(inner), "emnist-balanced-test", &[3]);
        let Emnist { train, test } = Emnist::load(&folder.0, EmnistSplit::Balanced).unwrap();
        assert_eq!((train.labels(), train.classes(), test.len()), ([46, 0, 9].as_slice(), 47, 1));
        let stored = pixels(3, 784);
        for (image, row, column) in [(0, 0, 1), (0, 27, 0), (1, 5, 20), (2, 13, 13), (2, 26, 27)] {
            let at = |row: usize, column: usize| image * 784 + row * 28 + column;
            assert_eq!(train.pixels()[at(row, column)], stored[at(column, row)], "{image} {row} {column}");
        }
    }
}

#[test]
fn emnist_letters_begin_at_zero() {
    let folder = Folder::new("letters");
    write_pair(&folder.0.join("emnist"), "emnist-letters-train", &[1, 26, 2]);
    write_pair(&folder.0.join("emnist"), "emnist-letters-test", &[26]);
    let Emnist { train, test } = Emnist::load(&folder.0, EmnistSplit::Letters).unwrap();
    assert_eq!((train.labels(), test.labels(), train.classes()), ([0, 25, 1].as_slice(), [25].as_slice(), 26));
    for label in [0, 27] {
        write_pair(&folder.0.join("emnist"), "emnist-letters-test", &[1, label]);
        let error = Emnist::load(&folder.0, EmnistSplit::Letters).unwrap_err();
        let found = format!("label 1 is {label}, a number from 1 to 26 is expected");
        assert_told(&error, ErrorKind::Format, &["emnist-letters-test-labels-idx1-ubyte", &found]);
    }
}

#[test]
fn emnist_splits_have_their_classes() {
    let classes: Vec<usize> = EmnistSplit::ALL.iter().map(|split| split.characters().len()).collect();
    assert_eq!(classes, [62, 47, 47, 26, 10, 10]);
    for split in EmnistSplit::ALL {
        let folder = Folder::new(&format!("split-{}", split.name()));
        let last = split.characters().len() as u8 - 1 + u8::from(split == EmnistSplit::Letters);
        for part in ["train", "test"] {
            write_pair(&folder.0.join("emnist"), &format!("emnist-{}-{part}", split.name()), &[last, 1]);
        }
        let Emnist { train, .. } = Emnist::load(&folder.0, split).unwrap();
        assert_eq!(train.classes(), split.characters().len(), "{split:?}");
        write_pair(&folder.0.join("emnist"), &format!("emnist-{}-test", split.name()), &[last + 1]);
        let error = Emnist::load(&folder.0, split).unwrap_err();
        assert_told(&error, ErrorKind::Format, &["-test-labels", &format!("label 0 is {}", last + 1)]);
    }
}

/// Records of label bytes and pixels; pixel (c, y, x) of image i is known.
fn records(labels: &[&[u8]]) -> Vec<u8> {
    labels.iter().zip(pixels(labels.len(), 3072).chunks_exact(3072)).flat_map(|(l, p)| [l, p].concat()).collect()
}

fn write_cifar10(folder: &Path) {
    let folder = folder.join("cifar-10-batches-bin");
    fs::create_dir_all(&folder).unwrap();
    for batch in 1..=5 {
        fs::write(folder.join(format!("data_batch_{batch}.bin")), records(&[&[batch], &[9]])).unwrap();
    }
    fs::write(folder.join("test_batch.bin"), records(&[&[0], &[8], &[7]])).unwrap();
}

fn write_cifar100(folder: &Path) {
    let folder = folder.join("cifar-100-binary");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("train.bin"), records(&[&[19, 99], &[0, 20]])).unwrap();
    fs::write(folder.join("test.bin"), records(&[&[3, 42]])).unwrap();
}

#[test]
fn cifar10_is_channels_first() {
    let folder = Folder::new("cifar10");
    write_cifar10(&folder.0);
    for inner in ["", "cifar-10-batches-bin"] {
        let Cifar10 { train, test } = Cifar10::load(folder.0.join(inner)).unwrap();
        assert_eq!((train.labels(), train.classes()), ([1, 9, 2, 9, 3, 9, 4, 9, 5, 9].as_slice(), 10));
        assert_eq!((test.labels(), test.input_shape()), ([0, 8, 7].as_slice(), [3, 32, 32].as_slice()));
        assert_eq!((train.pixels(), test.pixels()), (pixels(2, 3072).repeat(5).as_slice(), &*pixels(3, 3072)));
        let batch = test.batch(&[2], &[], &Device::cpu()).unwrap();
        assert_eq!(batch.inputs.dims(), [1, 3, 32, 32]);
        // Green, row 5, column 30 of image 2.
        let found = batch.inputs.to_vec::<f32>().unwrap()[1024 + 5 * 32 + 30] * 255.0;
        assert!((found - f32::from(pixels(3, 3072)[2 * 3072 + 1024 + 5 * 32 + 30])).abs() < 1e-4);
    }
}

#[test]
fn cifar100_has_two_labels() {
    let folder = Folder::new("cifar100");
    write_cifar100(&folder.0);
    let load = |labels| {
        let Cifar100 { train, test } = Cifar100::load(&folder.0, labels).unwrap();
        let told = |part: &ImageDataset| (part.labels().to_vec(), part.classes());
        assert_eq!((train.pixels(), test.pixels()), (&*pixels(2, 3072), &*pixels(1, 3072)));
        (told(&train), told(&test))
    };
    assert_eq!(load(Cifar100Labels::Fine), ((vec![99, 20], 100), (vec![42], 100)));
    assert_eq!(load(Cifar100Labels::Coarse), ((vec![19, 0], 20), (vec![3], 20)));
}

#[test]
fn each_malformed_cifar_file_is_one_sentence_with_its_name() {
    let two = records(&[&[1], &[2]]);
    let cases: [(&str, Vec<u8>, &[&str]); 6] = [
        ("data_batch_1.bin", vec![], &["30730000 in all", "holds 0", "cut short"]),
        ("data_batch_3.bin", two[..6145].to_vec(), &["images of 3073 bytes", "holds 6145", "cut short"]),
        ("test_batch.bin", vec![0; 30_730_001], &["30730000 in all", "holds 30730001", "too long"]),
        ("data_batch_2.bin", records(&[&[1], &[10]]), &["label 1 is 10, a number from 0 to 9"]),
        ("data_batch_4.bin", two[..3073].to_vec(), &["1 images, but the files before it hold 2 each"]),
        ("data_batch_2.bin", records(&[&[1], &[1], &[1]]), &["3 images, but the files before it hold 2 each"]),
    ];
    for (name, bytes, parts) in cases {
        let folder = Folder::new("malformed-cifar10");
        write_cifar10(&folder.0);
        fs::write(folder.0.join("cifar-10-batches-bin").join(name), bytes).unwrap();
        assert_told(&Cifar10::load(&folder.0).unwrap_err(), ErrorKind::Format, &[&[name], parts].concat());
    }
    for (labels, bytes, told) in [
        (Cifar100Labels::Fine, records(&[&[19, 100]]), "label 0 is 100, a number from 0 to 99"),
        (Cifar100Labels::Coarse, records(&[&[20, 1]]), "label 0 is 20, a number from 0 to 19"),
        // CIFAR-10's records.
        (Cifar100Labels::Fine, two, "images of 3074 bytes"),
    ] {
        let folder = Folder::new("malformed-cifar100");
        write_cifar100(&folder.0);
        fs::write(folder.0.join("cifar-100-binary/test.bin"), bytes).unwrap();
        assert_told(&Cifar100::load(&folder.0, labels).unwrap_err(), ErrorKind::Format, &["test.bin", told]);
    }
}

#[test]
fn a_folder_in_place_of_a_file_and_no_file_at_all() {
    let folder = Folder::new("folders");
    write_cifar10(&folder.0);
    let file = folder.0.join("cifar-10-batches-bin/data_batch_5.bin");
    fs::remove_file(&file).unwrap();
    assert_told(&Cifar10::load(&folder.0).unwrap_err(), ErrorKind::Io, &["data_batch_5.bin", "No such file"]);
    fs::create_dir(&file).unwrap();
    assert_told(&Cifar10::load(&folder.0).unwrap_err(), ErrorKind::Format, &["data_batch_5.bin", "a directory"]);

    let empty = Folder::new("nothing");
    for inner in ["cifar-100-binary", "emnist", "fashion-mnist", "kmnist"] {
        fs::create_dir(empty.0.join(inner)).unwrap();
    }
    let told = |error: Error, parts: &[&str]| assert_told(&error, ErrorKind::Io, parts);
    told(Cifar10::load(&empty.0).unwrap_err(), &["cifar-10-batches-bin/data_batch_1.bin"]);
    told(Cifar100::load(&empty.0, Cifar100Labels::Fine).unwrap_err(), &["cifar-100-binary/train.bin"]);
    told(Emnist::load(&empty.0, EmnistSplit::Digits).unwrap_err(), &["emnist: neither emnist-digits-train-images"]);
    told(FashionMnist::load(&empty.0).unwrap_err(), &["fashion-mnist: neither train-images-idx3-ubyte nor"]);
    told(Kmnist::load(&empty.0).unwrap_err(), &["kmnist: neither train-images-idx3-ubyte nor"]);
}
