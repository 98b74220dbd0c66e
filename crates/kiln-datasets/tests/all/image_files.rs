//! Image files in folders and lists as samples: labels, loaders, caches, and what is broken.

use crate::files::Folder;
use image::RgbImage;
use kiln_datasets::{
    Augmentation, Batch, ColorMode, Dataset, Fit, ImageDataset, ImageFiles, ImageOptions, Loader, PictureFormat,
};
use kiln_tensor::{DType, Device, Result};
use std::fs;
use std::path::Path;

/// A picture of one color with a bright spot.
fn picture(shade: u8, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([shade, (13 * x + 29 * y) as u8, if x == y { 255 } else { 10 }]))
}

/// Three classes of 4, 3 and 3 pictures of several formats and sizes.
fn pets(folder: &Path) {
    for (class, shade) in [("cat", 40), ("dog", 120), ("newt", 220)] {
        fs::create_dir_all(folder.join(class).join("more")).unwrap();
        picture(shade, 12, 9).save(folder.join(class).join("b.png")).unwrap();
        picture(shade + 1, 8, 20).save(folder.join(class).join("a.jpg")).unwrap();
        picture(shade + 2, 7, 7).save(folder.join(class).join("more/c.bmp")).unwrap();
        fs::write(folder.join(class).join(".hidden.png"), "no image").unwrap();
        fs::write(folder.join(class).join("notes.txt"), "BMI and other notes").unwrap();
    }
    // Without a name that says so.
    fs::copy(folder.join("cat/b.png"), folder.join("cat/plain")).unwrap();
    fs::create_dir(folder.join(".git")).unwrap();
    fs::write(folder.join("README"), "pets").unwrap();
}

fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error is expected").message().to_owned()
}

/// Batches of 3 in an order of their own.
fn loader<D: Dataset>(data: D) -> Loader<D> {
    Loader::new(data).batch_size(3).shuffle(5)
}

/// The batches of an epoch: inputs and targets.
fn epoch<D: Dataset>(loader: &Loader<D>) -> Vec<(Vec<f32>, Vec<f64>)> {
    let of = |batch: Batch| Ok((batch.inputs.to_vec::<f32>()?, batch.targets.to_f64_vec()?));
    loader.epoch(1, |batches| batches.map(|batch| batch.and_then(of)).collect()).unwrap()
}

#[test]
fn classes_are_the_subfolders_by_name() {
    let folder = Folder::new("pets");
    pets(&folder.0);
    let files = ImageFiles::folder(&folder.0).unwrap();
    assert_eq!(files.class_names(), ["cat", "dog", "newt"]);
    let names: Vec<String> =
        files.files().iter().map(|path| path.strip_prefix(&folder.0).unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names[..5], ["cat/a.jpg", "cat/b.png", "cat/more/c.bmp", "cat/plain", "dog/a.jpg"].map(str::to_owned));
    assert_eq!(files.labels(), Some(&[0, 0, 0, 0, 1, 1, 1, 2, 2, 2][..]));

    let summary = files.summary().unwrap();
    assert_eq!(summary.classes, [("cat".to_owned(), 4), ("dog".to_owned(), 3), ("newt".to_owned(), 3)]);
    assert_eq!(summary.formats, [(PictureFormat::Png, 4), (PictureFormat::Jpeg, 3), (PictureFormat::Bmp, 3)]);
    assert_eq!((summary.smallest, summary.median, summary.largest), (Some([7, 7]), Some([9, 12]), Some([20, 8])));
    assert_eq!((summary.images, summary.gray, summary.broken.len(), summary.others), (10, 0, 0, 3));
    let text = summary.to_string();
    assert!(
        text.starts_with("10 images: 4 PNG, 3 JPEG, 3 BMP\nheight × width: 7 × 7 the smallest, 9 × 12 the median"),
        "{text}"
    );
    assert!(text.contains("newt       3\n3 other files left out\n"), "{text}");

    let data = files.dataset(&ImageOptions::new(6, 5)).unwrap();
    assert_eq!((data.len(), data.input_shape()), (10, &[3, 6, 5][..]));
    let batch = data.batch(&[9, 0, 4], &[], &Device::cpu()).unwrap();
    assert_eq!((batch.inputs.dims(), batch.targets.dtype()), (&[3, 3, 6, 5][..], DType::I64));
    assert_eq!(batch.targets.to_vec::<i64>().unwrap(), [2, 0, 1]);
    let red = batch.inputs.to_vec::<f32>().unwrap();
    assert!((red[0] - 222.0 / 255.0).abs() < 0.01, "{}", red[0]);
    assert!(message(data.batch(&[10], &[], &Device::cpu())).contains("sample 10 was asked for, there are 10"));
    let [train, test] = data.split_stratified(0.3, 1).unwrap();
    assert_eq!((train.len(), test.class_labels().unwrap().unwrap()), (7, vec![0, 1, 2]));
}

