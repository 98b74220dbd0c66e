//! Image files are decoded as Pillow does it, and what is damaged is refused.

use crate::files::Folder;
use crate::fixture::values_of;
use image::{DynamicImage, ImageFormat};
use kiln_datasets::Picture;
use kiln_tensor::ErrorKind;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

pub(crate) const RESULTS: &str = "images/images.safetensors";

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(name)
}

/// Red, green and blue of each pixel.
fn colors(picture: &Picture) -> Vec<u8> {
    match picture.channels() {
        3 => picture.pixels().to_vec(),
        _ => picture.pixels().iter().flat_map(|&shade| [shade; 3]).collect(),
    }
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn files_have_the_pixels_that_pillow_reads() {
    let values = values_of(RESULTS);
    let files: Vec<(&str, &Vec<f64>)> =
        values.iter().filter_map(|(name, pixels)| Some((name.strip_prefix("file/")?, pixels))).collect();
    assert_eq!(files.len(), 16);
    for (name, expected) in files {
        if name.ends_with("gif") && !cfg!(feature = "gif") {
            let error = Picture::read(fixture(name)).unwrap_err();
            assert!(
                error.message().ends_with(
                    "palette.gif: this GIF file cannot be read: that takes Kiln's feature `gif`; or convert it to PNG"
                ),
                "{error}"
            );
            continue;
        }
        let picture = Picture::read(fixture(name)).unwrap();
        let size = if name.starts_with("turned") { (24, 16) } else { (16, 24) };
        assert_eq!((picture.height(), picture.width()), size, "{name}");
        let gray = ["gray", "bits"].iter().any(|word| name.starts_with(word));
        assert_eq!(picture.channels(), if gray { 1 } else { 3 }, "{name}");
        let found = colors(&picture);
        assert_eq!(found.len(), expected.len(), "{name}");
        let far = found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
        // Decoders of what is lossy round differently, and enlarge colors of half the size differently.
        let allowed = match name {
            "progressive.jpg" | "lossy.webp" => 12.0,
            "cmyk.jpg" => 5.0,
            _ if name.ends_with("jpg") => 4.0,
            _ => 1.0,
        };
        assert!(far <= allowed, "{name}: {far}");
    }
}

/// A picture of 3 × 2 pixels, each other.
fn six() -> image::RgbaImage {
    image::RgbaImage::from_fn(2, 3, |x, y| image::Rgba([(40 * x + 80 * y) as u8, 7, 200, if x == 1 { 0 } else { 255 }]))
}

#[test]
fn every_depth_and_color_of_png_is_read() {
    let rgba = DynamicImage::from(six());
    let modes = [
        (DynamicImage::from(rgba.to_luma8()), 1),
        (DynamicImage::from(rgba.to_luma16()), 1),
        (DynamicImage::from(rgba.to_rgb8()), 3),
        (DynamicImage::from(rgba.to_rgb16()), 3),
        (DynamicImage::from(rgba.to_luma_alpha16()), 1),
        (DynamicImage::from(rgba.to_rgba16()), 3),
        (rgba.clone(), 3),
    ];
    for (image, channels) in modes {
        let picture = Picture::decode(&encoded(&image, ImageFormat::Png)).unwrap();
        assert_eq!((picture.height(), picture.width(), picture.channels()), (3, 2, channels), "{:?}", image.color());
        for (i, pixel) in picture.pixels().chunks(channels).enumerate() {
            let mut expected = rgba.to_rgb8().get_pixel(i as u32 % 2, i as u32 / 2).0.to_vec();
            if channels == 1 {
                expected = vec![rgba.to_luma8().get_pixel(i as u32 % 2, i as u32 / 2).0[0]];
            }
            // What is transparent lies on white.
            if i % 2 == 1 && image.color().has_alpha() {
                expected.fill(255);
            }
            assert!(pixel.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1), "{:?}: {pixel:?}", image.color());
        }
    }
    for format in [ImageFormat::Bmp, ImageFormat::WebP] {
        let image = DynamicImage::from(rgba.to_rgb8());
        assert_eq!(Picture::decode(&encoded(&image, format)).unwrap().pixels(), image.to_rgb8().as_raw(), "{format:?}");
    }
}

