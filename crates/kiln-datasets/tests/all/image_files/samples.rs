//! Samples by workers, from caches, and without broken files.

use super::{epoch, loader, message, pets, picture};
use crate::files::Folder;
use kiln_datasets::{Augmentation, Dataset, Fit, ImageDataset, ImageFiles, ImageOptions, Loader};
use kiln_tensor::Device;
use std::fs;

#[test]
fn workers_caches_and_memory_give_the_same_bits() {
    let folder = Folder::new("same");
    pets(&folder.0);
    let files = ImageFiles::folder(&folder.0).unwrap();
    let (mean, std) = ([0.4, 0.5, 0.6], [0.2, 0.3, 0.25]);
    let plain = ImageOptions::new(9, 8).fit(Fit::Pad);
    let options = plain.clone().normalized_channels(&mean, &std).unwrap();
    let keras = || Augmentation::new().rotation(20.0).zoom(0.2).horizontal_flip().brightness(0.8, 1.2).cutout(3);
    let data = files.dataset(&options).unwrap().augment(keras()).unwrap();
    let expected = epoch(&loader(data.clone()));
    for workers in [1, 2, 5] {
        assert_eq!(epoch(&loader(data.clone()).workers(workers)), expected, "{workers} workers");
    }
    // As the same bytes in memory.
    let bytes: Vec<u8> = plain
        .read_batch(files.files(), &Device::cpu())
        .unwrap()
        .to_vec::<f32>()
        .unwrap()
        .iter()
        .map(|x| (255.0 * x).round() as u8)
        .collect();
    let labels = files.labels().unwrap().iter().map(|&label| label as u8).collect();
    let memory = ImageDataset::new(bytes, labels, &[3, 9, 8], 3).unwrap();
    let memory = memory.normalized_channels(&mean, &std).unwrap().augment(keras()).unwrap();
    assert_eq!(epoch(&loader(memory.clone())), expected);
    // Mixed targets are rows there too.
    let mixed = |augmentation: Augmentation| augmentation.mixup(0.4).cutmix(1.0);
    let (a, b) = (data.clone().augment(mixed(keras())).unwrap(), memory.augment(mixed(keras())).unwrap());
    assert_eq!(epoch(&loader(a)), epoch(&loader(b)));

    // Some images fit into the cache; then all. From then on no file is needed.
    let size = 3 * 9 * 8;
    let some = data.clone().cache_bytes(4 * size + 5);
    let all = data.cache();
    for _ in 0..2 {
        assert_eq!(epoch(&loader(some.clone()).workers(2)), expected);
        assert_eq!(epoch(&loader(all.clone()).workers(2)), expected);
    }
    assert_eq!((some.cached_bytes(), all.cached_bytes()), (4 * size, 10 * size));
    fs::remove_dir_all(folder.0.join("dog")).unwrap();
    assert_eq!(epoch(&loader(all)), expected);
    let told =
        message(Loader::new(some).batch_size(3).epoch(1, |batches| batches.try_for_each(|batch| batch.map(drop))));
    assert!(told.contains("cannot be read"), "{told}");
}

#[test]
fn numbers_are_mixed_as_classes_are() {
    let folder = Folder::new("mixed");
    pets(&folder.0);
    let csv = folder.0.join("list.csv");
    fs::write(&csv, "file,weight\ncat/a.jpg,0\ndog/a.jpg,1\nnewt/b.png,0\n").unwrap();
    let options = ImageOptions::new(8, 8);
    let numbers = ImageFiles::csv_regression(&csv, "file", "weight").unwrap().dataset(&options).unwrap();
    let classes = ImageFiles::csv(&csv, "file", "weight").unwrap().dataset(&options).unwrap();
    let mixup = || Augmentation::new().mixup(1.0);
    let (numbers, classes) = (numbers.augment(mixup()).unwrap(), classes.augment(mixup()).unwrap());
    let (numbers, classes) = (epoch(&Loader::new(numbers).shuffle(2)), epoch(&Loader::new(classes).shuffle(2)));
    // The share of the class 1 is the mean of the numbers.
    let ones: Vec<f64> = classes[0].1.iter().skip(1).step_by(2).copied().collect();
    assert!(ones.iter().zip(&numbers[0].1).all(|(a, b)| (a - b).abs() < 1e-6), "{classes:?} {numbers:?}");
    assert!(numbers[0].1.iter().any(|x| (0.01..0.99).contains(x)));
}

