//! Gradients of each layer and loss with respect to its input and all its parameters, against central differences in f64.

use kiln_autograd::Var;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, IntoShape, Padding, Result, Tensor};

fn random(shape: impl IntoShape, seed: u64) -> Tensor {
    Tensor::uniform(shape, -1.0, 1.0, DType::F64, &Device::cpu(), RandomStream::new(seed, Purpose::Data, 0)).unwrap()
}

/// A fixed weighted sum, so that every output counts with a weight of its own.
fn weighted_sum(y: &Var) -> Result<Var> {
    let weights: Vec<f64> = (0..y.tensor().elements()).map(|i| 0.5 + ((i * 7 + 3) % 11) as f64 / 11.0).collect();
    y.mul(&Var::constant(Tensor::from_slice(&weights, y.shape(), y.device())?))?.sum_all()
}

/// Moves one element of a tensor.
fn moved(tensor: &Tensor, element: usize, by: f64) -> Tensor {
    let mut values = tensor.to_vec::<f64>().unwrap();
    values[element] += by;
    Tensor::from_slice(&values, tensor.shape(), tensor.device()).unwrap()
}

/// Checks the gradients of `loss(model, x)`, where the model is in training at a fixed step: dropout is part of the function.
fn check<M: Module>(model: &mut M, x: &Tensor, loss: impl Fn(&M, &Var, &Ctx) -> Result<Var>) {
    const STEP: f64 = 1e-6;
    let value = |model: &M, x: &Tensor| loss(model, &Var::from(x), &Ctx::train(3, 5)).unwrap().item().unwrap();
    let input = Var::variable(x.clone());
    let gradients = loss(model, &input, &Ctx::train(3, 5)).unwrap().backward().unwrap();
    let compare = |what: &str, analytic: f64, numeric: f64| {
        assert!(
            (analytic - numeric).abs() < 1e-6 * (1.0 + numeric.abs()),
            "{what}: {analytic}, by differences {numeric}"
        );
    };

    let dx = gradients.of(&input).expect("the input has a gradient").to_vec::<f64>().unwrap();
    for (element, &analytic) in dx.iter().enumerate() {
        let numeric = (value(model, &moved(x, element, STEP)) - value(model, &moved(x, element, -STEP))) / (2.0 * STEP);
        compare(&format!("input[{element}]"), analytic, numeric);
    }
    let count = model.parameters().len();
    for at in 0..count {
        let (path, original, id) = {
            let (path, parameter) = &model.parameters()[at];
            (path.clone(), parameter.value().clone(), parameter.id())
        };
        let analytic = gradients.get(id).unwrap_or_else(|| panic!("{path} has a gradient")).to_vec::<f64>().unwrap();
        for (element, &analytic) in analytic.iter().enumerate() {
            let mut at_offset = |by: f64| {
                model.parameters_mut()[at].1.set(moved(&original, element, by)).unwrap();
                value(model, x)
            };
            let numeric = (at_offset(STEP) - at_offset(-STEP)) / (2.0 * STEP);
            compare(&format!("{path}[{element}]"), analytic, numeric);
        }
        model.parameters_mut()[at].1.set(original).unwrap();
    }
}

fn check_layer(layer: impl Layer + 'static, input: &[usize]) {
    let mut init = Init::new(11, &Device::cpu()).dtype(DType::F64);
    let mut model = Sequential::new().push(layer).build_with(input, &mut init).unwrap();
    let mut dims = vec![3];
    dims.extend_from_slice(input);
    let x = random(dims, 7);
    // Biases that are not zero.
    for (at, (_, parameter)) in model.parameters_mut().into_iter().enumerate() {
        let shape = *parameter.value().shape();
        parameter.set(random(shape, 20 + at as u64)).unwrap();
    }
    check(&mut model, &x, |model, x, ctx| weighted_sum(&model.forward(x, ctx)?));
}

#[test]
fn dense_with_every_activation() {
    use Activation::*;
    for activation in [
        Linear,
        Relu,
        Relu6,
        LeakyRelu(0.2),
        Elu(1.3),
        Celu(1.3),
        Selu,
        Gelu,
        GeluTanh,
        Silu,
        Mish,
        Tanh,
        Sigmoid,
        LogSigmoid,
        Softplus,
        Softsign,
        HardSigmoid,
        HardSwish,
        HardTanh(-0.7, 0.9),
        HardShrink(0.4),
        SoftShrink(0.3),
        TanhShrink,
        Threshold(0.2, -0.4),
        Exp,
        Softmax,
        LogSoftmax,
    ] {
        check_layer(Dense::new(4).activation(activation), &[5]);
    }
}

#[test]
fn dense_without_bias_and_over_more_axes() {
    check_layer(Dense::new(3).use_bias(false), &[4]);
    check_layer(Dense::new(3).activation(Activation::Tanh), &[2, 4]);
    check_layer(Dense::new(1), &[1]);
}

