//! PNG and JPEG files as pixels, in colors or shades of gray, upright as their Exif data say.

use crate::orientation::Orientation;
use kiln::{Error, ErrorKind, Result};
use png::{BitDepth, ColorType, Transformations};
use std::io::Cursor;
use std::path::Path;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

/// More than cameras have. A small file can claim to be a huge image; it is refused before memory is asked for.
const MOST_PIXELS: usize = 200_000_000;
const LONGEST_SIDE: usize = 65_535;

/// Red, green and blue of each pixel, row by row; what is transparent lies on white paper.
pub(crate) struct Image {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<[u8; 3]>,
}

impl Image {
    /// By the luma of ITU-R BT.601.
    pub(crate) fn gray(&self) -> Gray {
        let luma = |[red, green, blue]: &[u8; 3]| {
            0.299 * f32::from(*red) + 0.587 * f32::from(*green) + 0.114 * f32::from(*blue)
        };
        Gray { width: self.width, height: self.height, shades: self.pixels.iter().map(luma).collect() }
    }

    /// One of the three colors alone.
    pub(crate) fn color(&self, channel: usize) -> Gray {
        let shades = self.pixels.iter().map(|pixel| f32::from(pixel[channel])).collect();
        Gray { width: self.width, height: self.height, shades }
    }
}

/// Shades from 0, black, to 255, row by row.
pub(crate) struct Gray {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) shades: Vec<f32>,
}

impl Gray {
    /// The part of this size from a column and a row on, which lies within.
    pub(crate) fn cut(&self, left: usize, top: usize, width: usize, height: usize) -> Gray {
        let rows = self.shades.chunks_exact(self.width).skip(top).take(height);
        let shades = rows.flat_map(|row| &row[left..left + width]).copied().collect();
        Gray { width, height, shades }
    }

    /// In another size, each pixel the mean of the area that falls on it.
    pub(crate) fn scaled(&self, width: usize, height: usize) -> Gray {
        let columns: Vec<_> = (0..width).map(|x| overlaps(x, self.width, width)).collect();
        let mut shades = Vec::with_capacity(width * height);
        for y in 0..height {
            let rows = overlaps(y, self.height, height);
            for column in &columns {
                let row_sum = |&(row, weight): &(usize, f32)| {
                    let at = |&(x, part): &(usize, f32)| part * self.shades[row * self.width + x];
                    weight * column.iter().map(at).sum::<f32>()
                };
                shades.push(rows.iter().map(row_sum).sum());
            }
        }
        Gray { width, height, shades }
    }
}

/// Which of `from` pixels fall on pixel `at` of `to`, and by how much of it; the parts sum to 1.
fn overlaps(at: usize, from: usize, to: usize) -> Vec<(usize, f32)> {
    let scale = from as f64 / to as f64;
    let (begin, end) = (at as f64 * scale, (at + 1) as f64 * scale);
    let pixels = begin.floor() as usize..(end.ceil() as usize).min(from);
    let part = |pixel: usize| (end.min((pixel + 1) as f64) - begin.max(pixel as f64)) / scale;
    pixels.map(|pixel| (pixel, part(pixel) as f32)).filter(|&(_, part)| part > 0.0).collect()
}

/// Reads an image, whichever of the two formats it is in.
pub(crate) fn read(path: &Path) -> Result<Image> {
    let failed = |kind: ErrorKind, why: String| Error::new(kind, "", format!("{}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| failed(ErrorKind::Io, format!("cannot be read: {error}")))?;
    let image = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        of_png(&bytes).map_err(|why| format!("this PNG file cannot be read: {why}"))
    } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        of_jpeg(&bytes).map_err(|why| format!("this JPEG file cannot be read: {why}"))
    } else {
        Err("this is neither a PNG nor a JPEG file".to_owned())
    };
    // Some of the decoders' reasons have several lines.
    image.map_err(|why| failed(ErrorKind::Format, why.split_whitespace().collect::<Vec<_>>().join(" ")))
}

fn check(width: usize, height: usize) -> std::result::Result<(), String> {
    if width.max(height) > LONGEST_SIDE || width * height > MOST_PIXELS {
        return Err(format!("{width} × {height} pixels are more than the {MOST_PIXELS} that are read"));
    }
    Ok(())
}

/// A small file can claim to be a large image: one that has fewer bytes than such an image needs is refused before memory is
/// asked for.
fn enough(bytes: &[u8], needed: usize, width: usize, height: usize) -> std::result::Result<(), String> {
    if bytes.len() < needed {
        let found = bytes.len();
        return Err(format!("{width} × {height} pixels need at least {needed} bytes, it has {found}: it is cut short"));
    }
    Ok(())
}

fn of_png(bytes: &[u8]) -> std::result::Result<Image, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_limits(png::Limits { bytes: 4 * MOST_PIXELS });
    let header = decoder.read_header_info().map_err(|error| error.to_string())?;
    let (width, height) = (header.width as usize, header.height as usize);
    check(width, height)?;
    // Deflate makes at most 1,032 bytes of one.
    enough(bytes, header.raw_bytes().div_ceil(1032), width, height)?;
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("it is too large")?];
    let frame = reader.next_frame(&mut pixels).map_err(|error| error.to_string())?;
    let (width, height) = (frame.width as usize, frame.height as usize);
    let channels = match (frame.color_type, frame.bit_depth) {
        (ColorType::Grayscale, BitDepth::Eight) => 1,
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => 2,
        (ColorType::Rgb, BitDepth::Eight) => 3,
        (ColorType::Rgba, BitDepth::Eight) => 4,
        other => return Err(format!("its pixels are {other:?}")),
    };
    // Exif data may come after the pixels. What is wrong there is no fault of the image.
    let _ = reader.finish();
    let exif = reader.info().exif_metadata.as_deref();
    Ok(upright(exif, on_paper(&pixels[..width * height * channels], channels), width, height))
}

fn of_jpeg(bytes: &[u8]) -> std::result::Result<Image, String> {
    let options =
        DecoderOptions::default().set_max_width(LONGEST_SIDE).set_max_height(LONGEST_SIDE).set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    check(width, height)?;
    // Each block of 8 × 8 pixels has at least a bit.
    enough(bytes, width * height / 512, width, height)?;
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    let channels = pixels.len() / (width * height).max(1);
    if ![1, 3].contains(&channels) {
        return Err(format!("its pixels have {channels} channels"));
    }
    let exif = decoder.exif().map(Vec::as_slice);
    Ok(upright(exif, on_paper(&pixels[..width * height * channels], channels), width, height))
}

fn upright(exif: Option<&[u8]>, pixels: Vec<[u8; 3]>, width: usize, height: usize) -> Image {
    let orientation = exif.map_or(Orientation::UPRIGHT, Orientation::of_exif);
    let (pixels, width, height) = orientation.turned(pixels, width, height);
    Image { width, height, pixels }
}

/// Pixels of one to four channels as red, green and blue; what is transparent lies on white paper.
fn on_paper(pixels: &[u8], channels: usize) -> Vec<[u8; 3]> {
    let seen = |pixel: &[u8]| {
        let colors = match pixel {
            [gray] | [gray, _] => [*gray; 3],
            [red, green, blue, ..] => [*red, *green, *blue],
            [] => [255; 3],
        };
        let opacity = match pixel {
            [_, alpha] | [_, _, _, alpha] => u16::from(*alpha),
            _ => return colors,
        };
        colors.map(|color| ((u16::from(color) * opacity + 255 * (255 - opacity) + 127) / 255) as u8)
    };
    pixels.chunks_exact(channels).map(seen).collect()
}
