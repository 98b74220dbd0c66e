//! The formats of image files, by their first bytes.

use image::{ImageFormat, guess_format};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// The format of an image file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PictureFormat {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG.
    Png,
    /// WebP, with or without loss.
    WebP,
    /// BMP.
    Bmp,
    /// GIF, whose first picture is read, with the feature `gif`.
    Gif,
}

/// As many first bytes as [`PictureFormat::of`] looks at.
pub(super) const MAGIC: usize = 16;

impl PictureFormat {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            PictureFormat::Jpeg => "JPEG",
            PictureFormat::Png => "PNG",
            PictureFormat::WebP => "WebP",
            PictureFormat::Bmp => "BMP",
            PictureFormat::Gif => "GIF",
        }
    }

    /// The format of a file that begins with these bytes; the reason where it is none of these.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, String> {
        match guess_format(&bytes[..bytes.len().min(MAGIC)]) {
            Ok(ImageFormat::Jpeg) => Ok(PictureFormat::Jpeg),
            Ok(ImageFormat::Png) => Ok(PictureFormat::Png),
            Ok(ImageFormat::WebP) => Ok(PictureFormat::WebP),
            Ok(ImageFormat::Bmp) => Ok(PictureFormat::Bmp),
            Ok(ImageFormat::Gif) => Ok(PictureFormat::Gif),
            Ok(other) => Err(format!("{other:?} files are not read: convert it to PNG or JPEG")),
            Err(_) if bytes.is_empty() => Err("this file is empty".to_owned()),
            Err(_) => Err("this is no image file: JPEG, PNG, WebP, BMP and GIF are read".to_owned()),
        }
    }

    /// The decoder's name of it.
    pub(super) fn of_decoder(self) -> ImageFormat {
        match self {
            PictureFormat::Jpeg => ImageFormat::Jpeg,
            PictureFormat::Png => ImageFormat::Png,
            PictureFormat::WebP => ImageFormat::WebP,
            PictureFormat::Bmp => ImageFormat::Bmp,
            PictureFormat::Gif => ImageFormat::Gif,
        }
    }

    /// Whether a file's name ends as those of images do.
    pub(super) fn is_named(path: &Path) -> bool {
        let names = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif"];
        path.extension().is_some_and(|end| names.iter().any(|name| end.eq_ignore_ascii_case(name)))
    }
}

impl fmt::Display for PictureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
