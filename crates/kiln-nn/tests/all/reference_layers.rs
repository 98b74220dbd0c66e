//! Single layers against PyTorch's and Keras's values (tests/fixtures): outputs, all gradients, and buffers after a step.

use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{DType, Device, Padding, Shape, Tensor};

fn fixture(name: &str) -> StateDict {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    safetensors::read(path, &Device::cpu()).unwrap()
}

fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, {e} is expected");
    }
}

/// The values under `NAME/KIND/`, by the rest of their names.
fn below(values: &StateDict, name: &str, kind: &str) -> StateDict {
    let prefix = format!("{name}/{kind}/");
    values.iter().filter_map(|(key, v)| Some((key.strip_prefix(&prefix)?.to_owned(), v.clone()))).collect()
}

/// The inputs of a fixture, `x` or `x0`, `x1`, …, with their gradients.
fn inputs(values: &StateDict, name: &str) -> Vec<(Tensor, Tensor)> {
    let of = |number: String| {
        let get = |what: &str| values.get(&format!("{name}/{what}{number}")).cloned();
        Some((get("x")?, get("dx")?))
    };
    of(String::new()).map_or_else(|| (0..).map_while(|at: usize| of(at.to_string())).collect(), |one| vec![one])
}

/// Several as one value, or the only one.
fn joined<T>(mut parts: Vec<T>, many: impl FnOnce(Vec<T>) -> T) -> T {
    if parts.len() == 1 { parts.remove(0) } else { many(parts) }
}

/// Builds a layer for the fixture's inputs, gives it its state, and compares a step of it.
fn check(values: &StateDict, name: &str, mut layer: impl AnyLayer, training: bool) {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 4e-5)] {
        let of = |what: &str| &values[&format!("{name}/{what}")];
        let given = inputs(values, name);
        assert!(!given.is_empty(), "{name}");
        let sample = |(x, _): &(Tensor, Tensor)| Shapes::One(Shape::new(&x.dims()[1..]).unwrap());
        let samples = joined(given.iter().map(sample).collect(), Shapes::Many);
        let output = layer.build_any(&samples, &mut Init::new(1, &Device::cpu())).unwrap();
        layer.to_dtype(dtype).unwrap();
        let typed: StateDict = below(values, name, "state");
        assert_eq!(layer.load_state_dict(&typed, true).unwrap(), Unmatched::default(), "{name}");

        let x: Vec<Var> = given.iter().map(|(x, _)| Var::variable(x.to_dtype(dtype).unwrap())).collect();
        let mask = values.get(&format!("{name}/mask")).map(|mask| mask.to_dtype(DType::Bool).unwrap());
        let value = |x: &Var| match &mask {
            Some(mask) => Sequence::new(x.clone(), mask.clone()).into(),
            None => Value::from(x),
        };
        let ctx = if training { Ctx::train(0, 0) } else { Ctx::eval().recording(true) };
        let y = layer.forward_any(joined(x.iter().map(value).collect(), Value::Many), &ctx).unwrap().var().unwrap();
        assert_eq!(&y.dims()[1..], &**output.one().unwrap(), "{name}: what build has said");
        close(name, y.tensor(), of("y"), tolerance);
        let weights = Var::constant(of("w").to_dtype(dtype).unwrap());
        let gradients = y.mul(&weights).unwrap().sum_all().unwrap().backward().unwrap();
        for (at, (x, (_, dx))) in x.iter().zip(&given).enumerate() {
            close(&format!("{name}/dx{at}"), gradients.of(x).unwrap(), dx, tolerance);
        }
        let expected = below(values, name, "gradient");
        let parameters: Vec<(String, _)> = layer.parameters().into_iter().map(|(path, p)| (path, p.id())).collect();
        assert_eq!(parameters.len(), expected.len(), "{name}: {parameters:?}");
        for (path, id) in parameters {
            close(&format!("{name}/{path}"), gradients.get(id).unwrap(), &expected[&path], 4.0 * tolerance);
        }
        ctx.commit(&mut layer).unwrap();
        let (state, after) = (layer.state_dict(), below(values, name, "after"));
        for (path, old) in typed.iter().filter(|(path, _)| path.starts_with("running_")) {
            close(&format!("{name}/{path}"), &state[path], after.get(path).unwrap_or(old), tolerance);
        }
    }
}

