//! Metrics of regression.

use super::{MeanMetric, Metric, MetricState, MetricValue, Seen};
use kiln_nn::losses::expect_own_targets;
use kiln_tensor::{DType, Error, Result, Tensor};
use std::borrow::Cow;

/// Mean squared error: the mean of (p − t)².
#[derive(Clone, Copy, Debug, Default)]
pub struct Mse;

/// Mean absolute error: the mean of |p − t|.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mae;

/// Mean absolute percentage error: the mean of 100·|p − t| / |t|, where |t| is at least 1e-7, as in Keras.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mape;

/// Root mean squared error: √ of the mean of (p − t)² over the whole epoch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rmse;

/// Coefficient of determination R²: 1 − Σ(p − t)² / Σ(t − mean t)² over the whole epoch. 1 is perfect, 0 is the
/// constant mean of the targets. With several numbers a sample it is the mean of theirs (scikit-learn's `r2_score`,
/// Keras's `R2Score`). If all targets are equal it is 1 for exact predictions, else 0, as in scikit-learn.
#[derive(Clone, Copy, Debug, Default)]
pub struct R2;

/// The mean of an output; the targets are not used.
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
    ($($metric:ident $name:literal $better:expr, |$p:ident, $t:ident| $each:expr;)+) => {$(
        impl MeanMetric for $metric {
            fn name(&self) -> &'static str {
                $name
            }
            fn larger_is_better(&self) -> Option<bool> {
                $better
            }
            fn each(&self, $p: &Tensor, $t: &Tensor) -> Result<Tensor> {
                $each
            }
        }
    )+};
}
means! {
    Mse "mse" Some(false), |p, t| difference("mse", p, t)?.square();
    Mae "mae" Some(false), |p, t| difference("mae", p, t)?.abs();
    Mape "mape" Some(false), |p, t| {
        let d = difference("mape", p, t)?.abs()?;
        let size = t.to_dtype(d.dtype())?.abs()?.clamp(1e-7, f64::INFINITY)?;
        d.div(&size)?.mul_scalar(100.0)
    };
    MeanOutput "mean_output" None, |p, _t| Ok(p.clone());
}

impl Metric for Rmse {
    fn name(&self) -> Cow<'static, str> {
        "rmse".into()
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(false)
    }
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        state.add_total(seen.total(&difference("rmse", seen.predictions, seen.targets)?.square()?)?)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        Ok(state.mean_of_total()?.map_or_else(MetricValue::no_targets, |mean| mean.sqrt().into()))
    }
}

impl Metric for R2 {
    fn name(&self) -> Cow<'static, str> {
        "r2".into()
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
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
            return Ok(MetricValue::no_targets());
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
