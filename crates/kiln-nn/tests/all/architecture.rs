//! Models as JSON and back: every layer's settings survive, and what is no description is refused by name.

use kiln_autograd::Var;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, ErrorKind, Padding, Result, Tensor};
use serde_json::json;

/// Every layer that Kiln makes from a description, with settings other than the defaults.
pub(crate) fn every_layer() -> Sequential {
    let inner = Sequential::new().push(Linear::without_bias(6, 5, &mut Init::new(1, &Device::cpu())).unwrap());
    let dense = Dense::new(6)
        .use_bias(false)
        .activation(Activation::LeakyRelu(0.25))
        .kernel_initializer(Initializer::Normal { mean: 0.5, std: 0.25 })
        .kernel_regularizer(L2(0.5))
        .activity_regularizer(L1(0.125));
    let model = Sequential::new().push(Flatten::new()).push(dense).push(Dropout::new(0.5)).push(inner);
    let model = model.push(Activation::Gelu).push(Linear::new(5, 3, &mut Init::new(2, &Device::cpu())).unwrap());
    model.push(Dense::new(2).activation(Activation::Softmax)).build([2, 3], &Device::cpu(), 3).unwrap()
}

#[test]
fn a_model_is_made_again_with_every_setting() {
    let cpu = Device::cpu();
    let model = every_layer();
    // Through text, as in a file.
    let text = model.architecture().to_string();
    let mut again = Sequential::from_architecture(&serde_json::from_str(&text).unwrap(), &cpu).unwrap();
    assert_eq!(again.architecture(), model.architecture());
    assert_eq!(again.output_shapes(), model.output_shapes());
    assert_eq!(format!("{again:?}"), format!("{model:?}"));
    again.load_state_dict(&model.state_dict(), true).unwrap();
    let x = Tensor::arange(12, &cpu).unwrap().to_dtype(DType::F32).unwrap().reshape([2, 2, 3]).unwrap();
    // Training shows what evaluation does not: dropout and penalties.
    let run = |model: &Sequential| {
        let ctx = Ctx::train(7, 0);
        let y = model.forward(&x, &ctx).unwrap().into_tensor().to_vec::<f32>().unwrap();
        (y, ctx.penalty().unwrap().unwrap().into_tensor().item().unwrap())
    };
    assert_eq!(run(&again), run(&model));
}

/// Every convolutional layer, with settings other than the defaults.
pub(crate) fn every_convolutional_layer() -> Sequential {
    let same = Padding::Same;
    let main = Sequential::new()
        .push_named("conv1", Conv2d::new(6, 3).padding(1).groups(3).kernel_initializer(Initializer::HeNormal))
        .push_named("bn1", BatchNorm2d::new().keras().activation(Activation::Relu));
    let shortcut = Sequential::new().push(Conv2d::new(6, 1).use_bias(false));
    let concat = Concat::new()
        .branch(AvgPool2d::new(2).padding([(0, 1), (1, 0)]).stride(1).count_include_pad(false))
        .branch_named("lp", LpPool2d::new(1).power(4.0));
    Sequential::new()
        .push(Reshape::new([1, 12, 12]))
        .push_named(
            "stem",
            Conv2d::new(3, [3, 2]).stride([1, 2]).padding(same).dilation([1, 2]).bias_regularizer(L2(0.5)),
        )
        .push(DepthwiseConv2d::new(3).multiplier(2).padding(1))
        .push(Residual::new(main).shortcut(shortcut).activation(Activation::Tanh))
        .push(concat)
        .push(MaxPool2d::new(3).stride(2).padding(same).ceil(true).dilation(1))
        .push(SeparableConv2d::new(8, 3).padding(same).activation(Activation::Gelu).kernel_regularizer(L1(0.25)))
        .push(ConvTranspose2d::new(4, 3).stride(2).padding(1).output_padding(1).groups(2))
        .push(Dropout2d::new(0.5))
        .push(ZeroPad2d::new([(0, 1), (2, 0)]))
        .push(Upsample2d::new([1, 2]).bilinear())
        .push(Upsample2d::to(9).bilinear().align_corners())
        .push(LocalResponseNorm::new(3).alpha(0.5).beta(0.5).k(2.0))
        .push(PRelu::new().by_channel(true).slope(0.125))
        .push(Activation::HardTanh(-2.0, 3.0))
        .push(Activation::SoftShrink(0.01))
        .push(GroupNorm::new(2).epsilon(0.1))
        .push(InstanceNorm::new().affine(true))
        .push(LayerNorm::new().axes(2).affine(false))
        .push(RmsNorm::new().epsilon(0.01))
        .push(AdaptiveAvgPool2d::new([4, 5]))
        .push(AdaptiveMaxPool2d::new(4))
        .push(BatchNorm2d::new().affine(false).frozen(true))
        .push(Concat::new().branch(GlobalAvgPool::new()).branch(GlobalMaxPool::new()))
        .build([12, 12], &Device::cpu(), 3)
        .unwrap()
}