#[test]
fn pytorch() {
    let values = fixture("torch_layers.safetensors");
    fn train(values: &StateDict, name: &str, layer: impl AnyLayer) {
        check(values, name, layer, true);
    }
    let v = &values;
    train(v, "conv1d", Conv1d::new(4, 3).stride(2).padding(2).dilation(2));
    train(v, "conv2d", Conv2d::new(6, [3, 2]).stride([2, 1]).padding([1, 2]).dilation([1, 2]).groups(2));
    train(v, "conv2d_relu", Conv2d::new(5, 3).padding(1).activation(Activation::Relu));
    train(v, "conv3d", Conv3d::new(3, 2).stride([1, 2, 1]).use_bias(false));
    train(v, "depthwise_conv2d", DepthwiseConv2d::new(3).padding(1).multiplier(2));
    train(v, "conv_transpose1d", ConvTranspose1d::new(2, 4).stride(3).padding(1));
    let transposed = ConvTranspose2d::new(6, 3).stride(2).padding(1).groups(2);
    train(v, "conv_transpose2d", transposed.output_padding([1, 0]));
    train(v, "max_pool1d", MaxPool1d::new(3).stride(2).padding(1));
    train(v, "max_pool2d", MaxPool2d::new(3).stride(2).ceil(true));
    train(v, "avg_pool1d", AvgPool1d::new(2));
    train(v, "avg_pool2d", AvgPool2d::new(3).stride(2).padding(1));
    train(v, "avg_pool2d_inside", AvgPool2d::new(3).stride(2).padding(1).ceil(true).count_include_pad(false));
    train(v, "adaptive_avg_pool2d", AdaptiveAvgPool2d::new([3, 2]));
    train(v, "adaptive_max_pool1d", AdaptiveMaxPool1d::new(3));
    train(v, "batch_norm1d", BatchNorm1d::new());
    train(v, "batch_norm1d_sequence", BatchNorm1d::new().momentum(0.3).epsilon(1e-3));
    train(v, "batch_norm2d", BatchNorm2d::new());
    train(v, "batch_norm2d_plain", BatchNorm2d::new().affine(false));
    train(v, "batch_norm2d_relu", BatchNorm2d::new().activation(Activation::Relu));
    check(v, "batch_norm2d_eval", BatchNorm2d::new(), false);
    // Frozen, it does the same in training.
    train(v, "batch_norm2d_eval", BatchNorm2d::new().frozen(true));
    train(v, "layer_norm", LayerNorm::new().axes(2));
    train(v, "rms_norm", RmsNorm::new());
    train(v, "group_norm", GroupNorm::new(3));
    train(v, "instance_norm", InstanceNorm::new().affine(true));
    train(v, "local_response_norm", LocalResponseNorm::new(5).alpha(0.5).k(2.0));
    train(v, "upsample_nearest", Upsample2d::new(2));
    train(v, "upsample_bilinear", Upsample2d::to([5, 7]).bilinear());
    train(v, "upsample_align_corners", Upsample2d::new(2).bilinear().align_corners());
    train(v, "zero_pad2d", ZeroPad2d::new([(1, 3), (2, 0)]));
    train(v, "lp_pool2d", LpPool2d::new([2, 3]).stride(2).power(4.0));
    train(v, "zero_pad3d", ZeroPad3d::new([(1, 1), (0, 2), (1, 0)]));
    let transposed = ConvTranspose3d::new(2, [2, 3, 2]).stride([1, 2, 2]).padding([0, 1, 0]).groups(2);
    train(v, "conv_transpose3d", transposed.output_padding([0, 1, 0]));
    train(v, "upsample1d_nearest", Upsample1d::to(7));
    train(v, "upsample1d_linear", Upsample1d::new(3).bilinear());
    train(v, "upsample3d_nearest", Upsample3d::new([2, 1, 3]));
    train(v, "upsample3d_trilinear", Upsample3d::to([3, 2, 5]).bilinear());
    train(v, "upsample3d_align_corners", Upsample3d::new(2).bilinear().align_corners());
    train(v, "upsample_bicubic", Upsample2d::new([2, 3]).bicubic());
    train(v, "upsample_bicubic_smaller", Upsample2d::to([5, 3]).bicubic());
    train(v, "upsample_bicubic_align_corners", Upsample2d::to([5, 7]).align_corners().bicubic());
    train(v, "pixel_shuffle", PixelShuffle::new(3));
    train(v, "pixel_unshuffle", PixelUnshuffle::new(2));
    train(v, "squeeze_excitation", SqueezeExcitation::new(4));
    let (silu, tanh) = (Activation::Silu, Activation::Tanh);
    train(v, "squeeze_excitation_silu", SqueezeExcitation::new(2).activation(silu).scale_activation(tanh));
}

