//! Image files decoded, resized and gathered in batches by two workers, as `images_torch.py` does it.

use crate::timing::{median, seconds};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use kiln::datasets::{ImageFiles, ImageOptions};
use kiln::prelude::*;
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Images of each format, in ten classes, and passes over them that are timed, after one that is not.
const IMAGES: usize = 1000;
const EPOCHS: u64 = 3;

/// Sides that images are resized and cropped to.
const SIDES: [usize; 2] = [224, 64];

/// Where the files are, for the script too.
fn folder() -> PathBuf {
    std::env::temp_dir().join("kiln-bench-images")
}

/// A photo of waves, edges and some noise, about 500 × 375, upright or not.
fn photo(number: usize, noise: &mut RandomStream) -> RgbImage {
    let (long, short) = (470 + number as u32 * 7 % 61, 350 + number as u32 * 11 % 51);
    let (width, height) = if number.is_multiple_of(4) { (short, long) } else { (long, short) };
    let phase = number as f32;
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32 / 40.0 + phase, y as f32 / 31.0);
        let edge = if (x * 1.7).sin() > (y + phase).cos() { 40.0 } else { 0.0 };
        let grain = (noise.next_u32() % 17) as f32;
        image::Rgb([0.0, 1.0, 2.0].map(|c: f32| (90.0 + 55.0 * (x + c).sin() + 45.0 * (y * 1.3 - c).cos() + edge + grain) as u8))
    })
}

/// The error of a file that could not be written.
fn failed(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::new(kiln::ErrorKind::Io, "", format!("{}: {error}", path.display()))
}

/// Writes the images of a format, unless they are there: those of JPEG as cameras do, with quality 90.
fn write(format: &str) -> Result<PathBuf> {
    let (folder, part) = (folder().join(format), folder().join(format!("{format}.part")));
    if folder.exists() {
        return Ok(folder);
    }
    let mut noise = RandomStream::new(0, Purpose::Data, 0);
    for number in 0..IMAGES {
        let class = part.join(format!("class{}", number % 10));
        fs::create_dir_all(&class).map_err(|error| failed(&class, error))?;
        let path = class.join(format!("{number:04}.{format}"));
        let file = BufWriter::new(File::create(&path).map_err(|error| failed(&path, error))?);
        let photo = photo(number, &mut noise);
        let (pixels, colors) = (photo.as_raw(), ExtendedColorType::Rgb8);
        let written = match format {
            "png" => PngEncoder::new(file).write_image(pixels, photo.width(), photo.height(), colors),
            _ => JpegEncoder::new_with_quality(file, 90).write_image(pixels, photo.width(), photo.height(), colors),
        };
        written.map_err(|error| failed(&path, error))?;
    }
    fs::rename(&part, &folder).map_err(|error| failed(&folder, error))?;
    Ok(folder)
}

/// Images a second of a pass in batches of 32 by two workers, the median.
fn rate(folder: &Path, side: usize) -> Result<f64> {
    let data = ImageFiles::folder(folder)?.dataset(&ImageOptions::new(side, side))?;
    let loader = Loader::new(&data).batch_size(32).shuffle(0).workers(2);
    let epoch = |epoch| seconds(|| loader.epoch(epoch, |batches| batches.try_for_each(|batch| batch.map(drop))));
    let times = (0..=EPOCHS).map(epoch).collect::<Result<Vec<f64>>>()?;
    Ok((data.len() as f64 / median(times[1..].to_vec())).round())
}

/// Images a second by format and size.
pub(crate) fn rates() -> Result<Value> {
    let mut rates = Map::new();
    for format in ["jpg", "png"] {
        let folder = write(format)?;
        for side in SIDES {
            rates.insert(format!("{format} {side}"), json!(rate(&folder, side)?));
        }
    }
    Ok(json!({ "task": "images", "images_per_s": rates }))
}
