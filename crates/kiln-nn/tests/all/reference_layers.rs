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

/// Builds a layer for the fixture's input, gives it its state, and compares a step of it.
fn check<L: Layer<Input = Var, Output = Var>>(values: &StateDict, name: &str, mut layer: L, training: bool) {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 4e-5)] {
        let of = |what: &str| &values[&format!("{name}/{what}")];
        let sample = Shape::new(&of("x").dims()[1..]).unwrap();
        let output = layer.build(&sample, &mut Init::new(1, &Device::cpu())).unwrap();
        layer.to_dtype(dtype).unwrap();
        let typed: StateDict = below(values, name, "state");
        assert_eq!(layer.load_state_dict(&typed, true).unwrap(), Unmatched::default(), "{name}");

        let x = Var::variable(of("x").to_dtype(dtype).unwrap());
        let ctx = if training { Ctx::train(0, 0) } else { Ctx::eval().recording(true) };
        let y = layer.forward(x.clone(), &ctx).unwrap();
        assert_eq!(&y.dims()[1..], &*output, "{name}: what build has said");
        close(name, y.tensor(), of("y"), tolerance);
        let weights = Var::constant(of("w").to_dtype(dtype).unwrap());
        let gradients = y.mul(&weights).unwrap().sum_all().unwrap().backward().unwrap();
        close(&format!("{name}/dx"), gradients.of(&x).unwrap(), of("dx"), tolerance);
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
    fn train<L: Layer<Input = Var, Output = Var>>(values: &StateDict, name: &str, layer: L) {
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
    train(v, "upsample_align_corners", Upsample2d::new(2).align_corners());
    train(v, "zero_pad2d", ZeroPad2d::new([(1, 3), (2, 0)]));
    train(v, "lp_pool2d", LpPool2d::new([2, 3]).stride(2).power(4.0));
}

#[test]
fn keras() {
    let values = fixture("keras_layers.safetensors");
    fn train<L: Layer<Input = Var, Output = Var>>(values: &StateDict, name: &str, layer: L) {
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
}