#[test]
fn keras() {
    let values = fixture("keras_layers.safetensors");
    fn train(values: &StateDict, name: &str, layer: impl AnyLayer) {
        check(values, name, layer, true);
    }
    let (v, same) = (&values, Padding::Same);
    train(v, "conv2d_same", Conv2d::new(4, [4, 3]).stride(2).padding(same));
    train(v, "conv2d_same_dilated", Conv2d::new(2, 3).dilation(2).padding(same).activation(Activation::Tanh));
    train(v, "conv2d_softmax", Conv2d::new(4, 1).activation(Activation::Softmax));
    train(v, "conv1d_same", Conv1d::new(3, 4).stride(3).padding(same));
    train(v, "depthwise_conv2d_same", DepthwiseConv2d::new(3).stride(2).padding(same).multiplier(2));
    let separable = SeparableConv2d::new(5, 3).padding(same).multiplier(2);
    train(v, "separable_conv2d_same", separable.activation(Activation::Relu));
    train(v, "conv_transpose2d_same", ConvTranspose2d::new(4, 3).stride(2).padding(same));
    train(v, "conv_transpose2d_valid", ConvTranspose2d::new(2, 4).stride(3));
    train(v, "max_pool2d_same", MaxPool2d::new(3).stride(2).padding(same));
    train(v, "avg_pool2d_same", AvgPool2d::new(3).stride(2).padding(same));
    train(v, "global_avg_pool", GlobalAvgPool::new());
    train(v, "global_max_pool", GlobalMaxPool::new().keep_dims(true));
    train(v, "batch_norm1d", BatchNorm1d::new().keras());
    train(v, "batch_norm2d", BatchNorm2d::new().keras());
    train(v, "batch_norm2d_momentum", BatchNorm2d::new().keras().momentum(0.25).epsilon(0.01));
    train(v, "layer_norm", LayerNorm::new().epsilon(1e-3));
    train(v, "upsample_nearest", Upsample2d::new([2, 3]));
    train(v, "upsample_bilinear", Upsample2d::new(2).bilinear());
    train(v, "upsample3d_nearest", Upsample3d::new([1, 2, 2]));
    train(v, "conv_transpose3d_same", ConvTranspose3d::new(2, [2, 3, 2]).stride(2).padding(same));
    train(v, "cropping1d", Cropping1d::new([(1, 2)]));
    train(v, "cropping2d", Cropping2d::new([(1, 0), (2, 1)]));
    train(v, "cropping3d", Cropping3d::new([1, 0, 1]));
    train(v, "zero_pad3d", ZeroPad3d::new([(1, 0), (0, 2), (1, 1)]));
    train(v, "depth_to_space", PixelShuffle::new(2).blocks_first(true));
    train(v, "space_to_depth", PixelUnshuffle::new(2).blocks_first(true));
    train(v, "repeat_vector", RepeatVector::new(4));
}

#[test]
fn keras_of_several_inputs() {
    let values = fixture("keras_layers.safetensors");
    let train = |name: &str, layer: Box<dyn AnyLayer>| check(&values, name, layer, true);
    train("average", Box::new(Average::new()));
    train("maximum", Box::new(Maximum::new()));
    train("minimum", Box::new(Minimum::new()));
    train("dot", Box::new(Dot::new(1)));
    train("dot_normalized", Box::new(Dot::new(-1).normalize(true)));
    train("dot_of_matrices", Box::new(Dot::new([2, 1])));
    train("dot_of_matrices_normalized", Box::new(Dot::new([1, -1]).normalize(true)));
    train("dot_of_more_axes", Box::new(Dot::new([3, 1])));
}

#[test]
fn keras_convolutional_lstm() {
    let values = fixture("keras_layers.safetensors");
    let train = |name: &str, layer: ConvLstm2d| check(&values, name, layer, true);
    let same = Padding::Same;
    train("conv_lstm", ConvLstm2d::new(3, 3).padding(same));
    train("conv_lstm_sequences", ConvLstm2d::new(2, [3, 2]).stride([2, 1]).return_sequences(true));
    let (relu, hard) = (Activation::Relu, Activation::HardSigmoid);
    let dilated = ConvLstm2d::new(2, 2).dilation(2).use_bias(false);
    train("conv_lstm_dilated", dilated.activation(relu).recurrent_activation(hard));
    train("conv_lstm_masked", ConvLstm2d::new(2, 3).padding(same).return_sequences(true));
    train("conv_lstm_masked_last", ConvLstm2d::new(2, 3).padding(same));
}
