//! The pixels of an image file.

use super::decode::{self, Header};
use kiln_tensor::{Error, ErrorKind, Result};
use std::path::Path;

/// The pixels of an image file: bytes (height, width, channels), row by row, of gray or of red, green and blue.
///
/// PNG, JPEG, WebP and BMP files are read, and with the feature `gif` the first picture of GIF files; the content says which of
/// them a file is, not its name. Pixels are turned upright as the file's Exif data say. Palettes and CMYK become colors, 16 bits
/// become 8, and what is transparent lies on white.
///
/// ```
/// use kiln_datasets::Picture;
/// // A BMP file of one red pixel. `Picture::read("cat.jpg")?` reads a file.
/// let header = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0\0\0\0\0\x04\0\0\0";
/// let bytes = [&header[..], &[0; 16], &[0, 0, 255, 0]].concat();
/// let picture = Picture::decode(&bytes)?;
/// assert_eq!((picture.height(), picture.width(), picture.pixels()), (1, 1, &[255, 0, 0][..]));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    height: usize,
    width: usize,
    channels: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// Of pixels (height, width, channels), with 1 channel of gray or 3 of red, green and blue.
    ///
    /// # Errors
    /// Another number of pixels or channels.
    pub fn new(pixels: Vec<u8>, [height, width, channels]: [usize; 3]) -> Result<Self> {
        let needed = height.checked_mul(width).and_then(|size| size.checked_mul(channels));
        if ![1, 3].contains(&channels) || needed != Some(pixels.len()) {
            let message = format!(
                "{} bytes are no picture of ({height}, {width}, {channels}): 1 or 3 channels are expected",
                pixels.len()
            );
            return Err(Error::value("Picture", message));
        }
        Ok(Picture { height, width, channels, pixels })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is no image of a known format, is cut short or damaged, or has more than 200 million pixels.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        read_file(path).and_then(|bytes| decode::picture(&bytes).map_err(|why| failed(path, &why)))
    }

    /// Decodes the bytes of a file.
    ///
    /// # Errors
    /// As [`Picture::read`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        decode::picture(bytes).map_err(|why| Error::new(ErrorKind::Format, "", why))
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// 1, of gray, or 3: red, green and blue.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The bytes (height, width, channels).
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The same in gray, by the luma of ITU-R BT.601, rounded as Pillow does it: (19595 R + 38470 G + 7471 B) / 2¹⁶.
    #[must_use]
    pub fn to_gray(&self) -> Picture {
        let pixels = match self.channels {
            3 => self.pixels.chunks_exact(3).map(luma).collect(),
            _ => self.pixels.clone(),
        };
        Picture { channels: 1, pixels, ..*self }
    }
}

/// The gray of red, green and blue.
fn luma(pixel: &[u8]) -> u8 {
    let &[red, green, blue] = pixel else { return 0 };
    ((19595 * u32::from(red) + 38470 * u32::from(green) + 7471 * u32::from(blue) + 0x8000) >> 16) as u8
}

/// The bytes of a file.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::new(ErrorKind::Io, "", format!("{}: cannot be read: {error}", path.display())).with_source(error)
    })
}

/// What the header of a file says.
pub(super) fn read_header(path: &Path) -> Result<Header> {
    decode::header(&read_file(path)?).map_err(|why| failed(path, &why))
}

/// The error of a file that is not right.
#[cold]
fn failed(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Format, "", format!("{}: {why}", path.display()))
}
