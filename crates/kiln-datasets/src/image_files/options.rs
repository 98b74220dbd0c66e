//! How a picture becomes a sample.

use super::fit::{Fit, fitted};
use super::picture::Picture;
use crate::image_form::ImageForm;
use crate::normalize::Samplewise;
use crate::rows::Rows;
use kiln_cpu::rows::in_parts;
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Mutex;

/// Colors or gray.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorMode {
    /// Three channels: red, green and blue. Gray pictures have three equal ones.
    #[default]
    Rgb,
    /// One channel; of colors their luma, as [`Picture::to_gray`] has it.
    Gray,
}

impl ColorMode {
    /// Number of channels.
    pub fn channels(self) -> usize {
        match self {
            ColorMode::Rgb => 3,
            ColorMode::Gray => 1,
        }
    }
}

/// How the pictures of files become samples (channels, height, width): size, colors, how they are fitted, normalization. It is a
/// value that is saved with a model, so that new pictures are read as those that it was trained on.
///
/// ```
/// use kiln_datasets::{ColorMode, Fit, ImageOptions, Picture};
/// use kiln_tensor::Device;
/// let gray = ImageOptions::new(28, 28).color(ColorMode::Gray).fit(Fit::Pad);
/// let picture = Picture::new(vec![255; 40 * 20 * 3], [40, 20, 3])?; // `gray.read("digit.png", &device)?` reads a file
/// let sample = gray.sample(&picture, &Device::cpu())?;
/// assert_eq!(sample.dims(), [1, 28, 28]);
/// // torchvision's Resize(224), CenterCrop(224), ToTensor(), Normalize(…) of ImageNet.
/// let imagenet = ImageOptions::new(224, 224).normalized_channels(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])?;
/// assert_eq!(imagenet.sample(&picture, &Device::cpu())?.dims(), [3, 224, 224]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// Pictures are resized as Pillow's and torchvision's bilinear with antialias does it: each pixel is the mean of those that it covers,
/// weighted by a triangle. Values are byte / 255, in [0, 1], unless they are normalized by channel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageOptions {
    height: usize,
    width: usize,
    #[serde(default)]
    color: ColorMode,
    #[serde(default)]
    fit: Fit,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mean: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    std: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    samplewise: Option<Samplewise>,
}

impl ImageOptions {
    /// Colors of byte / 255, in this size, cropped to it.
    pub fn new(height: usize, width: usize) -> Self {
        let (color, fit) = (ColorMode::default(), Fit::default());
        ImageOptions { height, width, color, fit, mean: Vec::new(), std: Vec::new(), samplewise: None }
    }

    /// Colors or gray.
    #[must_use]
    pub fn color(self, color: ColorMode) -> Self {
        ImageOptions { color, ..self }
    }

    /// How pictures of other proportions become as high and wide as they shall be.
    #[must_use]
    pub fn fit(self, fit: Fit) -> Self {
        ImageOptions { fit, ..self }
    }

    /// Each channel as (byte / 255 − mean) / std: torchvision's `Normalize`.
    ///
    /// # Errors
    /// Other than one mean and one std above 0 for each channel.
    pub fn normalized_channels(self, mean: &[f64], std: &[f64]) -> Result<Self> {
        let options = ImageOptions { mean: mean.to_vec(), std: std.to_vec(), ..self };
        options.form()?;
        Ok(options)
    }

    /// After that, each image centered on its own mean, and divided by its own deviation where that is asked for.
    #[must_use]
    pub fn standardized(self, samplewise: Samplewise) -> Self {
        ImageOptions { samplewise: Some(samplewise), ..self }
    }

    /// The shape of a sample: (channels, height, width).
    pub fn shape(&self) -> [usize; 3] {
        [self.color.channels(), self.height, self.width]
    }

    /// Reads a file as a sample (channels, height, width), f32, on `device`.
    ///
    /// # Errors
    /// As [`Picture::read`]; options with a size of 0 or other than one mean and std a channel.
    pub fn read(&self, path: impl AsRef<Path>, device: &Device) -> Result<Tensor> {
        self.sample(&Picture::read(path)?, device)
    }

