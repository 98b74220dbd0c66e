//! Image files as samples.

use super::cache::Cache;
use super::files::{ImageFiles, List, Targets};
use super::options::{ImageOptions, fill};
use super::picture::Picture;
use super::summary::BrokenImage;
use crate::image_form::{ImageForm, Mixed};
use crate::images::past_the_end;
use crate::normalize::{ChannelStatistics, ChannelSums};
use crate::rows::Rows;
use crate::{Augmentation, Batch, Dataset, Pass};
use kiln_cpu::team;
use kiln_tensor::{Device, Result, Tensor};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// Image files as samples: inputs (n, channels, height, width), f32, with labels (n,), i64, of classes, or numbers (n, 1), f32. What
/// [`ImageFiles::dataset`] makes. Files without labels have their inputs as targets, as an autoencoder is trained on.
///
/// Files are read, decoded and augmented batch by batch, in the threads of a loader where it has workers
/// ([`Loader::workers`](crate::Loader::workers)); in memory are the labels, and what is [cached](ImageFileDataset::cache). A file that
/// cannot be decoded is an error of its batch with the file's name, unless broken ones are
/// [skipped](ImageFileDataset::skip_broken). Copies of a data set share its cache.
#[derive(Clone, Debug)]
pub struct ImageFileDataset {
    files: ImageFiles,
    options: ImageOptions,
    form: ImageForm,
    cache: Option<Arc<Cache>>,
    broken: Vec<BrokenImage>,
}

impl ImageFileDataset {
    pub(super) fn new(files: ImageFiles, options: &ImageOptions) -> Result<Self> {
        files.check_not_empty()?;
        Ok(ImageFileDataset { files, form: options.form()?, options: options.clone(), cache: None, broken: Vec::new() })
    }

    /// Keeps the bytes of every image in memory, decoded and resized, once it was asked for: later passes read no file.
    #[must_use]
    pub fn cache(self) -> Self {
        self.cache_bytes(usize::MAX)
    }

    /// As [`cache`](ImageFileDataset::cache), up to this many bytes; images beyond them are read each time. An image has
    /// channels × height × width bytes.
    #[must_use]
    pub fn cache_bytes(mut self, limit: usize) -> Self {
        self.cache = Some(Arc::new(Cache::new(self.files.len(), limit)));
        self
    }

    /// Whether files that cannot be decoded are left out. To find them, all files are decoded now, by all threads; with a cache, which is
    /// to be asked for before, they need not be decoded again. [`broken`](ImageFileDataset::broken) names them.
    ///
    /// # Errors
    /// No file that can be decoded; a class none of whose files can.
    pub fn skip_broken(mut self, skip: bool) -> Result<Self> {
        if !skip {
            return Ok(self);
        }
        let found: Vec<OnceLock<BrokenImage>> = (0..self.len()).map(|_| OnceLock::new()).collect();
        team::parallel(self.len(), |i| {
            if let Err(error) = self.bytes(i) {
                let _ = found[i].set(BrokenImage::new(&self.files.files()[i], &error));
            }
        });
        let kept: Vec<usize> = (0..found.len()).filter(|&i| found[i].get().is_none()).collect();
        if kept.len() < found.len() {
            self.cache = self.cache.map(|cache| Arc::new(cache.select(&kept)));
            self.files = self.files.select(&kept)?;
            self.broken.extend(found.into_iter().filter_map(OnceLock::into_inner));
        }
        Ok(self)
    }

    /// The files that were left out, each with the reason.
    pub fn broken(&self) -> &[BrokenImage] {
        &self.broken
    }

    /// The same images, augmented wherever they are trained on, as [`ImageDataset::augment`](crate::ImageDataset::augment) does it.
    /// Augmentation comes after the cache: each pass draws anew.
    ///
    /// # Errors
    /// Settings that make no sense, or do not go with images of this size.
    pub fn augment(mut self, augmentation: Augmentation) -> Result<Self> {
        self.form.augment(augmentation)?;
        Ok(self)
    }

