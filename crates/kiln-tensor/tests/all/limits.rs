//! Sizes, ranges and axes at the end of what numbers hold: every call answers with an error, and none panics, wraps around or ends
//! the process.
#![allow(clippy::reversed_empty_ranges)]

use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{
    ConvOptions, Convolution, DType, Device, ErrorKind, Layout, MatmulOptions, Padding, PerAxis, PoolOptions, Result,
    Shape, Tensor, Window, axis_index, broadcast_shapes,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

const MAX: usize = usize::MAX;
/// More elements than any machine has, which a shape can still count.
const HUGE: usize = 1 << 58;
/// The largest stride, padding or window.
const LONGEST: usize = i32::MAX as usize;

fn cpu() -> Device {
    Device::cpu()
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &cpu()).unwrap()
}

fn labels(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()], &cpu()).unwrap()
}

/// A view of a single number that has so many elements without any memory.
fn stretched(shape: &[usize]) -> Tensor {
    zeros(&[]).broadcast_to(shape).unwrap()
}

fn stream() -> RandomStream {
    RandomStream::new(1, Purpose::Init, 0)
}

/// What a call says: its error's kind, or how else it ended.
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
fn tensors_larger_than_memory() {
    let f32 = DType::F32;
    refused!(
        Tensor::zeros([MAX], f32, &cpu()),
        Tensor::zeros([MAX, 2], f32, &cpu()),
        Tensor::zeros([0, MAX], f32, &cpu()),
        Tensor::zeros([MAX; 6], DType::U8, &cpu()),
        Tensor::zeros([1; 7], f32, &cpu()),
        Tensor::zeros([HUGE], DType::U8, &cpu()),
        Tensor::zeros([HUGE], DType::F64, &cpu()),
        Tensor::ones([HUGE], f32, &cpu()),
        Tensor::full([MAX / 8], 2.0, DType::BF16, &cpu()),
        Tensor::arange(MAX, &cpu()),
        Tensor::arange(HUGE, &cpu()),
        Tensor::eye(MAX, f32, &cpu()),
        Tensor::eye(1 << 28, f32, &cpu()),
        Tensor::uniform([HUGE], 0.0, 1.0, f32, &cpu(), stream()),
        Tensor::normal([MAX, MAX], 0.0, 1.0, DType::F64, &cpu(), stream()),
        Tensor::write_with([HUGE], &cpu(), |_: &mut [f32]| Ok(())),
        Tensor::write_with([HUGE], &cpu(), |_: &mut [bool]| Ok(())),
        Tensor::from_slice(&[1.0f32], [MAX], &cpu()),
        Tensor::from_slice::<f32>(&[], [MAX, 0], &cpu()),
        Tensor::from_slice(&[1i64, 2], [2, 1 << 63], &cpu()),
        Shape::new(&[1 << 32, 1 << 32]),
    );
}

#[test]
fn views_larger_than_memory_are_not_copied() {
    let x = stretched(&[HUGE]);
    assert_eq!(x.slice(0, HUGE - 2..HUGE).unwrap().to_vec::<f32>().unwrap(), [0.0; 2]);
    assert_eq!(x.index(0, HUGE - 1).unwrap().item().unwrap(), 0.0);
    assert!(!x.to_string().is_empty());
    let square = stretched(&[1 << 29, 1 << 29]);
    refused!(
        x.to_vec::<f32>(),
        x.to_f64_vec(),
        x.to_dtype(DType::Bool),
        x.contiguous(),
        x.copied(),
        x.add_scalar(1.0),
        x.add(&x),
        x.add(&zeros(&[1])),
        x.exp(),
        x.softmax(-1),
        x.dropout(0.5, &Tensor::random_stream(&stream(), &cpu()).unwrap()),
        x.eq(&x),
        Tensor::select(&x.gt(&x).unwrap_or(zeros(&[]).gt(&zeros(&[])).unwrap()), &x, &x),
        x.reshape([1 << 29, 1 << 29, 2]),
        square.matmul(&square),
        square.t().and_then(|t| t.contiguous()),
        square.sum_to(square.shape()).and_then(|x| x.copied()),
        Tensor::concat(&[&x, &x], 0),
        Tensor::stack(&[&x; 8], 0),
        x.clone().add_assign(&x),
        x.clone().fill(1.0),
        x.clone().copy_from(&zeros(&[])),
        x.clone().mul_scalar_assign(2.0),
        x.clone().slice_assign(0, 0..1, &zeros(&[1])),
        x.clone().index_add_assign(0, &labels(&[0]), &zeros(&[1])),
        x.index_select(0, &labels(&[0])),
        x.pad(&[(1, 1)], 0.0),
    );
}

