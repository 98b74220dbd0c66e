//! scikit-learn's small tables inside of the crate; src/embedded/README.md says what they are and whose.

use crate::TensorDataset;
use flate2::read::GzDecoder;
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use std::io::Read;

/// A small data set of numbers with the names of what they are.
#[derive(Clone, Debug)]
pub struct Table {
    /// Inputs (n, features) of f32. Targets are classes, (n,) of i64, or values, (n, 1) of f32.
    pub data: TensorDataset,
    /// The name of each feature.
    pub feature_names: Vec<String>,
    /// The name of each class; none where targets are values.
    pub class_names: Vec<String>,
}

/// The lines of a file: names of features, names of classes, then the samples.
struct Lines {
    feature_names: Vec<String>,
    class_names: Vec<String>,
    /// Row-major (n, features).
    features: Vec<f64>,
    targets: Vec<f64>,
}

impl Lines {
    fn read(name: &str, packed: &[u8]) -> Result<Self> {
        let wrong = |what: String| Error::new(ErrorKind::Format, "Table", format!("the embedded {name}: {what}"));
        let mut text = String::new();
        GzDecoder::new(packed).read_to_string(&mut text).map_err(|e| wrong(e.to_string()).with_source(e))?;
        let mut lines = text.lines();
        let mut names = || -> Vec<String> {
            lines.next().unwrap_or("").split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let (feature_names, class_names) = (names(), names());
        let (mut features, mut targets) = (Vec::new(), Vec::new());
        for (row, line) in lines.enumerate() {
            let numbers = line.split(',').map(str::parse).collect::<Result<Vec<f64>, _>>();
            match numbers.as_deref() {
                Ok([of_sample @ .., target]) if of_sample.len() == feature_names.len() => {
                    features.extend_from_slice(of_sample);
                    targets.push(*target);
                }
                _ => return Err(wrong(format!("sample {row} is not {} numbers and a target", feature_names.len()))),
            }
        }
        Ok(Lines { feature_names, class_names, features, targets })
    }

    /// Each feature centered, and divided by its deviation times √n, so that its squares add up to 1.
    fn scale(&mut self) {
        let (width, samples) = (self.feature_names.len(), self.targets.len() as f64);
        for feature in 0..width {
            let column = || self.features.iter().skip(feature).step_by(width);
            let mean = column().sum::<f64>() / samples;
            let norm = column().map(|x| (x - mean) * (x - mean)).sum::<f64>().sqrt();
            self.features.iter_mut().skip(feature).step_by(width).for_each(|x| *x = (*x - mean) / norm);
        }
    }

    fn table(self) -> Result<Table> {
        let (cpu, samples) = (Device::cpu(), self.targets.len());
        let floats = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let inputs = Tensor::from_vec(floats(&self.features), [samples, self.feature_names.len()], &cpu)?;
        let targets = match self.class_names.is_empty() {
            true => Tensor::from_vec(floats(&self.targets), [samples, 1], &cpu)?,
            false => Tensor::from_vec(self.targets.iter().map(|&class| class as i64).collect(), [samples], &cpu)?,
        };
        let data = TensorDataset::new(inputs, targets)?;
        Ok(Table { data, feature_names: self.feature_names, class_names: self.class_names })
    }
}

/// A function for each table.
macro_rules! tables {
    ($($(#[$about:meta])* $name:ident = $file:literal;)+) => {$(
        $(#[$about])*
        ///
        /// # Errors
        /// Out of memory.
        pub fn $name() -> Result<Table> {
            Lines::read(stringify!($name), include_bytes!(concat!("embedded/", $file)))?.table()
        }
    )+};
}

tables! {
    /// Fisher's Iris: 150 flowers of 3 species, 4 lengths in cm; scikit-learn's `load_iris`.
    ///
    /// ```
    /// use kiln_datasets::{Dataset, iris};
    /// let iris = iris()?;
    /// let [train, test] = iris.data.split_stratified(0.2, 42)?;
    /// assert_eq!((train.len(), test.len()), (120, 30));
    /// assert_eq!(iris.class_names, ["setosa", "versicolor", "virginica"]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    iris = "iris.csv.gz";
    /// Wine: 178 wines of 3 growers, 13 chemical measurements; scikit-learn's `load_wine`.
    wine = "wine.csv.gz";
    /// Breast Cancer Wisconsin (Diagnostic): 569 tumors, malignant (0) or benign (1), 30 measurements of cell nuclei; scikit-learn's
    /// `load_breast_cancer`.
    breast_cancer = "breast_cancer.csv.gz";
    /// Handwritten digits: 1,797 images of 8 × 8, row by row 64 numbers from 0 to 16, 10 classes; scikit-learn's `load_digits`.
    digits = "digits.csv.gz";
}

/// Diabetes: 442 patients, 10 measurements, and how far the disease had come a year later, from 25 to 346; scikit-learn's
/// `load_diabetes`. Each feature is (x − mean) / √(Σ (x − mean)²), as there.
///
/// # Errors
/// Out of memory.
pub fn diabetes() -> Result<Table> {
    let mut lines = Lines::read("diabetes", include_bytes!("embedded/diabetes.csv.gz"))?;
    lines.scale();
    lines.table()
}