/// The same of sequences and volumes.
pub(crate) fn every_other_rank() -> Sequential {
    Sequential::new()
        .push(Conv1d::new(4, 3).padding(2))
        .push(DepthwiseConv1d::new(2))
        .push(SeparableConv1d::new(6, 2).stride(2))
        .push(ConvTranspose1d::new(4, 2).stride(2))
        .push(MaxPool1d::new(2).stride(1))
        .push(AvgPool1d::new(2).stride(1))
        .push(LpPool1d::new(2).stride(1))
        .push(BatchNorm1d::new().momentum(0.5))
        .push(Dropout1d::new(0.25))
        .push(ZeroPad1d::new(1))
        .push(Upsample1d::new(2))
        .push(AdaptiveMaxPool1d::new(12))
        .push(AdaptiveAvgPool1d::new(8))
        .push(Reshape::new([1, 2, 4, 4]))
        .push(Conv3d::new(4, 2).padding(1))
        .push(BatchNorm3d::new())
        .push(MaxPool3d::new([1, 2, 2]))
        .push(AvgPool3d::new(2).ceil(true))
        .push(GlobalAvgPool::new().keep_dims(true))
        .push(Flatten::new())
        .build([2, 10], &Device::cpu(), 4)
        .unwrap()
}

/// Layers that move, crop, resample and disturb, and sequences of images.
pub(crate) fn every_other_layer() -> Sequential {
    Sequential::new()
        .push(
            ConvLstm2d::new(8, [3, 2])
                .padding(Padding::Same)
                .stride([1, 2])
                .use_bias(false)
                .activation(Activation::Relu)
                .recurrent_activation(Activation::HardSigmoid)
                .recurrent_initializer(Initializer::HeNormal)
                .kernel_regularizer(L2(0.5))
                .return_sequences(true),
        )
        .push(ConvLstm2d::new(8, 1).unit_forget_bias(false).stateful(true))
        .push(Identity::new())
        .push(SqueezeExcitation::new(3).activation(Activation::Silu).scale_activation(Activation::HardSigmoid))
        .push(PixelShuffle::new(2).blocks_first(true))
        .push(PixelUnshuffle::new(2))
        .push(Upsample2d::to([5, 7]).bicubic())
        .push(Upsample2d::new(2).bicubic().align_corners())
        .push(Cropping2d::new([(1, 0), (2, 3)]))
        .push(DropPath::new(0.25))
        .push(GaussianNoise::new(0.5))
        .push(GaussianDropout::new(0.25))
        .push(AlphaDropout::new(0.125))
        .push(Reshape::new([8, 9, 9, 1]))
        .push(Cropping3d::new([2, 3, 0]))
        .push(ZeroPad3d::new([(0, 1), (0, 0), (1, 0)]))
        .push(Dropout3d::new(0.5))
        .push(Upsample3d::new([1, 1, 2]).bilinear().align_corners())
        .push(ConvTranspose3d::new(2, 2).stride([1, 2, 1]))
        .push(Flatten::new())
        .push(RepeatVector::new(3))
        .push(Cropping1d::new([(1, 2)]))
        .build([2, 1, 4, 6], &Device::cpu(), 3)
        .unwrap()
}

/// Attention with all that can be set, and the blocks of transformers.
pub(crate) fn every_attention_layer() -> Sequential {
    let scaling =
        RotaryScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_positions: 64 };
    let rotary = Rotary::new().theta(500.0).width(2).interleaved(true).scaling(scaling);
    let attention = MultiHeadAttention::new(4)
        .key_heads(2)
        .head_width(3)
        .value_width(5)
        .use_bias(false)
        .dropout(0.25)
        .causal(true)
        .window(3)
        .scale(0.5)
        .kernel_initializer(Initializer::HeNormal)
        .stateful(true);
    let gated = FeedForward::new(6).activation(Activation::Silu).gated(true).use_bias(false).dropout(0.25);
    let llama = TransformerEncoderLayer::of(attention.clone().rotary(rotary), gated.clone());
    let llama = llama.norm_first(true).norm(BlockNorm::Rms).epsilon(1e-3).residual_dropout(0.25);
    Sequential::new()
        .push(Embedding::new(9, 8))
        .push(PositionEmbedding::new(6).embeddings_initializer(Initializer::HeNormal))
        .push(SinusoidalPositions::new().theta(100.0).stateful(true))
        .push(attention.alibi(true))
        .push(gated.kernel_initializer(Initializer::HeNormal))
        .push(TransformerEncoderLayer::new(2, 6).causal(true).activation(Activation::Gelu).dropout(0.25))
        .push(TransformerEncoder::new(llama, 2).final_norm(false))
        .build([5], &Device::cpu(), 3)
        .unwrap()
}

