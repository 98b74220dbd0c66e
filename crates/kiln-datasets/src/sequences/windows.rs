//! Windows over a text.

use super::check_indices;
use super::tokens::Tokens;
use crate::{Batch, Dataset, Pass, TokenFile};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Device, Error, Result, Tensor};

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
    tokens: Tokens,
    shape: [usize; 1],
    stride: usize,
    random: bool,
    /// Whether the last window begins earlier than the stride says, so that it ends where the text does.
    to_end: bool,
    /// The token at the end of a document, where segments are asked for.
    end: Option<i64>,
}

impl TextWindows {
    /// Windows of `length` tokens, one beginning `stride` after the other. With a stride of `length` each token is in one window.
    ///
    /// # Errors
    /// A length or stride of 0, a text that is not longer than a window.
    pub fn new(tokens: Vec<i64>, length: usize, stride: usize) -> Result<Self> {
        TextWindows::of(tokens.into(), length, stride)
    }

    /// As [`TextWindows::new`], of the tokens in a file.
    ///
    /// # Errors
    /// As [`TextWindows::new`].
    pub fn of_file(file: TokenFile, length: usize, stride: usize) -> Result<Self> {
        TextWindows::of(file.into(), length, stride)
    }

    /// Documents packed into rows of `length` tokens without padding: one after the other, with the token `end` after each, cut where a row is
    /// full. The [segments](TextWindows::segments) say which tokens are of one document.
    ///
    /// Every token but the first is a target. The last row has no padding either: it begins earlier and repeats tokens of the row before it,
    /// which then count twice. (The `group_texts` of Hugging Face's examples leaves these tokens out.)
    ///
    /// ```
    /// use kiln_datasets::{Dataset, TextWindows, segment_offsets};
    /// use kiln_tensor::Device;
    /// let text = TextWindows::of_documents([vec![1, 2, 3], vec![4], vec![5, 6]], 0, 4)?;
    /// let batch = text.batch(&[0, 1], &[], &Device::cpu())?;
    /// let [tokens, segments] = [0, 1].map(|input| batch.inputs.iter().nth(input).unwrap());
    /// assert_eq!(tokens.to_vec::<i64>()?, [1, 2, 3, 0, 4, 0, 5, 6]);
    /// assert_eq!(batch.targets.to_vec::<i64>()?, [2, 3, 0, 4, 0, 5, 6, 0]);
    /// assert_eq!(segments.to_vec::<i64>()?, [0, 0, 0, 0, 0, 0, 1, 1]);
    /// assert_eq!(segment_offsets(segments)?.to_vec::<i64>()?, [0, 4, 6, 8]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`TextWindows::new`].
    pub fn of_documents(documents: impl IntoIterator<Item = Vec<i64>>, end: i64, length: usize) -> Result<Self> {
        let tokens: Vec<i64> = documents.into_iter().flat_map(|document| document.into_iter().chain([end])).collect();
        Ok(TextWindows { to_end: true, ..TextWindows::new(tokens, length, length)?.segments(end) })
    }

    fn of(tokens: Tokens, length: usize, stride: usize) -> Result<Self> {
        if length == 0 || tokens.len() <= length {
            return Err(Error::value(
                "text",
                format!(
                    "windows of {length} tokens of a text of {}: at least 1, and a token after the last, are needed",
                    tokens.len()
                ),
            ));
        }
        if stride == 0 {
            return Err(Error::value("TextWindows", "windows at a stride of 0: at least 1 is needed"));
        }
        Ok(TextWindows { tokens, shape: [length], stride, random: false, to_end: false, end: None })
    }

    /// Whether a window begins up to `stride` - 1 tokens later in training: how many is drawn from the pass's seed, its number and the window's
    /// index. So each pass has other windows, and they still go through all of the text.
    #[must_use]
    pub fn random_offsets(self, random: bool) -> Self {
        TextWindows { random, ..self }
    }

    /// With a second input, i64 (n, length): the number of each token's document within its row, 0, 1, 2, …. A document ends with the token
    /// `end`. kiln-nn's layer `DocumentMask` takes both inputs, so that attention keeps to documents; attention without layers takes
    /// [`segment_offsets`](crate::segment_offsets).
    #[must_use]
    pub fn segments(self, end: i64) -> Self {
        TextWindows { end: Some(end), ..self }
    }

    /// Where the last window that fits begins.
    fn last(&self) -> usize {
        self.tokens.len() - 1 - self.shape[0]
    }

    /// Where a window begins in evaluation.
    fn start(&self, index: usize) -> usize {
        (index * self.stride).min(self.last())
    }

    fn windows(&self, starts: &[usize], device: &Device) -> Result<Batch> {
        let length = self.shape[0];
        let mut batch = self.tokens.windows(starts, length, device)?;
        if let Some(end) = self.end {
            let mut segments = self.tokens.rows(starts, length, &Device::cpu())?.to_vec::<i64>()?;
            for row in segments.chunks_exact_mut(length) {
                let mut segment = 0;
                for token in row {
                    let ends = *token == end;
                    *token = segment;
                    segment += i64::from(ends);
                }
            }
            batch.inputs = batch.inputs.with(Tensor::from_vec(segments, [starts.len(), length], device)?);
        }
        Ok(batch)
    }
}

impl Dataset for TextWindows {
    fn len(&self) -> usize {
        let strides = if self.to_end { self.last().div_ceil(self.stride) } else { self.last() / self.stride };
        strides + 1
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        vec![self.shape.to_vec(); 1 + usize::from(self.end.is_some())]
    }

    fn sequential(&self) -> bool {
        true
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        check_indices("TextWindows", indices, self.len())?;
        let starts: Vec<usize> = indices.iter().map(|&index| self.start(index)).collect();
        self.windows(&starts, device)
    }

    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        if !self.random {
            return self.batch(indices, upcoming, device);
        }
        check_indices("TextWindows", indices, self.len())?;
        let stream = RandomStream::new(pass.seed, Purpose::Augment, pass.epoch);
        let start = |&index: &usize| {
            let first = self.start(index);
            let [low, high, ..] = stream.at(index as u64);
            let places = self.stride.min(self.last() - first + 1) as u128;
            first + (((u128::from(low) | (u128::from(high) << 32)) * places) >> 64) as usize
        };
        let starts: Vec<usize> = indices.iter().map(start).collect();
        self.windows(&starts, device)
    }
}

/// Where the segments of packed rows begin in all rows one after the other, and where the last one ends: i64 (segments + 1), of the numbers of
/// segments (n, length). A row begins a segment. It is what attention over packed sequences takes (`cu_seqlens` of FlashAttention).
///
/// # Errors
/// A tensor that is not i64 of two axes.
pub fn segment_offsets(segments: &Tensor) -> Result<Tensor> {
    let &[rows, length] = segments.dims() else {
        let message = format!("segments of the shape {:?}: (n, length) is expected", segments.dims());
        return Err(Error::value("segment_offsets", message));
    };
    let numbers = segments.to_vec::<i64>()?;
    let begins = |&at: &usize| at % length == 0 || numbers[at] != numbers[at - 1];
    let mut offsets: Vec<i64> = (0..rows * length).filter(begins).map(|at| at as i64).collect();
    offsets.push((rows * length) as i64);
    let count = offsets.len();
    Tensor::from_vec(offsets, [count], segments.device())
}
