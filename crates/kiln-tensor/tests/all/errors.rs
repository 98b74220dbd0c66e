//! The sentences of the main mistakes, word for word.

use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{
    ConvOptions, DType, Device, ErrorKind, Interpolation, MatmulOptions, Normalization, Order, PoolOptions, Result,
    Shape, Tensor, UpdateRule, UpdateTensors,
};

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

#[test]
fn labels_and_indices() {
    let x = zeros([2, 3]);
    check(
        x.cross_entropy(&labels(&[0, 3])),
        ErrorKind::Index,
        "cross_entropy: row 1 has label 3, expected 0 to 2: the model has 3 outputs",
    );
    check(
        x.cross_entropy_grad(&labels(&[-1, 3]), &zeros([2])),
        ErrorKind::Index,
        "cross_entropy: row 0 has label -1, expected 0 to 2: the model has 3 outputs",
    );
    check(
        x.cross_entropy(&labels(&[0, 1, 2])),
        ErrorKind::Shape,
        "cross_entropy: logits f32 (2, 3) take labels of integers of shape (2,), or weights f32 of shape (2, 3); got i64 (3,)",
    );
    check(
        x.cross_entropy(&typed([2, 3], DType::F64)),
        ErrorKind::Shape,
        "cross_entropy: logits f32 (2, 3) take labels of integers of shape (2,), or weights f32 of shape (2, 3); got f64 (2, 3)",
    );
    check(
        zeros([6]).cross_entropy(&labels(&[0])),
        ErrorKind::Shape,
        "cross_entropy: logits of shape (n, classes) are expected, got (6,)",
    );
    check(
        labels(&[0, 1, 10]).one_hot(10),
        ErrorKind::Index,
        "one_hot: row 2 has index 10, expected 0 to 9: there are 10 to choose from",
    );
    check(
        x.one_hot(10),
        ErrorKind::DType,
        "one_hot: dtype f32 is not supported; it takes labels of integers: convert with `to_dtype`",
    );
    check(
        x.index_select(0, &labels(&[1, 2])),
        ErrorKind::Index,
        "index_select: row 1 has index 2, expected 0 to 1: there are 2 to choose from",
    );
    check(
        x.index_select(2, &labels(&[1])),
        ErrorKind::Shape,
        "index_select: axis 2 is out of range for (2, 3), which has 2 axes",
    );
    check(
        zeros([2, 3]).index_add_assign(0, &labels(&[1]), &x),
        ErrorKind::Shape,
        "index_add: an index (1,) into axis 0 of (2, 3) needs a source of (1, 3), got (2, 3)",
    );
}

#[test]
fn values() {
    let device = Device::cpu();
    let stream = RandomStream::new(1, Purpose::Data, 0);
    let x = zeros([2, 3]);
    check(
        Tensor::uniform([2], 1.0, 0.0, DType::F32, &device, stream),
        ErrorKind::Value,
        "uniform: [1, 0) is an invalid interval",
    );
    check(
        Tensor::normal([2], 0.0, -1.0, DType::F32, &device, stream),
        ErrorKind::Value,
        "normal: -1 is an invalid standard deviation",
    );
    let words = Tensor::random_stream(&stream, &device).unwrap();
    check(x.dropout(1.1, &words), ErrorKind::Value, "dropout: a rate from 0 to 1 is expected, got 1.1");
    check(
        x.dropout(0.5, &labels(&[1, 2, 3])),
        ErrorKind::Shape,
        "dropout: a stream is a key and a counter, shape (2,), got (3,): use `Tensor::random_stream`",
    );
    check(Tensor::concat(&[], 0), ErrorKind::Value, "concat: at least one tensor is needed");
    // What was asked for, what is in use, what would help.
    let error = Tensor::zeros([1 << 20, 1 << 30], DType::F32, &device).unwrap_err();
    let begin =
        "alloc: a tensor of shape (1048576, 1073741824), f32: out of memory: 4.50 PB were asked for; tensors hold ";
    assert!(error.to_string().starts_with(begin) && error.message().ends_with("or a smaller model"), "{error}");
    check(
        Tensor::zeros([1 << 10], DType::F64, &Device::cpu_of(5000)),
        ErrorKind::Memory,
        "alloc: a tensor of shape (1024,), f64: out of memory: 8.19 kB were asked for; tensors hold 0 bytes, 5.00 kB of 5.00 kB are free; \
         use a smaller batch, half types (bf16), checkpoints of layers or a smaller model",
    );
}

