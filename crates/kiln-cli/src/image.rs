//! PNG and JPEG files as shades of grey.

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

/// Shades from 0, black, to 255, row by row.
pub(crate) struct Grey {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) shades: Vec<f32>,
}

/// Reads an image, whichever of the two formats it is in.
pub(crate) fn read(path: &Path) -> Result<Grey> {
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

fn of_png(bytes: &[u8]) -> std::result::Result<Grey, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_limits(png::Limits { bytes: 4 * MOST_PIXELS });
    let header = decoder.read_header_info().map_err(|error| error.to_string())?;
    check(header.width as usize, header.height as usize)?;
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
    Ok(Grey { width, height, shades: grey(&pixels[..width * height * channels], channels) })
}

fn of_jpeg(bytes: &[u8]) -> std::result::Result<Grey, String> {
    let options =
        DecoderOptions::default().set_max_width(LONGEST_SIDE).set_max_height(LONGEST_SIDE).set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    check(width, height)?;
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    let channels = pixels.len() / (width * height).max(1);
    if ![1, 3].contains(&channels) {
        return Err(format!("its pixels have {channels} channels"));
    }
    Ok(Grey { width, height, shades: grey(&pixels[..width * height * channels], channels) })
}

/// The luma of ITU-R BT.601; what is transparent lies on white paper.
fn grey(pixels: &[u8], channels: usize) -> Vec<f32> {
    let shade = |pixel: &[u8]| {
        let [red, green, blue] = match pixel {
            [grey] | [grey, _] => [*grey; 3],
            [red, green, blue, ..] => [*red, *green, *blue],
            [] => [255; 3],
        };
        let luma = 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
        let opacity = match pixel {
            [_, alpha] | [_, _, _, alpha] => f32::from(*alpha) / 255.0,
            _ => 1.0,
        };
        255.0 + (luma - 255.0) * opacity
    };
    pixels.chunks_exact(channels).map(shade).collect()
}
