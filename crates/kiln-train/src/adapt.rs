//! Preprocessing layers that learn from a data set.

use kiln_datasets::{Dataset, Loader};
use kiln_nn::Adapt;
use kiln_tensor::{Device, Error, Result};

/// Samples that are looked at at once.
const BATCH: usize = 1024;

/// Adapts a preprocessing layer to the inputs of a data set, in one pass and without augmentation. Take the training data, before the
/// model is built.
///
/// ```
/// use kiln_datasets::TensorDataset;
/// use kiln_nn::{Dense, Normalization, Sequential};
/// use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> kiln_tensor::Result<()> {
/// let cpu = Device::cpu();
/// # let (x, y) = (Tensor::arange(6, &cpu)?.to_dtype(DType::F32)?.reshape([3, 2])?, Tensor::zeros([3, 1], DType::F32, &cpu)?);
/// let training = TensorDataset::new(x, y)?;
/// let mut normalization = Normalization::new();
/// kiln_train::adapt(&mut normalization, &training)?;
/// let model = Sequential::new().push(normalization).push(Dense::new(1)).build([2], &cpu, 1)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Data without an end, or of several inputs; those of [`Adapt`]. The layer is then as it was.
pub fn adapt<A: Adapt>(layer: &mut A, data: &dyn Dataset) -> Result<()> {
    if data.len() == usize::MAX {
        let message = "the data has no end: pass a finite number of its batches to `Adapt::adapt_batches`";
        return Err(Error::value("adapt", message));
    }
    let mut seen = A::Seen::default();
    if !data.is_empty() {
        Loader::new(data).plain().batch_size(BATCH).device(&Device::cpu()).epoch(0, |batches| {
            batches.try_for_each(|batch| {
                let batch = batch?;
                if batch.inputs.count() != 1 {
                    let message = format!(
                        "the data has {} inputs, and a layer adapts to one: pass the batches of that input to \
                         `Adapt::adapt_batches`",
                        batch.inputs.count()
                    );
                    return Err(Error::value("adapt", message));
                }
                batch.inputs.iter().try_for_each(|input| layer.see(&mut seen, input))
            })
        })?;
    }
    layer.learn(seen)
}
