//! Layers described by the settings that are not the defaults: the others are those of the constructor.

use crate::architecture::{
    every_attention_layer, every_convolutional_layer, every_layer, every_other_layer, every_other_rank,
};
use kiln_nn::*;
use kiln_tensor::{Device, Result};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

pub(crate) fn read(layer: &Json) -> Result<Sequential> {
    Sequential::from_architecture(&json!({ "layers": [layer] }), &Device::cpu())
}

pub(crate) fn described(layer: impl AnyLayer + 'static) -> Json {
    Sequential::new().push(layer).architecture()["layers"][0].clone()
}

/// A layer and how little says it.
macro_rules! cases {
    ($($name:ident $layer:expr, $settings:tt;)+) => {
        vec![$((stringify!($name), described($layer), json!($settings)),)+]
    };
}

fn minimal() -> Vec<(&'static str, Json, Json)> {
    let dense = json!({"layer": "Dense", "units": 3});
    let model = || Sequential::new().push(Dense::new(3));
    let mut cases = cases! {
        AdaptiveAvgPool1d AdaptiveAvgPool1d::new(4), {"size": 4};
        AdaptiveAvgPool2d AdaptiveAvgPool2d::new([4, 5]), {"size": [4, 5]};
        AdaptiveMaxPool1d AdaptiveMaxPool1d::new(4), {"size": 4};
        AdaptiveMaxPool2d AdaptiveMaxPool2d::new(4), {"size": 4};
        Add Add::new(), {};
        AlphaDropout AlphaDropout::new(0.25), {"rate": 0.25};
        Average Average::new(), {};
        AvgPool1d AvgPool1d::new(2), {"kernel": 2};
        AvgPool2d AvgPool2d::new(2), {"kernel": 2};
        AvgPool3d AvgPool3d::new([1, 2, 3]), {"kernel": [1, 2, 3]};
        BatchNorm1d BatchNorm1d::new(), {};
        BatchNorm2d BatchNorm2d::new(), {};
        BatchNorm3d BatchNorm3d::new(), {};
        Bias Bias::new(), {};
        CategoryEncoding CategoryEncoding::multi_hot(4), {"categories": 4, "mode": "multi_hot"};
        CenterCrop CenterCrop::new(3, 4), {"height": 3, "width": 4};
        ClassToken ClassToken::new(), {};
        Concatenate Concatenate::new(), {};
        Conv1d Conv1d::new(8, 3), {"filters": 8, "kernel": 3};
        Conv2d Conv2d::new(8, [3, 5]), {"filters": 8, "kernel": [3, 5]};
        Conv3d Conv3d::new(8, 3), {"filters": 8, "kernel": 3};
        ConvLstm2d ConvLstm2d::new(8, 3), {"filters": 8, "kernel": 3};
        ConvTranspose1d ConvTranspose1d::new(8, 3), {"filters": 8, "kernel": 3};
        ConvTranspose2d ConvTranspose2d::new(8, 3), {"filters": 8, "kernel": 3};
        ConvTranspose3d ConvTranspose3d::new(8, 3), {"filters": 8, "kernel": 3};
        Cropping1d Cropping1d::new([(1, 2)]), {"cropping": [[1, 2]]};
        Cropping2d Cropping2d::new(1), {"cropping": 1};
        Cropping3d Cropping3d::new([1, 2, 0]), {"cropping": [1, 2, 0]};
        Dense Dense::new(10), {"units": 10};
        DepthwiseConv1d DepthwiseConv1d::new(3), {"kernel": 3};
        DepthwiseConv2d DepthwiseConv2d::new(3), {"kernel": 3};
        Discretization Discretization::new(&[18.0, 65.0]), {"boundaries": [18, 65]};
        Discretization Discretization::quantiles(4), {"bins": 4};
        DocumentMask DocumentMask::new(), {};
        Dot Dot::new([2, -1]), {"axes": [2, -1]};
        DropPath DropPath::new(0.25), {"rate": 0.25};
        Dropout Dropout::new(0.25), {"rate": 0.25};
        Dropout1d Dropout1d::new(0.25), {"rate": 0.25};
        Dropout2d Dropout2d::new(0.25), {"rate": 0.25};
        Dropout3d Dropout3d::new(0.25), {"rate": 0.25};
        Embedding Embedding::new(100, 8), {"vocabulary": 100, "size": 8};
        FeedForward FeedForward::new(8), {"hidden": 8};
        GaussianDropout GaussianDropout::new(0.25), {"rate": 0.25};
        GaussianNoise GaussianNoise::new(0.5), {"std": 0.5};
        GlobalAvgPool GlobalAvgPool::new(), {};
        GlobalMaxPool GlobalMaxPool::new(), {};
        GroupNorm GroupNorm::new(4), {"groups": 4};
        Gru Gru::new(8), {"units": 8};
        Identity Identity::new(), {};
        InstanceNorm InstanceNorm::new(), {};
        IntegerLookup IntegerLookup::new(), {};
        LayerNorm LayerNorm::new(), {};
        LocalResponseNorm LocalResponseNorm::new(5), {"size": 5};
        LpPool1d LpPool1d::new(2), {"kernel": 2};
        LpPool2d LpPool2d::new(2), {"kernel": 2};
        Lstm Lstm::new(8), {"units": 8};
        Masking Masking::new(0.0), {"value": 0};
        MaxPool1d MaxPool1d::new(2), {"kernel": 2};
        MaxPool2d MaxPool2d::new(2), {"kernel": 2};
        MaxPool3d MaxPool3d::new(2), {"kernel": 2};
        Maximum Maximum::new(), {};
        Minimum Minimum::new(), {};
        MultiHeadAttention MultiHeadAttention::new(4), {"heads": 4};
        Multiply Multiply::new(), {};
        Normalization Normalization::new(), {};
        PRelu PRelu::new(), {};
        PeepholeLstm PeepholeLstm::new(8), {"units": 8};
        Permute Permute::new([2, 1]), {"axes": [2, 1]};
        PixelShuffle PixelShuffle::new(2), {"factor": 2};
        PixelUnshuffle PixelUnshuffle::new(2), {"factor": 2};
        Reparameterize Reparameterize::new(), {};
        PositionEmbedding PositionEmbedding::new(64), {"positions": 64};
        RepeatVector RepeatVector::new(7), {"steps": 7};
        Rescaling Rescaling::new(0.5, 0.0), {"scale": 0.5};
        Reshape Reshape::new([1, 28, 28]), {"shape": [1, 28, 28]};
        Resizing Resizing::new(32, 48), {"height": 32, "width": 48};
        RmsNorm RmsNorm::new(), {};
        SegmentEmbedding SegmentEmbedding::new(2), {"segments": 2};
        SelectStep SelectStep::new(-1), {"step": -1};
        SeparableConv1d SeparableConv1d::new(8, 3), {"filters": 8, "kernel": 3};
        SeparableConv2d SeparableConv2d::new(8, 3), {"filters": 8, "kernel": 3};
        SimpleRnn SimpleRnn::new(8), {"units": 8};
        SinusoidalPositions SinusoidalPositions::new(), {};
        SqueezeExcitation SqueezeExcitation::new(4), {"squeeze": 4};
        Subtract Subtract::new(), {};
        TransformerDecoder TransformerDecoder::new(TransformerDecoderLayer::new(2, 8), 3), {
            "block": {"attention": {"heads": 2, "causal": true}, "cross_attention": {"heads": 2}, "feed_forward": {"hidden": 8}},
            "layers": 3
        };
        TransformerDecoderLayer TransformerDecoderLayer::new(2, 8), {
            "attention": {"heads": 2, "causal": true}, "cross_attention": {"heads": 2}, "feed_forward": {"hidden": 8}
        };
        TransformerEncoder TransformerEncoder::new(TransformerEncoderLayer::new(2, 8), 3), {
            "block": {"attention": {"heads": 2}, "feed_forward": {"hidden": 8}}, "layers": 3
        };
        TransformerEncoderLayer TransformerEncoderLayer::new(2, 8), {"attention": {"heads": 2}, "feed_forward": {"hidden": 8}};
        Upsample1d Upsample1d::new(2), {"size": 2};
        Upsample2d Upsample2d::to([20, 30]), {"size": {"to": [20, 30]}};
        Upsample3d Upsample3d::new([1, 2, 2]), {"size": [1, 2, 2]};
        ZeroPad1d ZeroPad1d::new(1), {"padding": 1};
        ZeroPad2d ZeroPad2d::new([(0, 1), (2, 2)]), {"padding": [[0, 1], [2, 2]]};
        ZeroPad3d ZeroPad3d::new([1, 2, 3]), {"padding": [1, 2, 3]};
        Activation Activation::Relu, {"activation": "relu"};
        Flatten Flatten::new(), {};
        Linear Linear::new(3, 2, &mut Init::new(1, &Device::cpu())).unwrap(), {"inputs": 3, "outputs": 2};
    };
    let within = |name, layer, settings| (name, layer, settings);
    cases.extend([
        within("Concat", described(Concat::new().branch(Dense::new(3))), json!({ "branches": [dense] })),
        within("Residual", described(Residual::new(model())), json!({"main": {"layers": [dense]}})),
        within("Sequential", described(model()), json!({ "layers": [dense] })),
        within("SkipConcat", described(SkipConcat::new(model())), json!({"main": {"layers": [dense]}})),
        within("SpectralNorm", described(SpectralNorm::new(Dense::new(3))), json!({ "inner": dense })),
        within("TimeDistributed", described(TimeDistributed::new(Dense::new(3))), json!({ "inner": dense })),
        within("WeightNorm", described(WeightNorm::new(Dense::new(3))), json!({ "inner": dense })),
    ]);
    cases
}

