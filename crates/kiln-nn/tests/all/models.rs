//! The models by name: their sizes, and PyTorch's weights and values in them (tests/fixtures/models).

use kiln_autograd::Var;
use kiln_nn::models::autoencoder::Autoencoder;
use kiln_nn::models::dcgan::Dcgan;
use kiln_nn::models::densenet::DenseNet;
use kiln_nn::models::efficientnet::{EfficientNet, Stage};
use kiln_nn::models::mobilenet::MobileNetV2;
use kiln_nn::models::resnet::ResNet;
use kiln_nn::models::unet::UNet;
use kiln_nn::models::vgg::Vgg;
use kiln_nn::models::{self, alexnet_cifar};
use kiln_nn::{BinaryCrossentropy, Ctx, Describe, Init, Loss, Module, Sequential, Shapes, StateDict, safetensors};
use kiln_tensor::{DType, Device, Tensor};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(format!("{name}.safetensors"))
}

/// With parameters that have shapes alone: some of these models are large.
fn built(model: Sequential, input: &[usize]) -> Sequential {
    model.build_with(input, &mut Init::new(1, &Device::cpu()).placeholders()).unwrap()
}

/// Parameters and buffers, as Keras counts.
fn with_buffers(model: &Sequential) -> usize {
    model.state_dict().values().map(Tensor::elements).sum()
}

#[test]
fn sizes_are_the_published_ones() {
    let lenet = built(models::lenet5(10), &[1, 28, 28]);
    assert_eq!(lenet.parameter_count(), 61_706);
    assert_eq!(*lenet.output_shapes().last().unwrap(), [10]);
    for (model, parameters) in [
        (models::resnet18(1000), 11_689_512),
        (models::resnet34(1000), 21_797_672),
        (models::resnet50(1000), 25_557_032),
        (models::mobilenet_v2(1000), 3_504_872),
        (models::densenet121(1000), 7_978_856),
        (models::efficientnet_b0(1000), 5_288_548),
        (models::unet(2), 31_037_698),
    ] {
        assert_eq!(built(model, &[3, 64, 64]).parameter_count(), parameters);
    }
    let resnet20 = built(models::resnet20(10), &[3, 32, 32]);
    assert_eq!(resnet20.parameter_count(), 272_474);
    assert_eq!(
        resnet20.parameters().len(),
        65,
        "20 layers and two projections, each with its factors, and two biases less"
    );
}

#[test]
fn sizes_of_models_that_make_images_are_the_published_ones() {
    for (model, parameters) in [(models::autoencoder([28, 28], 32), 222_384), (models::vae([28, 28], 20), 652_824)] {
        let model = built(model, &[28, 28]);
        assert_eq!(model.parameter_count(), parameters);
        assert_eq!(*model.output_shapes().last().unwrap(), [28, 28]);
    }
    let generator = built(Dcgan::new().generator(), &[100, 1, 1]);
    let discriminator = built(Dcgan::new().discriminator(), &[3, 64, 64]);
    assert_eq!((generator.parameter_count(), discriminator.parameter_count()), (3_576_704, 2_765_568));
    for side in [4, 6, 7, 28, 32, 48, 64, 112] {
        let dcgan = Dcgan::new().side(side).channels(1).width(2).latent(3);
        let generator = built(dcgan.generator(), &[3, 1, 1]);
        assert_eq!(*generator.output_shapes().last().unwrap(), [1, side, side]);
        let discriminator = built(dcgan.discriminator(), &[1, side, side]);
        assert_eq!(*discriminator.output_shapes().last().unwrap(), [1]);
    }
}

#[test]
fn settings_that_make_no_network_are_refused() {
    let error = |model: Sequential, sample: &[usize]| model.build(sample, &Device::cpu(), 1).unwrap_err().to_string();
    for side in [0, 3, 9, 29, 58] {
        let dcgan = Dcgan::new().side(side);
        let expected = format!("side {side}: 4 to 7, doubled some times, is expected, such as 28 or 32");
        for error in [error(dcgan.generator(), &[100, 1, 1]), error(dcgan.discriminator(), &[3, 29, 29])] {
            assert!(error.contains(&expected), "{error}");
        }
    }
    let error = error(UNet::new().width(1).depth(usize::MAX).model(), &[1, 16, 16]);
    assert!(error.contains("at most 16 is expected"), "{error}");
}

#[test]
fn a_unet_says_which_sides_it_takes() {
    let error = UNet::new().width(2).depth(2).model().build([1, 8, 10], &Device::cpu(), 1).unwrap_err().to_string();
    assert!(error.contains("x is (4, 4, 5), the main layers give (4, 4, 4)"), "{error}");
    assert!(error.contains("take images whose sides the strides divide"), "{error}");
}

