//! Settings as one would write them in a description, and what is said of those that make no sense.

use crate::descriptions::{described, read};
use kiln_nn::*;
use kiln_tensor::Padding;
use serde_json::{Value as Json, json};

#[test]
fn a_setting_that_makes_no_sense_is_named() {
    let error = read(&json!({"layer": "Dense", "units": 3, "activation": "rellu"})).unwrap_err();
    let expected = "layer 0 (Dense): `activation`: unknown variant `rellu`, expected one of `linear`, `relu`";
    assert!(error.message().starts_with(expected), "{error}");
    let error = read(&json!({"layer": "Dense", "units": "many"})).unwrap_err();
    assert!(error.message().starts_with("layer 0 (Dense): `units`: invalid type: string \"many\""), "{error}");
}

#[test]
fn settings_are_read_as_one_would_write_them() {
    let same = |short: Json, layer: Json| {
        let read = read(&short).unwrap_or_else(|error| panic!("{short}: {error}"));
        assert_eq!(read.architecture()["layers"][0], layer, "{short}");
    };
    let conv = |settings: Json| {
        let mut layer = json!({"layer": "Conv2d", "filters": 8, "kernel": 3});
        layer.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        layer
    };
    let of = || Conv2d::new(8, 3);
    same(conv(json!({"activation": "relu"})), described(of().activation(Activation::Relu)));
    same(conv(json!({"padding": "same"})), described(of().padding(Padding::Same)));
    same(conv(json!({"padding": 1})), described(of().padding(1)));
    same(conv(json!({"padding": [1, 2]})), described(of().padding([1, 2])));
    same(conv(json!({"padding": [[0, 1], [2, 3]]})), described(of().padding([(0, 1), (2, 3)])));
    same(conv(json!({"kernel_regularizer": {"l2": 0.001}})), described(of().kernel_regularizer(L2(0.001))));
    same(conv(json!({"activity_regularizer": {"l1": 0.5}})), described(of().activity_regularizer(L1(0.5))));
    for (short, initializer) in [
        (json!("he_normal"), Initializer::HeNormal),
        (json!("normal"), Initializer::Normal { mean: 0.0, std: 0.05 }),
        (json!({"normal": {"std": 0.5}}), Initializer::Normal { mean: 0.0, std: 0.5 }),
        (json!("truncated_normal"), Initializer::TruncatedNormal { mean: 0.0, std: 0.05 }),
        (json!("uniform"), Initializer::Uniform { low: -0.05, high: 0.05 }),
        (json!("identity"), Initializer::Identity { gain: 1.0 }),
        (json!("dirac"), Initializer::Dirac { groups: 1 }),
        (json!({"constant": 0.5}), Initializer::Constant(0.5)),
    ] {
        same(conv(json!({ "kernel_initializer": short })), described(of().kernel_initializer(initializer)));
    }
    for (short, constraint) in [
        (json!("non_neg"), Constraint::from(NonNeg)),
        (json!("unit_norm"), UnitNorm::new().into()),
        (json!({"max_norm": 3}), MaxNorm::new(3.0).into()),
        (json!({"max_norm": {"max": 3, "axes": [0]}}), MaxNorm::new(3.0).axis(0).into()),
        (json!({"min_max_norm": {"min": 0.5, "max": 2}}), MinMaxNorm::new(0.5, 2.0).into()),
    ] {
        same(conv(json!({ "kernel_constraint": short })), described(of().kernel_constraint(constraint)));
    }
    same(json!({"layer": "Dot", "axes": 1}), described(Dot::new(1)));
    same(
        json!({"layer": "Residual", "main": {"layers": []}, "activation": "relu"}),
        described(Residual::new(Sequential::new()).activation(Activation::Relu)),
    );
    for (wrong, message) in [
        (json!({"kernel_regularizer": {"l3": 1}}), "`kernel_regularizer`: unknown field `l3`, expected `l1` or `l2`"),
        (
            json!({"kernel_initializer": {"normal": {"stddev": 1}}}),
            "`kernel_initializer`: unknown field `stddev`, expected `mean` or `std`",
        ),
        (
            json!({"kernel_initializer": "constant"}),
            "`kernel_initializer`: `constant` needs a value: {\"constant\": …}",
        ),
        (json!({"activation": "leaky_relu"}), "`activation`: `leaky_relu` needs a value: {\"leaky_relu\": …}"),
    ] {
        let error = read(&conv(wrong)).unwrap_err();
        assert_eq!(error.message(), format!("layer 0 (Conv2d): {message}"));
    }
}

#[test]
fn separable_convolutions_are_read_as_they_were_once_written() {
    let layer =
        SeparableConv2d::new(8, 3).stride(2).multiplier(2).activation(Activation::Gelu).kernel_regularizer(L1(0.25));
    let mut depthwise =
        described(DepthwiseConv2d::new(3).stride(2).multiplier(2).use_bias(false).kernel_regularizer(L1(0.25)));
    let mut pointwise = described(Conv2d::new(8, 1).activation(Activation::Gelu).kernel_regularizer(L1(0.25)));
    for part in [&mut depthwise, &mut pointwise] {
        part.as_object_mut().unwrap().remove("layer");
    }
    let old = json!({"layer": "SeparableConv2d", "depthwise": depthwise, "pointwise": pointwise});
    assert_eq!(read(&old).unwrap().architecture()["layers"][0], described(layer));
}
