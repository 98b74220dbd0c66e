//! What is in image files, by their headers.

use super::decode::Header;
use super::files::ImageFiles;
use super::format::PictureFormat;
use super::picture::read_header;
use kiln_cpu::team;
use kiln_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A file that is not an image, or is damaged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BrokenImage {
    /// The file.
    pub path: PathBuf,
    /// The error, with the file's name.
    pub why: String,
}

impl fmt::Display for BrokenImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// What is in image files, as their headers say. `Display` writes some lines.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageSummary {
    /// All files.
    pub images: usize,
    /// The classes by label, with the images of each.
    pub classes: Vec<(String, usize)>,
    /// The formats that there are, with the images of each, the most frequent first.
    pub formats: Vec<(PictureFormat, usize)>,
    /// Images that are stored without colors.
    pub gray: usize,
    /// Height and width of the image with the fewest pixels.
    pub smallest: Option<[usize; 2]>,
    /// Height and width of the image in the middle, by pixels.
    pub median: Option<[usize; 2]>,
    /// Height and width of the image with the most pixels.
    pub largest: Option<[usize; 2]>,
    /// Files whose header cannot be read. Damage further on shows when they are decoded.
    pub broken: Vec<BrokenImage>,
    /// Files in the folders that are no images.
    pub others: usize,
}

impl ImageSummary {
    pub(super) fn of(files: &ImageFiles) -> Result<Self> {
        files.check_not_empty()?;
        let found: Vec<OnceLock<Result<Header>>> = (0..files.len()).map(|_| OnceLock::new()).collect();
        team::parallel(files.len(), |i| {
            let _ = found[i].set(read_header(&files.files()[i]));
        });
        let (mut headers, mut broken) = (Vec::new(), Vec::new());
        for (path, header) in files.files().iter().zip(found) {
            match header.into_inner() {
                Some(Ok(header)) => headers.push(header),
                Some(Err(error)) => broken.push(BrokenImage::new(path, &error)),
                None => {}
            }
        }
        headers.sort_by_key(|header| (header.size[0] * header.size[1], header.size));
        let mut formats: Vec<(PictureFormat, usize)> = Vec::new();
        for header in &headers {
            match formats.iter_mut().find(|(format, _)| *format == header.format) {
                Some((_, count)) => *count += 1,
                None => formats.push((header.format, 1)),
            }
        }
        formats.sort_by_key(|&(format, count)| (std::cmp::Reverse(count), format));
        let mut classes: Vec<(String, usize)> = files.class_names().iter().map(|name| (name.clone(), 0)).collect();
        for &label in files.labels().unwrap_or_default() {
            classes[label as usize].1 += 1;
        }
        let size_at = |at: usize| headers.get(at).map(|header| header.size);
        Ok(ImageSummary {
            images: files.len(),
            classes,
            formats,
            gray: headers.iter().filter(|header| header.gray).count(),
            smallest: size_at(0),
            median: size_at(headers.len() / 2),
            largest: headers.last().map(|header| header.size),
            broken,
            others: files.list.others,
        })
    }
}

impl BrokenImage {
    pub(super) fn new(path: &std::path::Path, error: &Error) -> Self {
        BrokenImage { path: path.to_owned(), why: error.message().to_owned() }
    }
}

/// Names that `Display` writes at most.
const SHOWN: usize = 20;

impl fmt::Display for ImageSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let formats: Vec<String> = self.formats.iter().map(|(format, count)| format!("{count} {format}")).collect();
        write!(f, "{} images: {}", self.images, formats.join(", "))?;
        if self.gray > 0 {
            write!(f, "; {} of them gray", self.gray)?;
        }
        writeln!(f)?;
        if let (Some(smallest), Some(median), Some(largest)) = (self.smallest, self.median, self.largest) {
            let [smallest, median, largest] = [smallest, median, largest].map(|[h, w]| format!("{h} × {w}"));
            writeln!(f, "height × width: {smallest} the smallest, {median} the median, {largest} the largest")?;
        }
        let width = self.classes.iter().take(SHOWN).map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, count) in self.classes.iter().take(SHOWN) {
            writeln!(f, "{name:width$}  {count:>6}")?;
        }
        if self.classes.len() > SHOWN {
            writeln!(f, "and {} more classes", self.classes.len() - SHOWN)?;
        }
        if self.others > 0 {
            writeln!(f, "{} other files left out", self.others)?;
        }
        if !self.broken.is_empty() {
            writeln!(f, "{} broken:", self.broken.len())?;
        }
        for broken in self.broken.iter().take(SHOWN) {
            writeln!(f, "  {broken}")?;
        }
        if self.broken.len() > SHOWN {
            writeln!(f, "  and {} more", self.broken.len() - SHOWN)?;
        }
        Ok(())
    }
}
