//! Sizes, ranges and axes at the end of what numbers hold: every operation of `Var` answers with an error, and none panics, wraps
//! around or ends the process.
#![allow(clippy::reversed_empty_ranges)]

use kiln_autograd::{RecurrentOptions, Var};
use kiln_tensor::{
    ConvOptions, DType, Device, ErrorKind, Padding, PoolOptions, Recurrence, RecurrentCell, Result, Shape, Tensor,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

const MAX: usize = usize::MAX;
/// More elements than any machine has, which a shape can still count.
const HUGE: usize = 1 << 58;
/// The largest stride, padding or window.
const LONGEST: usize = i32::MAX as usize;

fn var(shape: &[usize]) -> Var {
    Var::variable(Tensor::zeros(shape, DType::F32, &Device::cpu()).unwrap())
}

/// A single number seen as so many, without any memory.
fn stretched(shape: &[usize]) -> Var {
    var(&[]).broadcast_to(shape).unwrap()
}

fn labels(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap()
}

fn outcome<T>(f: impl FnOnce() -> Result<T>) -> std::result::Result<ErrorKind, String> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(_)) => Err("there was no error".to_owned()),
        Ok(Err(error)) => Ok(error.kind()),
        Err(payload) => {
            let words = payload.downcast_ref::<String>().cloned();
            let words = words.or(payload.downcast_ref::<&str>().map(|&words| words.to_owned()));
            Err(format!("it panicked: {}", words.unwrap_or_default()))
        }
    }
}

/// Asserts that each call fails with one of the kinds that such an error may have.
macro_rules! refused {
    ($($call:expr),+ $(,)?) => {
        let mut faults = Vec::new();
        $(
            let kind = outcome(|| $call);
            if !matches!(kind, Ok(ErrorKind::Shape | ErrorKind::Memory | ErrorKind::Value | ErrorKind::Index)) {
                faults.push(format!("{}: {kind:?}", stringify!($call)));
            }
        )+
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    };
}

#[test]
fn axes_and_ranges_at_the_end() {
    let x = var(&[3, 4]);
    let all = Shape::new(&[HUGE]).unwrap();
    refused!(
        x.reshape([MAX, 2]),
        x.flatten(MAX),
        x.unsqueeze(MAX),
        x.squeeze(MAX),
        x.permute(&[MAX, 0]),
        x.transpose(MAX, 0),
        x.slice(0, MAX - 1..MAX),
        x.slice(1, 3..1),
        x.slice(MAX, 0..1),
        x.embed(0, MAX, [9, 4]),
        x.embed(0, MAX - 1, [9, 4]),
        x.embed(MAX, 0, [9, 4]),
        x.embed(1, 1, [3, MAX]),
        x.embed(0, 0, [HUGE, 4]),
        x.embed(0, 0, [4]),
        x.broadcast_to([MAX, 3, 4]),
        x.sum_to(&all),
        Var::concat(&[&x, &x], MAX),
        Var::concat(&[&stretched(&[HUGE]); 40], 0),
        Var::concat(&[], 0),
        Var::stack(&[&x], MAX),
        x.pad(&[(MAX, 1)], 0.0),
        x.crop(&[(MAX, 1)]),
        x.sum(&[MAX][..]),
        x.mean(isize::MIN),
        x.max(isize::MAX),
        x.prod(isize::MIN),
        x.softmax(isize::MIN),
        x.log_softmax(isize::MAX),
        x.index_select(MAX, &labels(&[0])),
        x.index_select(0, &labels(&[i64::MIN])),
        x.index_add(0, &labels(&[i64::MAX, 0, 0]), &x),
        x.index_add(MAX, &labels(&[0]), &x),
        x.index_add(0, &labels(&[0]), &x),
        x.cross_entropy(&labels(&[0, 0, i64::MIN])),
        x.cross_entropy_from_probabilities(&labels(&[0, 0, i64::MIN])),
        x.t().and_then(|t| t.layer_norm(MAX, None, None, 1e-5)),
        x.rms_norm(MAX, None, 1e-5),
        x.group_norm(MAX, None, None, 1e-5),
        x.group_norm(0, None, None, 1e-5),
        x.local_response_norm(MAX, 1.0, 1.0, 1.0),
        x.local_response_norm(0, 1.0, 1.0, 1.0),
        var(&[2, 3, 4])
            .recurrent(&Recurrence::new(RecurrentCell::Lstm, &var(&[4, MAX >> 60])), RecurrentOptions::default()),
    );
}