#[test]
fn updates() {
    let flag = |n: usize| Tensor::from_slice(&vec![true; n], [n], &Device::cpu()).unwrap();
    let [of_adam, of_sgd] = [[true, false, true], [false, false, false]];
    for (gradient, kept, constants, apply, row, kind, sentence) in [
        (
            typed([4], DType::F32),
            of_sgd,
            zeros([1, 16]),
            None,
            0,
            ErrorKind::Shape,
            "a parameter of (3,) has a gradient of (4,)",
        ),
        (
            typed([3], DType::F64),
            of_sgd,
            zeros([1, 16]),
            None,
            0,
            ErrorKind::DType,
            "a gradient is f64, f32, f16 or bf16 is expected of a step that is computed in f32: convert with `to_dtype`",
        ),
        (
            typed([3], DType::F32),
            of_adam,
            zeros([1, 16]),
            None,
            0,
            ErrorKind::Value,
            "the states of Adam are [\"exp_avg\", \"exp_avg_sq\"], of which the first 2 are always kept",
        ),
        (
            typed([3], DType::F32),
            of_sgd,
            zeros([2, 16]),
            None,
            2,
            ErrorKind::Value,
            "row 2 of the constants, there are 2",
        ),
        (
            typed([3], DType::F32),
            of_sgd,
            zeros([2, 4]),
            None,
            0,
            ErrorKind::Shape,
            "constants are (rows, 16), contiguous, got (2, 4)",
        ),
        (
            typed([3], DType::F32),
            of_sgd,
            zeros([1, 16]),
            Some(flag(2)),
            0,
            ErrorKind::Shape,
            "whether to apply a step is one bool, got (2,)",
        ),
        (
            typed([3], DType::F32),
            of_sgd,
            zeros([1, 16]),
            Some(zeros([1])),
            0,
            ErrorKind::DType,
            "bool is expected, the tensor is f32: convert with `to_dtype`",
        ),
    ] {
        let (mut parameter, mut states) = (zeros([3]), [zeros([3]), zeros([3]), zeros([3])]);
        let rule = if kept == of_adam { UpdateRule::Adam } else { UpdateRule::Sgd };
        let [a, b, c] = states.each_mut();
        let states = [(a, kept[0]), (b, kept[1]), (c, kept[2])].map(|(state, kept)| kept.then_some(state));
        let tensors = &mut [UpdateTensors { parameter: &mut parameter, gradient: &gradient, states, row }];
        check(Tensor::update(rule, &constants, apply.as_ref(), tensors), kind, &format!("update: {sentence}"));
    }
}

#[test]
fn the_layer_comes_first() {
    let error = zeros([2, 3]).reshape([7]).unwrap_err().at("model.5 (Linear)").at("model");
    assert_eq!(error.to_string(), "model.5 (Linear): reshape: (2, 3) has 6 elements, (7,) has 7");
    assert_eq!((error.path(), error.operation()), ("model.5 (Linear)", "reshape"));
    let source = std::io::Error::other("disk");
    let error = error.with_source(source);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk");
}

