//! Which files there are, with which labels.

use super::{message, pets, picture};
use crate::files::Folder;
use kiln_datasets::{ColorMode, Dataset, ImageFiles, ImageOptions, PictureFormat};
use kiln_tensor::{DType, Device};
use std::fs;

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
    // Classes that are given keep their numbers, whichever of them the file has.
    let classes = ["8", "9", "10"];
    let given = ImageFiles::csv_with_classes(&csv, "file", "grade", &classes).unwrap();
    assert_eq!((given.class_names().len(), given.labels().unwrap()), (3, &[2, 1, 2][..]));
    let told = message(ImageFiles::csv_with_classes(&csv, "file", "grade", &["8", "9"]));
    assert!(told.contains("line 2: column \"grade\": \"10\" is not among the classes"), "{told}");
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
        ("file,grade\n", "there is no row after the columns' names"),
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
