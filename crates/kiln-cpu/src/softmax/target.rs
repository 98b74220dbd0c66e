//! What logits are held against.

use crate::check;

/// What a row of logits is held against.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a, T> {
    /// The index of the right class.
    Labels(Labels<'a>),
    /// A weight for each class, row-major.
    Weights(&'a [T]),
}

/// Class indices of either type.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// As most code has them.
    I64(&'a [i64]),
    /// As image data sets store them.
    U8(&'a [u8]),
}

impl Labels<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Labels::I64(labels) => labels.len(),
            Labels::U8(labels) => labels.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The label of a row.
    ///
    /// # Panics
    /// A row past the last label.
    #[inline(always)]
    pub fn at(&self, row: usize) -> i64 {
        match self {
            Labels::I64(labels) => labels[row],
            Labels::U8(labels) => i64::from(labels[row]),
        }
    }

    /// The first row whose label is out of range, and that label.
    pub fn outside(&self, classes: usize) -> Option<(usize, i64)> {
        let is_class = |label: i64| (0..classes as i64).contains(&label);
        // Asked of all at once, which is vector code: as a rule each is a class.
        let all = match self {
            Labels::I64(labels) => labels.iter().fold(true, |all, &label| all & is_class(label)),
            Labels::U8(labels) => labels.iter().fold(true, |all, &label| all & is_class(label.into())),
        };
        if all {
            return None;
        }
        (0..self.len()).map(|row| (row, self.at(row))).find(|&(_, label)| !is_class(label))
    }
}

impl<T> Target<'_, T> {
    /// That there is a label, which is a class, or a row of weights for each row of logits.
    #[track_caller]
    pub(super) fn check(&self, function: &str, rows: usize, classes: usize) {
        match self {
            Target::Labels(labels) => {
                check::length(function, "labels", labels.len(), rows);
                if let Some((row, label)) = labels.outside(classes) {
                    check::refuse(function, format_args!("row {row} has label {label}, there are {classes} classes"));
                }
            }
            Target::Weights(weights) => check::length(function, "weights", weights.len(), rows * classes),
        }
    }
}
