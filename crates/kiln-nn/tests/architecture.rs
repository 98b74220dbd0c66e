//! Models as JSON and back: every layer's settings survive, and what is no description is refused by name.

#![allow(clippy::unwrap_used)]

use kiln_nn::{Activation, Ctx, Dense, Dropout, Flatten, Init, Initializer, L1, L2, Layer, Linear, Module, Sequential};
use kiln_tensor::{DType, Device, Result, Tensor};
use serde_json::json;

/// Every layer that Kiln makes from a description, with settings other than the defaults.
fn every_layer() -> Sequential {
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
        let y = ctx.run(model, &(&x).into()).unwrap().into_tensor().to_vec::<f32>().unwrap();
        (y, ctx.penalty().unwrap().unwrap().into_tensor().item().unwrap())
    };
    assert_eq!(run(&again), run(&model));
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

#[derive(Module)]
struct Mine;

impl Layer for Mine {
    fn forward(&self, x: &kiln_autograd::Var, _: &Ctx) -> Result<kiln_autograd::Var> {
        Ok(x.clone())
    }
}

#[test]
fn a_layer_of_ones_own_is_named() {
    let architecture = Sequential::new().push(Flatten::new()).push(Mine).architecture();
    assert_eq!(architecture, json!({"layers": [{"layer": "Flatten"}, {"layer": "Mine"}]}));
    let error = Sequential::from_architecture(&architecture, &Device::cpu()).unwrap_err();
    assert_eq!(error.message(), "layer 1 is a Mine, which Kiln does not make from a description");
}

#[test]
fn what_is_no_description_is_refused() {
    for (wrong, message) in [
        (json!(null), "`layers`, a list, is expected"),
        (json!({"layers": {}}), "`layers`, a list, is expected"),
        (json!({"layers": [{}]}), "layer 0: `layer`, its name, is expected"),
        (json!({"layers": [{"layer": "Flatten"}, {"layer": "Dense"}]}), "layer 1 (Dense): missing field `units`"),
        (
            json!({"layers": [{"layer": "Dropout", "rate": "much"}]}),
            "layer 0 (Dropout): invalid type: string \"much\", expected f64",
        ),
        (json!({"layers": [], "input": [2, -1]}), "`input`, the sizes of a sample's axes, is expected, got [2,-1]"),
        (json!({"layers": [{"layer": "Sequential"}]}), "`layers`, a list, is expected"),
        (json!({"layers": [{"layer": "Dropout", "rate": 2.0}], "input": [2]}), "a rate in [0, 1) is expected, got 2"),
    ] {
        let error = Sequential::from_architecture(&wrong, &Device::cpu()).unwrap_err();
        assert_eq!(error.message(), message, "{wrong}");
    }
}
