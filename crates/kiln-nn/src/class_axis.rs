//! Which axis counts classes.

use kiln_tensor::{Result, Shape, axis_index};

/// The axis along which classes lie, for softmax, cross-entropies and accuracy alike.
///
/// Without a setting it goes by the number of axes: the last one of (N, classes) and of sequences (N, T, classes), axis 1 of
/// maps (N, classes, H, W) and (N, classes, D, H, W), as in PyTorch. [`ClassAxis::at`] names another, for which each of
/// them has the setting `axis`: `.axis(1)` for (N, classes, L), `.axis(-1)` for maps with channels last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClassAxis(Option<isize>);

impl ClassAxis {
    /// By the number of axes.
    pub const BY_RANK: ClassAxis = ClassAxis(None);

    /// This one, the batch's being 0; negative ones count from the end.
    pub const fn at(axis: isize) -> Self {
        ClassAxis(Some(axis))
    }

    /// Whether it was named.
    pub const fn is_named(self) -> bool {
        self.0.is_some()
    }

    /// The axis of a tensor of this shape.
    ///
    /// # Errors
    /// A shape without this axis.
    pub fn of(self, operation: &'static str, shape: &Shape) -> Result<usize> {
        let axis = self.0.unwrap_or(if shape.rank() >= 4 { 1 } else { -1 });
        axis_index(operation, axis, shape)
    }
}
