//! From the bytes of an image file to its pixels, upright.

use super::format::PictureFormat;
use super::picture::Picture;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use std::io::Cursor;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// More than cameras have. A small file can claim to be a huge image; it is refused before memory is asked for.
const MOST_PIXELS: usize = 200_000_000;
const LONGEST_SIDE: usize = 65_535;

/// What the header of an image file says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) format: PictureFormat,
    /// Rows and columns of the upright image.
    pub(super) size: [usize; 2],
    /// Whether it is stored without colors.
    pub(super) gray: bool,
}

/// Reads the header only; the reason where it cannot be read.
pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let format = PictureFormat::of(bytes)?;
    let found = match format {
        PictureFormat::Jpeg => Jpeg::open(bytes).map(|jpeg| (jpeg.size, jpeg.is_gray(), jpeg.orientation)),
        _ => Other::open(format, bytes).map(|other| {
            let gray = !other.decoder.color_type().has_color();
            (other.size, gray, other.orientation)
        }),
    };
    let ([height, width], gray, orientation) = found.map_err(|why| unreadable(format, &why))?;
    let turned = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    let size = if turned { [width, height] } else { [height, width] };
    Ok(Header { format, size, gray })
}

/// Decodes an image; the reason where that fails.
pub(super) fn picture(bytes: &[u8]) -> Result<Picture, String> {
    let format = PictureFormat::of(bytes)?;
    let decoded = match format {
        PictureFormat::Jpeg => Jpeg::open(bytes).and_then(Jpeg::decode),
        _ => Other::open(format, bytes).and_then(Other::decode),
    };
    decoded.and_then(of_image).map_err(|why| unreadable(format, &why))
}

/// Some of the decoders' reasons have several lines.
fn unreadable(format: PictureFormat, why: &str) -> String {
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("this {format} file cannot be read: {why}")
}

/// Refuses sizes that are too large, and files with fewer bytes than such an image needs.
fn check([height, width]: [usize; 2], bytes: &[u8], needed: usize) -> Result<(), String> {
    if width == 0 || height == 0 {
        return Err("it has no pixels".to_owned());
    }
    if width.max(height) > LONGEST_SIDE || width * height > MOST_PIXELS {
        return Err(format!("{width} × {height} pixels are more than the {MOST_PIXELS} that are read"));
    }
    if bytes.len() < needed {
        let found = bytes.len();
        return Err(format!("{width} × {height} pixels need at least {needed} bytes, it has {found}: it is cut short"));
    }
    Ok(())
}

/// A JPEG file. The strict mode refuses one that is cut short: otherwise the rest of it is gray. Headers are read without it, as some
/// cameras put bytes between them.
struct Jpeg<'a> {
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
    size: [usize; 2],
    orientation: Orientation,
}

impl<'a> Jpeg<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let options =
            DecoderOptions::default().set_max_width(LONGEST_SIDE).set_max_height(LONGEST_SIDE).set_strict_mode(false);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|error| error.to_string())?;
        let (width, height) = decoder.dimensions().ok_or("it has no size")?;
        // Each block of 8 × 8 pixels has at least a bit.
        check([height, width], bytes, height.saturating_mul(width) / 512)?;
        let exif = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
        Ok(Jpeg { decoder, size: [height, width], orientation: exif.unwrap_or(Orientation::NoTransforms) })
    }

    fn is_gray(&self) -> bool {
        self.decoder.input_colorspace() == Some(ColorSpace::Luma)
    }

    fn decode(mut self) -> Result<(DynamicImage, Orientation), String> {
        let [height, width] = self.size.map(|size| size as u32);
        let gray = self.is_gray();
        let colors = if gray { ColorSpace::Luma } else { ColorSpace::RGB };
        let options = self.decoder.options().jpeg_set_out_colorspace(colors).set_strict_mode(true);
        self.decoder.set_options(options);
        let pixels = self.decoder.decode().map_err(|error| error.to_string())?;
        let image = match gray {
            true => image::GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
            false => image::RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
        };
        Ok((image.ok_or("its pixels are fewer than its header says")?, self.orientation))
    }
}

