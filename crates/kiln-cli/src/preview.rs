//! `kiln data preview`.

use crate::arguments::PreviewOptions;
use crate::drawing::{Row, Sheet, sheet};
use crate::places::folder_of;
use crate::report::plain;
use kiln::ErrorKind;
use kiln::datasets::{
    Cifar100, Cifar100Labels, Emnist, EmnistSplit, FashionMnist, ImageFiles, ImageOptions, Kmnist, Pass, source,
};
use kiln::prelude::*;
use kiln::store::write_atomically;
use std::path::Path;

/// Classes and pictures of each, at most: a sheet that fits a screen.
const ROWS: usize = 10;
const COLUMNS: usize = 8;

/// Height and width of the image files of a folder: a small image of a named set is drawn as large.
const SIZE: usize = 84;

/// What is drawn.
struct Images {
    plain: Box<dyn Dataset>,
    augmented: Option<Box<dyn Dataset>>,
    classes: Vec<String>,
    /// In the heading.
    name: String,
    /// In the report.
    of: String,
}

pub(crate) fn run(options: &PreviewOptions) -> Result<()> {
    let images = if source(&options.name).is_some() { of_set(options)? } else { of_folder(options)? };
    let columns = if options.augment.is_some() { 1 } else { COLUMNS };
    let (mut rows, picked) = picked(&images, columns, options.seed)?;
    let cpu = Device::cpu();
    for column in &picked {
        add(&mut rows, column, |samples| images.plain.batch(samples, &[], &cpu))?;
    }
    let mut done = format!("{} images of {}", rows.iter().map(|row| row.pictures.len()).sum::<usize>(), images.of);
    if let (Some(augmented), Some(column)) = (&images.augmented, picked.first()) {
        for epoch in 1..COLUMNS as u64 {
            let pass = Pass { seed: options.seed, epoch };
            add(&mut rows, column, |samples| augmented.training_batch(samples, &[], pass, &cpu))?;
        }
        done += &format!(", each as it is and {} times augmented", COLUMNS - 1);
    }
    let (height, width) = match *images.plain.input_shape() {
        [.., height, width] => (height, width),
        _ => return Err(Error::new(ErrorKind::Unsupported, "", format!("{}: not a data set of images", images.name))),
    };
    let heading = if options.augment.is_some() { ["original", "augmented"] } else { ["", &images.name] };
    write_atomically(&options.out, &sheet(&Sheet { rows, height, width, heading })?)?;
    plain(&format!("{done}: drawn to {}", options.out.display()));
    Ok(())
}

/// The training images of a data set that is known by name.
fn of_set(options: &PreviewOptions) -> Result<Images> {
    let name = options.name.clone();
    if options.size.is_some() {
        let message = format!("--size goes with a folder of image files: those of {name} have a size");
        return Err(Error::value("", message));
    }
    let folder = folder_of(&name, options.data.as_deref());
    let (images, classes) = named(&name, folder.as_deref())?;
    let augment = |augmentation: &Augmentation| images.clone().augment(augmentation.clone());
    let augmented = options.augment.as_ref().map(augment).transpose()?.map(|images| Box::new(images) as _);
    let of = if folder.is_none() { format!("the embedded subset of {name}") } else { name.clone() };
    Ok(Images { plain: Box::new(images), augmented, classes, name, of })
}

/// The image files of a folder, by class.
fn of_folder(options: &PreviewOptions) -> Result<Images> {
    let folder = Path::new(&options.name);
    let files = ImageFiles::folder(folder)?;
    let size = options.size.unwrap_or(SIZE);
    let images = files.dataset(&ImageOptions::new(size, size))?;
    let augment = |augmentation: &Augmentation| images.clone().augment(augmentation.clone());
    let augmented = options.augment.as_ref().map(augment).transpose()?.map(|images| Box::new(images) as _);
    let name = folder.file_name().map_or_else(|| options.name.clone(), |name| name.to_string_lossy().into_owned());
    let (classes, of) = (files.class_names().to_vec(), options.name.clone());
    Ok(Images { plain: Box::new(images), augmented, classes, name, of })
}

