//! Shapes and data with channels last are recognized, where channels first are expected.

use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{DType, Device, ErrorKind, Result, Tensor};

fn build(layer: impl Layer + 'static, input: &[usize]) -> Result<Sequential> {
    Sequential::new().push(layer).build(input, &Device::cpu(), 1)
}

fn zeros(dims: &[usize]) -> Var {
    Var::constant(Tensor::zeros(dims, DType::F32, &Device::cpu()).unwrap())
}

#[test]
fn a_shape_with_channels_last_is_not_built() {
    let error = build(Conv2d::new(8, 3), &[32, 32, 3]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert_eq!(
        error.to_string(),
        "build: shape (32, 32, 3) looks like channels last (height, width, channels), and Kiln takes (channels, height, \
         width): use build([3, 32, 32]) and permute the data with inputs.permute(&[0, 3, 1, 2]), or, where 32 channels are \
         meant, Sequential::channels_first()"
    );
    for (error, says) in [
        (build(Conv2d::new(8, 3), &[28, 28, 1]), "use build([1, 28, 28]) and"),
        (build(MaxPool2d::new(2), &[20, 30, 4]), "use build([4, 20, 30]) and"),
        (build(BatchNorm2d::new(), &[32, 32, 3]), "use build([3, 32, 32]) and"),
        (build(ZeroPad2d::new(1), &[32, 32, 3]), "use build([3, 32, 32]) and"),
        (build(Sequential::new().push(Conv2d::new(8, 3)), &[32, 32, 3]), "use build([3, 32, 32]) and"),
        (build(Residual::new(Sequential::new().push(Conv2d::new(3, 1))), &[32, 32, 3]), "use build([3, 32, 32]) and"),
        (
            build(Concat::new().branch(Activation::Relu).branch(Conv2d::new(3, 1)), &[32, 32, 3]),
            "use build([3, 32, 32])",
        ),
        (
            build(Conv1d::new(8, 3), &[100, 1]),
            "use build([1, 100]) and permute the data with inputs.permute(&[0, 2, 1]),",
        ),
        (
            build(Conv3d::new(8, 3), &[16, 32, 32, 1]),
            "use build([1, 16, 32, 32]) and permute the data with inputs.permute(&[0, 4, 1, 2, 3]),",
        ),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("looks like channels last") && error.contains(says), "{error}");
    }
}

#[test]
fn other_shapes_are_built() {
    for input in [[3, 32, 32], [1, 28, 28], [4, 5, 3], [64, 3, 3], [512, 1, 1], [3, 64, 3], [32, 32, 32], [16, 9, 2]] {
        build(Conv2d::new(2, 1), &input).unwrap();
    }
    for input in [[8, 4], [3, 100], [1, 5], [64, 7]] {
        build(Conv1d::new(2, 1), &input).unwrap();
    }
    // Layers of other samples.
    build(Dense::new(2), &[32, 32, 3]).unwrap();
    build(Flatten::new(), &[28, 28, 1]).unwrap();
    build(Lstm::new(2), &[100, 1]).unwrap();
    // Where it is meant, also when the model is made again from its description.
    let model = Sequential::new().channels_first().push(Conv2d::new(8, 3));
    let model = model.build([32, 32, 3], &Device::cpu(), 1).unwrap();
    assert_eq!(model.output_shapes()[0], [8, 30, 1]);
    let again = Sequential::from_architecture(&model.architecture(), &Device::cpu()).unwrap();
    assert_eq!(again.output_shapes(), model.output_shapes());
    // A layer in a model has channels first.
    let inner = Sequential::new().push(Reshape::new([32, 32, 3])).push(Conv2d::new(8, 3));
    inner.build([3 * 32 * 32], &Device::cpu(), 1).unwrap();
}

#[test]
fn data_with_channels_last_are_named() {
    let forward = |model: &Sequential, dims: &[usize]| Ctx::eval().run(model, zeros(dims)).unwrap_err().to_string();
    let says = |samples: &str, built: &str| {
        format!(
            "model (Sequential): forward: samples {samples} look like channels last (height, width, channels), and the model \
             was built for {built}, (channels, height, width): permute the data with inputs.permute(&[0, 3, 1, 2])"
        )
    };
    for model in [
        build(Conv2d::new(8, 3), &[3, 32, 32]).unwrap(),
        build(Sequential::new().push(MaxPool2d::new(2)).push(Conv2d::new(8, 3)), &[3, 32, 32]).unwrap(),
    ] {
        assert_eq!(forward(&model, &[2, 32, 32, 3]), says("(32, 32, 3)", "(3, 32, 32)"));
        assert_eq!(forward(&model, &[2, 48, 48, 3]), says("(48, 48, 3)", "(3, 32, 32)"));
        assert!(!forward(&model, &[2, 32, 3, 32]).contains("channels last"));
        Ctx::eval().run(&model, zeros(&[2, 3, 48, 48])).unwrap();
    }
    let model = build(Conv2d::new(8, 3), &[2, 9, 7]).unwrap();
    assert_eq!(forward(&model, &[2, 9, 7, 2]), says("(9, 7, 2)", "(2, 9, 7)"));
    // What was built with channels first on purpose takes no data of an image, and nothing is said of a layout.
    let model =
        Sequential::new().channels_first().push(Conv2d::new(8, 3)).build([32, 32, 3], &Device::cpu(), 1).unwrap();
    assert!(!forward(&model, &[2, 3, 32, 32]).contains("channels last"));
    // Without a Sequential the convolution says it.
    let layer = Conv2d::with_sizes(3, 8, 3, &mut Init::new(1, &Device::cpu())).unwrap();
    let error = layer.forward(zeros(&[2, 32, 32, 3]), &Ctx::eval()).unwrap_err().to_string();
    let says = "x (2, 32, 32, 3) has 32; x looks like channels last, for Kiln permute it with x.permute(&[0, 3, 1, 2])";
    assert!(error.ends_with(says), "{error}");
}