#[test]
fn broadcasting_to_more_than_can_be_counted() {
    let (rows, columns) = (stretched(&[1 << 40, 1]), stretched(&[1, 1 << 40]));
    let batches = (stretched(&[1 << 40, 1, 1, 1]), stretched(&[1, 1 << 40, 1, 1]));
    refused!(
        broadcast_shapes("add", rows.shape(), columns.shape()),
        rows.add(&columns),
        rows.mul(&columns),
        rows.lt(&columns),
        Tensor::select(&zeros(&[]).gt(&zeros(&[])).unwrap(), &rows, &columns),
        rows.matmul(&columns),
        batches.0.matmul(&batches.1),
        rows.broadcast_to([1 << 40, 1 << 40]),
        zeros(&[1]).broadcast_to([MAX]),
        zeros(&[1]).broadcast_to([0, MAX]),
        zeros(&[1]).sum_to(&Shape::new(&[HUGE]).unwrap()),
    );
}

#[test]
fn axes_and_ranges_at_the_end() {
    let x = zeros(&[3, 4]);
    let value = zeros(&[]);
    refused!(
        x.reshape([MAX, 2]),
        x.reshape([12, MAX]),
        x.flatten(MAX),
        x.flatten(3),
        x.permute(&[MAX, 0]),
        x.permute(&[0usize; 0]),
        x.transpose(0, MAX),
        x.slice(0, MAX - 1..MAX),
        x.slice(MAX, 0..1),
        x.slice(1, 2..MAX),
        x.slice(1, MAX..MAX),
        x.slice(1, 3..1),
        x.slice_by(0, 0..MAX, isize::MIN),
        x.slice_by(MAX, 0..1, 1),
        x.slice_by(0, 0..2, 0),
        x.flip(MAX),
        x.index(0, MAX),
        x.index(MAX, 0),
        x.unsqueeze(MAX),
        x.unsqueeze(3),
        x.squeeze(MAX),
        x.split(0, 0),
        x.split(MAX, 1),
        x.chunk(0, 0),
        x.chunk(MAX, 1),
        x.pad(&[(MAX, 0)], 0.0),
        x.pad(&[(MAX, MAX), (MAX, MAX)], 0.0),
        x.pad(&[(0, HUGE)], 0.0),
        x.pad(&[(0, 0); 3], 0.0),
        x.crop(&[(MAX, MAX)]),
        x.crop(&[(2, 3)]),
        x.sum(&[MAX][..]),
        x.sum(isize::MIN),
        x.sum_keepdim([0, isize::MAX]),
        x.softmax(isize::MIN),
        x.argmax(isize::MAX),
        axis_index("sum", isize::MIN, x.shape()),
        x.clone().slice_assign(0, MAX - 1..MAX, &value),
        x.clone().slice_assign(MAX, 0..1, &value),
        x.clone().slice_assign(1, 4..MAX, &value),
        x.clone().copy_from(&stretched(&[HUGE])),
        Tensor::concat(&[&x], MAX),
        Tensor::stack(&[&x], MAX),
        Tensor::concat(&[&stretched(&[HUGE]); 40], 0),
        x.clone().upload(&[0.0f32; 11]),
    );
    // A step as long as there is, and pieces larger than the axis, are no mistake.
    assert_eq!(x.slice_by(0, 0..3, isize::MAX).unwrap().dims(), [1, 4]);
    assert_eq!(x.slice_by(0, 0..3, isize::MIN).unwrap().dims(), [1, 4]);
    assert_eq!(x.split(0, MAX).unwrap().len(), 1);
}

