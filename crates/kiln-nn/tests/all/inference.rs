//! Plans give what models give: the same bits, or where they are fast within the error that they state.

use kiln_autograd::Var;
use kiln_nn::models::densenet::DenseNet;
use kiln_nn::models::efficientnet::EfficientNet;
use kiln_nn::models::mobilenet::MobileNetV2;
use kiln_nn::models::resnet::ResNet;
use kiln_nn::models::unet::UNet;
use kiln_nn::models::vgg::Vgg;
use kiln_nn::{
    Activation, AvgPool2d, BatchNorm2d, Calibration, Conv2d, Ctx, Dense, Dropout, Embedding, Flatten, GlobalAvgPool,
    Gru, Identity, InferenceOptions, InferencePlan, Lambda, LayerNorm, Lstm, MaxPool2d, Module, Residual, Sequential,
    SqueezeExcitation, TransformerEncoder, TransformerEncoderLayer,
};
use kiln_tensor::{DType, Device, Shape, Tensor};
use proptest::prelude::*;

fn numbers(shape: &[usize], seed: u64) -> Tensor {
    let count = shape.iter().product::<usize>();
    let value = |i: usize| ((i as u64 * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0;
    Tensor::from_vec((0..count).map(value).collect::<Vec<f32>>(), shape, &Device::cpu()).unwrap()
}

/// A model whose statistics and factors are not those that it begins with.
fn trained(model: Sequential, sample: &[usize]) -> Sequential {
    let mut model = model.build(sample, &Device::cpu(), 3).unwrap();
    let mut state = model.state_dict();
    for (at, (name, value)) in state.iter_mut().enumerate() {
        let noise = numbers(value.dims(), at as u64);
        if name.ends_with("running_var") {
            *value = noise.abs().unwrap().add_scalar(0.5).unwrap();
        } else if value.rank() <= 1 && value.dtype() == DType::F32 {
            *value = value.add(&noise.mul_scalar(0.3).unwrap()).unwrap();
        }
    }
    model.load_state_dict(&state, true).unwrap();
    model
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// The exact plan has the model's bits, the fast one its error; for a batch that it was not compiled for, too.
fn expect_same(model: &Sequential, sample: &[usize], batch: usize) {
    let shape = |batch: usize| Shape::new(&[&[batch], sample].concat()).unwrap();
    let exact = model.compile_for_inference_with(shape(batch), &InferenceOptions::new().any_batch()).unwrap();
    let fast = model.compile_for_inference_with(shape(batch), &InferenceOptions::new().fast()).unwrap();
    for seed in 0..2 {
        let x = numbers(shape(batch).dims(), seed + 10);
        let expected = model.forward(&x, &Ctx::eval()).unwrap().into_tensor();
        assert_eq!(bits(&expected), bits(&exact.run(&x).unwrap()), "{:#?}", exact.steps());
        let got = fast.run(&x).unwrap().to_vec::<f32>().unwrap();
        let expected = expected.to_vec::<f32>().unwrap();
        let scale = expected.iter().fold(1e-3f32, |most, y| most.max(y.abs()));
        let worst = expected.iter().zip(&got).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(worst <= 2e-4 * scale, "{worst} of {scale}: {:#?}", fast.steps());
        let more = numbers(shape(batch + 2).dims(), seed);
        let expected = model.forward(&more, &Ctx::eval()).unwrap().into_tensor();
        assert_eq!(bits(&expected), bits(&exact.run(&more).unwrap()));
    }
    assert!(fast.error() < 1e-4, "{}", fast.error());
}

fn kernels(model: &Sequential, shape: &[usize], options: &InferenceOptions) -> Vec<String> {
    let plan = model.compile_for_inference_with(shape, options).unwrap();
    plan.steps().into_iter().map(|step| step.kernel).collect()
}

#[test]
fn networks_by_name() {
    let small = ResNet::basic([1, 1]).width(16).small_images(true).classes(5).model();
    expect_same(&trained(small, &[3, 16, 16]), &[3, 16, 16], 2);
    let large = ResNet::bottleneck([1, 1]).width(8).classes(7).model();
    expect_same(&trained(large, &[3, 64, 64]), &[3, 64, 64], 1);
    let vgg = Vgg::new([1, 1]).width(8).batch_norm(true).pooled(2).hidden(20).classes(4).model();
    expect_same(&trained(vgg, &[3, 16, 16]), &[3, 16, 16], 3);
    let mobile = MobileNetV2::new().stages([[1, 8, 1, 1], [6, 12, 2, 2]]).last(32).classes(4).model();
    expect_same(&trained(mobile, &[3, 32, 32]), &[3, 32, 32], 1);
    let dense = DenseNet::new([2, 2]).growth(4).width(8).classes(3).model();
    expect_same(&trained(dense, &[3, 64, 64]), &[3, 64, 64], 1);
    expect_same(&trained(UNet::new().width(4).depth(2).classes(2).model(), &[1, 16, 16]), &[1, 16, 16], 1);
}

#[test]
fn squeeze_and_excitation() {
    let model = EfficientNet::new().width(8).classes(5).model();
    expect_same(&trained(model, &[3, 32, 32]), &[3, 32, 32], 2);
    let block = Sequential::new()
        .push(Conv2d::new(32, 3).padding(1).activation(Activation::Silu))
        .push(SqueezeExcitation::new(8))
        .push(GlobalAvgPool::new())
        .push(Dense::new(3).activation(Activation::Softmax));
    expect_same(&trained(block, &[3, 9, 9]), &[3, 9, 9], 2);
}

#[test]
fn what_follows_a_convolution_is_part_of_it() {
    let block = Sequential::new().push(Conv2d::new(32, 3).padding(1).use_bias(false)).push(BatchNorm2d::new());
    let model = Sequential::new()
        .push(Conv2d::new(32, 3).padding(1).use_bias(false))
        .push(BatchNorm2d::new().activation(Activation::Relu))
        .push(Residual::new(block))
        .push(Activation::Relu);
    let model = trained(model, &[32, 16, 16]);
    expect_same(&model, &[32, 16, 16], 1);
    assert_eq!(
        kernels(&model, &[1, 32, 16, 16], &InferenceOptions::new()),
        ["to_nhwc", "conv direct + normalize + relu", "conv direct + normalize + add + relu", "from_nhwc"]
    );
    assert_eq!(
        kernels(&model, &[1, 32, 16, 16], &InferenceOptions::new().fast()),
        ["to_nhwc", "conv winograd f4 + bias + relu", "conv winograd f4 + bias + add + relu", "from_nhwc"]
    );
}

#[test]
fn sequences_and_tokens() {
    for model in [
        Sequential::new().push(Lstm::new(12)).push(Dense::new(3)),
        Sequential::new().push(Gru::new(9).return_sequences(true)).push(LayerNorm::new()).push(Dense::new(3)),
    ] {
        expect_same(&trained(model, &[7, 5]), &[7, 5], 2);
    }
    let block = TransformerEncoderLayer::new(2, 32).causal(true);
    let model = Sequential::new()
        .push(Embedding::new(11, 16))
        .push(TransformerEncoder::new(block, 2))
        .push(Dropout::new(0.5))
        .push(Dense::new(11));
    let model = trained(model, &[6]);
    let tokens = |values: [i64; 6]| Tensor::from_slice(&values, [1, 6], &Device::cpu()).unwrap();
    let plan = InferencePlan::compile(&model, &[tokens([0; 6])], &InferenceOptions::new()).unwrap();
    let x = tokens([3, 1, 4, 1, 5, 9]);
    assert_eq!(bits(&model.forward(&x, &Ctx::eval()).unwrap().into_tensor()), bits(&plan.run(&x).unwrap()));
    let error = plan.run(&tokens([3, 1, 4, 11, 5, 9])).unwrap_err();
    assert!(error.message().contains("11"), "{error}");
}

#[test]
fn bits_do_not_depend_on_threads() {
    let model = trained(ResNet::basic([1, 1]).width(16).classes(5).model(), &[3, 40, 40]);
    let x = numbers(&[2, 3, 40, 40], 1);
    for options in [InferenceOptions::new(), InferenceOptions::new().fast()] {
        let plan = model.compile_for_inference_with([2, 3, 40, 40], &options).unwrap();
        let one = kiln_cpu::team::serial(|| bits(&plan.run(&x).unwrap()));
        assert_eq!(one, bits(&plan.run(&x).unwrap()));
    }
}

#[test]
fn a_plan_keeps_the_weights_of_its_time() {
    let mut model = trained(Sequential::new().push(Flatten::new()).push(Dense::new(3)), &[2, 2]);
    let plan = model.compile_for_inference([1, 2, 2]).unwrap();
    let x = numbers(&[1, 2, 2], 0);
    let before = plan.run(&x).unwrap();
    let zeros = model.state_dict().into_iter().map(|(name, w)| (name, w.mul_scalar(0.0).unwrap())).collect();
    model.load_state_dict(&zeros, true).unwrap();
    assert_eq!(bits(&before), bits(&plan.run(&x).unwrap()));
}

#[test]
fn errors_say_what_to_do() {
    let model = trained(Sequential::new().push(Dense::new(3)), &[4]);
    let plan = model.compile_for_inference([2, 4]).unwrap();
    let message = plan.run(&numbers(&[3, 4], 0)).unwrap_err().message().to_owned();
    assert!(message.contains("batches of 2, got 3") && message.contains("any_batch"), "{message}");
    let message = plan.run(&numbers(&[2, 5], 0)).unwrap_err().message().to_owned();
    assert!(message.contains("compiled for (2, 4) of f32, got (2, 5)"), "{message}");
    let reads = Sequential::new().push(Dense::new(3)).push(Lambda::new(|x: Var| {
        let most = x.tensor().max([0, 1])?.item()?;
        x.affine(most, 0.0)
    }));
    let reads = trained(reads, &[4]);
    let error = reads.compile_for_inference([2, 4]).unwrap_err();
    assert!(error.to_string().contains("reads values of its input on the host"), "{error}");
    assert!(model.compile_for_inference([0, 4]).is_err());
}

/// Layers that keep images, drawn at random.
fn layer(kind: usize, channels: usize) -> Sequential {
    let conv = |outputs, kernel: usize| Conv2d::new(outputs, kernel).padding(kernel / 2);
    match kind {
        0 => Sequential::new().push(conv(channels, 3)),
        1 => Sequential::new().push(conv(channels, 1).use_bias(false)).push(BatchNorm2d::new()),
        2 => Sequential::new().push(conv(channels, 3).activation(Activation::Relu)).push(BatchNorm2d::new().keras()),
        3 => Sequential::new().push(MaxPool2d::new(2)),
        4 => Sequential::new().push(AvgPool2d::new(2)),
        5 => Sequential::new().push(BatchNorm2d::new().activation(Activation::Relu)),
        6 => Sequential::new().push(Activation::Gelu),
        7 => Sequential::new().push(conv(channels, 5).stride(2).activation(Activation::Tanh)),
        8 => Sequential::new().push(Residual::new(Sequential::new().push(conv(channels, 3)).push(Activation::Silu))),
        _ => Sequential::new().push(Identity::new()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn random_networks(
        kinds in proptest::collection::vec(0usize..10, 1..6),
        channels in 1usize..40,
        side in 12usize..24,
        batch in 1usize..4,
        head in any::<bool>(),
    ) {
        let mut model = Sequential::new().push(Conv2d::new(channels, 3).padding(1));
        let mut left = side;
        for kind in kinds {
            if matches!(kind, 3 | 4 | 7) {
                if left < 4 { continue }
                left /= 2;
            }
            model.add(layer(kind, channels));
        }
        if head {
            model.add(Flatten::new());
            model.add(Dense::new(5));
        }
        let model = trained(model, &[2, side, side]);
        expect_same(&model, &[2, side, side], batch);
    }
}

#[test]
fn a_model_that_carries_states_is_refused_and_keeps_them() {
    let model = trained(Sequential::new().push(Lstm::new(4).stateful(true)).push(Dense::new(2)), &[5, 3]);
    let x = numbers(&[2, 5, 3], 1);
    model.forward(&x, &Ctx::eval()).unwrap();
    let carried = model.carried_states();
    let error = model.compile_for_inference([2, 5, 3]).unwrap_err();
    assert!(error.message().contains("carries states"), "{error}");
    let after = model.carried_states();
    assert!(!carried.is_empty() && carried.len() == after.len());
    for (name, state) in carried {
        assert_eq!(bits(&state), bits(&after[&name]), "{name}");
    }
}

#[test]
fn plans_of_integers() {
    for (model, sample) in [
        (ResNet::basic([1, 1]).width(16).small_images(true).classes(5).model(), [3, 16, 16]),
        (MobileNetV2::new().stages([[1, 8, 1, 1], [6, 12, 2, 2]]).last(32).classes(4).model(), [3, 32, 32]),
        (Vgg::new([1, 1]).width(8).pooled(2).hidden(20).classes(4).model(), [3, 16, 16]),
    ] {
        let model = trained(model, &sample);
        let x = numbers(&[&[4], &sample[..]].concat(), 1);
        let mut calibration = Calibration::new(&model, &[x.clone(), numbers(x.dims(), 2)]).unwrap();
        let options = InferenceOptions::new().int8(&calibration);
        let plan = InferencePlan::compile(&model, std::slice::from_ref(&x), &options).unwrap();
        assert!((1e-6..0.06).contains(&plan.error()), "{}: {:#?}", plan.error(), plan.steps());
        let integers = plan.steps().iter().filter(|step| step.kernel.contains("int8")).count();
        assert!(integers >= 4, "{:#?}", plan.steps());
        // For any number of threads the same bits.
        let one = kiln_cpu::team::serial(|| bits(&plan.run(&x).unwrap()));
        assert_eq!(one, bits(&plan.run(&x).unwrap()));

        // Without the layer that brings the largest error it is smaller.
        let errors = calibration.errors(&model, &x).unwrap();
        assert!(errors.iter().all(|(_, error)| *error < 0.06), "{errors:?}");
        for (layer, _) in &errors {
            calibration.keep(layer).unwrap();
        }
        let kept = InferencePlan::compile(&model, &[x], &InferenceOptions::new().int8(&calibration)).unwrap();
        assert!(kept.error() < 1e-4, "{}", kept.error());
        let error = calibration.keep("none").unwrap_err();
        assert!(error.message().starts_with("unknown layer \"none\", expected one of: "), "{error}");
    }
    let model = trained(Sequential::new().push(Dense::new(3)), &[4]);
    let error = Calibration::new(&model, &[]).unwrap_err();
    assert!(error.message().starts_with("int8 needs calibration data"), "{error}");
}