#[test]
fn test_images_have_the_classes_of_the_training_images() {
    let folder = Folder::new("parts");
    pets(&folder.0);
    let classes = ["newt", "dog", "cat", "owl"];
    let files = ImageFiles::folder_with_classes(&folder.0, &classes).unwrap();
    assert_eq!((files.class_names(), files.labels().unwrap()[0]), (&classes.map(str::to_owned)[..], 2));
    let told = message(ImageFiles::folder_with_classes(&folder.0, &["newts", "dog", "cat"]));
    assert!(told.ends_with("newt: newt is none of the classes: the nearest one is newts"), "{told}");
}

#[test]
fn folders_without_images_or_classes_are_refused() {
    let folder = Folder::new("few");
    let at = folder.0.display();
    assert!(message(ImageFiles::folder(folder.0.join("none"))).contains("none: this folder cannot be read: "));
    assert_eq!(
        message(ImageFiles::folder(&folder.0)),
        format!("{at}: there is no subfolder: each class has one with its images")
    );
    fs::create_dir(folder.0.join("cat")).unwrap();
    picture(3, 4, 4).save(folder.0.join("cat/1.png")).unwrap();
    let told = message(ImageFiles::folder(&folder.0));
    assert_eq!(told, format!("{at}: there is only the class cat: two are needed, each a subfolder with its images"));
    fs::create_dir(folder.0.join("dog")).unwrap();
    let told = message(ImageFiles::folder(&folder.0));
    assert_eq!(told, format!("{at}/dog: this class has no image: JPEG, PNG, WebP, BMP or GIF"));
    assert_eq!(
        message(ImageFiles::unlabeled(folder.0.join("dog"))),
        format!("{at}/dog: there is no image in this folder: JPEG, PNG, WebP, BMP or GIF")
    );
    let none: [&str; 0] = [];
    assert_eq!(message(ImageFiles::paths(none).dataset(&ImageOptions::new(4, 4))), "the list: there is no image file");
    assert_eq!(message(ImageFiles::paths(none).summary()), "the list: there is no image file");
}

#[test]
fn a_csv_file_lists_images_with_classes_or_numbers() {
    let folder = Folder::new("listed");
    pets(&folder.0);
    let csv = folder.0.join("list.csv");
    let write = |text: &str| fs::write(&csv, text).unwrap();
    write("file,grade,weight\ncat/a.jpg,10,1.5\ndog/a.jpg,9,-2\nnewt/b.png,10,0\n");
    let files = ImageFiles::csv(&csv, "file", "grade").unwrap();
    assert_eq!((files.class_names(), files.labels().unwrap()), (&["9", "10"].map(str::to_owned)[..], &[1, 0, 1][..]));
    let numbers = ImageFiles::csv_regression(&csv, "file", "weight").unwrap();
    let data = numbers.dataset(&ImageOptions::new(4, 4).color(ColorMode::Gray)).unwrap();
    let batch = data.batch(&[1, 0], &[], &Device::cpu()).unwrap();
    assert_eq!((batch.inputs.dims(), batch.targets.dims()), (&[2, 1, 4, 4][..], &[2, 1][..]));
    assert_eq!((batch.targets.to_vec::<f32>().unwrap(), data.class_labels().unwrap()), (vec![-2.0, 1.5], None));
    assert!(
        message(ImageFiles::csv(&csv, "files", "grade")).contains("no column \"files\": the nearest name is \"file\"")
    );
    for (text, told) in [
        ("file,grade\ncat/a.jpg,1\nowl.png,2\n", "line 3: column \"file\": there is no file "),
        ("file,grade\ncat/a.jpg,1\ncat/b.png,\n", "line 3: column \"grade\": there is no value"),
        ("file,grade\ncat/a.jpg,1\ncat/b.png,1\n", "column \"grade\" has only the class 1: two are needed"),
        ("file,grade\n", "there is no row after the header"),
    ] {
        write(text);
        let error = message(ImageFiles::csv(&csv, "file", "grade"));
        assert!(error.starts_with(csv.to_str().unwrap()) && error.contains(told), "{error}");
    }
    write("file,weight\ncat/a.jpg,heavy\n");
    assert!(
        message(ImageFiles::csv_regression(&csv, "file", "weight"))
            .contains("line 2: column \"weight\": \"heavy\" is no number")
    );
}

#[test]
fn files_without_labels_are_their_own_targets() {
    let folder = Folder::new("unlabeled");
    pets(&folder.0);
    let files = ImageFiles::unlabeled(&folder.0).unwrap();
    assert_eq!((files.len(), files.labels(), files.class_names().len()), (10, None, 0));
    let data = ImageFiles::paths(files.files()).dataset(&ImageOptions::new(3, 3)).unwrap();
    let batch = data.batch(&[2, 7], &[], &Device::cpu()).unwrap();
    assert_eq!(batch.inputs.to_vec::<f32>().unwrap(), batch.targets.to_vec::<f32>().unwrap());
}

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
