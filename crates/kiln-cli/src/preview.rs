//! `kiln data preview`.

use crate::arguments::PreviewOptions;
use crate::drawing::{Row, Sheet, sheet};
use crate::places::folder_of;
use crate::report::plain;
use kiln::ErrorKind;
use kiln::datasets::{Cifar100, Cifar100Labels, Emnist, EmnistSplit, FashionMnist, Kmnist, Pass};
use kiln::prelude::*;
use kiln::store::write_atomically;
use std::path::Path;

/// Classes and pictures of each, at most: a sheet that fits a screen.
const ROWS: usize = 10;
const COLUMNS: usize = 8;

pub(crate) fn run(options: &PreviewOptions) -> Result<()> {
    let name = &options.name;
    let folder = folder_of(name, options.data.as_deref());
    let (images, classes) = named(name, folder.as_deref())?;
    let classes = chosen(classes, options.seed);
    let columns = if options.augment.is_some() { 1 } else { COLUMNS };
    let picked = picked(&images, &classes, columns, options.seed);
    let mut rows: Vec<Row> = classes.into_iter().map(|(_, name)| Row { name, pictures: Vec::new() }).collect();
    for indices in &picked {
        add(&mut rows, &images.batch(indices, &[], &Device::cpu())?)?;
    }
    let of = if folder.is_none() { "the embedded subset of " } else { "" };
    let mut done = format!("{} images of {of}{name}", rows.iter().map(|row| row.pictures.len()).sum::<usize>());
    if let (Some(augmentation), Some(indices)) = (&options.augment, picked.first()) {
        let augmented = images.clone().augment(augmentation.clone())?;
        for epoch in 1..COLUMNS as u64 {
            let pass = Pass { seed: options.seed, epoch };
            add(&mut rows, &augmented.training_batch(indices, &[], pass, &Device::cpu())?)?;
        }
        done += &format!(", each as it is and {} times augmented", COLUMNS - 1);
    }
    let (height, width) = match *images.input_shape() {
        [.., height, width] => (height, width),
        _ => return Err(Error::new(ErrorKind::Unsupported, "", format!("{name}: not a data set of images"))),
    };
    let heading = if options.augment.is_some() { ["original", "augmented"] } else { ["", name] };
    write_atomically(&options.out, &sheet(&Sheet { rows, height, width, heading })?)?;
    plain(&format!("{done}: drawn to {}", options.out.display()));
    Ok(())
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

/// So many images of each class at random: for each column an image of every class.
fn picked(images: &ImageDataset, classes: &[(usize, String)], columns: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..images.len()).collect();
    RandomStream::new(seed, Purpose::Shuffle, 0).shuffle(&mut order);
    let of = |class: usize| order.iter().copied().filter(move |&i| usize::from(images.labels()[i]) == class);
    // Of a class with fewer images than columns, or none, the others' rows are longer.
    let rows: Vec<Vec<usize>> = classes.iter().map(|&(class, _)| of(class).take(columns).collect()).collect();
    let full = rows.iter().map(Vec::len).min().unwrap_or(0);
    (0..full).map(|column| rows.iter().map(|row| row[column]).collect()).collect()
}

/// Adds a batch's images to the rows, one to each.
fn add(rows: &mut [Row], batch: &Batch) -> Result<()> {
    let pixels = batch.inputs.to_vec::<f32>()?;
    let size = pixels.len() / rows.len().max(1);
    for (row, image) in rows.iter_mut().zip(pixels.chunks(size.max(1))) {
        row.pictures.push(image.iter().map(|x| (x * 255.0).round().clamp(0.0, 255.0) as u8).collect());
    }
    Ok(())
}
