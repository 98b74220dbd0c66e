//! Which steps count, and which of them are of one document.

use kiln_tensor::{DType, Error, Result, Tensor};
use std::ops::Deref;
use std::sync::Arc;

/// Which steps of the sequences count: bool (N, T). Cheap to clone.
///
/// A mask also tells where rows hold several documents one after the other, without padding between them (packed sequences):
/// [`Mask::of_documents`].
#[derive(Clone, Debug)]
pub struct Mask {
    counts: Arc<Tensor>,
    /// Whether all steps count, where that is known without reading the tensor.
    whole: bool,
    documents: Option<Arc<Documents>>,
}

impl Deref for Mask {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.counts
    }
}

impl From<Tensor> for Mask {
    fn from(mask: Tensor) -> Self {
        Mask { counts: Arc::new(mask), whole: false, documents: None }
    }
}

impl Mask {
    /// All steps count, and steps that lie side by side in a row with the same number are of one document: `numbers` are integers
    /// (N, T). Attention does not see other documents than the step's own, and positions begin at 0 in each document.
    ///
    /// ```
    /// use kiln_nn::Mask;
    /// use kiln_tensor::{Device, Tensor};
    /// let numbers = Tensor::from_slice(&[0i64, 0, 0, 1, 0, 1, 1, 2], [2, 4], &Device::cpu())?;
    /// let mask = Mask::of_documents(&numbers)?;
    /// let documents = mask.documents().unwrap();
    /// assert_eq!(documents.offsets(), [0, 3, 4, 5, 7, 8]);
    /// assert_eq!(documents.positions().to_vec::<i64>()?, [0, 1, 2, 0, 0, 0, 1, 0]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Numbers that are not integers (N, T), or of rows without steps.
    pub fn of_documents(numbers: &Tensor) -> Result<Self> {
        let documents = Documents::new(numbers)?;
        let counts = Tensor::ones(*numbers.shape(), DType::Bool, numbers.device())?;
        Ok(Mask { counts: Arc::new(counts), whole: true, documents: Some(Arc::new(documents)) })
    }

    /// The documents in the rows, where they are packed.
    pub fn documents(&self) -> Option<&Documents> {
        self.documents.as_deref()
    }

    /// The mask as a tensor, where there may be steps that do not count.
    pub(crate) fn hiding(&self) -> Option<&Tensor> {
        if self.whole { None } else { Some(&self.counts) }
    }

    /// These steps count, within the documents of another mask.
    pub(crate) fn within(counts: Tensor, other: Option<&Mask>) -> Self {
        Mask { documents: other.and_then(|mask| mask.documents.clone()), ..Mask::from(counts) }
    }

    /// The steps that count in both.
    pub(crate) fn and(&self, other: &Mask) -> Result<Self> {
        let documents = match (&self.documents, &other.documents) {
            (Some(one), Some(another)) if one.offsets != another.offsets => {
                let message = "one step is of two documents: the values to be merged are packed in different ways";
                return Err(Error::value("merge", message));
            }
            (one, another) => one.as_ref().or(another.as_ref()).cloned(),
        };
        let counts = self.counts.logical_and(&other.counts)?;
        Ok(Mask { counts: Arc::new(counts), whole: self.whole && other.whole, documents })
    }
}

/// Documents packed into rows (N, T) without padding between them.
#[derive(Clone, Debug)]
pub struct Documents {
    offsets: Vec<usize>,
    positions: Tensor,
    longest: usize,
}

impl Documents {
    fn new(numbers: &Tensor) -> Result<Self> {
        let &[rows, steps] = numbers.dims() else { return Err(not_numbers(numbers)) };
        if steps == 0 || !numbers.dtype().is_integer() {
            return Err(not_numbers(numbers));
        }
        let all = numbers.to_dtype(DType::I64)?.to_vec::<i64>()?;
        let (mut offsets, mut positions) = (Vec::new(), Vec::with_capacity(all.len()));
        for (row, numbers) in all.chunks_exact(steps).enumerate() {
            let mut start = 0;
            for at in 0..steps {
                if at == 0 || numbers[at] != numbers[at - 1] {
                    start = at;
                    offsets.push(row * steps + at);
                }
                positions.push((at - start) as i64);
            }
        }
        offsets.push(all.len());
        let longest = offsets.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0);
        let positions = Tensor::from_vec(positions, [rows, steps], numbers.device())?;
        Ok(Documents { offsets, positions, longest })
    }

    /// Where each document begins in all rows one after the other, and where the last one ends (`cu_seqlens` of FlashAttention).
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The position of each step in its document, i64 (N, T).
    pub fn positions(&self) -> &Tensor {
        &self.positions
    }

    /// The number of steps of the longest document.
    pub fn longest(&self) -> usize {
        self.longest
    }
}

#[cold]
fn not_numbers(found: &Tensor) -> Error {
    let message = format!(
        "the numbers of documents are integers (batch, steps), one for each step, got {} {}",
        found.dtype(),
        found.shape()
    );
    Error::shape("documents", message)
}

/// Fails of packed documents in a layer that reads steps one after the other, and would read from one document into the next.
pub(crate) fn expect_one_document(operation: &'static str, mask: Option<&Mask>) -> Result<()> {
    if mask.is_none_or(|mask| mask.documents.is_none()) {
        return Ok(());
    }
    let message = "this layer would go on from one packed document into the next: only attention and positions keep to documents, so \
                   give it one document in each row, padded to the same length";
    Err(Error::value(operation, message))
}
