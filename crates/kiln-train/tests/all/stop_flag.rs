//! A flag that ends training or validation after the batch.

use super::training::{bits, patterns, trainer};
use kiln_datasets::{Batch, Dataset, ImageDataset};
use kiln_tensor::{Device, Result};
use kiln_train::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[test]
fn a_flag_ends_the_training_after_the_batch() {
    let (train, test) = (patterns(600, 0), patterns(200, 1));
    // 600 samples are 9 batches of 64 and one of 24. Set in the midst of an epoch, in its last batch, after its validation.
    for (batch, steps, samples) in [(3, 13, 64), (10, 20, 24), (usize::MAX, 20, 24)] {
        let stop = AtomicBool::new(false);
        let mut trainer = trainer(1);
        let options = FitOptions::new().epochs(12).batch_size(64).seed(2).validation(&test).stop(&stop);
        let set_where = |here: bool| stop.fetch_or(here, Ordering::Relaxed);
        let options = options.on_batch(|p| {
            set_where((p.epoch, p.batch) == (2, batch));
        });
        let options = options.on_epoch(|record| {
            set_where(record.epoch == 2);
        });
        let history = trainer.fit(&train, options).unwrap();
        let Progress { epoch, batch: last, batches, samples: size, loss, metric } = history.stopped.unwrap();
        assert_eq!((epoch, last, batches, size, trainer.steps()), (2, batch.min(10), 10, samples, steps));
        // What an epoch reports is what its last batch had come to.
        let record = history.last().unwrap();
        assert_eq!((loss, metric), (Some(record.train.loss), Some(("accuracy", record.train.accuracy()))));
        assert_eq!(history.epochs.len(), 2);
        let validation = record.validation.clone();
        assert_eq!(validation.is_some(), batch == usize::MAX, "what is stopped before its validation has none");
        if let Some(last) = validation {
            // It is of the weights as they are.
            assert!((last.loss - trainer.evaluate(&test).unwrap().loss).abs() < 1e-6);
            assert_eq!(last.metrics, trainer.evaluate(&test).unwrap().metrics);
        }
    }
    let whole = trainer(1).fit(&train, FitOptions::new().stop(&AtomicBool::new(false))).unwrap();
    assert_eq!(whole.stopped, None);
}

/// Sets a flag when a batch is asked for.
struct Stopping<'a> {
    data: ImageDataset,
    asked: AtomicUsize,
    /// The number of the batch.
    at: usize,
    stop: &'a AtomicBool,
}

impl Dataset for Stopping<'_> {
    fn len(&self) -> usize {
        self.data.len()
    }
    fn input_shape(&self) -> &[usize] {
        self.data.input_shape()
    }
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        if self.asked.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.data.batch(indices, upcoming, device)
    }
}

#[test]
fn a_flag_ends_the_validation_after_the_batch() {
    let train = patterns(600, 0);
    let stop = AtomicBool::new(false);
    // 20 batches of 10: the third one of the second epoch's.
    let test = Stopping { data: patterns(200, 1), asked: AtomicUsize::new(0), at: 23, stop: &stop };
    let mut stopping = EarlyStopping::new().patience(1).min_delta(100.0);
    let options = || FitOptions::new().epochs(12).batch_size(10).seed(2);
    let mut trained = trainer(1);
    let history = trained.fit(&train, options().validation(&test).stop(&stop).callback(&mut stopping)).unwrap();
    assert!(test.asked.load(Ordering::Relaxed) <= 24, "the validation went on");
    let Progress { epoch, batch, batches, .. } = history.stopped.unwrap();
    assert_eq!((epoch, batch, batches, history.epochs.len()), (2, 60, 60, 2));
    assert!(history.epochs[0].validation.is_some() && history.epochs[1].validation.is_none());
    assert_eq!(stopping.stopped_epoch(), None, "nothing was measured that could have stopped it");
    // The epoch itself was finished.
    let mut whole = trainer(1);
    whole.fit(&train, options().epochs(2)).unwrap();
    assert_eq!(bits(&trained.objective.model), bits(&whole.objective.model));
    let csv = history.to_csv();
    assert!(csv.lines().last().unwrap().contains(",NaN,NaN,"), "{csv}");
    assert_eq!(csv.lines().map(|line| line.split(',').count()).collect::<Vec<_>>(), [6; 3], "{csv}");
}