#[test]
fn labels_and_indices_at_the_end() {
    let (x, none) = (zeros(&[3, 4]), labels(&[]));
    refused!(
        labels(&[0]).one_hot(0),
        labels(&[-1]).one_hot(1 << 63),
        labels(&[i64::MIN]).one_hot(MAX),
        labels(&[i64::MAX]).one_hot(3),
        labels(&[0]).one_hot(HUGE),
        none.one_hot(MAX),
        x.index_select(0, &labels(&[3])),
        x.index_select(MAX, &labels(&[0])),
        x.index_select(0, &labels(&[i64::MIN])),
        x.clone().index_add_assign(0, &labels(&[i64::MAX]), &zeros(&[1, 4])),
        x.clone().index_add_assign(MAX, &labels(&[0]), &zeros(&[1, 4])),
        x.cross_entropy(&labels(&[0, 1, i64::MAX])),
        x.cross_entropy(&labels(&[0, 1, 4])),
    );
}

/// Logits of no rows or no classes: as in PyTorch, there is no loss, or each is 0, and no label fits.
#[test]
fn cross_entropies_of_nothing() {
    for (shape, losses) in [([0, 0], 0), ([0, 3], 0), ([2, 0], 2)] {
        let (x, dy) = (zeros(&shape), zeros(&[shape[0]]));
        assert_eq!(x.cross_entropy(&x).unwrap().to_vec::<f32>().unwrap(), vec![0.0; losses], "{shape:?}");
        assert_eq!(x.cross_entropy_grad(&x, &dy).unwrap().unwrap().dims(), shape, "{shape:?}");
        assert_eq!(x.softmax(-1).unwrap().dims(), shape);
        assert_eq!(x.softmax_grad(kiln_tensor::SoftmaxKind::Softmax, &x).unwrap().unwrap().dims(), shape);
    }
    for shape in [[0, 0], [0, 3]] {
        let (x, dy) = (zeros(&shape), zeros(&[0]));
        assert_eq!(x.cross_entropy(&labels(&[])).unwrap().elements(), 0);
        assert_eq!(x.cross_entropy_grad(&labels(&[]), &dy).unwrap().unwrap().dims(), shape);
    }
    let error = zeros(&[2, 0]).cross_entropy(&labels(&[0, 0])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Index);
    assert_eq!(zeros(&[2, 0]).cross_entropy_grad(&labels(&[0, 0]), &zeros(&[2])).unwrap_err().kind(), ErrorKind::Index);
}