#[test]
fn windows() {
    let image = zeros([64, 256, 1, 1]);
    check(
        image.max_pool(&PoolOptions::new(3).stride(2)),
        ErrorKind::Shape,
        "max_pool: window 3×3 does not fit the 1×1 input of (64, 256, 1, 1); use Padding::Same or a smaller window",
    );
    check(
        zeros([2, 3, 4, 6]).max_pool(&PoolOptions::new([3, 2]).dilation([2, 1]).padding([(0, 0), (1, 0)])),
        ErrorKind::Shape,
        "max_pool: window 3×2 (spread over 5×2) does not fit the 4×6 input of (2, 3, 4, 6), 4×7 with its padding; \
         use Padding::Same or a smaller window",
    );
    check(
        zeros([2, 3, 8]).max_pool(&PoolOptions::new(2).stride(0)),
        ErrorKind::Value,
        "max_pool: stride 0 is out of range: it must be 1 or more",
    );
    check(
        zeros([2, 3, 8]).max_pool(&PoolOptions::new([2, 2])),
        ErrorKind::Shape,
        "max_pool: window 2×2 is for 2 spatial axes, there are 1",
    );
    check(
        zeros([2, 3, 8, 8]).max_pool(&PoolOptions::new(2).padding(2)),
        ErrorKind::Value,
        "max_pool: padding [(2, 2), (2, 2)] is as large as the window 2×2: a window would meet nothing of (2, 3, 8, 8); \
         use a smaller padding",
    );
    // A window with gaps may meet nothing in the middle of a small input.
    assert!(zeros([1, 1, 1]).max_pool(&PoolOptions::new(2).dilation(2).padding(1)).is_err());
    check(
        zeros([2, 3, 0, 4]).max_pool(&PoolOptions::new(1)),
        ErrorKind::Shape,
        "max_pool: input (2, 3, 0, 4) has an axis without elements",
    );
    check(
        zeros([2, 3]).max_pool(&PoolOptions::new(1)),
        ErrorKind::Shape,
        "max_pool: an input (N, C, …) with one to three spatial axes is expected, got (2, 3)",
    );
    check(
        labels(&[1, 2]).reshape([1, 1, 2]).unwrap().max_pool(&PoolOptions::new(1)),
        ErrorKind::DType,
        "max_pool: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
}

#[test]
fn convolutions() {
    let (x, options, none) = (zeros([2, 4, 8, 8]), ConvOptions::new(), MatmulOptions::default());
    check(
        x.conv(&zeros([16, 3, 3, 3]), &options, none),
        ErrorKind::Shape,
        "conv: weight (16, 3, 3, 3) in 1 group takes 3 channels, x (2, 4, 8, 8) has 4; \
         build the layer for the channels of its data, or change the groups",
    );
    check(
        x.conv(&zeros([16, 2, 3, 3]), &options.groups(3), none),
        ErrorKind::Shape,
        "conv: the channels of x (2, 4, 8, 8) and of weight (16, 2, 3, 3), 4 and 16, are not divisible by 3 groups",
    );
    check(
        x.conv(&zeros([16, 4, 9, 3]), &options, none),
        ErrorKind::Shape,
        "conv: window 9×3 does not fit the 8×8 input of (2, 4, 8, 8); use Padding::Same or a smaller window",
    );
    check(
        x.conv(&zeros([16, 4, 3]), &options, none),
        ErrorKind::Shape,
        "conv: x (N, C, …) and a weight of as many axes, one to three of them spatial, are expected, \
         got (2, 4, 8, 8) and (16, 4, 3)",
    );
    check(
        x.conv(&zeros([16, 4, 3, 0]), &options, none),
        ErrorKind::Shape,
        "conv: x (2, 4, 8, 8) or weight (16, 4, 3, 0) has an axis without elements",
    );
    let weight = zeros([16, 4, 3, 3]);
    check(
        x.conv(&weight, &options.stride([1, 0]), none),
        ErrorKind::Value,
        "conv: stride 1×0 is out of range: it must be 1 or more",
    );
    check(
        x.conv(&weight, &options.dilation(0), none),
        ErrorKind::Value,
        "conv: dilation 0 is out of range: it must be 1 or more",
    );
    check(
        x.conv(&weight, &options.dilation(usize::MAX), none),
        ErrorKind::Value,
        "conv: dilation 18446744073709551615 is out of range: it must be below 2³¹",
    );
    check(
        x.conv(&weight, &options.padding([usize::MAX, 0]), none),
        ErrorKind::Value,
        "conv: padding [(18446744073709551615, 18446744073709551615), (0, 0)] is out of range",
    );
    check(
        x.conv(&weight, &options, MatmulOptions { bias: Some(&zeros([4])), activation: None }),
        ErrorKind::Shape,
        "conv: a bias for 16 channels has shape (16,), got (4,)",
    );
    check(
        x.conv(&typed([16, 4, 3, 3], DType::F64), &options, none),
        ErrorKind::DType,
        "conv: operands of dtypes f32 (2, 4, 8, 8) and f64 (16, 4, 3, 3): convert one with `to_dtype`",
    );
    check(
        typed([2, 4, 8, 8], DType::I64).conv(&typed([16, 4, 3, 3], DType::I64), &options, none),
        ErrorKind::DType,
        "conv: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    check(
        x.conv(&weight, &options.output_padding(1), none),
        ErrorKind::Value,
        "conv: output_padding is for transposed convolutions; use `padding`",
    );
    let conv = options.resolve(x.shape(), weight.shape()).unwrap();
    check(
        zeros([2, 16, 6, 5]).conv_grad_input(&weight, &conv, x.shape()),
        ErrorKind::Shape,
        "conv_grad_input: (2, 16, 6, 5) is not the shape of a gradient of the convolution of (2, 4, 8, 8) by (16, 4, 3, 3)",
    );
    check(
        x.conv_grad_weight(&zeros([2, 16, 6, 5]), &conv),
        ErrorKind::Shape,
        "conv_grad_weight: x (2, 4, 8, 8) under (16, 4, 3, 3) has no output of shape (2, 16, 6, 5)",
    );
    let small = zeros([2, 4, 3, 3]);
    check(
        small.conv_transpose(&zeros([4, 2, 3, 3]), &options.stride(2).output_padding(2)),
        ErrorKind::Value,
        "conv_transpose: output_padding 2 must be smaller than either stride 2 or dilation 1",
    );
    check(
        small.conv_transpose(&zeros([5, 2, 3, 3]), &options),
        ErrorKind::Shape,
        "conv_transpose: weight (5, 2, 3, 3) takes 5 channels, in 1 group, x (2, 4, 3, 3) has 4",
    );
    check(
        small.conv_transpose(&zeros([4, 2, 3, 3]), &options.padding([3, 0])),
        ErrorKind::Shape,
        "conv_transpose: padding [(3, 3), (0, 0)] leaves nothing of the output of (2, 4, 3, 3) under (4, 2, 3, 3)",
    );
}

#[test]
fn normalization_and_padding() {
    let form = Normalization { epsilon: 1e-5, own_moments: true, activation: None };
    let x = zeros([2, 3, 4]);
    check(zeros([3]).moments(), ErrorKind::Shape, "moments: (N, C) or (N, C, …) is expected, got (3,)");
    check(zeros([0, 3, 4]).moments(), ErrorKind::Shape, "moments: the channels of (0, 3, 4) have no elements");
    check(
        x.normalize(&form, &zeros([2, 4]), None, None),
        ErrorKind::Shape,
        "normalize: (2, 3, 4) has moments of shape (2, 3), got (2, 4)",
    );
    check(
        x.normalize(&form, &zeros([2, 3]), None, Some(&zeros([4]))),
        ErrorKind::Shape,
        "normalize: a weight or bias for (2, 3, 4) has shape (3,), got (4,)",
    );
    check(
        x.normalize_grad(&form, &zeros([2, 3]), None, None, &zeros([2, 3, 5])),
        ErrorKind::Shape,
        "normalize_grad: (2, 3, 4) has an output of (2, 3, 5)",
    );
    check(x.pad(&[(1, 1); 4], 0.0), ErrorKind::Shape, "pad: 4 axes are to be padded, (2, 3, 4) has 3");
    check(
        x.pad(&[(usize::MAX, 1)], 0.0),
        ErrorKind::Shape,
        "shape: [2, 3, 18446744073709551615] has more elements than memory can hold",
    );
    check(x.crop(&[(3, 2)]), ErrorKind::Shape, "crop: 3 and 2 elements are more than axis 2 of (2, 3, 4) has");
}

#[test]
fn a_composed_dropout_checks_its_stream() {
    let x = Tensor::ones([4], DType::F32, &Device::cpu()).unwrap();
    let bytes = Tensor::from_slice(&[1u8, 2], [2], &Device::cpu()).unwrap();
    assert!(kiln_tensor::composed::dropout(0.5, &x, &bytes).is_err());
    let elsewhere = Tensor::from_slice(&[1i64, 2], [2], &Device::cpu_of(1 << 20)).unwrap();
    assert!(kiln_tensor::composed::dropout(0.5, &x, &elsewhere).is_err());
}

#[test]
fn composed_forms_of_other_shapes_are_refused() {
    use kiln_tensor::composed::{conv_grad_input, cross_entropy, logsumexp, max_pool, softmax};
    use kiln_tensor::{Convolution, SoftmaxKind, Window};
    let (scalar, row, shape) = (zeros([]), zeros([3]), Shape::new(&[1, 1, 4]).unwrap());
    let shapes = [
        softmax(SoftmaxKind::Softmax, &scalar),
        softmax(SoftmaxKind::LogSoftmax, &scalar),
        logsumexp(&scalar),
        cross_entropy(&scalar, &labels(&[0])),
        cross_entropy(&row, &labels(&[0])),
    ];
    for refused in shapes {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Shape);
    }
    let conv = Convolution { window: Window::default(), groups: 1 };
    for x in [&scalar, &row, &zeros([1, 1, 3])] {
        assert_eq!(max_pool(&conv.window, x, &shape).unwrap_err().kind(), ErrorKind::Shape);
        for (dy, weight) in [(x, &zeros([1, 1, 1])), (&zeros([1, 1, 4]), x)] {
            assert_eq!(conv_grad_input(dy, weight, &conv, &shape).unwrap_err().kind(), ErrorKind::Shape);
        }
    }
}

