//! The sentences of the main mistakes, word for word.

mod attention;
mod images;
mod reductions;
mod values;

use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{DType, Device, ErrorKind, MatmulOptions, Result, Shape, Tensor};

fn zeros<const N: usize>(shape: [usize; N]) -> Tensor {
    typed(shape, DType::F32)
}

fn typed<const N: usize>(shape: [usize; N], dtype: DType) -> Tensor {
    Tensor::zeros(shape, dtype, &Device::cpu()).unwrap()
}

fn labels(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap()
}

#[track_caller]
fn check<T>(result: Result<T>, kind: ErrorKind, sentence: &str) {
    match result {
        Ok(_) => panic!("no error, expected: {sentence}"),
        Err(error) => {
            assert_eq!(error.to_string(), sentence);
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}

#[test]
fn shapes() {
    let x = zeros([2, 3]);
    check(
        x.add(&zeros([2, 4])),
        ErrorKind::Shape,
        "add: shapes (2, 3) and (2, 4) do not broadcast: axis 1 is 3 against 4; equal sizes or 1 are needed",
    );
    check(
        x.compare(kiln_tensor::CompareOp::Lt, &zeros([3, 2])),
        ErrorKind::Shape,
        "compare: shapes (2, 3) and (3, 2) do not broadcast: axis 0 is 2 against 3; equal sizes or 1 are needed",
    );
    check(
        x.matmul(&zeros([2, 3])),
        ErrorKind::Shape,
        "matmul: (2, 3) and (2, 3) cannot be multiplied: the last axis of the first must be as long as the second-last of the second",
    );
    check(
        x.matmul(&Tensor::scalar(1.0f32, &Device::cpu()).unwrap()),
        ErrorKind::Shape,
        "matmul: (2, 3) and () cannot be multiplied: the last axis of the first must be as long as the second-last of the second",
    );
    check(
        zeros([2, 4, 3]).matmul(&zeros([5, 3, 4])),
        ErrorKind::Shape,
        "matmul: (2, 4, 3) and (5, 3, 4) cannot be multiplied: the axes before the last two must be equal or 1, as in broadcasting",
    );
    let bias = zeros([3]);
    check(
        x.matmul_with(&zeros([3, 4]), MatmulOptions { bias: Some(&bias), activation: None }),
        ErrorKind::Shape,
        "matmul: a bias for 4 columns has shape (4,), got (3,)",
    );
    check(
        zeros([2, 2]).add_matmul(&x, &zeros([3, 4])),
        ErrorKind::Shape,
        "add_matmul: (2, 2) does not take the product of (2, 3) and (3, 4)",
    );
    check(x.reshape([4, 2]), ErrorKind::Shape, "reshape: (2, 3) has 6 elements, (4, 2) has 8");
    check(
        Tensor::from_slice(&[1.0f32, 2.0], [3], &Device::cpu()),
        ErrorKind::Shape,
        "from_slice: 2 values do not fill (3,), which has 3 elements",
    );
    check(x.permute(&[0, 0]), ErrorKind::Shape, "permute: [0, 0] must name each of the 2 axes of (2, 3) once");
    check(zeros([2, 3, 4]).t(), ErrorKind::Shape, "t: (2, 3, 4) is not a matrix; use `transpose` or `permute`");
    check(x.slice(1, 1..4), ErrorKind::Shape, "slice: invalid range 1..4 with step 1 for axis 1 of (2, 3)");
    check(x.squeeze(0), ErrorKind::Shape, "squeeze: axis 0 of (2, 3) is not of size 1");
    check(x.broadcast_to([2, 4]), ErrorKind::Shape, "broadcast_to: (2, 3) does not broadcast to (2, 4)");
    check(
        Tensor::concat(&[&x, &zeros([2, 4])], 0),
        ErrorKind::Shape,
        "concat: (2, 3) and (2, 4) differ in an axis other than 0",
    );
    check(x.item(), ErrorKind::Shape, "item: (2, 3) has 6 elements, not one");
    check(
        zeros([2, 3]).slice_assign(0, 1..3, &x),
        ErrorKind::Shape,
        "slice_assign: invalid range 1..3 for axis 0 of (2, 3)",
    );
    check(
        zeros([2, 3]).add_assign(&zeros([2, 4])),
        ErrorKind::Shape,
        "add_assign: (2, 4) does not broadcast to (2, 3)",
    );
    check(Shape::new(&[1; 7]), ErrorKind::Shape, "shape: [1, 1, 1, 1, 1, 1, 1] has 7 axes, at most 6 are supported");
    check(
        Shape::new(&[1 << 40, 1 << 40]),
        ErrorKind::Shape,
        "shape: [1099511627776, 1099511627776] has more elements than memory can hold",
    );
}

#[test]
fn axes() {
    let x = zeros([2, 3]);
    check(x.sum(2), ErrorKind::Shape, "axes: axis 2 is out of range for (2, 3), which has 2 axes");
    check(x.sum([0, -2]), ErrorKind::Shape, "axes: axis 0 of (2, 3) is named twice");
    check(x.softmax(-3), ErrorKind::Shape, "softmax: axis -3 is out of range for (2, 3), which has 2 axes");
    check(zeros([2, 0]).max(1), ErrorKind::Shape, "reduce: axis 1 of (2, 0) is empty: it has no extremum");
    check(zeros([2, 0]).argmax(1), ErrorKind::Shape, "argmax: axis 1 of (2, 0) is empty: it has no extremum");
    check(x.argmax(5), ErrorKind::Shape, "argmax: axis 5 is out of range for (2, 3), which has 2 axes");
}

#[test]
fn dtypes_and_devices() {
    let x = zeros([2, 3]);
    check(
        x.add(&typed([2, 3], DType::F64)),
        ErrorKind::DType,
        "add: operands of dtypes f32 (2, 3) and f64 (2, 3): convert one with `to_dtype`",
    );
    check(
        typed([2], DType::I64).exp(),
        ErrorKind::DType,
        "exp: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    check(
        typed([2], DType::I64).div(&typed([2], DType::I64)),
        ErrorKind::DType,
        "div: dtype i64 is not supported: use `floor_div`, or convert with `to_dtype`",
    );
    check(
        typed([2], DType::Bool).add(&typed([2], DType::Bool)),
        ErrorKind::DType,
        "add: dtype bool is not supported: use `logical_or`, or convert with `to_dtype`",
    );
    check(
        typed([2, 2], DType::I64).matmul(&typed([2, 2], DType::I64)),
        ErrorKind::DType,
        "matmul: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    check(x.to_vec::<f64>(), ErrorKind::DType, "to_vec: f64 is expected, the tensor is f32: convert with `to_dtype`");
    check(
        Tensor::select(&x, &x, &x),
        ErrorKind::DType,
        "select: bool is expected, the tensor is f32: convert with `to_dtype`",
    );
    check(
        typed([2], DType::U8).mean(0),
        ErrorKind::DType,
        "mean: dtype u8 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    check(
        typed([2, 2], DType::I64).softmax(1),
        ErrorKind::DType,
        "softmax: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    let stream = RandomStream::new(1, Purpose::Data, 0);
    check(
        Tensor::uniform([2], 0.0, 1.0, DType::I64, &Device::cpu(), stream),
        ErrorKind::DType,
        "uniform: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    let elsewhere = Device::cpu_with(kiln_cpu::Isa::Portable);
    check(
        x.add(&x.to_device(&elsewhere).unwrap()),
        ErrorKind::Device,
        "add: operands on devices cpu (2, 3) and cpu/portable (2, 3): move one with `to_device`",
    );
    check(
        x.t().unwrap().as_slice::<f32>(),
        ErrorKind::Unsupported,
        "as_slice: the elements do not lie row-major in the host's memory: use `to_vec`",
    );
}
