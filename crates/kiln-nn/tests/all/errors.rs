//! Errors: they name the layer by its path and type, both sides, and the way out; and they change nothing.

use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{DType, Device, ErrorKind, Padding, Result, Tensor};

fn zeros(dims: &[usize]) -> Var {
    Var::constant(Tensor::zeros(dims, DType::F32, &Device::cpu()).unwrap())
}

#[test]
fn a_forward_error_names_the_layer() {
    let model = Sequential::new()
        .push(Activation::Relu)
        .push(Sequential::new().push(Dense::new(4)).push(Dense::new(2)))
        .build(6, &Device::cpu(), 1)
        .unwrap();
    let error = model.forward(zeros(&[8, 5]), &Ctx::eval()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert_eq!(
        error.to_string(),
        "model.1.0 (Dense): linear: expected (…, 6) for weights (4, 6), got (8, 5); \
         build the model for the shape of its data, or change the layer before"
    );
    let error = model.forward(zeros(&[8, 2, 3]), &Ctx::eval()).unwrap_err().to_string();
    assert!(error.ends_with("put a Flatten layer before this one"), "{error}");
}

#[test]
fn an_unbuilt_layer_says_how_to_build_it() {
    let model = Sequential::new().push(Dense::new(4));
    let error = model.forward(zeros(&[1, 3]), &Ctx::train(0, 0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Build);
    let error = error.to_string();
    assert!(error.starts_with("model.0 (Dense): ") && error.contains("model.build("), "{error}");
}

#[test]
fn build_errors_name_the_layer() {
    let cpu = Device::cpu();
    let error = Sequential::new().push(Dense::new(3)).push(Dense::new(0)).build(4, &cpu, 1).unwrap_err().to_string();
    assert!(error.starts_with("model.1 (Dense): build: a layer of 3 inputs and 0 units"), "{error}");
    let error = Sequential::new().push(Dense::new(3)).build((), &cpu, 1).unwrap_err().to_string();
    assert!(error.starts_with("model.0 (Dense): "), "{error}");
    assert!(Sequential::new().push(Dense::new(3)).build([2, 0], &cpu, 1).is_err());
    let model = Sequential::new().push(Dense::new(3)).build(4, &cpu, 1).unwrap();
    let error = model.build(5, &cpu, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Build);
    assert!(error.to_string().contains("already built, with weights (3, 4)"), "{error}");
}

/// The AlexNet listing for CIFAR-10 as it was printed, layer for layer.
fn printed_alexnet() -> Sequential {
    let mut model = Sequential::new();
    let pool = || MaxPool2d::new(3).stride(2);
    for (filters, kernel, stride, pools) in
        [(96, 11, 4, true), (256, 5, 1, true), (384, 3, 1, false), (384, 3, 1, false), (256, 3, 1, true)]
    {
        model.add(Conv2d::new(filters, kernel).stride(stride).padding(Padding::Same).use_bias(false));
        model.add(BatchNorm2d::new().keras());
        model.add(Activation::Relu);
        if pools {
            model.add(pool());
        }
    }
    model.add(Flatten::new());
    for _ in 0..2 {
        model.add(Dense::new(4096).use_bias(false));
        model.add(BatchNorm1d::new().keras());
        model.add(Activation::Relu);
        model.add(Dropout::new(0.5));
    }
    model.push(Dense::new(10).activation(Activation::Softmax))
}

#[test]
fn the_printed_alexnet_cannot_be_built() {
    let error = printed_alexnet().build([3, 32, 32], &Device::cpu(), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert_eq!(
        error.to_string(),
        "model.17 (MaxPool2d): max_pool: window 3×3 does not fit the 1×1 input of (1, 256, 1, 1); \
         use Padding::Same or a smaller window"
    );
}

#[test]
fn layers_of_channels_say_what_does_not_fit() {
    let cpu = Device::cpu();
    fn build(layer: impl Layer + 'static, input: &[usize]) -> String {
        Sequential::new().push(layer).build(input, &Device::cpu(), 1).unwrap_err().to_string()
    }
    for (error, expected) in [
        (
            build(Conv2d::new(8, 3), &[28, 28]),
            "model.0 (Conv2d): build: samples of (C, H, W) are expected, got (28, 28); put Reshape::new([1, 28, 28]) before \
             this layer",
        ),
        (
            build(MaxPool2d::new(2), &[3, 4, 8, 8]),
            "model.0 (MaxPool2d): max_pool: samples of (C, H, W) are expected, got (3, 4, 8, 8); change the layer before, \
             or the shape that the model is built for",
        ),
        (
            build(Conv2d::new(8, 5), &[3, 4, 4]),
            "model.0 (Conv2d): conv: window 5×5 does not fit the 4×4 input of (1, 3, 4, 4); use Padding::Same or a \
             smaller window",
        ),
        (
            build(Conv2d::new(8, 3).stride(0), &[3, 8, 8]),
            "model.0 (Conv2d): conv: stride 0 is out of range: it must be 1 or more",
        ),
        (
            build(Conv2d::new(8, 3).dilation(0), &[3, 8, 8]),
            "model.0 (Conv2d): conv: dilation 0 is out of range: it must be 1 or more",
        ),
        (build(Conv2d::new(8, 0), &[3, 8, 8]), "model.0 (Conv2d): build: size 0 is out of range: it must be 1 or more"),
        (
            build(Conv2d::new(8, [3, 3, 3]), &[3, 8, 8]),
            "model.0 (Conv2d): build: size 3×3×3 is for 3 spatial axes, there are 2",
        ),
        (
            build(Conv2d::new(8, 3).groups(2), &[3, 8, 8]),
            "model.0 (Conv2d): build: 3 channels and 8 filters are not divisible by 2 groups",
        ),
        (
            build(Conv2d::new(0, 3), &[3, 8, 8]),
            "model.0 (Conv2d): build: a layer of 3 channels and 0 filters: both must be above 0",
        ),
        (
            build(GroupNorm::new(3), &[4, 2, 2]),
            "model.0 (GroupNorm): build: the 4 channels of samples (4, 2, 2) are not divisible by 3 groups",
        ),
        (
            build(BatchNorm2d::new(), &[4]),
            "model.0 (BatchNorm2d): build: samples (C, H, W) are expected, got (4,); use the BatchNorm of another number of axes",
        ),
        (build(Reshape::new([5]), &[2, 3]), "model.0 (Reshape): build: samples (2, 3) cannot be reshaped to (5,)"),
        (
            build(Residual::new(Sequential::new().push(Conv2d::new(4, 3))), &[4, 5, 5]),
            "model.0 (Residual): build: the main layers give (4, 3, 3), the shortcut (4, 5, 5); give the shortcut layers \
             that lead to the same shape: Residual::new(main).shortcut(Sequential::new().push(Conv2d::new(channels, 1)\
             .stride(stride)))",
        ),
        (
            build(Concat::new().branch(MaxPool2d::new(2)).branch(Activation::Linear), &[4, 4, 4]),
            "model.0 (Concat): build: branches give (4, 2, 2) and (4, 4, 4): all but the channels must be the same; change \
             strides or padding",
        ),
        (
            build(Sequential::new().push_named("a.b", Flatten::new()), &[4]),
            "model.0 (Sequential): build: \"a.b\" is an invalid name of a layer: it must not be empty or contain a dot",
        ),
        (
            build(Dropout2d::new(1.5), &[4, 2, 2]),
            "model.0 (Dropout2d): dropout: a rate from 0 to 1 is expected, got 1.5",
        ),
        (
            build(ZeroPad2d::new(Padding::Same), &[4, 2, 2]),
            "model.0 (ZeroPad2d): pad: Padding::Same needs a window; give the numbers of zeros",
        ),
    ] {
        assert_eq!(error, expected);
    }

    // What was built for other channels.
    let model = Sequential::new().push_named("conv1", Conv2d::new(8, 3)).build([3, 8, 8], &cpu, 1).unwrap();
    let error = model.forward(zeros(&[2, 4, 8, 8]), &Ctx::eval()).unwrap_err().to_string();
    assert_eq!(
        error,
        "model.conv1 (Conv2d): conv: weight (8, 3, 3, 3) in 1 group takes 3 channels, x (2, 4, 8, 8) has 4; build the \
         layer for the channels of its data, or change the groups"
    );
    let error = model.build([4, 8, 8], &cpu, 1).unwrap_err().to_string();
    assert!(error.ends_with("already built, with weights (8, 3, 3, 3); inputs (4, 8, 8) do not fit it"), "{error}");
    let error = Sequential::new().push(Conv2d::new(8, 3)).forward(zeros(&[2, 4, 8, 8]), &Ctx::eval()).unwrap_err();
    assert!(error.to_string().ends_with("or make it with `Conv2d::with_sizes`"), "{error}");
}

#[test]
fn building_again_for_the_same_input_changes_nothing() {
    let model = Sequential::new().push(Dense::new(3)).build(4, &Device::cpu(), 1).unwrap();
    let before = model.state_dict()["0.weight"].to_f64_vec().unwrap();
    let model = model.build(4, &Device::cpu(), 2).unwrap();
    assert_eq!(before, model.state_dict()["0.weight"].to_f64_vec().unwrap());
}

/// A custom layer: forward alone; its shape is found by running it.
#[derive(Module, Describe)]
struct Doubled {
    inner: Dense,
}

impl Layer for Doubled {
    type Input = Var;
    type Output = Var;
    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let y = ctx.layer("inner", &self.inner, x)?;
        Var::concat(&[&y, &y], 1)
    }
}

#[test]
fn layers_of_ones_own_have_shape_name_and_path() {
    let cpu = Device::cpu();
    let mut init = Init::new(1, &cpu);
    let inner = Dense::with_sizes(4, 3, &mut init).unwrap();
    let model = Sequential::new().push(Doubled { inner }).push(Dense::new(2)).build(4, &cpu, 1).unwrap();
    assert_eq!(model.output_shapes(), [[6], [2]]);
    assert_eq!(model.layers().map(|l| l.name()).collect::<Vec<_>>(), ["Doubled", "Dense"]);
    assert_eq!(model.parameters()[0].0, "0.inner.weight");
    let error = model.forward(zeros(&[1, 9]), &Ctx::eval()).unwrap_err().to_string();
    assert!(error.starts_with("model.0.inner (Dense): linear: expected (…, 4)"), "{error}");
}

#[test]
fn losses_say_what_does_not_fit() {
    let cpu = Device::cpu();
    let p = zeros(&[2, 3]);
    let labels = Tensor::zeros([2], DType::I64, &cpu).unwrap();
    let one_hot = Tensor::zeros([2, 3], DType::F32, &cpu).unwrap();
    let sparse = SparseCategoricalCrossentropy::from_logits();
    assert!(sparse.forward(&p, &one_hot).unwrap_err().to_string().contains("use CategoricalCrossentropy"));
    let categorical = CategoricalCrossentropy::from_logits();
    assert!(categorical.forward(&p, &labels).unwrap_err().to_string().contains("use SparseCategoricalCrossentropy"));
    assert!(sparse.forward(&p, &Tensor::zeros([4], DType::I64, &cpu).unwrap()).is_err());
    assert!(sparse.forward(&zeros(&[3]), &Tensor::zeros(3, DType::I64, &cpu).unwrap()).is_err());
    let outside = Tensor::from_slice(&[0i64, 3], [2], &cpu).unwrap();
    let error = sparse.forward(&p, &outside).unwrap_err();
    assert!(error.to_string().contains('3'), "{error}");
    // (n, 1) against (1, n) would broadcast to (n, n).
    let row = Tensor::zeros([1, 4], DType::F32, &cpu).unwrap();
    let error = MeanSquaredError::new().forward(&zeros(&[4, 1]), &row).unwrap_err();
    assert!(error.to_string().contains("reshape"), "{error}");
}

/// A layer that keeps a running mean.
#[derive(Module, Describe)]
struct Mean {
    running: Buffer,
}

impl Layer for Mean {
    type Input = Var;
    type Output = Var;
    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        ctx.average(&self.running, x.tensor().mean(..)?.reshape([1])?, 0.5, 0.5);
        Ok(x)
    }
}

#[test]
fn buffers_change_when_committed() {
    let cpu = Device::cpu();
    let running = || Buffer::new(Tensor::zeros(1, DType::F32, &cpu).unwrap());
    let mut model = Sequential::new().push(Mean { running: running() });
    let ctx = Ctx::train(0, 0);
    let x = Var::constant(Tensor::ones([2, 2], DType::F32, &cpu).unwrap());
    model.forward(&x, &ctx).unwrap();
    model.forward(&x, &ctx).unwrap();
    let value = |model: &Sequential| model.buffers()[0].1.value().item().unwrap();
    assert_eq!(value(&model), 0.0, "not before the commit");
    ctx.commit(&mut model).unwrap();
    assert_eq!(value(&model), 0.75, "the second pass saw the first one's value");
    ctx.commit(&mut model).unwrap();
    assert_eq!(value(&model), 0.75, "a commit is made once");

    let ctx = Ctx::train(0, 1);
    let stranger = running();
    ctx.update(&stranger, stranger.value().clone());
    model.forward(&x, &ctx).unwrap();
    assert!(ctx.commit(&mut model).is_err());
    let ctx = Ctx::train(0, 2);
    ctx.update(model.buffers()[0].1, Tensor::zeros(2, DType::F32, &cpu).unwrap());
    assert!(ctx.commit(&mut model).is_err());
    assert_eq!(value(&model), 0.75, "a failed commit writes nothing");
}
