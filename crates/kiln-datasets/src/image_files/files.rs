//! Image files with their labels.

use super::dataset::ImageFileDataset;
use super::options::ImageOptions;
use super::scan;
use super::summary::ImageSummary;
use kiln_tensor::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Image files with their classes, or numbers, or nothing beside them. The files stay where they are; [`ImageFiles::dataset`] makes
/// samples of them.
///
/// ```no_run
/// use kiln_datasets::{Augmentation, Dataset, ImageFiles, ImageOptions, Loader};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// // photos/cat/1.jpg, photos/cat/2.png, photos/dog/1.jpg, …
/// let files = ImageFiles::folder("photos")?;
/// println!("{}", files.summary()?); // classes, formats, sizes
/// let data = files.dataset(&ImageOptions::new(64, 64))?.cache().augment(Augmentation::new().horizontal_flip())?;
/// let [train, test] = data.split_stratified(0.2, 42)?;
/// let loader = Loader::new(&train).batch_size(32).shuffle(42).workers(2);
/// loader.epoch(1, |batches| batches.try_for_each(|batch| batch.map(|batch| assert_eq!(batch.inputs.dims()[1..], [3, 64, 64]))))?;
/// # let _ = test;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ImageFiles {
    pub(super) list: Arc<List>,
}

#[derive(Debug)]
pub(super) struct List {
    /// What they were found in, for messages.
    pub(super) origin: String,
    pub(super) paths: Vec<PathBuf>,
    pub(super) targets: Targets,
    /// Other files in the folders.
    pub(super) others: usize,
}

/// What stands beside the files.
#[derive(Debug)]
pub(super) enum Targets {
    Nothing,
    Classes { names: Vec<String>, labels: Vec<u32> },
    Numbers(Vec<f32>),
}

impl ImageFiles {
    /// The images in the subfolders of a folder, each of which is a class: torchvision's `ImageFolder`, Keras's
    /// `image_dataset_from_directory`. Classes are in the order of their names, images in that of their paths; folders within a class's
    /// belong to it. Hidden files and those that are no images are left out.
    ///
    /// # Errors
    /// A folder that cannot be read, or has fewer than two classes; a class without an image.
    pub fn folder(folder: impl AsRef<Path>) -> Result<Self> {
        scan::classes(folder.as_ref(), None)
    }

    /// As [`ImageFiles::folder`], with these classes in this order, such as those of the training images: for test images, which may lack
    /// some of them.
    ///
    /// # Errors
    /// A folder that cannot be read, has no image, or has a subfolder that is none of the classes.
    pub fn folder_with_classes<S: AsRef<str>>(folder: impl AsRef<Path>, classes: &[S]) -> Result<Self> {
        scan::classes(folder.as_ref(), Some(classes.iter().map(|class| class.as_ref().to_owned()).collect()))
    }

    /// The images that a CSV file lists, with their classes. Paths are relative to the file's folder. Classes are in order: numbers by
    /// value, then texts by letter.
    ///
    /// # Errors
    /// As [`Csv::open`](crate::Csv::open); an unknown column; with its line a missing value or a file that is not there; fewer than two
    /// classes.
    pub fn csv(file: impl AsRef<Path>, path_column: &str, label_column: &str) -> Result<Self> {
        super::table::classes(file.as_ref(), [path_column, label_column], None)
    }

    /// As [`ImageFiles::csv`], with these classes in this order, such as those of the training images.
    ///
    /// # Errors
    /// As [`ImageFiles::csv`]; with its line a class that is not among them.
    pub fn csv_with_classes<S: AsRef<str>>(
        file: impl AsRef<Path>,
        path_column: &str,
        label_column: &str,
        classes: &[S],
    ) -> Result<Self> {
        let classes = classes.iter().map(|class| class.as_ref().to_owned()).collect();
        super::table::classes(file.as_ref(), [path_column, label_column], Some(classes))
    }