/// A file of another format.
struct Other<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    size: [usize; 2],
    orientation: Orientation,
}

impl<'a> Other<'a> {
    fn open(format: PictureFormat, bytes: &'a [u8]) -> Result<Self, String> {
        if format == PictureFormat::Gif && !cfg!(feature = "gif") {
            return Err("that takes Kiln's feature `gif`; or convert it to PNG".to_owned());
        }
        if format == PictureFormat::WebP && bytes.len() < riff_size(bytes) {
            return Err("it is cut short".to_owned());
        }
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format.of_decoder());
        let mut limits = Limits::default();
        // Pixels of up to four colors of 16 bits.
        limits.max_alloc = Some(8 * MOST_PIXELS as u64);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
        let (width, height) = decoder.dimensions();
        let size = [height as usize, width as usize];
        check(size, bytes, fewest_bytes(format, bytes, size))?;
        let exif = match format {
            PictureFormat::Png => exif_of_png(bytes).and_then(Orientation::from_exif_chunk),
            _ => decoder.orientation().ok(),
        };
        let orientation = exif.unwrap_or(Orientation::NoTransforms);
        Ok(Other { decoder: Box::new(decoder), size, orientation })
    }

    fn decode(self) -> Result<(DynamicImage, Orientation), String> {
        let image = DynamicImage::from_decoder(self.decoder).map_err(|error| error.to_string())?;
        Ok((image, self.orientation))
    }
}

/// What a RIFF file says to be its size.
fn riff_size(bytes: &[u8]) -> usize {
    let size = bytes.get(4..8).and_then(|size| size.try_into().ok()).map_or(0, u32::from_le_bytes);
    (size as usize).saturating_add(8)
}

/// The fewest bytes that a file with an image of this size has.
fn fewest_bytes(format: PictureFormat, bytes: &[u8], [height, width]: [usize; 2]) -> usize {
    let pixels = height.saturating_mul(width);
    match (format, bytes.get(24..26)) {
        // Deflate makes at most 1,032 bytes of one. The header has the bits of a channel and the kind of colors.
        (PictureFormat::Png, Some(&[bits, colors])) => {
            let channels = match colors {
                2 => 3,
                4 => 2,
                6 => 4,
                _ => 1,
            };
            pixels.saturating_mul(usize::from(bits) * channels) / 8 / 1032
        }
        // Run lengths make at most 255 pixels of two bytes.
        (PictureFormat::Bmp, _) => pixels / 128,
        // Of the others a few bytes can be a large image of one color.
        _ => 0,
    }
}

/// The Exif data of a PNG file, which may come after the pixels.
fn exif_of_png(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(8..)?;
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (name, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        if name == b"eXIf" {
            return after.get(..length);
        }
        // Its checksum has four bytes.
        rest = after.get(length.checked_add(4)?..)?;
    }
}

/// Upright pixels of 8 bits, of gray or of colors, on white.
fn of_image((mut image, orientation): (DynamicImage, Orientation)) -> Result<Picture, String> {
    image.apply_orientation(orientation);
    let (height, width) = (image.height() as usize, image.width() as usize);
    let (pixels, channels) = match (image.color().has_color(), image.color().has_alpha()) {
        (false, false) => (image.into_luma8().into_raw(), 1),
        (true, false) => (image.into_rgb8().into_raw(), 3),
        (false, true) => (on_white::<2>(image.into_luma_alpha8().into_raw()), 1),
        (true, true) => (on_white::<4>(image.into_rgba8().into_raw()), 3),
    };
    Picture::new(pixels, [height, width, channels]).map_err(|error| error.message().to_owned())
}

/// Pixels of N − 1 colors and their opacity as they look on white.
fn on_white<const N: usize>(pixels: Vec<u8>) -> Vec<u8> {
    let mut seen = Vec::with_capacity(pixels.len() / N * (N - 1));
    for pixel in pixels.as_chunks::<N>().0 {
        let opacity = u32::from(pixel[N - 1]);
        let blend = |&color: &u8| ((u32::from(color) * opacity + 255 * (255 - opacity) + 127) / 255) as u8;
        seen.extend(pixel[..N - 1].iter().map(blend));
    }
    seen
}
