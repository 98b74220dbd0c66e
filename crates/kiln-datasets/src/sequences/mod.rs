//! Sequences: text, sequences of different lengths, and the tasks that recurrent networks are tried on.

mod adding;
mod copying;
mod digit_strings;
mod padding;
mod text;
mod variable;

pub use adding::AddingProblem;
pub use copying::CopyTask;
pub use digit_strings::DigitStrings;
pub use padding::{Padded, pad_sequences};
#[cfg(feature = "embedded-text")]
pub use text::ALICE;
pub use text::{TextStreams, TextWindows};
pub use variable::SequenceDataset;

use crate::images::past_the_end;
use kiln_tensor::Result;

/// An error where an index is past the end of `operation`'s data.
pub(crate) fn check_indices(operation: &'static str, indices: &[usize], length: usize) -> Result<()> {
    match indices.iter().find(|&&index| index >= length) {
        Some(&index) => Err(past_the_end(operation, index, length)),
        None => Ok(()),
    }
}
