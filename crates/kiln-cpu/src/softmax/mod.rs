//! Softmax, its logarithm, and the cross-entropy of logits, row by row, with their gradients.
//!
//! A row's maximum and sums follow the lanes and the tree of [`crate::reduce`] within chunks, which are added in order.

mod exponential;
mod loss;
mod narrow;
mod rows;
mod target;

pub use exponential::{SoftmaxKind, logsumexp, softmax, softmax_grad};
pub use loss::{cross_entropy, cross_entropy_grad};
pub use target::{Labels, Target};