#[test]
fn windows_at_the_end() {
    let x = zeros(&[1, 1, 5]);
    let x3 = zeros(&[1, 1, 5, 5, 5]);
    let w = zeros(&[1, 1, 3]);
    let w3 = zeros(&[1, 1, 3, 3, 3]);
    let conv = |options: ConvOptions| x.conv(&w, &options, MatmulOptions::default());
    let conv3 = |options: ConvOptions| x3.conv(&w3, &options, MatmulOptions::default());
    let pool = |options: PoolOptions| x.max_pool(&options);
    let new = ConvOptions::new;
    let empty = Window { kernel: [0; 3], stride: [1; 3], dilation: [MAX; 3], padding: [(MAX, MAX); 3] };
    let far = Window { padding: [(MAX, MAX); 3], ..Window::default() };
    let wide = Window { kernel: [1, 1, 3], dilation: [MAX; 3], ..Window::default() };
    let with = |window| Convolution { window, groups: 1 };
    refused!(
        conv(new().stride(MAX)),
        conv(new().stride(0)),
        conv(new().dilation(MAX)),
        conv(new().dilation(LONGEST)),
        conv(new().padding(MAX)),
        conv(new().padding([(0, MAX)])),
        conv(new().padding(Padding::Same).stride(LONGEST).dilation(MAX)),
        conv(new().groups(MAX)),
        conv(new().groups(0)),
        conv3(new().padding(LONGEST).stride(LONGEST)),
        conv3(new().padding(LONGEST)),
        x.conv_with(&w, &with(far), MatmulOptions::default()),
        x.conv_with(&w, &with(wide), MatmulOptions::default()),
        x.conv_with(&w, &with(empty), MatmulOptions::default()),
        x.conv_grad_input(&w, &with(far), &Shape::new(&[1, 1, MAX / 16]).unwrap()),
        x.conv_grad_weight(&x, &with(wide)),
        far.output_sizes("window", x.shape()),
        wide.output_sizes("window", x.shape()),
        new().padding(LONGEST).output_shape(x3.shape(), w3.shape()),
        new().stride(LONGEST).dilation(LONGEST).transposed_shape(x3.shape(), w3.shape()),
        new().stride(MAX).transposed_shape(x.shape(), w.shape()),
        new().output_padding(MAX).transposed_shape(x.shape(), w.shape()),
        new().groups(MAX).transposed_shape(x.shape(), w.shape()),
        pool(PoolOptions::new(MAX)),
        pool(PoolOptions::new(0)),
        pool(PoolOptions::new(LONGEST)),
        pool(PoolOptions::new(2).stride(MAX)),
        pool(PoolOptions::new(2).dilation(LONGEST).ceil(true)),
        pool(PoolOptions::new(2).padding(MAX)),
        pool(PoolOptions::new(2).padding(LONGEST)),
        PoolOptions::new(LONGEST).padding(LONGEST / 2).output_shape(x3.shape()),
        PoolOptions::new(LONGEST).padding(LONGEST / 2).counts("pool", x3.shape()),
        PerAxis::from(MAX).sizes("pool", 2),
        x.max_pool_grad(&labels(&[0]).reshape([1, 1, 1]).unwrap(), &Shape::new(&[1, 1, HUGE]).unwrap()),
    );
    assert_eq!(empty.extent(0), 1);
    assert_eq!(wide.extent(2), MAX);
}

#[test]
fn the_place_of_a_maximum_is_in_its_plane() {
    let dy = Tensor::ones([1, 2, 2], DType::F32, &cpu()).unwrap();
    let shape = Shape::new(&[1, 2, 3]).unwrap();
    let at = |values: [i64; 4]| Tensor::from_slice(&values, [1, 2, 2], &cpu()).unwrap();
    let dx = dy.max_pool_grad(&at([0, 2, 1, 1]), &shape).unwrap();
    assert_eq!(dx.to_vec::<f32>().unwrap(), [1.0, 0.0, 1.0, 0.0, 2.0, 0.0]);
    for outside in [3, -1, i64::MAX, i64::MIN] {
        let error = dy.max_pool_grad(&at([0, 2, outside, 1]), &shape).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Index, "{error}");
    }
    // Planes without elements have no maxima.
    let none = zeros(&[1, 2, 0]).max_pool_grad(&at([0; 4]).slice(2, 0..0).unwrap(), &Shape::new(&[1, 2, 0]).unwrap());
    assert_eq!(none.unwrap().elements(), 0);
}

#[test]
fn layouts_count_without_overflow() {
    let layout = Layout::contiguous(Shape::new(&[3, 4]).unwrap());
    for (axis, start, size, step) in [
        (0, 2, MAX, 1),
        (0, MAX, 2, 1),
        (1, 3, MAX, 1),
        (1, 3, 1 << 63, 1),
        (1, 0, 2, isize::MAX),
        (1, 3, 2, isize::MIN),
        (1, MAX, 0, 1),
        (1, MAX, 1, 1),
        (MAX, 0, 1, 1),
    ] {
        assert!(layout.slice(axis, start, size, step).is_err(), "{axis} {start} {size} {step}");
    }
    assert!(layout.permute(&[0, MAX]).is_err());
    assert_eq!(layout.moved(MAX).moved(MAX).offset(), MAX);
}
