//! Text to be foretold, token by token.

use super::check_indices;
use crate::{Batch, Dataset};
use kiln_tensor::{Device, Error, Result, Tensor};

/// Alice's Adventures in Wonderland by Lewis Carroll (1865), in the public domain; src/embedded/README.md says whence.
#[cfg(feature = "embedded-text")]
pub const ALICE: &str = include_str!("../embedded/alice.txt");

/// Windows over a text: (n, length) tokens, and as targets the tokens that follow each.
///
/// ```
/// use kiln_datasets::{Dataset, TextWindows, Tokenizer};
/// use kiln_tensor::Device;
/// let tokenizer = Tokenizer::characters("to be or not to be");
/// let text = TextWindows::new(tokenizer.encode("to be or not to be")?, 5, 3)?;
/// let batch = text.batch(&[0, 1], &[], &Device::cpu())?;
/// assert_eq!(tokenizer.decode(&batch.inputs.to_vec()?)?, "to bebe or");
/// assert_eq!(tokenizer.decode(&batch.targets.to_vec()?)?, "o be e or ");
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextWindows {
    tokens: Vec<i64>,
    shape: [usize; 1],
    stride: usize,
}

impl TextWindows {
    /// Windows of `length` tokens, one beginning `stride` after the other.
    ///
    /// # Errors
    /// A length or stride of 0, a text that is not longer than a window.
    pub fn new(tokens: Vec<i64>, length: usize, stride: usize) -> Result<Self> {
        check(&tokens, length)?;
        if stride == 0 {
            return Err(Error::value("TextWindows", "windows at a stride of 0: at least 1 is needed"));
        }
        Ok(TextWindows { tokens, shape: [length], stride })
    }
}

fn check(tokens: &[i64], length: usize) -> Result<()> {
    if length == 0 || tokens.len() <= length {
        return Err(Error::value(
            "text",
            format!(
                "windows of {length} tokens of a text of {}: at least 1, and a token after the last, are needed",
                tokens.len()
            ),
        ));
    }
    Ok(())
}

/// The tokens of windows that begin at `starts`, and the tokens after each.
fn windows(tokens: &[i64], starts: &[usize], length: usize, device: &Device) -> Result<Batch> {
    let rows = |shift: usize| {
        Tensor::write_with([starts.len(), length], device, |to: &mut [i64]| {
            for (to, start) in to.chunks_exact_mut(length).zip(starts) {
                to.copy_from_slice(&tokens[start + shift..start + shift + length]);
            }
            Ok(())
        })
    };
    Ok(Batch::new(rows(0)?, rows(1)?))
}

impl Dataset for TextWindows {
    fn len(&self) -> usize {
        (self.tokens.len() - 1 - self.shape[0]) / self.stride + 1
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn sequential(&self) -> bool {
        true
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        check_indices("TextWindows", indices, self.len())?;
        let starts: Vec<usize> = indices.iter().map(|index| index * self.stride).collect();
        windows(&self.tokens, &starts, self.shape[0], device)
    }
}

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
    tokens: Vec<i64>,
    streams: usize,
    shape: [usize; 1],
}

impl TextStreams {
    /// Streams that advance by `length` tokens a batch.
    ///
    /// # Errors
    /// No streams, or a text that does not fill a batch.
    pub fn new(tokens: Vec<i64>, streams: usize, length: usize) -> Result<Self> {
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
        windows(&self.tokens, &starts, self.shape[0], device)
    }
}
