//! Sentences on labels, indices, values and updates.

use super::{check, labels, typed, zeros};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{DType, Device, ErrorKind, Tensor, UpdateRule, UpdateTensors};

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
