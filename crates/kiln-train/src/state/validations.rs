//! Validations between the ends of epochs, as records that columns are made of.

use crate::{EpochRecord, Evaluation};

/// A record each, with the step for an epoch.
pub(super) fn records(validations: &[(u64, Evaluation)]) -> Vec<EpochRecord> {
    let record = |(step, evaluation): &(u64, Evaluation)| EpochRecord {
        epoch: *step as usize,
        train: evaluation.clone(),
        validation: None,
        seconds: 0.0,
    };
    validations.iter().map(record).collect()
}

/// The validations of such records.
pub(super) fn of(records: Vec<EpochRecord>) -> Vec<(u64, Evaluation)> {
    records.into_iter().map(|record| (record.epoch as u64, record.train)).collect()
}