#[test]
fn more_than_memory() {
    let x = stretched(&[HUGE]);
    let (rows, columns) = (stretched(&[1 << 40, 1]), stretched(&[1, 1 << 40]));
    let planes = stretched(&[1, 1 << 38, 1 << 10, 1 << 10]);
    refused!(
        x.neg(),
        x.add(&x),
        x.mul_scalar(2.0),
        x.softmax(-1),
        x.to_dtype(DType::F64),
        rows.add(&columns),
        rows.matmul(&columns),
        rows.linear(&columns.t().unwrap(), None, None),
        Var::select(&var(&[]).tensor().gt(var(&[]).tensor()).unwrap(), &rows, &columns),
        planes.max_pool(&PoolOptions::new(2)),
        planes.avg_pool(&PoolOptions::new(2)),
        planes.batch_norm(None, None, 1e-5, None),
        planes.upsample_bilinear([LONGEST, LONGEST], false),
    );
}

#[test]
fn windows_at_the_end() {
    let (x, x3) = (var(&[1, 1, 5]), var(&[1, 1, 5, 5, 5]));
    let (w, w3) = (var(&[1, 1, 3]), var(&[1, 1, 3, 3, 3]));
    let wide = var(&[1, 1, 1 << 20]);
    let new = ConvOptions::new;
    refused!(
        x.conv(&w, None, &new().padding(MAX), None),
        x.conv(&w, None, &new().dilation(LONGEST), None),
        x3.conv(&w3, None, &new().padding(LONGEST).stride(LONGEST), None),
        x.conv_transpose(&w, None, &new().stride(MAX)),
        x3.conv_transpose(&w3, None, &new().stride(LONGEST).dilation(LONGEST)),
        x.max_pool(&PoolOptions::new(MAX)),
        x3.max_pool(&PoolOptions::new(LONGEST).padding(LONGEST / 2)),
        x.avg_pool(&PoolOptions::new(MAX)),
        x.avg_pool(&PoolOptions::new(2).padding(Padding::Explicit((MAX, MAX).into()))),
        x3.avg_pool(&PoolOptions::new(LONGEST).padding(LONGEST / 2)),
        x3.lp_pool(2.0, &PoolOptions::new(LONGEST).padding(LONGEST / 2)),
        x.adaptive_max_pool(MAX),
        x.adaptive_avg_pool(MAX),
        wide.adaptive_avg_pool(LONGEST),
        x.upsample_nearest(MAX),
        wide.upsample_bilinear(LONGEST, true),
        x.upsample_bilinear(0, true),
    );
}

/// A window much larger than its input takes no memory for what lies outside: 2³⁰ zeros before and after 5 elements.
#[test]
fn averages_over_windows_larger_than_the_input() -> Result<()> {
    let x = Var::variable(Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0], [1, 1, 5], &Device::cpu())?);
    let options = PoolOptions::new((1 << 30) + 3).stride(1 << 30).padding(1 << 30);
    // From −2³⁰ to 2, from 0 on.
    let y = x.avg_pool(&options.count_include_pad(false))?;
    assert_eq!(y.tensor().to_vec::<f32>()?, [2.0, 3.0]);
    let gradient = y.sum_all()?.backward()?;
    let third = 1.0f32 / 3.0;
    let expected = [third + 0.2, third + 0.2, third + 0.2, 0.2, 0.2];
    assert_eq!(gradient.of(&x).unwrap().to_vec::<f32>()?, expected);
    let share = ((1 << 30) + 3) as f32;
    assert_eq!(x.avg_pool(&options)?.tensor().to_vec::<f32>()?, [6.0 / share, 15.0 / share]);
    // One window over all of it, of two axes.
    let image = x.reshape([1, 1, 1, 5])?;
    let whole = PoolOptions::new([1 << 29, 1 << 28]).padding([1 << 28, 1 << 27]).stride(1 << 30);
    assert_eq!(image.avg_pool(&whole.count_include_pad(false))?.tensor().to_vec::<f32>()?, [3.0]);
    Ok(())
}
