//! How the training data is cut into batches.

use crate::arguments::TrainOptions;
use crate::settings::Plan;
use kiln::datasets::Subset;
use kiln::prelude::*;

/// How an epoch's samples are cut into batches.
pub(super) struct Batches {
    /// The option, or the recipe's.
    pub(super) batch_size: usize,
    /// What an epoch trains on.
    samples: usize,
    /// Of an epoch.
    pub(super) steps: usize,
}

impl Batches {
    /// How many samples have been trained on in so many epochs and so many batches of the next one.
    pub(super) fn seen(&self, [epochs, batches]: [u64; 2]) -> usize {
        self.samples * epochs as usize + self.samples.min(batches as usize * self.batch_size)
    }
}

/// The batches of the training data; fails where the settings do not fit it.
pub(super) fn batches(options: &TrainOptions, train: &dyn Dataset, plan: &Plan, name: &str) -> Result<Batches> {
    let (batch_size, count, fixed) = (plan.batch_size, train.len(), train.fixed_batch_size());
    let refused = |message: String| Err(Error::value("", message));
    match (options.task.batch_size, fixed) {
        (Some(size), Some(fixed)) if size.get() != fixed => {
            return refused(format!(
                "--batch-size {size}: {name} reads {fixed} places of its text side by side, and these are its batches; leave the \
                 option out"
            ));
        }
        (Some(size), _) if size.get() > count => {
            return refused(format!("--batch-size {size} is above the {count} samples of the training data"));
        }
        _ => {}
    }
    let size = fixed.unwrap_or(batch_size);
    if plan.drop_last && size > count {
        return refused(format!(
            "--drop-last leaves out a batch that is not full, and the {count} samples of the training data do not fill one of \
             {size}: --batch-size {count} or smaller is needed"
        ));
    }
    let samples = if plan.drop_last { count / size * size } else { count };
    Ok(Batches { batch_size: size, samples, steps: samples.div_ceil(size).div_ceil(plan.accumulate) })
}

/// The first samples; of a user's own files, whose order may be by class, a choice at random in the data's order; of streams that go on side
/// by side, the beginning of all.
pub(super) fn limited(data: Box<dyn Dataset>, limit: usize, own: bool) -> Result<Box<dyn Dataset>> {
    let streams = data.fixed_batch_size().unwrap_or(1);
    let count = (limit / streams * streams).max(streams).min(data.len());
    let mut chosen: Vec<usize> = (0..data.len()).collect();
    if own && !data.sequential() {
        RandomStream::new(0, Purpose::Shuffle, 0).shuffle(&mut chosen);
        chosen.truncate(count);
        chosen.sort_unstable();
    } else {
        chosen.truncate(count);
    }
    Ok(Box::new(Subset::new(data, chosen)?))
}