/// A data set's training images, and what its classes are called.
fn named(name: &str, folder: Option<&Path>) -> Result<(ImageDataset, Vec<String>)> {
    let here = || {
        folder.ok_or_else(|| {
            let message =
                format!("{name} is not here: `kiln data fetch {name}` brings it, or name its folder with --data DIR");
            Error::new(ErrorKind::Io, "", message)
        })
    };
    let words = |classes: &[&str]| classes.iter().map(|&class| class.to_owned()).collect::<Vec<_>>();
    let numbered = |count: usize| (0..count).map(|class| class.to_string()).collect();
    Ok(match name {
        "mnist" => (folder.map_or_else(Mnist::embedded, Mnist::load)?.train, numbered(10)),
        "fashion-mnist" => (FashionMnist::load(here()?)?.train, words(&FashionMnist::CLASSES)),
        "kmnist" => (Kmnist::load(here()?)?.train, words(&Kmnist::CLASSES)),
        "emnist" => {
            let split = EmnistSplit::Balanced;
            (Emnist::load(here()?, split)?.train, split.characters().chars().map(String::from).collect())
        }
        "cifar-10" => (Cifar10::load(here()?)?.train, words(&Cifar10::CLASSES)),
        "cifar-100" => (Cifar100::load(here()?, Cifar100Labels::Fine)?.train, numbered(100)),
        _ => return Err(Error::new(ErrorKind::Unsupported, "", format!("{name}: there is no preview of it"))),
    })
}

/// The classes that are shown, by number and name: where there are many, some at random.
fn chosen(classes: Vec<String>, seed: u64) -> Vec<(usize, String)> {
    let mut classes: Vec<_> = classes.into_iter().enumerate().collect();
    if classes.len() > ROWS {
        RandomStream::new(seed, Purpose::Shuffle, 1).shuffle(&mut classes);
        classes.truncate(ROWS);
        classes.sort();
    }
    classes
}

/// The row and the sample of each image of a column.
type Column = Vec<(usize, usize)>;

/// A row for each class that is shown, and the columns, chosen at random. A class with fewer
/// images than columns has a shorter row.
fn picked(images: &Images, columns: usize, seed: u64) -> Result<(Vec<Row>, Vec<Column>)> {
    let labels = images.plain.class_labels()?.unwrap_or_default();
    let mut order: Vec<usize> = (0..labels.len()).collect();
    RandomStream::new(seed, Purpose::Shuffle, 0).shuffle(&mut order);
    let (mut rows, mut picked) = (Vec::new(), vec![Column::new(); columns]);
    for (row, (class, name)) in chosen(images.classes.clone(), seed).into_iter().enumerate() {
        let of_class = order.iter().filter(|&&sample| labels[sample] == class as i64);
        picked.iter_mut().zip(of_class).for_each(|(column, &sample)| column.push((row, sample)));
        rows.push(Row { name, pictures: Vec::new() });
    }
    picked.retain(|column| !column.is_empty());
    Ok((rows, picked))
}

/// Adds a column's images, which `batch` makes, to their rows.
fn add(rows: &mut [Row], column: &Column, batch: impl FnOnce(&[usize]) -> Result<Batch>) -> Result<()> {
    let samples: Vec<usize> = column.iter().map(|&(_, sample)| sample).collect();
    let pixels = batch(&samples)?.inputs.to_vec::<f32>()?;
    let size = pixels.len() / column.len().max(1);
    for (&(row, _), image) in column.iter().zip(pixels.chunks(size.max(1))) {
        rows[row].pictures.push(image.iter().map(|x| (x * 255.0).round().clamp(0.0, 255.0) as u8).collect());
    }
    Ok(())
}
