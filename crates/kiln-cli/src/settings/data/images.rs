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
    let options = match search.learned {
        Some(Input::Images(options)) => options.clone(),
        _ => options(settings)?,
    };
    // All are asked for, whatever the learned options are.
    self::options(settings)?;
    let read = Reading { settings, options };
    let files = read.files(&path, None)?;
    let classes = files.class_names().to_vec();
    let all = read.dataset(&files, true)?;
    let (rest, test) = read.part("test", all, (0..files.len()).collect(), search.folder, &classes)?;
    let (train, validation) = match settings.has("validation") {
        true => {
            let (all, indices) = rest;
            read.part("validation", all, indices, search.folder, &classes).map(|(train, part)| (train, Some(part)))?
        }
        false => (rest, None),
    };
    settings.done()?;
    let boxed = |(data, indices): Part| -> Result<Box<dyn Dataset>> { Ok(Box::new(Subset::new(data, indices)?)) };
    Ok(Data {
        train: boxed(train)?,
        validation: validation.map(boxed).transpose()?,
        test: boxed(test)?,
        called: "images",
        input: Some(Input::Images(read.options)),
        classes,
        place: path,
    })
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
        let settings = self.settings;
        let column = |key, default: &str| settings.or(key, default.to_owned());
        let (paths, labels) = (column("path_column", "path")?, column("label_column", "label")?);
        match (path.is_file(), classes) {
            (true, _) => ImageFiles::csv(path, &paths, &labels),
            (false, Some(classes)) => ImageFiles::folder_with_classes(path, classes),
            (false, None) => ImageFiles::folder(path),
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
        for broken in data.broken() {
            crate::report::tell(&format!("left out: {broken}"));
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
        let indices: Vec<usize> = indices.into_iter().filter(|&index| index < data.len()).collect();
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
    if let (Some(mean), Some(std)) = (settings.get::<Vec<f64>>("mean")?, settings.get::<Vec<f64>>("std")?) {
        options = options.normalized_channels(&mean, &std).map_err(|error| settings.wrong("mean", error.message()))?;
    }
    Ok(options)
}