#[test]
fn alexnet_is_the_papers() {
    let model = built(models::alexnet(1000), &[3, 227, 227]);
    assert_eq!(model.parameter_count(), 60_965_224);
    let features = model.layers().next().unwrap().parts();
    let maps: Vec<&Shapes> = features.iter().map(|part| part.output.unwrap()).collect();
    assert_eq!(maps[0], &[96, 55, 55]);
    assert_eq!(maps[2], &[96, 27, 27]);
    assert_eq!(maps[5], &[256, 13, 13]);
    assert_eq!(maps[9], &[256, 6, 6]);
    // Two operations for each of the 724 million multiplications that are counted for it.
    assert_eq!(model.flops(model.output_shapes().last().unwrap()) / 2, 724_406_816);
}

#[test]
fn alexnet_for_cifar_is_the_listings() {
    let model = built(alexnet_cifar(10), &[3, 32, 32]);
    assert_eq!(with_buffers(&model), 21_650_858);
    assert_eq!(model.parameter_count(), 21_631_722);
    let shapes = model.output_shapes().iter().map(|shapes| shapes.one().unwrap());
    let maps: Vec<usize> = shapes.filter(|shape| shape.rank() == 3).map(|shape| shape[1]).collect();
    assert_eq!(maps, [8, 8, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 1]);
}

/// The dense layers, which have most of the parameters, are cut down here: built in full, a VGG has half a gigabyte.
#[test]
fn vggs_have_their_convolutions() {
    for (stages, batch_norm, convolutions) in [
        (vec![1, 1, 2, 2, 2], false, 9_220_480),
        (vec![2; 5], false, 9_404_992),
        (vec![2, 2, 3, 3, 3], false, 14_714_688),
        (vec![2, 2, 3, 3, 3], true, 14_714_688 + 2 * 4_224),
    ] {
        let model = Vgg::new(stages).batch_norm(batch_norm).hidden(8).classes(10).model();
        let model = built(model, &[3, 64, 64]);
        let head = 512 * 49 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10;
        assert_eq!(model.parameter_count(), convolutions + head);
    }
}

fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, PyTorch gives {e}");
    }
}

/// The images that a model is given.
fn images<'v>(name: &str, values: &'v StateDict) -> &'v Tensor {
    values.get(&format!("{name}/x")).unwrap_or(&values["x"])
}

/// The model of this architecture with the weights of PyTorch's file.
fn loaded(name: &str, model: &Sequential, dtype: DType, values: &StateDict) -> Sequential {
    let mut init = Init::new(1, &Device::cpu()).dtype(dtype);
    let mut model = Sequential::from_architecture(&model.architecture(), &Device::cpu()).unwrap();
    model = model.build_with(&images(name, values).dims()[1..], &mut init).unwrap();
    safetensors::load(&mut model, fixture(name)).unwrap();
    model
}

/// Loads PyTorch's file by name into the model and compares what it gives.
fn check(name: &str, model: &Sequential, values: &StateDict) {
    for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-4)] {
        let mut model = loaded(name, model, dtype, values);
        let x = Var::constant(images(name, values).to_dtype(dtype).unwrap());
        let y = model.forward(&x, &Ctx::eval()).unwrap();
        close(name, y.tensor(), &values[&format!("{name}/eval")], tolerance);
        let ctx = Ctx::train(1, 0);
        let y = model.forward(&x, &ctx).unwrap();
        close(name, y.tensor(), &values[&format!("{name}/train")], 10.0 * tolerance);
        ctx.commit(&mut model).unwrap();
        for (path, buffer) in model.buffers() {
            close(&path, buffer.value(), &values[&format!("after/{name}/{path}")], tolerance);
        }
    }
}

#[test]
fn torchvisions_weights_load_by_name() {
    let values = safetensors::read(fixture("values"), &Device::cpu()).unwrap();
    check("resnet_basic", &ResNet::basic([2, 1, 1, 1]).width(4).classes(5).model(), &values);
    check("resnet_bottleneck", &ResNet::bottleneck([1, 2, 1, 1]).width(3).classes(5).model(), &values);
    let vgg = Vgg::new([1, 1, 2]).width(4).pooled(2).hidden(12).dropout(0.0).classes(5);
    check("vgg", &vgg.model(), &values);
    check("vgg_bn", &vgg.clone().batch_norm(true).model(), &values);
    let stages = [[1, 32, 1, 1], [6, 32, 2, 2], [2, 64, 2, 2]];
    let mobilenet = MobileNetV2::new().stages(stages).width(0.25).last(24).dropout(0.0).classes(5);
    check("mobilenet_v2", &mobilenet.model(), &values);
    check("densenet", &DenseNet::new([2, 3]).growth(4).width(8).classes(5).model(), &values);
    let stage = |expansion, kernel, stride, channels, blocks| Stage { expansion, kernel, stride, channels, blocks };
    let efficientnet = EfficientNet::new().stages([stage(1, 3, 1, 8, 2), stage(6, 5, 2, 16, 2)]).width(8);
    check("efficientnet", &efficientnet.dropout(0.0).drop_path(0.0).classes(5).model(), &values);
}

