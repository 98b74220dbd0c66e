//! How far numbers are from numbers.

use super::{MeanMetric, Metric, MetricState, MetricValue, Seen};
use kiln_nn::losses::expect_own_targets;
use kiln_tensor::{DType, Error, Result, Tensor};
use std::borrow::Cow;

/// The mean of (p − t)².
#[derive(Clone, Copy, Debug, Default)]
pub struct Mse;

/// The mean of |p − t|.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mae;

/// The mean of 100·|p − t| / |t|, with |t| kept from 0 by 1e-7 as in Keras: in percent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mape;

/// √ of the mean of (p − t)², of all numbers of an epoch together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rmse;

/// The coefficient of determination R²: 1 − Σ(p − t)² / Σ(t − mean of t)², of all targets of an epoch together. 1 where all is right, 0 of the constant that is
/// the mean. Of several numbers a sample it is the mean of theirs (scikit-learn's `r2_score`, Keras's `R2Score`). Where the targets are all equal, it is 1 if
/// all is right and else 0, as in scikit-learn.
#[derive(Clone, Copy, Debug, Default)]
pub struct R2;

/// The mean of what an output says, without looking at the targets: of a value that a model gives to be watched.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanOutput;

/// p − t in f32 or f64, of one shape.
fn difference(metric: &'static str, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
    if predictions.shape() != targets.shape() {
        let shapes = format!("{} and {}", predictions.shape(), targets.shape());
        return Err(Error::shape(metric, format!("predictions and targets of one shape are expected, got {shapes}")));
    }
    let dtype = if predictions.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    predictions.to_dtype(dtype)?.sub(&targets.to_dtype(dtype)?)
}

macro_rules! means {
    ($($metric:ident $name:literal |$p:ident, $t:ident| $each:expr;)+) => {$(
        impl MeanMetric for $metric {
            fn name(&self) -> &'static str {
                $name
            }
            fn each(&self, $p: &Tensor, $t: &Tensor) -> Result<Tensor> {
                $each
            }
        }
    )+};
}
means! {
    Mse "mse" |p, t| difference("mse", p, t)?.square();
    Mae "mae" |p, t| difference("mae", p, t)?.abs();
    Mape "mape" |p, t| {
        let d = difference("mape", p, t)?.abs()?;
        let size = t.to_dtype(d.dtype())?.abs()?.clamp(1e-7, f64::INFINITY)?;
        d.div(&size)?.mul_scalar(100.0)
    };
    MeanOutput "mean_output" |p, _t| Ok(p.clone());
}

impl Metric for Rmse {
    fn name(&self) -> Cow<'static, str> {
        "rmse".into()
    }
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        let [sum, count] = seen.total(&difference("rmse", seen.predictions, seen.targets)?.square()?)?;
        state.add("sum", &sum)?;
        state.add("count", &count)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        let count = state.sum("count")?;
        if count == 0.0 {
            return Ok(MetricValue::Undefined("there were no targets".to_owned()));
        }
        Ok((state.sum("sum")? / count).sqrt().into())
    }
}

impl Metric for R2 {
    fn name(&self) -> Cow<'static, str> {
        "r2".into()
    }
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        let d = difference("r2", seen.predictions, seen.targets)?.to_dtype(DType::F64)?;
        let shape = *d.shape();
        expect_own_targets("r2", &shape, seen.predictions.shape(), seen.targets.shape())?;
        // A column for each number of the last axis.
        let columns = if shape.rank() < 2 { 1 } else { shape.last().copied().unwrap_or(1) };
        let rows = [shape.elements() / columns.max(1), columns];
        let factors = match seen.factors(&shape)? {
            Some(factors) => factors.reshape(rows)?,
            None => Tensor::ones(rows, DType::F64, d.device())?,
        };
        let zero = Tensor::zeros((), DType::F64, d.device())?;
        let counts = factors.gt(&zero)?;
        let column = |values: &Tensor| Tensor::select(&counts, values, &zero)?.mul(&factors)?.sum(0);
        let (d, t) = (d.reshape(rows)?, seen.targets.to_dtype(DType::F64)?.reshape(rows)?);
        let sums = [factors.sum(0)?, column(&t)?, column(&t.square()?)?, column(&d.square()?)?];
        state.add("sums", &Tensor::stack(&sums.each_ref(), 0)?)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        let sums = state.sums("sums")?;
        let columns = sums.len() / 4;
        if columns == 0 || sums[..columns].iter().all(|&count| count == 0.0) {
            return Ok(MetricValue::Undefined("there were no targets".to_owned()));
        }
        let of = |column: usize| {
            let [count, sum, squares, errors] = [0, 1, 2, 3].map(|row| sums[row * columns + column]);
            let spread = squares - sum * sum / count;
            // What is left of a difference of equal numbers.
            if spread > squares * 1e-14 {
                1.0 - errors / spread
            } else if errors == 0.0 {
                1.0
            } else {
                0.0
            }
        };
        Ok(((0..columns).map(of).sum::<f64>() / columns as f64).into())
    }
}