#[test]
fn linear_flatten_dropout_and_activations() {
    let mut init = Init::new(1, &Device::cpu()).dtype(DType::F64);
    check_layer(Linear::new(4, 3, &mut init).unwrap(), &[4]);
    check_layer(Linear::without_bias(4, 3, &mut init).unwrap(), &[2, 4]);
    check_layer(Flatten::new(), &[2, 3]);
    check_layer(Dropout::new(0.4), &[7]);
    check_layer(Activation::Tanh, &[2, 3]);
}

#[test]
fn a_network_of_several_layers() {
    let inner = Sequential::new().push(Dense::new(5).activation(Activation::Sigmoid)).push(Dropout::new(0.3));
    check_layer(Sequential::new().push(Flatten::new()).push(inner).push(Dense::new(2)), &[2, 3]);
}

#[test]
fn convolutions() {
    let tanh = Activation::Tanh;
    check_layer(Conv1d::new(3, 3).stride(2).padding(Padding::Same).activation(tanh), &[2, 6]);
    check_layer(Conv2d::new(4, [2, 3]).padding([(1, 0), (1, 1)]).groups(2).activation(tanh), &[2, 4, 3]);
    check_layer(Conv2d::new(2, 2).dilation(2).use_bias(false).activation(Activation::Gelu), &[2, 4, 4]);
    check_layer(Conv2d::new(3, 1).activation(Activation::Softmax), &[2, 2, 3]);
    check_layer(Conv3d::new(2, 2), &[1, 2, 3, 2]);
    check_layer(DepthwiseConv1d::new(3).multiplier(2), &[2, 5]);
    check_layer(DepthwiseConv2d::new(2).stride(2).activation(tanh), &[2, 4, 3]);
    check_layer(SeparableConv2d::new(3, 2).padding(Padding::Same).activation(tanh), &[2, 3, 3]);
    check_layer(ConvTranspose1d::new(2, 3).stride(2).output_padding(1), &[2, 4]);
    check_layer(ConvTranspose2d::new(2, 3).stride(2).padding(Padding::Same).activation(tanh), &[2, 2, 3]);
    check_layer(ConvTranspose3d::new(2, 2).stride([1, 2, 1]).activation(tanh), &[1, 2, 1, 2]);
}

#[test]
fn pooling_and_resampling() {
    check_layer(MaxPool1d::new(2), &[2, 5]);
    check_layer(MaxPool2d::new(3).stride(2).padding(Padding::Same), &[2, 5, 4]);
    check_layer(AvgPool2d::new(2).stride(1).padding(1), &[2, 3, 4]);
    check_layer(LpPool1d::new(2).stride(1), &[2, 5]);
    check_layer(GlobalAvgPool::new(), &[2, 3, 2]);
    check_layer(GlobalMaxPool::new(), &[2, 3, 2]);
    check_layer(AdaptiveAvgPool2d::new([2, 3]), &[2, 5, 4]);
    check_layer(AdaptiveMaxPool2d::new(2), &[2, 5, 4]);
    check_layer(Upsample2d::new(2).bilinear(), &[2, 3, 2]);
    check_layer(Upsample1d::to(5), &[2, 3]);
    check_layer(Upsample2d::to([3, 5]).bicubic(), &[2, 4, 3]);
    check_layer(Upsample3d::new([1, 2, 2]).bilinear(), &[1, 2, 2, 3]);
    check_layer(ZeroPad2d::new([(1, 0), (0, 2)]), &[2, 2, 3]);
    check_layer(ZeroPad3d::new(1), &[1, 2, 1, 2]);
    check_layer(Cropping2d::new([(1, 0), (0, 2)]), &[2, 3, 4]);
    check_layer(PixelShuffle::new(2), &[8, 1, 3]);
    check_layer(PixelUnshuffle::new(3).blocks_first(true), &[2, 3, 6]);
    check_layer(Dropout2d::new(0.4), &[4, 2, 3]);
    check_layer(Reshape::new([2, 3]), &[6]);
    check_layer(RepeatVector::new(3), &[4]);
    check_layer(Identity::new(), &[2, 3]);
    check_layer(Lambda::new(|x: Var| x.tanh()?.mul(&x)), &[2, 3]);
}

#[test]
fn noise() {
    check_layer(GaussianNoise::new(0.3), &[7]);
    check_layer(GaussianDropout::new(0.3), &[2, 3]);
    check_layer(AlphaDropout::new(0.4), &[7]);
    check_layer(Dropout3d::new(0.4), &[4, 1, 2, 2]);
    check_layer(DropPath::new(0.4), &[2, 3]);
}

#[test]
fn sequences_of_images() {
    check_layer(ConvLstm2d::new(2, 2).padding(Padding::Same), &[3, 2, 2, 3]);
    check_layer(ConvLstm2d::new(1, 2).stride([1, 2]).return_sequences(true), &[2, 1, 3, 4]);
}

#[test]
fn several_inputs() {
    let joined = |merge: fn(&Var, &Var) -> Result<Var>| {
        check_layer(Lambda::new(move |x: Var| merge(&x, &x.sin()?)), &[3, 4]);
    };
    fn of(layer: &dyn AnyLayer, x: &Var, y: &Var) -> Result<Var> {
        layer.forward_any(Value::Many(vec![x.into(), y.into()]), &Ctx::eval())?.var()
    }
    joined(|x, y| of(&Average::new(), x, y));
    joined(|x, y| of(&Maximum::new(), x, y));
    joined(|x, y| of(&Minimum::new(), x, y));
    joined(|x, y| of(&Dot::new(1), x, y));
    joined(|x, y| of(&Dot::new([2, 2]).normalize(true), x, y));
}

