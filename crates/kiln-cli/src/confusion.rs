//! What the images of each class were taken for.

use std::fmt::Write;

/// Letters of a name that stand above a column.
const HEADING: usize = 4;

/// Counts by class and prediction.
pub(crate) struct Confusion {
    pub(crate) names: Vec<String>,
    /// Rows are classes, columns what they were taken for.
    pub(crate) counts: Vec<Vec<usize>>,
}

impl Confusion {
    pub(crate) fn new(names: Vec<String>) -> Self {
        let counts = vec![vec![0; names.len()]; names.len()];
        Confusion { names, counts }
    }

    /// Counts a prediction; a class without a name is not counted.
    pub(crate) fn add(&mut self, class: usize, predicted: usize) {
        if let Some(count) = self.counts.get_mut(class).and_then(|row| row.get_mut(predicted)) {
            *count += 1;
        }
    }

    /// The share of all that was recognized.
    pub(crate) fn accuracy(&self) -> f64 {
        let right: usize = self.counts.iter().enumerate().map(|(class, row)| row[class]).sum();
        right as f64 / self.counts.iter().flatten().sum::<usize>() as f64
    }

    /// How many there are of a class, and the share of them that was recognized; none where there are none.
    pub(crate) fn class(&self, class: usize) -> (usize, Option<f64>) {
        let images = self.counts[class].iter().sum();
        (images, (images > 0).then(|| self.counts[class][class] as f64 / images as f64))
    }

    /// The matrix with the accuracy of each class at its right.
    pub(crate) fn table(&self) -> String {
        let largest = self.counts.iter().flatten().max().map_or(1, |count| count.to_string().len());
        let longest = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(1);
        // Above the columns, long names are cut: the table is to fit a terminal.
        let width = longest.min(HEADING).max(largest) + 1;
        let edge = longest.max("class".len());
        let mut out = format!("{:edge$} ", "class");
        self.names.iter().for_each(|name| {
            let heading: String = name.chars().take(HEADING).collect();
            let _ = write!(out, "{heading:>width$}");
        });
        out += "   accuracy\n";
        for (class, (name, row)) in self.names.iter().zip(&self.counts).enumerate() {
            let _ = write!(out, "{name:>edge$} ");
            for count in row {
                // Zeros would hide the mistakes among them.
                let _ = if *count == 0 { write!(out, "{:>width$}", "·") } else { write!(out, "{count:>width$}") };
            }
            let (images, accuracy) = self.class(class);
            let accuracy = accuracy.map_or_else(|| "-".to_owned(), |accuracy| format!("{accuracy:.4}"));
            let _ = writeln!(out, "   {accuracy:<8} of {images}");
        }
        out
    }
}