    /// Decodes the bytes of a file as a sample.
    ///
    /// # Errors
    /// As [`ImageOptions::read`].
    pub fn decode(&self, bytes: &[u8], device: &Device) -> Result<Tensor> {
        self.sample(&Picture::decode(bytes)?, device)
    }

    /// A picture as a sample.
    ///
    /// # Errors
    /// As [`ImageOptions::read`].
    pub fn sample(&self, picture: &Picture, device: &Device) -> Result<Tensor> {
        let form = self.form()?;
        self.tensor(&form, &self.planes(picture)?, 1, device)?.reshape(self.shape())
    }

    /// Reads files as a batch (n, channels, height, width), f32, on `device`, by all threads.
    ///
    /// # Errors
    /// As [`ImageOptions::read`], with the first file that cannot be read.
    pub fn read_batch<P: AsRef<Path> + Sync>(&self, paths: &[P], device: &Device) -> Result<Tensor> {
        let form = self.form()?;
        let bytes = fill(paths.len(), form.size(), |i| self.planes(&Picture::read(&paths[i])?))?;
        self.tensor(&form, &bytes, paths.len(), device)
    }

    /// The bytes of a picture in the size of a sample, (channels, height, width), not normalized.
    ///
    /// # Errors
    /// A size of 0.
    pub fn planes(&self, picture: &Picture) -> Result<Vec<u8>> {
        self.check_size()?;
        Ok(fitted(picture, self.fit, self.color, [self.height, self.width]))
    }

    fn check_size(&self) -> Result<()> {
        let ImageOptions { height, width, .. } = *self;
        let pixels = height.checked_mul(width).filter(|pixels| (1..=1 << 28).contains(pixels));
        if pixels.is_none() {
            let message = format!("images of {height} × {width}: at least 1 pixel and at most 2²⁸ are expected");
            return Err(Error::value("ImageOptions", message));
        }
        Ok(())
    }

    /// Shape and normalization.
    pub(super) fn form(&self) -> Result<ImageForm> {
        self.check_size()?;
        let mut form = ImageForm::new(&self.shape());
        if !(self.mean.is_empty() && self.std.is_empty()) {
            form.normalization.by_channel(self.color.channels(), &self.mean, &self.std)?;
        }
        form.normalization.samplewise = self.samplewise;
        Ok(form)
    }

    /// The normalized batch of some images' bytes.
    fn tensor(&self, form: &ImageForm, bytes: &[u8], count: usize, device: &Device) -> Result<Tensor> {
        let indices: Vec<usize> = (0..count).collect();
        let rows = Rows { source: bytes, width: form.size(), indices: &indices, upcoming: &[] };
        Ok(form.inputs(rows, &indices, None, device)?.0)
    }
}

/// The bytes of `count` images of `size`, each made by `f`, by as many threads as the caller's regions have.
///
/// # Errors
/// That of the first image that fails.
pub(super) fn fill<B: AsRef<[u8]>>(
    count: usize,
    size: usize,
    f: impl Fn(usize) -> Result<B> + Sync,
) -> Result<Vec<u8>> {
    let failed: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let total = count.saturating_mul(size);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(total).map_err(|_| {
        Error::new(ErrorKind::Memory, "ImageOptions", format!("{count} images of {size} bytes do not fit into memory"))
    })?;
    bytes.resize(total, 0);
    in_parts(&mut bytes, size, |first, part| {
        for (i, to) in (first..).zip(part.chunks_exact_mut(size)) {
            match f(i) {
                Ok(image) => to.copy_from_slice(image.as_ref()),
                Err(error) => {
                    let mut failed = failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    if failed.as_ref().is_none_or(|&(before, _)| i < before) {
                        *failed = Some((i, error));
                    }
                    return;
                }
            }
        }
    });
    match failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        Some((_, error)) => Err(error),
        None => Ok(bytes),
    }
}
