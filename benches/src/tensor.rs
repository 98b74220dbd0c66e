//! Operations of tensors one by one, as `tensor_torch.py` and `tensor_numpy.py` time them: milliseconds, the best of half a second.

use crate::timing::best_of_half_a_second;
use kiln::prelude::*;
use serde_json::{Map, Value, json};

/// Elements of most operands; a square matrix has as many.
const COUNT: usize = 1 << 24;
const SIDE: usize = 1 << 12;

/// What operations are given.
struct Operands {
    /// Normal numbers, (COUNT,).
    x: Tensor,
    y: Tensor,
    /// Numbers above 0.
    positive: Tensor,
    /// x as a square matrix.
    matrix: Tensor,
    /// Places in the first axis of `matrix`.
    rows: Tensor,
    /// Places in the last axis of `matrix`, of its shape.
    places: Tensor,
    mask: Tensor,
}

impl Operands {
    fn new(device: &Device) -> Result<Self> {
        let normal = |index| {
            Tensor::normal([COUNT], 0.0, 1.0, DType::F32, device, RandomStream::new(0, Purpose::Data, index))
        };
        let below = |shape: &[usize], index| {
            let stream = RandomStream::new(0, Purpose::Data, index);
            Tensor::uniform(shape, 0.0, SIDE as f64, DType::F32, device, stream)?.floor()?.to_dtype(DType::I64)
        };
        let x = normal(0)?;
        Ok(Operands {
            y: normal(1)?,
            positive: x.abs()?.add_scalar(0.1)?,
            matrix: x.reshape([SIDE, SIDE])?,
            rows: below(&[SIDE], 2)?,
            places: below(&[SIDE, SIDE], 3)?,
            mask: x.gt(&Tensor::zeros((), DType::F32, device)?)?,
            x,
        })
    }
}

/// The operations by the names that the scripts know them by, with the bytes that each reads and writes for an element: those that
/// are held to the bandwidth of a copy.
macro_rules! streaming {
    ($($name:literal $bytes:literal $run:expr;)+) => {
        const STREAMING: &[(&str, usize, fn(&Operands) -> Result<Tensor>)] = &[$(($name, $bytes, $run)),+];
    };
}
streaming! {
    "copy" 8 |at| at.x.copied();
    "add" 12 |at| at.x.add(&at.y);
    "mul" 12 |at| at.x.mul(&at.y);
    "max" 12 |at| at.x.maximum(&at.y);
    "abs" 8 |at| at.x.abs();
    "relu" 8 |at| at.x.relu();
    "sqrt" 8 |at| at.positive.sqrt();
    "exp" 8 |at| at.x.exp();
    "tanh" 8 |at| at.x.tanh();
    "sigmoid" 8 |at| at.x.sigmoid();
    "gelu" 8 |at| at.x.gelu();
    "less" 9 |at| at.x.lt(&at.y);
    "cast to f64" 12 |at| at.x.to_dtype(DType::F64);
    "cast to i32" 8 |at| at.x.to_dtype(DType::I32);
    "cast to bf16" 6 |at| at.x.to_dtype(DType::BF16);
    "where" 13 |at| Tensor::select(&at.mask, &at.x, &at.y);
}

/// The others.
macro_rules! others {
    ($($name:literal $run:expr;)+) => {
        const OTHERS: &[(&str, fn(&Operands) -> Result<Tensor>)] = &[$(($name, $run)),+];
    };
}
others! {
    "ln" |at| at.positive.ln();
    "sin" |at| at.x.sin();
    "erf" |at| at.x.erf();
    "atan2" |at| at.x.atan2(&at.y);
    "hypot" |at| at.x.hypot(&at.y);
    "logaddexp" |at| at.x.logaddexp(&at.y);
    "floor_div" |at| at.x.floor_div(&at.y);
    "pow 2.5" |at| at.positive.powf(2.5);
    "sum" |at| at.x.sum_all();
    "sum rows" |at| at.matrix.sum(1);
    "sum columns" |at| at.matrix.sum(0);
    "max of rows" |at| at.matrix.max(1);
    "argmax of rows" |at| at.matrix.argmax(1);
    "var of rows" |at| at.matrix.var(1, 1);
    "norm" |at| at.x.norm(2.0, 0);
    "softmax" |at| at.matrix.softmax(1);
    "cumsum of rows" |at| at.matrix.cumsum(1);
    "cumsum" |at| at.x.cumsum(0);
    "cummax of rows" |at| Ok(at.matrix.cummax(1)?.0);
    "sort" |at| Ok(at.x.sort_with_positions(0, Order::Ascending)?.0);
    "sort rows" |at| Ok(at.matrix.sort_with_positions(1, Order::Ascending)?.0);
    "topk 10 of rows" |at| Ok(at.matrix.topk(10, 1, Order::Descending)?.0);
    "median of rows" |at| Ok(at.matrix.median(1)?.0);
    "transpose" |at| at.matrix.t()?.contiguous();
    "rows by index" |at| at.matrix.index_select(0, &at.rows);
    "gather" |at| at.matrix.gather(1, &at.places);
    "scatter_add" |at| at.matrix.zeros_like()?.scatter_add(1, &at.places, &at.matrix);
    "masked_select" |at| at.x.masked_select(&at.mask);
    "nonzero" |at| at.mask.nonzero();
    "flip" |at| at.matrix.flip(1)?.contiguous();
    "roll" |at| at.matrix.roll(1000, 1);
    "repeat" |at| at.matrix.slice(0, 0..1024)?.tile([2, 2]);
    "tril" |at| at.matrix.tril(0);
    "pad" |at| at.matrix.pad(&[(1, 1), (1, 1)], 0.0);
}

/// Milliseconds by operation, and for those of a stream the bandwidth as a share of a copy's.
pub(crate) fn times(device: &Device) -> Result<Value> {
    let at = Operands::new(device)?;
    let (mut ms, mut of_copy) = (Map::new(), Map::new());
    let time = |run: fn(&Operands) -> Result<Tensor>| -> Result<f64> {
        best_of_half_a_second(|| {
            run(&at)?;
            device.synchronize()
        })
    };
    device.session(|| -> Result<()> {
        let mut copy = f64::INFINITY;
        for &(name, bytes, run) in STREAMING {
            let rate = bytes as f64 / { let seconds = time(run)?; ms.insert(name.into(), json!(rounded(seconds * 1e3))); seconds };
            copy = if name == "copy" { rate } else { copy };
            of_copy.insert(name.into(), json!(rounded(rate / copy)));
        }
        for &(name, run) in OTHERS {
            ms.insert(name.into(), json!(rounded(time(run)? * 1e3)));
        }
        Ok(())
    })?;
    Ok(json!({"task": "tensor", "ms": ms, "of_copy": of_copy}))
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