#[test]
fn normalization() {
    check_layer(BatchNorm1d::new().activation(Activation::Tanh), &[4]);
    check_layer(BatchNorm2d::new(), &[2, 3, 2]);
    check_layer(BatchNorm2d::new().affine(false).activation(Activation::Gelu), &[2, 2, 2]);
    check_layer(BatchNorm2d::new().frozen(true), &[2, 2, 2]);
    check_layer(LayerNorm::new(), &[2, 5]);
    check_layer(RmsNorm::new().axes(2), &[2, 3, 2]);
    check_layer(GroupNorm::new(2), &[4, 2, 2]);
    check_layer(InstanceNorm::new().affine(true), &[2, 3, 2]);
    check_layer(LocalResponseNorm::new(3).alpha(0.7), &[4, 2, 2]);
}

#[test]
fn prelu() {
    check_layer(PRelu::new(), &[5]);
    check_layer(PRelu::new().by_channel(true).slope(-0.3), &[3, 2, 2]);
    let built = || PRelu::new().by_channel(true).with_channels(3, &mut Init::new(1, &Device::cpu()));
    assert_eq!(built().unwrap().weight().unwrap().value().to_f64_vec().unwrap(), [0.25; 3]);
    let other = Sequential::new().push(built().unwrap()).build([4, 2], &Device::cpu(), 1).unwrap_err().to_string();
    assert!(other.contains("already built"), "{other}");
    let early = PRelu::new().forward(Var::constant(random([2, 3], 1)), &Ctx::eval());
    assert!(early.unwrap_err().to_string().contains("PRelu::with_channels"));
}

#[test]
fn blocks() {
    let conv = || Sequential::new().push(Conv2d::new(2, 3).padding(1).activation(Activation::Tanh));
    check_layer(Residual::new(conv()).activation(Activation::Tanh), &[2, 3, 2]);
    check_layer(SqueezeExcitation::new(2).activation(Activation::Silu), &[3, 2, 2]);
    let shortcut = Sequential::new().push(Conv2d::new(2, 1).use_bias(false));
    check_layer(Residual::new(conv()).shortcut(shortcut), &[1, 3, 2]);
    check_layer(Concat::new().branch(Activation::Linear).branch_named("conv", conv()), &[2, 3, 2]);
    check_layer(SkipConcat::new(conv()), &[2, 3, 2]);
}

/// A loss after a dense layer, so that its gradient flows through something.
fn check_loss(loss: impl Loss, activation: Activation, target: Tensor) {
    let mut init = Init::new(5, &Device::cpu()).dtype(DType::F64);
    let units = if target.dtype().is_float() { *target.dims().last().unwrap() } else { 4 };
    let mut model = Sequential::new().push(Dense::new(units).activation(activation)).build_with(6, &mut init).unwrap();
    let mut dims = target.dims().to_vec();
    if target.dtype().is_float() {
        *dims.last_mut().unwrap() = 6
    } else {
        dims.push(6)
    }
    let x = random(dims, 9);
    check(&mut model, &x, |model, x, ctx| loss.forward(&model.forward(x, ctx)?, &target));
}

#[test]
fn losses() {
    let cpu = Device::cpu();
    let labels = Tensor::from_slice(&[0i64, 3, 1], [3], &cpu).unwrap();
    let bytes = Tensor::from_slice(&[2u8, 0, 3, 1], [2, 2], &cpu).unwrap();
    let soft = random([3, 4], 3).softmax(-1).unwrap();
    let soft_sequences = random([2, 3, 4], 3).softmax(-1).unwrap();
    check_loss(SparseCategoricalCrossentropy::from_logits(), Activation::Linear, labels.clone());
    check_loss(SparseCategoricalCrossentropy::new(), Activation::Softmax, labels.clone());
    check_loss(SparseCategoricalCrossentropy::new(), Activation::Sigmoid, labels);
    check_loss(SparseCategoricalCrossentropy::from_logits(), Activation::Linear, bytes.clone());
    check_loss(SparseCategoricalCrossentropy::new(), Activation::Softmax, bytes);
    check_loss(CategoricalCrossentropy::from_logits(), Activation::Linear, soft.clone());
    check_loss(CategoricalCrossentropy::new(), Activation::Softmax, soft.clone());
    check_loss(CategoricalCrossentropy::from_logits(), Activation::Linear, soft_sequences);
    check_loss(BinaryCrossentropy::from_logits(), Activation::Linear, soft.clone());
    check_loss(BinaryCrossentropy::new(), Activation::Sigmoid, soft.clone());
    check_loss(MeanSquaredError::new(), Activation::Tanh, random([3, 2], 4));
    check_loss(MeanAbsoluteError::new(), Activation::Tanh, random([3, 2], 4));
}
