//! A thousand pictures of ten classes in several formats, sizes and orientations: `init`, `train`, `evaluate`, `predict` on new ones.

use crate::support::{Folder, command, lines, word};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, imageops};
use serde_json::Value;
use std::fs;
use std::path::Path;

const CLASSES: [&str; 10] =
    ["across", "along", "border", "center", "corner", "diagonal", "half", "lower", "plus", "quarters"];

/// Whether a figure of this class is light at a place, both from 0 to 1.
fn lit(class: &str, x: f64, y: f64) -> bool {
    let middle = |v: f64| (0.35..0.65).contains(&v);
    match class {
        "across" => middle(y),
        "along" => middle(x),
        "border" => !(0.2..0.8).contains(&x) || !(0.2..0.8).contains(&y),
        "center" => middle(x) && middle(y),
        "corner" => x < 0.4 && y < 0.4,
        "diagonal" => (x - y).abs() < 0.2,
        "half" => x < 0.5,
        "lower" => y > 0.6,
        "plus" => middle(x) || middle(y),
        _ => (x < 0.5) == (y < 0.5),
    }
}

/// Numbers that look drawn at random.
fn draw(of: usize, salt: usize, below: usize) -> usize {
    let mixed = (of * 7919 + salt * 104_729 + 12_345).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize);
    (mixed >> 33) % below
}

fn picture(class: &str, number: usize) -> RgbImage {
    let (width, height) = (20 + draw(number, 1, 60) as u32, 20 + draw(number, 2, 60) as u32);
    let dark = [3, 4, 5].map(|salt| draw(number, salt, 110) as u8);
    let light = [6, 7, 8].map(|salt| 150 + draw(number, salt, 105) as u8);
    // A photo is cropped to a square, so the figure is drawn in the middle one.
    let side = f64::from(width.min(height));
    let place = |at: u32, of: u32| (f64::from(at) + 0.5 - (f64::from(of) - side) / 2.0) / side;
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(if lit(class, place(x, width).clamp(0.0, 0.999), place(y, height).clamp(0.0, 0.999)) {
            light
        } else {
            dark
        })
    })
}

/// A JPEG file that says how the camera was held.
fn turned(image: &RgbImage, orientation: u8) -> Vec<u8> {
    let stored = match orientation {
        3 => imageops::rotate180(image),
        6 => imageops::rotate270(image),
        8 => imageops::rotate90(image),
        _ => image.clone(),
    };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 92).encode_image(&stored).unwrap();
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

fn write(folder: &Path, each: usize, from: usize) {
    for (at, class) in CLASSES.into_iter().enumerate() {
        let folder = folder.join(class);
        fs::create_dir_all(&folder).unwrap();
        for number in from..from + each {
            let image = picture(class, number * 10 + at);
            let path = |extension: &str| folder.join(format!("{number}.{extension}"));
            match number % 7 {
                0 => fs::write(path("jpg"), turned(&image, [1, 3, 6, 8][draw(number, 9, 4)])).unwrap(),
                1 => image.save_with_format(path("bmp"), ImageFormat::Bmp).unwrap(),
                2 => image.save_with_format(path("webp"), ImageFormat::WebP).unwrap(),
                3 => DynamicImage::from(image).to_luma8().save_with_format(path("png"), ImageFormat::Png).unwrap(),
                4 => DynamicImage::from(image).to_rgba8().save_with_format(path("png"), ImageFormat::Png).unwrap(),
                5 => DynamicImage::from(image).to_rgb16().save_with_format(path("png"), ImageFormat::Png).unwrap(),
                // By its content, not by its name.
                _ => image.save_with_format(path("jpeg"), ImageFormat::Png).unwrap(),
            }
        }
    }
}

#[test]
fn a_thousand_pictures_of_all_kinds_are_learned() {
    let folder = Folder::new("thousand");
    let (photos, config, run, new) =
        (folder.join("photos"), folder.join("photos.toml"), folder.join("run"), folder.join("new"));
    write(&photos, 100, 0);
    write(&new, 3, 500);
    let said = lines(&command(&["init", "images", word(&photos), "--out", word(&config)])).join("\n");
    for found in ["1000 images", "PNG", "JPEG", "WebP", "BMP", "quarters     100"] {
        assert!(said.contains(found), "{found}: {said}");
    }
    let small = r#"model.layers=[
        { layer = "Conv2d", filters = 8, kernel = 3, activation = "relu" }, { layer = "MaxPool2d", kernel = 2 },
        { layer = "Conv2d", filters = 16, kernel = 3, activation = "relu" }, { layer = "MaxPool2d", kernel = 2 },
        { layer = "Flatten" }, { layer = "Dense", units = 10, activation = "softmax" }]"#;
    let set = ["--set", "data.size=18", "--set", small, "--set", "optimizer.lr=0.01", "--set", "training.epochs=6"];
    let words = ["train", "--config", word(&config), "--json", "--out", word(&run)];
    let result: Value = serde_json::from_str(lines(&command(&[&words[..], &set].concat())).last().unwrap()).unwrap();
    assert!(result["test_accuracy"].as_f64().unwrap() > 0.9, "{result}");
    let said = folder.join("said.csv");
    lines(&command(&["predict", word(&run), word(&new), "--out", word(&said)]));
    let table = fs::read_to_string(&said).unwrap();
    let right = table.lines().skip(1).filter(|line| {
        let mut cells = line.split(',');
        let (path, class) = (cells.next().unwrap(), cells.next().unwrap());
        Path::new(path).parent().unwrap().ends_with(class)
    });
    assert!(right.count() >= 27, "{table}");
}
