//! What a model says about samples.

use crate::tensor::Tensor;
use crate::{Error, ErrorKind, Result};

/// What a model says about each of some samples: probabilities of classes, or numbers.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// A row a sample.
    rows: Vec<Vec<f64>>,
    classes: Vec<String>,
}

impl Predictions {
    /// Of outputs (n, …): of classes (n, classes), or (n, 1) with the probability of the second of two.
    pub(crate) fn new(values: Tensor, classes: &[String]) -> Result<Self> {
        let samples = values.dims().first().copied().unwrap_or(0);
        let numbers = values.to_f64_vec()?;
        let width = numbers.len().checked_div(samples).unwrap_or(0);
        let mut rows: Vec<Vec<f64>> = numbers.chunks(width.max(1)).map(<[f64]>::to_vec).collect();
        if width == 1 && classes.len() == 2 {
            rows.iter_mut().for_each(|row| row.insert(0, 1.0 - row[0]));
        } else if !classes.is_empty() && samples > 0 && width != classes.len() {
            let message = format!("the model has {width} outputs for a sample and {} classes", classes.len());
            return Err(Error::new(ErrorKind::Shape, "predict", message));
        }
        Ok(Predictions { rows, classes: classes.to_vec() })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The classes' names; empty where the outputs are numbers.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The outputs for a sample: the probability of each class, or numbers. Empty past the last sample.
    pub fn values(&self, sample: usize) -> &[f64] {
        self.rows.get(sample).map_or(&[], Vec::as_slice)
    }

    /// The likeliest class of a sample; none where the outputs are numbers.
    pub fn class(&self, sample: usize) -> Option<&str> {
        self.top(sample, 1).first().map(|&(class, _)| class)
    }

    /// The `count` likeliest classes of a sample with their probabilities, the likeliest first; of equal ones in the order of classes.
    pub fn top(&self, sample: usize, count: usize) -> Vec<(&str, f64)> {
        let names = self.classes.iter().map(String::as_str);
        let mut ranked: Vec<(&str, f64)> = names.zip(self.values(sample).iter().copied()).collect();
        ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        ranked.truncate(count);
        ranked
    }
}