/// A PNG file with Exif's orientation after its pixels.
fn turned(png: &[u8], orientation: u8) -> Vec<u8> {
    let exif = [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[orientation][..], &[0; 6]].concat();
    let mut crc = flate2::Crc::new();
    crc.update(b"eXIf");
    crc.update(&exif);
    let end = png.len() - 12;
    let length = (exif.len() as u32).to_be_bytes();
    [&png[..end], &length, b"eXIf", &exif, &crc.sum().to_be_bytes(), &png[end..]].concat()
}

#[test]
fn all_orientations_are_turned_upright() {
    let gray = image::GrayImage::from_raw(2, 3, vec![1, 2, 3, 4, 5, 6]).unwrap();
    let png = encoded(&gray.into(), ImageFormat::Png);
    // As Exif's standard names them: where the first row, 1 2, and the first column, 1 3 5, belong.
    let upright: [(&[u8], usize); 8] = [
        (&[1, 2, 3, 4, 5, 6], 2),
        (&[2, 1, 4, 3, 6, 5], 2),
        (&[6, 5, 4, 3, 2, 1], 2),
        (&[5, 6, 3, 4, 1, 2], 2),
        (&[1, 3, 5, 2, 4, 6], 3),
        (&[5, 3, 1, 6, 4, 2], 3),
        (&[6, 4, 2, 5, 3, 1], 3),
        (&[2, 4, 6, 1, 3, 5], 3),
    ];
    for (orientation, (expected, width)) in (1..).zip(upright) {
        let picture = Picture::decode(&turned(&png, orientation)).unwrap();
        assert_eq!((picture.pixels(), picture.width()), (expected, width), "{orientation}");
    }
    for damaged in [0, 9, 255] {
        assert_eq!(Picture::decode(&turned(&png, damaged)).unwrap().width(), 2);
    }
}

#[test]
fn what_is_cut_short_or_no_image_is_refused() {
    let folder = Folder::new("cut");
    for name in ["baseline.jpg", "progressive.jpg", "gray.jpg", "lossy.webp", "lossless.webp", "bits.png", "colors.bmp"]
    {
        let whole = fs::read(fixture(name)).unwrap();
        let least = if name == "progressive.jpg" { 3 } else { 20 };
        for end in [0, 1, 11, whole.len() / 2, whole.len() - least] {
            let path = folder.0.join(name);
            fs::write(&path, &whole[..end]).unwrap();
            let error = Picture::read(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "{name} {end}: {error}");
            let message = error.message();
            assert!(message.starts_with(&format!("{}: this ", path.display())) && !message.contains('\n'), "{message}");
        }
    }
    let says = |bytes: &[u8]| Picture::decode(bytes).unwrap_err().message().to_owned();
    assert_eq!(says(b""), "this file is empty");
    assert_eq!(says(b"just text"), "this is no image file: JPEG, PNG, WebP, BMP and GIF are read");
    assert_eq!(says(b"II*\0 of a scanner"), "Tiff files are not read: convert it to PNG or JPEG");
    assert!(
        Picture::read(folder.0.join("nothing.png")).unwrap_err().message().contains("nothing.png: cannot be read: ")
    );
    // The content counts, not the name.
    fs::copy(fixture("lossless.webp"), folder.0.join("named.jpg")).unwrap();
    assert_eq!(Picture::read(folder.0.join("named.jpg")).unwrap().width(), 24);
}

#[test]
fn small_files_that_claim_to_be_huge_are_refused() {
    let header = |width: u32, height: u32| {
        let mut png = encoded(&image::GrayImage::new(1, 1).into(), ImageFormat::Png);
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&png[12..29]);
        png[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        Picture::decode(&png).unwrap_err().message().to_owned()
    };
    assert!(header(60_000, 60_000).ends_with("60000 × 60000 pixels are more than the 200000000 that are read"));
    assert!(header(70_000, 1).contains("are more than"));
    assert!(header(10_000, 10_000).contains("pixels need at least 96899 bytes, it has "), "{}", header(10_000, 10_000));
    let mut bmp = fs::read(fixture("colors.bmp")).unwrap();
    bmp[18..22].copy_from_slice(&10_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&10_000u32.to_le_bytes());
    assert!(Picture::decode(&bmp).unwrap_err().message().ends_with("it is cut short"));
}