#[test]
fn layers_of_several_inputs_are_made_again() {
    let cpu = Device::cpu();
    let mut graph = Graph::new();
    let (a, b) = (graph.input([3, 4]), graph.input([3, 4]));
    let average = graph.call(Average::new(), &[&a, &b]).unwrap();
    let largest = graph.call(Maximum::new(), &[&average, &b]).unwrap();
    let smallest = graph.call(Minimum::new(), &[&largest, &a]).unwrap();
    let y = graph.call(Dot::new([2, -1]).normalize(true), &[&smallest, &a]).unwrap();
    let model = graph.build(&[&a, &b], &[&y], &cpu, 1).unwrap();
    let text = model.architecture().to_string();
    let again = Graph::from_architecture(&serde_json::from_str(&text).unwrap(), &cpu).unwrap();
    assert_eq!(again.architecture(), model.architecture());
}

#[test]
fn a_function_is_not_read_from_a_description() {
    let model = Sequential::new().push(Lambda::new(|x: Var| x.exp())).build([3], &Device::cpu(), 1).unwrap();
    let error = Sequential::from_architecture(&model.architecture(), &Device::cpu()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "architecture: layer 0 is a Lambda, whose function no file can hold: make the model in code and load its weights, or write \
         the function as a layer of its own, made known with `Init::register`"
    );
}

#[test]
fn convolutional_models_are_made_again_with_every_setting() {
    let cpu = Device::cpu();
    let models = [
        (every_convolutional_layer(), vec![3, 12, 12]),
        (every_other_rank(), vec![3, 2, 10]),
        (every_other_layer(), vec![3, 2, 1, 4, 6]),
        (every_attention_layer(), vec![3, 5]), // tokens
    ];
    for (model, dims) in models {
        let text = model.architecture().to_string();
        let mut again = Sequential::from_architecture(&serde_json::from_str(&text).unwrap(), &cpu).unwrap();
        assert_eq!(again.architecture(), model.architecture());
        assert_eq!(again.output_shapes(), model.output_shapes());
        assert_eq!(again.summary("again"), model.summary("again"));
        again.load_state_dict(&model.state_dict(), true).unwrap();
        let path = std::env::temp_dir().join(format!("kiln-nn-layers-{}-{}", std::process::id(), dims.len()));
        safetensors::save(&model, &path).unwrap();
        safetensors::load(&mut again, &path).unwrap();
        std::fs::remove_file(path).unwrap();
        let x = Tensor::uniform(dims, -1.0, 1.0, DType::F32, &cpu, RandomStream::new(1, Purpose::Data, 0)).unwrap();
        let x = if x.rank() == 2 { x.mul_scalar(4.0).unwrap().abs().unwrap().to_dtype(DType::I64).unwrap() } else { x };
        let run = |model: &Sequential, ctx: Ctx| {
            let y = model.forward(&x, &ctx).unwrap().into_tensor().to_vec::<f32>().unwrap();
            (y, ctx.penalty().unwrap().map(|penalty| penalty.item().unwrap()))
        };
        assert_eq!(run(&again, Ctx::train(7, 0)), run(&model, Ctx::train(7, 0)));
        assert_eq!(run(&again, Ctx::eval()), run(&model, Ctx::eval()));
    }
}

#[test]
fn settings_are_written_as_one_writes_them() {
    let conv = Conv2d::new(8, [3, 5]).stride(2).padding(Padding::Same).activation(Activation::Relu);
    assert_eq!(
        conv.config().unwrap(),
        json!({
            "use_bias": true, "activation": "relu", "kernel_initializer": "glorot_uniform", "bias_initializer": "zeros",
            "filters": 8, "kernel": [3, 5], "stride": 2, "dilation": 1, "padding": "same", "groups": 1
        })
    );
    assert_eq!(MaxPool2d::new(2).padding([(0, 1), (2, 2)]).config().unwrap()["padding"], json!([[0, 1], [2, 2]]));
    let named = Sequential::new().push_named("pool", MaxPool2d::new(2)).architecture();
    assert_eq!(named["layers"][0]["name"], "pool");
}

#[test]
fn activations_have_names_in_snake_case_and_their_constants() {
    for (activation, json) in [
        (Activation::Relu6, json!("relu6")),
        (Activation::LeakyRelu(0.01), json!({"leaky_relu": 0.01})),
        (Activation::GeluTanh, json!("gelu_tanh")),
    ] {
        let dense = Dense::new(1).activation(activation);
        assert_eq!(dense.config().unwrap()["activation"], json);
    }
}