    /// The images that a CSV file lists, with a number beside each, for regression.
    ///
    /// # Errors
    /// As [`ImageFiles::csv`]; a value that is not a number.
    pub fn csv_regression(file: impl AsRef<Path>, path_column: &str, target_column: &str) -> Result<Self> {
        super::table::numbers(file.as_ref(), path_column, target_column)
    }

    /// These files without labels: to be predicted, or as their own targets.
    pub fn paths<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        let paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
        ImageFiles::new("the list", paths, Targets::Nothing)
    }

    /// All images in a folder and its subfolders, in the order of their paths, without labels.
    ///
    /// # Errors
    /// A folder that cannot be read, or has no image.
    pub fn unlabeled(folder: impl AsRef<Path>) -> Result<Self> {
        scan::unlabeled(folder.as_ref())
    }

    pub(super) fn new(origin: impl ToString, paths: Vec<PathBuf>, targets: Targets) -> Self {
        ImageFiles { list: Arc::new(List { origin: origin.to_string(), paths, targets, others: 0 }) }
    }

    /// The files with these numbers.
    ///
    /// # Errors
    /// None, or a class of which none is left.
    pub(super) fn select(&self, kept: &[usize]) -> Result<Self> {
        let List { origin, paths, targets, others } = &*self.list;
        let broken = |what: String| Err(Error::new(ErrorKind::Format, "", format!("{origin}: {what} can be decoded")));
        if kept.is_empty() {
            return broken(format!("none of the {} images", self.len()));
        }
        let targets = match targets {
            Targets::Nothing => Targets::Nothing,
            Targets::Numbers(numbers) => Targets::Numbers(kept.iter().map(|&i| numbers[i]).collect()),
            Targets::Classes { names, labels } => {
                let left: Vec<u32> = kept.iter().map(|&i| labels[i]).collect();
                let mut counts = vec![[0usize; 2]; names.len()];
                labels.iter().for_each(|&label| counts[label as usize][0] += 1);
                left.iter().for_each(|&label| counts[label as usize][1] += 1);
                let lost = counts.iter().position(|&[before, after]| before > 0 && after == 0);
                if let Some(name) = lost.map(|class| &names[class]) {
                    return broken(format!("none of the images of class {name}"));
                }
                Targets::Classes { names: names.clone(), labels: left }
            }
        };
        let paths = kept.iter().map(|&i| paths[i].clone()).collect();
        Ok(ImageFiles { list: Arc::new(List { origin: origin.clone(), paths, targets, others: *others }) })
    }

    /// Refuses a list without a file.
    pub(super) fn check_not_empty(&self) -> Result<()> {
        match self.is_empty() {
            true => Err(Error::value("", format!("{}: there is no image file", self.list.origin))),
            false => Ok(()),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.paths.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The files, in the order of the samples.
    pub fn files(&self) -> &[PathBuf] {
        &self.list.paths
    }

    /// The names of the classes by their labels; none where there are no classes.
    pub fn class_names(&self) -> &[String] {
        match &self.list.targets {
            Targets::Classes { names, .. } => names,
            _ => &[],
        }
    }

    /// The label of each file, where there are classes.
    pub fn labels(&self) -> Option<&[u32]> {
        match &self.list.targets {
            Targets::Classes { labels, .. } => Some(labels),
            _ => None,
        }
    }

    /// What is in the files, by their headers: classes, formats, sizes, and which cannot be read.
    ///
    /// # Errors
    /// A list without a file.
    pub fn summary(&self) -> Result<ImageSummary> {
        ImageSummary::of(self)
    }

    /// The files as samples. Nothing is read yet.
    ///
    /// # Errors
    /// A list without a file; options with a size of 0.
    pub fn dataset(&self, options: &ImageOptions) -> Result<ImageFileDataset> {
        ImageFileDataset::new(self.clone(), options)
    }
}
