//! A text as streams that go on from batch to batch.

use super::check_indices;
use super::tokens::Tokens;
use crate::{Batch, Dataset, TokenFile};
use kiln_tensor::{Device, Error, Result};

/// A text cut into parallel streams that go on from batch to batch: for truncated backpropagation through time.
///
/// The text is cut into `streams` parts of one length. A loader hands out `streams` samples at a time, in order, and row s
/// of each batch goes on where row s of the batch before ended: a layer that is stateful sees each part as one long text.
///
/// ```
/// use kiln_datasets::{Dataset, Loader, TextStreams};
/// let text = TextStreams::new((0..21).collect(), 2, 4)?;
/// Loader::new(&text).epoch(0, |batches| {
///     let rows: Vec<Vec<i64>> = batches.map(|batch| batch?.inputs.to_vec()).collect::<Result<_, _>>()?;
///     assert_eq!(rows, [[0, 1, 2, 3, 10, 11, 12, 13], [4, 5, 6, 7, 14, 15, 16, 17]]);
///     Ok(())
/// })?;
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextStreams {
    tokens: Tokens,
    streams: usize,
    shape: [usize; 1],
}

impl TextStreams {
    /// Streams that advance by `length` tokens a batch.
    ///
    /// # Errors
    /// No streams, or a text that does not fill a batch.
    pub fn new(tokens: Vec<i64>, streams: usize, length: usize) -> Result<Self> {
        TextStreams::of(tokens.into(), streams, length)
    }

    /// As [`TextStreams::new`], of the tokens in a file.
    ///
    /// # Errors
    /// As [`TextStreams::new`].
    pub fn of_file(file: TokenFile, streams: usize, length: usize) -> Result<Self> {
        TextStreams::of(file.into(), streams, length)
    }

    fn of(tokens: Tokens, streams: usize, length: usize) -> Result<Self> {
        if streams == 0 || length == 0 || tokens.len() / streams < length || tokens.len() <= streams * length {
            return Err(Error::value(
                "TextStreams",
                format!(
                    "{streams} streams of {length} tokens at a time of a text of {}: it must fill a batch and have a token after",
                    tokens.len()
                ),
            ));
        }
        Ok(TextStreams { tokens, streams, shape: [length] })
    }

    /// Tokens of a stream, the targets of the last ones included.
    fn part(&self) -> usize {
        (self.tokens.len() - 1) / self.streams
    }
}

impl Dataset for TextStreams {
    fn len(&self) -> usize {
        self.part() / self.shape[0] * self.streams
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn fixed_batch_size(&self) -> Option<usize> {
        Some(self.streams)
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        check_indices("TextStreams", indices, self.len())?;
        let start = |index: &usize| index % self.streams * self.part() + index / self.streams * self.shape[0];
        let starts: Vec<usize> = indices.iter().map(start).collect();
        self.tokens.windows(&starts, self.shape[0], device)
    }
}
