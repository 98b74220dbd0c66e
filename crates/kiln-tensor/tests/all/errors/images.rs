//! Sentences on windows, convolutions and normalization.

use super::{check, labels, typed, zeros};
use kiln_tensor::{ConvOptions, DType, Device, ErrorKind, MatmulOptions, Normalization, PoolOptions, Shape, Tensor};

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
