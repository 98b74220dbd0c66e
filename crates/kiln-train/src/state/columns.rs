//! A history as tensors: a column for each number.

use super::foreign;
use crate::{EpochRecord, Evaluation};
use kiln_nn::StateDict;
use kiln_tensor::{Device, Result, Tensor};
use std::borrow::Cow;

/// Adds `PREFIXPOSITION.NAME`, f64 (epochs,), with the names of history.csv in their order. What an epoch did not report is NaN.
pub(super) fn save(prefix: &str, history: &[EpochRecord], state: &mut StateDict) -> Result<()> {
    if history.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = vec!["epoch".to_owned(), "seconds".to_owned()];
    for record in history {
        for (of, evaluation) in [("", Some(&record.train)), ("val_", record.validation.as_ref())] {
            let Some(evaluation) = evaluation else { continue };
            let metrics = evaluation.metrics.iter().map(|(name, _)| &**name);
            for name in std::iter::once("loss").chain(metrics).map(|name| format!("{of}{name}")) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    for (position, name) in names.iter().enumerate() {
        let value = |record: &EpochRecord| match name.as_str() {
            "epoch" => record.epoch as f64,
            "seconds" => record.seconds,
            name => record.value(name).unwrap_or(f64::NAN),
        };
        let values: Vec<f64> = history.iter().map(value).collect();
        let column = Tensor::from_slice(&values, [values.len()], &Device::cpu())?;
        state.insert(format!("{prefix}{position}.{name}"), column);
    }
    Ok(())
}

/// What [`save`] wrote.
pub(super) fn load(prefix: &str, state: &StateDict) -> Result<Vec<EpochRecord>> {
    let mut columns = Vec::new();
    for (key, value) in state.iter().filter(|(key, _)| key.starts_with(prefix)) {
        let wrong = || foreign(format!("`{key}` is not a column of a history"));
        let (position, name) = key[prefix.len()..].split_once('.').ok_or_else(wrong)?;
        let position: usize = position.parse().map_err(|_| wrong())?;
        columns.push((position, name, value.to_vec::<f64>().map_err(|_| wrong())?));
    }
    columns.sort_unstable_by_key(|(position, ..)| *position);
    let epochs = columns.first().map_or(0, |(.., values)| values.len());
    if columns.iter().any(|(.., values)| values.len() != epochs) {
        return Err(foreign("the columns of the history are not equally long".to_owned()));
    }
    Ok((0..epochs).map(|row| record(&columns, row)).collect())
}

fn record(columns: &[(usize, &str, Vec<f64>)], row: usize) -> EpochRecord {
    let nothing = || Evaluation { loss: f64::NAN, ..Evaluation::default() };
    let (mut train, mut validation) = (nothing(), nothing());
    let (mut epoch, mut seconds) = (0, 0.0);
    for (_, name, values) in columns {
        let value = values[row];
        let (evaluation, name) = match *name {
            "epoch" => {
                epoch = value as usize;
                continue;
            }
            "seconds" => {
                seconds = value;
                continue;
            }
            name => name.strip_prefix("val_").map_or((&mut train, name), |name| (&mut validation, name)),
        };
        if name == "loss" {
            evaluation.loss = value;
        } else {
            evaluation.metrics.push((Cow::Owned(name.to_owned()), value));
        }
    }
    // A run whose validation loss is NaN ends, and the epoch is not recorded.
    let validation = Some(validation).filter(|validation| !validation.loss.is_nan());
    EpochRecord { epoch, train, validation, seconds }
}