fn of_type(name: &str, settings: &Json) -> Json {
    let mut layer = settings.clone();
    layer["layer"] = name.into();
    layer
}

#[test]
fn what_is_left_out_is_as_the_constructor_sets_it() {
    for (name, full, settings) in minimal() {
        let model = read(&of_type(name, &settings)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(model.architecture()["layers"][0], full, "{name}");
    }
}

macro_rules! names {
    ($($name:ident)+) => { const NAMES: &[&str] = &[$(stringify!($name)),+]; };
}
kiln_nn::for_each_layer! { names }

#[test]
fn every_layer_has_a_case() {
    let known: BTreeSet<&str> = minimal().iter().map(|(name, _, _)| *name).collect();
    // A function, parts of layers, and what is no layer.
    let others = [
        "Lambda",
        "GruCell",
        "LstmCell",
        "SimpleRnnCell",
        "Merge",
        "SequenceInputs",
        "Adapt",
        "StringLookup",
        "AttentionInputs",
        "BlockNorm",
        "Rotary",
        "RotaryScaling",
    ];
    let lacking: Vec<_> = NAMES.iter().filter(|&name| !known.contains(name) && !others.contains(name)).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[test]
fn what_is_required_is_named_where_it_is_missing() {
    for (name, _, settings) in minimal() {
        for required in settings.as_object().unwrap().keys() {
            let mut layer = of_type(name, &settings);
            layer.as_object_mut().unwrap().remove(required);
            let error = read(&layer).unwrap_err();
            let expected = match name {
                "Discretization" => "layer 0 (Discretization): `boundaries` or `bins` is missing".to_owned(),
                _ => format!("layer 0 ({name}): `{required}` is missing"),
            };
            assert_eq!(error.message(), expected);
        }
    }
}

/// Every place of an object where a layer is described.
fn layers(description: &Json, at: &str, found: &mut Vec<String>) {
    let places: Vec<(String, &Json)> = match description {
        Json::Object(object) => object.iter().map(|(key, value)| (format!("{at}/{key}"), value)).collect(),
        Json::Array(list) => list.iter().enumerate().map(|(key, value)| (format!("{at}/{key}"), value)).collect(),
        _ => return,
    };
    if description.get("layer").is_some() {
        found.push(at.to_owned());
    }
    places.iter().for_each(|(at, value)| layers(value, at, found));
}

#[test]
fn a_setting_that_is_dropped_is_the_default_again_and_a_misspelled_one_is_told() {
    let defaults: Map<String, Json> = minimal().into_iter().map(|(name, full, _)| (name.to_owned(), full)).collect();
    let mut dropped = 0;
    for model in
        [every_layer(), every_convolutional_layer(), every_other_rank(), every_other_layer(), every_attention_layer()]
    {
        let mut whole = model.architecture();
        whole.as_object_mut().unwrap().remove("input"); // not built, as the shapes change
        let mut places = Vec::new();
        layers(&whole, "", &mut places);
        for place in places {
            let settings = whole.pointer(&place).unwrap().as_object().unwrap().clone();
            for setting in settings.keys().filter(|&key| key != "layer" && key != "name") {
                let mut less = whole.clone();
                less.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(setting);
                let name = settings["layer"].as_str().unwrap();
                match Sequential::from_architecture(&less, &Device::cpu()) {
                    Ok(read) => {
                        let read = read.architecture();
                        let (now, default) = (read.pointer(&format!("{place}/{setting}")), defaults[name].get(setting));
                        assert_eq!(now, default, "{name}: {setting}");
                        dropped += 1;
                    }
                    Err(error) => {
                        let missing = format!(" ({name}): `{setting}` is missing");
                        assert!(error.message().ends_with(&missing), "{error}");
                    }
                }
                let mut more = whole.clone();
                more.pointer_mut(&place).unwrap()[format!("{setting}_")] = Json::Null;
                let error = Sequential::from_architecture(&more, &Device::cpu()).unwrap_err();
                let expected = format!(" ({name}): unknown setting `{setting}_`; the nearest is `{setting}`");
                assert!(error.message().ends_with(&expected), "{error}");
            }
        }
    }
    assert!(dropped > 200, "{dropped}");
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest() {
    let dense = |settings: Json| of_type("Dense", &settings);
    for (layer, message) in [
        (dense(json!({"unit": 10})), "layer 0 (Dense): unknown setting `unit`; the nearest is `units`"),
        (
            dense(json!({"units": 1, "Activation": "relu"})),
            "layer 0 (Dense): unknown setting `Activation`; the nearest is `activation`",
        ),
        (
            dense(json!({"units": 1, "kernel_regulariser": {"l2": 0.1}})),
            "layer 0 (Dense): unknown setting `kernel_regulariser`; the nearest is `kernel_regularizer`",
        ),
        (
            json!({"layer": "MaxPool2d", "kernel": 2, "strides": 2}),
            "layer 0 (MaxPool2d): unknown setting `strides`; the nearest is `stride`",
        ),
        (json!({"layer": "Dropout", "p": 0.5}), "layer 0 (Dropout): unknown setting `p`; there are `rate`"),
        (json!({"layer": "Flatten", "axis": 1}), "layer 0 (Flatten): unknown setting `axis`; there are none"),
        (json!({"layer": "Dens", "units": 1}), "layer 0: unknown layer `Dens`; the nearest is `Dense`"),
        (json!({"layer": "Conv2D"}), "layer 0: unknown layer `Conv2D`; the nearest is `Conv2d`"),
        (json!({"layer": "residual"}), "layer 0: unknown layer `residual`; the nearest is `Residual`"),
        (
            json!({"layer": "Residual", "main": {"layers": []}, "short": {}}),
            "layer 0 (Residual): unknown setting `short`; the nearest is `shortcut`",
        ),
        (
            json!({"layer": "Residual", "main": {"layer_": []}}),
            "layer 0 (Residual): `main`: unknown setting `layer_`; the nearest is `layers`",
        ),
        (
            json!({"layer": "SpectralNorm", "iner": {}}),
            "layer 0 (SpectralNorm): unknown setting `iner`; the nearest is `inner`",
        ),
        (
            json!({"layer": "WeightNorm", "inner": {"layer": "Dense", "unit": 1}}),
            "layer 0 (Dense): unknown setting `unit`; the nearest is `units`",
        ),
    ] {
        assert_eq!(read(&layer).unwrap_err().message(), message, "{layer}");
    }
    let cpu = Device::cpu();
    for (model, message) in [
        (json!({"layer": []}), "the model: `layers` is missing"),
        (json!({"layers": [], "inputs": [2]}), "the model: unknown setting `inputs`; the nearest is `input`"),
        (
            json!({"layers": [], "lookups": {"color": {"vocabulary": [], "masks": ""}}}),
            "lookup `color`: unknown setting `masks`; the nearest is `mask`",
        ),
    ] {
        assert_eq!(Sequential::from_architecture(&model, &cpu).unwrap_err().message(), message, "{model}");
    }
    let graph = json!({"inputs": [], "layers": [], "calls": [], "output": []});
    let error = Graph::from_architecture(&graph, &cpu).unwrap_err();
    assert_eq!(error.message(), "the model: unknown setting `output`; the nearest is `outputs`");
}