#[test]
fn broken_files_are_named_or_skipped_and_counted() {
    let folder = Folder::new("broken");
    pets(&folder.0);
    let whole = fs::read(folder.0.join("dog/a.jpg")).unwrap();
    fs::write(folder.0.join("dog/a.jpg"), &whole[..whole.len() - 40]).unwrap();
    fs::write(folder.0.join("cat/empty.png"), "").unwrap();
    let files = ImageFiles::folder(&folder.0).unwrap();
    // Headers alone do not show what is cut short.
    let summary = files.summary().unwrap();
    assert_eq!((summary.images, summary.broken.len()), (11, 1));
    assert!(
        summary.to_string().contains("1 broken:\n  ")
            && summary.broken[0].why.ends_with("empty.png: this file is empty")
    );
    let data = files.dataset(&ImageOptions::new(8, 8)).unwrap();
    let pass = |data: &kiln_datasets::ImageFileDataset| {
        Loader::new(data).workers(2).epoch(1, |batches| batches.try_for_each(|batch| batch.map(drop)))
    };
    assert!(message(pass(&data)).contains("empty.png: this file is empty"));
    assert!(data.clone().skip_broken(false).unwrap().broken().is_empty());
    let skipped = data.cache().skip_broken(true).unwrap();
    assert_eq!((skipped.len(), skipped.cached_bytes()), (9, 9 * 192));
    let names: Vec<_> =
        skipped.broken().iter().map(|broken| broken.path.strip_prefix(&folder.0).unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["cat/empty.png", "dog/a.jpg"]);
    assert!(skipped.broken()[1].why.contains("a.jpg: this JPEG file cannot be read: "));
    assert_eq!(skipped.files().labels(), Some(&[0, 0, 0, 0, 1, 1, 2, 2, 2][..]));
    pass(&skipped).unwrap();
    // A class of which nothing is left, and nothing at all.
    for name in ["b.png", "more/c.bmp"] {
        fs::write(folder.0.join("dog").join(name), "x").unwrap();
    }
    let options = ImageOptions::new(8, 8);
    let told = message(ImageFiles::folder(&folder.0).unwrap().dataset(&options).unwrap().skip_broken(true));
    assert_eq!(told, format!("{}: none of the images of class dog can be decoded", folder.0.display()));
    let none = ImageFiles::unlabeled(folder.0.join("dog")).unwrap().dataset(&options).unwrap().skip_broken(true);
    assert!(message(none).ends_with("none of the 3 images can be decoded"));
}

#[test]
fn there_may_be_more_than_256_classes() {
    let folder = Folder::new("many");
    for class in 0..300 {
        let class = folder.0.join(format!("{class:03}"));
        fs::create_dir(&class).unwrap();
        picture(9, 2, 2).save(class.join("1.png")).unwrap();
    }
    let data = ImageFiles::folder(&folder.0).unwrap().dataset(&ImageOptions::new(2, 2)).unwrap();
    assert_eq!(data.batch(&[299], &[], &Device::cpu()).unwrap().targets.to_vec::<i64>().unwrap(), [299]);
    let rows = data.one_hot().batch(&[299, 1], &[], &Device::cpu()).unwrap();
    assert_eq!(rows.targets.dims(), [2, 300]);
}

#[test]
fn channel_statistics_are_those_of_the_bytes() {
    let folder = Folder::new("statistics");
    pets(&folder.0);
    let files = ImageFiles::folder(&folder.0).unwrap();
    let options = ImageOptions::new(5, 5);
    let found = files.dataset(&options).unwrap().channel_statistics().unwrap();
    let bytes: Vec<u8> = files
        .files()
        .iter()
        .flat_map(|path| options.planes(&kiln_datasets::Picture::read(path).unwrap()).unwrap())
        .collect();
    let expected = ImageDataset::new(bytes, vec![0; 10], &[3, 5, 5], 1).unwrap().channel_statistics();
    assert_eq!(found, expected);
    assert!(found.mean[0] > 0.3 && found.std[0] > 0.1);
}