#[derive(Module, Describe)]
struct Mine;

impl Layer for Mine {
    type Input = Var;
    type Output = Var;
    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        Ok(x)
    }
}

#[test]
fn a_layer_of_ones_own_is_named() {
    let architecture = Sequential::new().push(Flatten::new()).push(Mine).architecture();
    assert_eq!(architecture, json!({"layers": [{"layer": "Flatten"}, {"layer": "Mine"}]}));
    let error = Sequential::from_architecture(&architecture, &Device::cpu()).unwrap_err();
    assert_eq!(error.message(), "layer 1: unknown layer `Mine`; one of your own is made known with `Init::register`");
}

#[test]
fn layers_are_read_by_their_former_names() {
    let cpu = Device::cpu();
    let model = Sequential::new().push(Upsample1d::new(2)).push(RmsNorm::new()).push(Upsample2d::new(3));
    let mut text = model.architecture().to_string();
    for (old, new) in [("RMSNorm", "RmsNorm"), ("UpSample1d", "Upsample1d"), ("UpSample2d", "Upsample2d")] {
        assert!(text.contains(new), "{text}");
        text = text.replace(new, old);
    }
    let again = Sequential::from_architecture(&serde_json::from_str(&text).unwrap(), &cpu).unwrap();
    assert_eq!(again.architecture(), model.architecture());
}

#[test]
fn what_is_no_description_is_refused() {
    for (wrong, message) in [
        (json!(null), "the model: an object of settings is expected, got null"),
        (json!({"layers": {}}), "`layers`, a list, is expected"),
        (json!({"layers": [{}]}), "layer 0: `layer`, its name, is expected"),
        (json!({"layers": [{"layer": "Flatten"}, {"layer": "Dense"}]}), "layer 1 (Dense): `units` is missing"),
        (
            json!({"layers": [{"layer": "Dropout", "rate": "much"}]}),
            "layer 0 (Dropout): `rate`: invalid type: string \"much\", expected f64",
        ),
        (
            json!({"layers": [{"layer": "MaxPool2d", "kernel": [], "dilation": 1, "padding": "valid"}]}),
            "layer 0 (MaxPool2d): `kernel`: a number, or a list of one for each of one to three axes, is expected",
        ),
        (
            json!({"layers": [{"layer": "ZeroPad2d", "padding": "much"}]}),
            "layer 0 (ZeroPad2d): `padding`: \"valid\", \"same\", a number, or a list of numbers or pairs, is expected",
        ),
        (json!({"layers": [{"layer": "Concat"}]}), "layer 0 (Concat): `branches` is missing"),
        (json!({"layers": [{"layer": "Flatten", "name": 3}]}), "layer 0: `name`, a text, is expected, got 3"),
        (
            json!({"layers": [{"layer": "Flatten", "name": "a"}, {"layer": "Flatten", "name": "a"}], "input": [2]}),
            "two layers are called a: give each a name of its own",
        ),
        (json!({"layers": [], "input": [2, -1]}), "`input`, the sizes of a sample's axes, is expected, got [2,-1]"),
        (json!({"layers": [{"layer": "Sequential"}]}), "layer 0 (Sequential): `layers` is missing"),
        (json!({"layers": [{"layer": "Dropout", "rate": 2.0}], "input": [2]}), "a rate from 0 to 1 is expected, got 2"),
    ] {
        let error = Sequential::from_architecture(&wrong, &Device::cpu()).unwrap_err();
        assert_eq!(error.message(), message, "{wrong}");
    }
}

#[test]
fn a_description_cannot_ask_for_more_memory_than_there_is() {
    let device = Device::cpu_of(1 << 20);
    let wide = |units: u64, initializer: Initializer| {
        let small =
            Sequential::new().push(Dense::new(3).kernel_initializer(initializer)).build([784], &Device::cpu(), 1);
        let text = small.unwrap().architecture().to_string().replace("\"units\":3", &format!("\"units\":{units}"));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    use Initializer::{GlorotUniform, HeNormal, Ones, Orthogonal};
    for units in [100_000, 1_000_000_000, 1_000_000_000_000, u64::MAX >> 8] {
        for initializer in [GlorotUniform, HeNormal, Ones, Orthogonal] {
            let error = Sequential::from_architecture(&wide(units, initializer), &device).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Memory | ErrorKind::Shape), "{error}");
        }
    }
    // Nor on the CPU as it is.
    let error = Sequential::from_architecture(&wide(1_000_000_000_000, GlorotUniform), &Device::cpu()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory, "{error}");
    assert!(device.memory().peak <= 1 << 20);
}
