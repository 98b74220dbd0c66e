//! Sequences: text, sequences of different lengths, and the tasks that recurrent networks are tried on.

mod adding;
#[cfg(feature = "embedded-text")]
mod book;
mod copying;
mod digit_strings;
mod padding;
mod streams;
mod tokens;
mod variable;
mod windows;

pub use adding::AddingProblem;
#[cfg(feature = "embedded-text")]
pub use book::ALICE;
pub use copying::CopyTask;
pub use digit_strings::DigitStrings;
pub use padding::{Padded, pad_sequences};
pub use streams::TextStreams;
pub use variable::SequenceDataset;
pub use windows::{TextWindows, segment_offsets};

use crate::images::past_the_end;
use kiln_tensor::Result;

/// An error where an index is past the end of `operation`'s data.
pub(crate) fn check_indices(operation: &'static str, indices: &[usize], length: usize) -> Result<()> {
    match indices.iter().find(|&&index| index >= length) {
        Some(&index) => Err(past_the_end(operation, index, length)),
        None => Ok(()),
    }
}