    /// The same images with one-hot rows (n, classes) of f32 as targets, for losses that take distributions. Numbers stay numbers.
    #[must_use]
    pub fn one_hot(mut self) -> Self {
        self.form.one_hot = true;
        self
    }

    /// Mean and standard deviation of each channel over all images, of byte / 255: what
    /// [`ImageOptions::normalized_channels`] takes. All files are decoded for it.
    ///
    /// # Errors
    /// A file that cannot be decoded.
    pub fn channel_statistics(&self) -> Result<ChannelStatistics> {
        /// Images that are in memory at a time.
        const TOGETHER: usize = 64;
        let mut sums = ChannelSums::new(self.form.channels());
        let all: Vec<usize> = (0..self.len()).collect();
        for some in all.chunks(TOGETHER) {
            let bytes = fill(some.len(), self.form.size(), |i| self.bytes(some[i]))?;
            bytes.chunks_exact(self.form.size()).for_each(|image| sums.add(image));
        }
        Ok(sums.statistics())
    }

    /// The files, without those that were left out.
    pub fn files(&self) -> &ImageFiles {
        &self.files
    }

    /// How the files become samples.
    pub fn options(&self) -> &ImageOptions {
        &self.options
    }

    /// Bytes that the cache holds.
    pub fn cached_bytes(&self) -> usize {
        self.cache.as_ref().map_or(0, |cache| cache.used())
    }

    /// The bytes of an image, decoded and resized.
    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        if let Some(kept) = self.cache.as_ref().and_then(|cache| cache.get(index)) {
            return Ok(Cow::Borrowed(kept));
        }
        let bytes = self.options.planes(&Picture::read(&self.files.files()[index])?)?;
        Ok(match &self.cache {
            Some(cache) => cache.keep(index, bytes),
            None => Cow::Owned(bytes),
        })
    }

    fn gather(&self, indices: &[usize], pass: Option<Pass>, device: &Device) -> Result<Batch> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(past_the_end("ImageFileDataset", index, self.len()));
        }
        let bytes = fill(indices.len(), self.form.size(), |i| self.bytes(indices[i]))?;
        let places: Vec<usize> = (0..indices.len()).collect();
        let rows = Rows { source: &bytes, width: self.form.size(), indices: &places, upcoming: &[] };
        let (inputs, mixed) = self.form.inputs(rows, indices, pass, device)?;
        let targets = self.targets(indices, &mixed, device)?;
        Ok(Batch::new(inputs.clone(), targets.unwrap_or(inputs)))
    }

    /// The targets of some samples, where they have any.
    fn targets(&self, indices: &[usize], mixed: &Mixed, device: &Device) -> Result<Option<Tensor>> {
        let List { targets, .. } = &*self.files.list;
        Ok(Some(match targets {
            Targets::Nothing => return Ok(None),
            Targets::Numbers(numbers) => mixed.numbers(|i| numbers[indices[i]], device)?,
            Targets::Classes { names, labels } if self.form.one_hot => {
                mixed.one_hot(names.len(), |i| labels[indices[i]] as usize, device)?
            }
            Targets::Classes { labels, .. } => Tensor::write_with([indices.len()], device, |to: &mut [i64]| {
                to.iter_mut().zip(indices).for_each(|(to, &index)| *to = i64::from(labels[index]));
                Ok(())
            })?,
        }))
    }
}

impl Dataset for ImageFileDataset {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn input_shape(&self) -> &[usize] {
        &self.form.shape
    }

    fn class_labels(&self) -> Result<Option<Vec<i64>>> {
        Ok(self.files.labels().map(|labels| labels.iter().map(|&label| i64::from(label)).collect()))
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        self.gather(indices, None, device)
    }

    fn training_batch(&self, indices: &[usize], _: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        self.gather(indices, Some(pass), device)
    }
}