#[test]
fn reductions_and_norms() {
    let (x, none, numbers) = (zeros([2, 3]), zeros([0, 3]), typed([2, 3], DType::I64));
    check(x.var([0, 0], 1), ErrorKind::Shape, "axes: axis 0 of (2, 3) is named twice");
    check(x.std(2, 1), ErrorKind::Shape, "axes: axis 2 is out of range for (2, 3), which has 2 axes");
    check(
        numbers.var(0, 1),
        ErrorKind::DType,
        "var: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    check(
        numbers.norm(2.0, ..),
        ErrorKind::DType,
        "norm: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    check(x.norm(f64::NAN, ..), ErrorKind::Value, "norm: p is NaN: a number or an infinity is expected");
    check(none.norm(f64::INFINITY, 0), ErrorKind::Shape, "reduce: axis 0 of (0, 3) is empty: it has no extremum");
    check(none.aminmax(0), ErrorKind::Shape, "reduce: axis 0 of (0, 3) is empty: it has no extremum");
    check(none.argmax_all(), ErrorKind::Shape, "argmax: axis 0 of (0,) is empty: it has no extremum");
    check(
        x.cosine_similarity(&zeros([2, 4]), 1, 1e-8),
        ErrorKind::Shape,
        "cosine_similarity: shapes (2, 3) and (2, 4) do not broadcast: axis 1 is 3 against 4; equal sizes or 1 are needed",
    );
    check(
        x.normalized(2.0, 2, 1e-12),
        ErrorKind::Shape,
        "normalized: axis 2 is out of range for (2, 3), which has 2 axes",
    );
}

#[test]
fn cumulative_operations() {
    let x = zeros([2, 3]);
    check(x.cumsum(2), ErrorKind::Shape, "cumsum: axis 2 is out of range for (2, 3), which has 2 axes");
    check(
        typed([2], DType::I64).logcumsumexp(0),
        ErrorKind::DType,
        "logcumsumexp: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    check(
        x.diff(3, 0),
        ErrorKind::Shape,
        "diff: axis 0 of (2, 3) has 2 elements: differences are taken at most 2 times",
    );
    check(
        x.linear_recurrence(&zeros([3, 2]), 0),
        ErrorKind::Shape,
        "linear_recurrence: factors (2, 3) and terms (3, 2) must be of one shape",
    );
}

#[test]
fn sorting_and_counting() {
    let (x, none) = (zeros([2, 3]), zeros([0, 3]));
    let scalar = Tensor::scalar(1.0f32, &Device::cpu()).unwrap();
    check(scalar.sort(0, Order::Ascending), ErrorKind::Shape, "sort: axis 0 is out of range for (), which has 0 axes");
    check(
        x.topk(4, 1, Order::Descending),
        ErrorKind::Value,
        "topk: k = 4 of axis 1 of (2, 3), which has 3 elements: give 3 or fewer",
    );
    check(
        x.kthvalue(0, 1),
        ErrorKind::Value,
        "kthvalue: k = 0 of axis 1 of (2, 3), which has 3 elements: k counts from 1",
    );
    check(none.median(0), ErrorKind::Shape, "median: axis 0 of (0, 3) is empty: it has no median");
    check(x.quantile(1.5, 1, Interpolation::Linear), ErrorKind::Value, "quantile: quantiles are from 0 to 1, got 1.5");
    check(
        x.quantiles(&[], 1, Interpolation::Linear),
        ErrorKind::Value,
        "quantile: there is no q: give one or more numbers from 0 to 1",
    );
    check(
        x.searchsorted(&zeros([3, 3]), false),
        ErrorKind::Shape,
        "searchsorted: values (3, 3) in sorted rows (2, 3): one axis is expected, or the values' leading axes before the last",
    );
    check(x.bucketize(&x, false), ErrorKind::Shape, "bucketize: boundaries of one axis are expected, got (2, 3)");
    check(
        x.bincount(None, 0),
        ErrorKind::DType,
        "bincount: dtype f32 is not supported; it takes integers: convert with `to_dtype`",
    );
    check(
        labels(&[0, -1]).bincount(None, 0),
        ErrorKind::Index,
        "bincount: element 1 is -1: numbers from 0 on are counted",
    );
    check(
        labels(&[0, 1]).bincount(Some(&zeros([3])), 0),
        ErrorKind::Shape,
        "bincount: weights (3,) of numbers (2,): a weight for each is expected",
    );
    check(x.histogram(0, 0.0, 1.0), ErrorKind::Value, "histogram: there are no bins: give 1 or more");
    check(
        x.histogram(2, 1.0, 1.0),
        ErrorKind::Value,
        "histogram: finite ends, the lower one first, are expected, got 1 and 1",
    );
    check(
        x.histogram_by(&zeros([1])),
        ErrorKind::Shape,
        "histogram: two edges or more, in one axis, are expected, got (1,)",
    );
}
