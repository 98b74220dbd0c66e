//! Image files in folders and lists as samples: labels, loaders, caches, and what is broken.

mod lists;
mod samples;

use image::RgbImage;
use kiln_datasets::{Batch, Dataset, Loader};
use kiln_tensor::Result;
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
