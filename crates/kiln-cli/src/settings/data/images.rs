//! Pictures in files.

use super::super::node::{Node, Value};
use super::super::section::{Section, Setting};
use super::{Data, Search};
use kiln::datasets::{ColorMode, Fit, ImageFileDataset, ImageFiles, ImageOptions, Subset};
use kiln::prelude::*;
use kiln::trained::Input;
use std::path::Path;
use std::sync::Arc;

/// Megabytes of decoded pictures that are kept, where the settings do not say.
const CACHE: usize = 1024;

pub(super) fn data(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    let path = search.path(settings)?;
    let options = match search.input() {
        Some(Input::Images(options)) => options.clone(),
        _ => options(settings)?,
    };
    // All are asked for, whatever the learned options are.
    self::options(settings)?;
    let read = Reading { settings, options };
    let files = read.files(&path, search.classes())?;
    let classes = files.class_names().to_vec();
    let all = read.dataset(&files, true)?;
    let indices: Vec<usize> = (0..all.len()).collect();
    let notices = all.broken().iter().map(|broken| format!("left out: {broken}")).collect();
    if search.all_is_test {
        // The other parts are asked for all the same, so that no setting is unknown.
        let _ = ["test", "validation", "split_seed"].map(|key| settings.node(key));
        settings.done()?;
        let boxed = || -> Box<dyn Dataset> { Box::new(all.clone()) };
        return Ok(Data { classes, notices, ..Data::new("images", [boxed(), boxed()], path) }
            .with(Input::Images(read.options)));
    }
    let (rest, test) = read.part("test", all, indices, search.folder, &classes)?;
    let (train, validation) = match settings.has("validation") {
        true => {
            let (all, indices) = rest;
            read.part("validation", all, indices, search.folder, &classes).map(|(train, part)| (train, Some(part)))?
        }
        false => (rest, None),
    };
    settings.done()?;
    let boxed = |(data, indices): Part| -> Result<Box<dyn Dataset>> { Ok(Box::new(Subset::new(data, indices)?)) };
    let parts = [boxed(train)?, boxed(test)?];
    let validation = validation.map(boxed).transpose()?;
    Ok(Data { validation, classes, notices, ..Data::new("images", parts, path) }.with(Input::Images(read.options)))
}

/// Some samples of a data set.
type Part = (Arc<ImageFileDataset>, Vec<usize>);

struct Reading<'s, 'a> {
    settings: &'s Section<'a>,
    options: ImageOptions,
}

impl Reading<'_, '_> {
    /// The pictures of a folder with a subfolder for each class, or of a CSV file of paths and labels.
    fn files(&self, path: &Path, classes: Option<&[String]>) -> Result<ImageFiles> {
        if !path.is_file() {
            return match classes {
                Some(classes) => ImageFiles::folder_with_classes(path, classes),
                None => ImageFiles::folder(path),
            };
        }
        let column = |key, default: &str| self.settings.or(key, default.to_owned());
        let (paths, labels) = (column("path_column", "path")?, column("label_column", "label")?);
        match classes {
            Some(classes) => ImageFiles::csv_with_classes(path, &paths, &labels, classes),
            None => ImageFiles::csv(path, &paths, &labels),
        }
    }

    /// As samples, which are augmented in training.
    fn dataset(&self, files: &ImageFiles, augmented: bool) -> Result<Arc<ImageFileDataset>> {
        let settings = self.settings;
        let cache = settings.or("cache_mb", CACHE)?;
        let mut data = files.dataset(&self.options)?.cache_bytes(cache.saturating_mul(1_000_000));
        data = data.skip_broken(settings.or("skip_broken", false)?)?;
        if let Some(words) = settings.get::<String>("augment")?.filter(|_| augmented) {
            let wrong = |error: Error| settings.wrong("augment", error.message());
            data = data.augment(words.parse().map_err(wrong)?).map_err(wrong)?;
        }
        Ok(Arc::new(data))
    }

    /// What is left of the samples, and the part that `key` says: a share of them, each class in proportion, or a folder of its own.
    fn part(
        &self,
        key: &'static str,
        data: Arc<ImageFileDataset>,
        indices: Vec<usize>,
        folder: &Path,
        classes: &[String],
    ) -> Result<(Part, Part)> {
        let settings = self.settings;
        if let Some(Value::Text(path)) = settings.node(key).map(|node| &node.value) {
            let files = self.files(&folder.join(path), Some(classes))?;
            let other = self.dataset(&files, false)?;
            let all = (0..other.len()).collect();
            return Ok(((data, indices), (other, all)));
        }
        let (fraction, seed) = (settings.or(key, 0.2)?, settings.or("split_seed", 0)?);
        let subset = Subset::new(&data, indices.iter().copied())?;
        let parts = match classes.is_empty() {
            true => subset.split(fraction, seed),
            false => subset.split_stratified(fraction, seed),
        };
        let parts = parts.map_err(|error| settings.wrong(key, error.message()))?;
        let [rest, part] = parts.map(|part| part.indices().iter().map(|&at| indices[at]).collect::<Vec<_>>());
        Ok(((data.clone(), rest), (data, part)))
    }
}

/// A word from a list.
macro_rules! words {
    ($name:ident($type:ty), $expected:literal: $($word:literal => $value:expr),+) => {
        struct $name($type);

        impl Setting for $name {
            fn of(node: &Node) -> Option<Self> {
                match &node.value {
                    Value::Text(word) => match word.as_str() {
                        $($word => Some($name($value)),)+
                        _ => None,
                    },
                    _ => None,
                }
            }
            fn expected() -> String {
                $expected.to_owned()
            }
        }
    };
}
words! { Color(ColorMode), "\"rgb\" or \"gray\"": "rgb" => ColorMode::Rgb, "gray" => ColorMode::Gray }
words! {
    Fitted(Fit), "\"crop\", \"stretch\" or \"pad\"":
    "crop" => Fit::Crop, "stretch" => Fit::Stretch, "pad" => Fit::Pad
}

fn options(settings: &Section<'_>) -> Result<ImageOptions> {
    let [height, width] = match settings.node("size").map(|node| &node.value) {
        Some(Value::List(_)) => settings.need("size")?,
        _ => [settings.need::<usize>("size")?; 2],
    };
    if height == 0 || width == 0 {
        return Err(settings.wrong("size", "at least one pixel is expected"));
    }
    let mut options = ImageOptions::new(height, width);
    if let Some(Color(color)) = settings.get("color")? {
        options = options.color(color);
    }
    if let Some(Fitted(fit)) = settings.get("fit")? {
        options = options.fit(fit);
    }
    match (settings.get::<Vec<f64>>("mean")?, settings.get::<Vec<f64>>("std")?) {
        (Some(mean), Some(std)) => {
            options =
                options.normalized_channels(&mean, &std).map_err(|error| settings.wrong("mean", error.message()))?;
        }
        (None, None) => {}
        (Some(_), None) => return Err(settings.missing("std", "a number for each channel, beside `mean`")),
        (None, Some(_)) => return Err(settings.missing("mean", "a number for each channel, beside `std`")),
    }
    Ok(options)
}
