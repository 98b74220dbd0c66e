//! Scaled dot-product attention: out = dropout(softmax(scale · q·kᵀ + bias)) · v, forward and backward.
//!
//! Scores are computed a block of keys at a time and never stored as a whole (FlashAttention, Dao et al. 2022): memory is linear in
//! the lengths. The forward pass leaves the logarithm of each row's sum, from which the backward pass computes the probabilities
//! again.

mod backward;
mod bias;
mod blocks;
mod decode;
mod form;
mod forward;
mod keys;
mod lanes;
mod scratch;
mod sequence;
mod share;

pub use backward::{Gradients, Saved, backward};
pub use form::{Dropout, Form, Mask, Offsets, Operand, OperandMut, Operands};
pub use forward::forward;