#[test]
fn pytorchs_weights_load_by_name() {
    let values = safetensors::read(fixture("values"), &Device::cpu()).unwrap();
    check("unet", &UNet::new().width(4).depth(2).classes(5).model(), &values);
    let dcgan = Dcgan::new().side(32).channels(2).width(3).latent(5);
    check("generator", &dcgan.generator(), &values);
    check("discriminator", &dcgan.discriminator(), &values);
}

#[test]
fn the_loss_of_a_variational_autoencoder_is_pytorchs() {
    let values = safetensors::read(fixture("values"), &Device::cpu()).unwrap();
    let model = Autoencoder::new([6, 5], 3).hidden([7]).variational(true).model();
    let model = loaded("vae", &model, DType::F64, &values);
    let x = values["vae/x"].to_dtype(DType::F64).unwrap();
    let ctx = Ctx::eval();
    let y = model.forward(&x, &ctx).unwrap();
    close("vae", y.tensor(), &values["vae/eval"], 1e-11);
    let loss = BinaryCrossentropy::new().forward(&y, &x).unwrap().add(&ctx.penalty().unwrap().unwrap()).unwrap();
    close("the loss", loss.tensor(), &values["vae/loss"], 1e-11);
}

#[test]
fn a_checkpoint_of_another_architecture_is_named_in_full_and_changes_nothing() {
    let model = ResNet::basic([1, 1, 1, 1]).width(4).classes(7).model();
    let mut model = model.build([3, 33, 24], &Device::cpu(), 1).unwrap();
    let before = model.state_dict();
    let error = safetensors::load(&mut model, fixture("resnet_basic")).unwrap_err().to_string();
    assert!(
        error.contains("resnet_basic.safetensors: the state is of another architecture; nothing was changed."),
        "{error}"
    );
    assert!(error.contains("Unexpected (12): layer1.1.bn1.bias, layer1.1.bn1.num_batches_tracked,"), "{error}");
    assert!(
        error.contains("Of another shape or type (2): fc.weight: expected f32 (7, 32), got f32 (5, 32), fc.bias:"),
        "{error}"
    );
    assert!(!error.contains("Missing"), "{error}");
    let vgg = Vgg::new([1, 1]).width(4).pooled(1).hidden(4).classes(5).model();
    let mut model_of_vgg = vgg.build([3, 33, 24], &Device::cpu(), 1).unwrap();
    let error = safetensors::load(&mut model_of_vgg, fixture("resnet_basic")).unwrap_err().to_string();
    assert!(error.contains("Missing (10): features.0.weight, features.0.bias, features.3.weight,"), "{error}");
    for (path, value) in model.state_dict() {
        assert_eq!(value.to_vec::<f32>().unwrap(), before[&path].to_vec::<f32>().unwrap(), "{path}");
    }
    // With another head, what fits is loaded where that is asked for.
    let mut state = safetensors::read(fixture("resnet_basic"), &Device::cpu()).unwrap();
    state.retain(|name, _| !name.starts_with("fc."));
    let unmatched = model.load_state_dict(&state, false).unwrap();
    assert_eq!(unmatched.missing, ["fc.weight", "fc.bias"]);
    assert_eq!(unmatched.unexpected.len(), 12);
    assert_eq!(
        model.state_dict()["conv1.weight"].to_vec::<f32>().unwrap(),
        state["conv1.weight"].to_vec::<f32>().unwrap()
    );
}

#[test]
fn sizes_of_transformers_are_the_published_ones() {
    for (model, parameters) in [
        (models::gpt2(), 124_439_808),
        (models::gpt2_medium(), 354_823_168),
        (models::gpt2_large(), 774_030_080),
        (models::gpt2_xl(), 1_557_611_200),
    ] {
        assert_eq!(built(model, &[1024]).parameter_count(), parameters);
    }
    assert_eq!(built(models::bert_base(), &[512]).parameter_count(), 109_514_298);
    assert_eq!(built(models::vit_b16(1000), &[3, 224, 224]).parameter_count(), 86_567_656);
    assert_eq!(built(models::vit_cifar(10), &[3, 32, 32]).parameter_count(), 2_693_578);
    let llama =
        models::llama::Llama::new(128_256).width(2048).layers(16).heads(32).key_heads(8).hidden(8192).tied(true);
    assert_eq!(built(llama.positions(64).model(), &[64]).parameter_count(), 1_235_814_400);
}
