//! Folders of Hugging Face's hub: what `transformers` computes with the same weights (tests/fixtures/hub).

use crate::shards::{copy, fixture};
use kiln_autograd::Var;
use kiln_nn::models::bert::BertHead;
use kiln_nn::models::hub::{self, Architecture, Config};
use kiln_nn::{Ctx, Init, Layer, Mask, Module, Rotary, RotaryScaling, Sequential, StateDict, Value, safetensors};
use kiln_tensor::{DType, Device, Tensor};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

static VALUES: LazyLock<StateDict> =
    LazyLock::new(|| safetensors::read(fixture("values.safetensors"), &Device::cpu()).unwrap());

fn value(name: &str, what: &str) -> Option<Tensor> {
    VALUES.get(&format!("{name}/{what}")).cloned()
}

/// The inputs of a model: tokens with their mask, and segments where there are some, or pixels.
fn inputs(name: &str) -> Value {
    let x = value(name, "tokens").or_else(|| value(name, "pixels")).unwrap();
    let mask = value(name, "mask").map(|mask| Mask::from(mask.to_dtype(DType::Bool).unwrap()));
    let x = Value::One(Var::from(x), mask);
    match value(name, "segments") {
        Some(segments) => Value::Many(vec![x, Value::from(segments)]),
        None => x,
    }
}

/// The largest difference from what `transformers` gives, at the steps that count.
fn difference(given: &Tensor, name: &str, output: &str) -> f64 {
    let expected = value(name, output).unwrap();
    assert_eq!(given.dims(), expected.dims());
    let apart = given.to_dtype(DType::F64).unwrap().sub(&expected).unwrap().abs().unwrap();
    let apart = match value(name, "mask").filter(|_| given.dims().len() == 3) {
        Some(mask) => apart.mul(&mask.unsqueeze(2).unwrap().to_dtype(DType::F64).unwrap()).unwrap(),
        None => apart,
    };
    apart.max(..).unwrap().item().unwrap()
}

fn logits(model: &Sequential, name: &str) -> Tensor {
    Ctx::eval().run(model, inputs(name)).unwrap().into_parts()[0].as_var().unwrap().tensor().clone()
}

fn expect_same(model: &Sequential, name: &str) {
    let apart = difference(&logits(model, name), name, "logits");
    assert!(apart < 1e-4, "{name}: {apart}");
}

/// A copy of a fixture's folder with another config.json.
pub(crate) fn reconfigured(name: &str, to: &str, change: impl FnOnce(&mut Json)) -> std::path::PathBuf {
    let folder = copy(name, to);
    let path = folder.join("config.json");
    let mut config: Json = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(path, config.to_string()).unwrap();
    folder
}

/// A copy of a fixture's folder with other tensors.
pub(crate) fn rewritten(name: &str, to: &str, change: impl FnOnce(StateDict) -> StateDict) -> std::path::PathBuf {
    let folder = copy(name, to);
    let path = folder.join("model.safetensors");
    let tensors = safetensors::read(&path, &Device::cpu()).unwrap();
    safetensors::write(&change(tensors), path).unwrap();
    folder
}

pub(crate) fn load(folder: &Path) -> kiln_tensor::Result<Sequential> {
    let model = hub::load(folder, &Device::cpu());
    fs::remove_dir_all(folder).unwrap();
    model
}

#[test]
fn logits_are_those_of_transformers() {
    for name in [
        "gpt2",
        "bert-masked-lm",
        "bert-classes",
        "vit",
        "llama-sharded",
        "llama-tied",
        "llama-yarn",
        "mistral",
        "qwen2",
    ] {
        expect_same(&hub::load(fixture(name), &Device::cpu()).unwrap(), name);
    }
}

#[test]
fn berts_features_and_segments_are_those_of_transformers() {
    let mut config = Config::read(fixture("bert")).unwrap();
    let Architecture::Bert(bert) = config.architecture else { panic!("no BERT") };
    config.architecture = Architecture::Bert(bert.with_segments(true).head(BertHead::Pooled));
    let mut model = config.build(&mut Init::new(1, &Device::cpu()).placeholders()).unwrap();
    config.load_weights(&mut model, fixture("bert"), true).unwrap();
    let outputs = Ctx::eval().run(&model, inputs("bert")).unwrap().into_parts();
    for (output, name) in outputs.iter().zip(["last_hidden_state", "pooler_output"]) {
        let apart = difference(output.as_var().unwrap().tensor(), "bert", name);
        assert!(apart < 1e-4, "{name}: {apart}");
    }
    // Without segments all are 0, and without the pooler its weights are not needed.
    let model = hub::load(fixture("bert"), &Device::cpu()).unwrap();
    assert_eq!(logits(&model, "bert-masked-lm").dims(), [3, 9, 16]);
}

#[test]
fn names_may_lack_the_prefix_and_buffers_are_ignored() {
    let folder = rewritten("gpt2", "bare", |tensors| {
        let bare = |name: String| name.strip_prefix("transformer.").unwrap().to_owned();
        let mut bare: StateDict = tensors.into_iter().map(|(name, tensor)| (bare(name), tensor)).collect();
        for name in ["h.0.attn.bias", "h.1.attn.masked_bias"] {
            bare.insert(name.to_owned(), Tensor::ones([1, 1, 24, 24], DType::F32, &Device::cpu()).unwrap());
        }
        bare.insert("lm_head.weight".to_owned(), bare["wte.weight"].clone());
        bare
    });
    expect_same(&load(&folder).unwrap(), "gpt2");
    let folder = rewritten("bert-masked-lm", "gamma", |tensors| {
        let old = |name: String| {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        };
        let mut old: StateDict = tensors.into_iter().map(|(name, tensor)| (old(name), tensor)).collect();
        let other = Tensor::zeros([2, 16], DType::F32, &Device::cpu()).unwrap();
        old.insert("cls.seq_relationship.weight".to_owned(), other);
        let positions = Tensor::arange(12, &Device::cpu()).unwrap().unsqueeze(0).unwrap();
        old.insert("bert.embeddings.position_ids".to_owned(), positions);
        old
    });
    expect_same(&load(&folder).unwrap(), "bert-masked-lm");
}

#[test]
fn a_config_may_be_of_an_older_version() {
    let folder = reconfigured("llama-sharded", "old", |config| {
        let object = config.as_object_mut().unwrap();
        let mut scaling = object.remove("rope_parameters").unwrap();
        object.insert("rope_theta".to_owned(), scaling.as_object_mut().unwrap().remove("rope_theta").unwrap());
        object.insert("rope_scaling".to_owned(), scaling);
    });
    expect_same(&load(&folder).unwrap(), "llama-sharded");
    let folder = reconfigured("llama-tied", "older", |config| {
        config.as_object_mut().unwrap().remove("rope_parameters");
        config["rope_scaling"] = json!({"type": "linear", "factor": 2.0});
    });
    expect_same(&load(&folder).unwrap(), "llama-tied");
}

/// The frequencies of YaRN, and what cosines and sines are multiplied by, seen at the position 1 of a head whose pairs are (1, 0).
#[test]
fn yarn_is_that_of_transformers() {
    let exact = RotaryScaling::Yarn {
        factor: 32.0,
        original_positions: 4096,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: (0.1 * 0.707 * 32f64.ln() + 1.0) / (0.1 * 0.5 * 32f64.ln() + 1.0),
        truncate: false,
    };
    let given = RotaryScaling::Yarn {
        factor: 4.0,
        original_positions: 12,
        beta_fast: 2.0,
        beta_slow: 0.25,
        attention_factor: 1.25,
        truncate: true,
    };
    let cases = [("paper", 1e6, RotaryScaling::yarn(4.0, 32_768)), ("exact", 1e4, exact), ("given", 1e3, given)];
    for (name, theta, scaling) in cases {
        let expected = value("yarn", name).unwrap().to_f64_vec().unwrap();
        let (factor, frequencies) = expected.split_last().unwrap();
        let pairs = frequencies.len();
        let part = |value| Tensor::full([1, 2, 1, pairs], value, DType::F64, &Device::cpu()).unwrap();
        let head = Tensor::concat(&[&part(1.0), &part(0.0)], 3).unwrap();
        let turned = Rotary::new().theta(theta).scaling(scaling).rotate(&Var::from(head), 0).unwrap();
        let turned = turned.tensor().index(1, 1).unwrap().to_f64_vec().unwrap();
        let angles = frequencies.iter().map(|frequency| factor * frequency.cos());
        let angles = angles.chain(frequencies.iter().map(|frequency| factor * frequency.sin()));
        for (at, (given, expected)) in turned.iter().zip(angles).enumerate() {
            // The frequencies of `transformers` are f32.
            assert!((given - expected).abs() < 2e-7 * (1.0 + expected.abs()), "{name}, {at}: {given} {expected}");
        }
    }
}

#[test]
fn weights_have_the_type_that_is_asked_for() {
    let mut init = Init::new(1, &Device::cpu()).dtype(DType::BF16).placeholders();
    let model = hub::load_with(fixture("llama-sharded"), &mut init).unwrap();
    assert!(model.parameters().iter().all(|(_, parameter)| parameter.value().dtype() == DType::BF16));
    let model = hub::load(fixture("llama-sharded"), &Device::cpu()).unwrap();
    assert!(model.parameters().iter().all(|(_, parameter)| parameter.value().dtype() == DType::F32));
}

#[test]
fn descriptions_make_the_models_again() {
    for name in ["gpt2", "bert-classes", "vit", "llama-tied", "mistral"] {
        let model = hub::load(fixture(name), &Device::cpu()).unwrap();
        let mut again = Sequential::from_architecture(&model.architecture(), &Device::cpu()).unwrap();
        again.load_state_dict(&model.state_dict(), true).unwrap();
        expect_same(&again, name);
    }
}

#[test]
fn other_heads_are_loaded_without_their_weights() {
    let mut config = Config::read(fixture("bert-masked-lm")).unwrap();
    let Architecture::Bert(bert) = config.architecture else { panic!("no BERT") };
    config.architecture = Architecture::Bert(bert.head(BertHead::Classes(4)));
    let mut model = config.build(&mut Init::new(1, &Device::cpu())).unwrap();
    let error = config.load_weights(&mut model, fixture("bert-masked-lm"), true).unwrap_err().to_string();
    assert!(error.contains("Missing (4): bert.pooler.dense.weight, bert.pooler.dense.bias"), "{error}");
    let unmatched = config.load_weights(&mut model, fixture("bert-masked-lm"), false).unwrap();
    assert_eq!(unmatched.missing.len(), 4);
    assert!(unmatched.unexpected.is_empty() && unmatched.skipped.is_empty());
    let words = &model.state_dict()["bert.embeddings.word_embeddings.weight"];
    let file = safetensors::read(fixture("bert-masked-lm/model.safetensors"), &Device::cpu()).unwrap();
    let expected = &file["bert.embeddings.word_embeddings.weight"];
    assert_eq!(words.to_f64_vec().unwrap(), expected.to_f64_vec().unwrap());
}

#[test]
fn classes_have_their_names() {
    assert_eq!(Config::read(fixture("vit")).unwrap().classes, ["cat", "dog", "cow"]);
    assert_eq!(Config::read(fixture("bert-classes")).unwrap().classes, ["sad", "so-so", "glad"]);
    assert!(Config::read(fixture("gpt2")).unwrap().classes.is_empty());
}

#[test]
fn token_by_token_the_logits_are_the_same() {
    for name in ["gpt2", "llama-sharded", "mistral"] {
        let model = hub::load(fixture(name), &Device::cpu()).unwrap();
        // GPT-2's first row is without padding.
        let tokens = value(name, "tokens").unwrap().slice(0, 0..1).unwrap();
        let expected = value(name, "logits").unwrap();
        let ctx = Ctx::eval().carrying();
        for step in 0..tokens.dims()[1] {
            let token = tokens.slice(1, step..step + 1).unwrap().contiguous().unwrap();
            let given = model.forward(token, &ctx).unwrap().into_tensor().to_f64_vec().unwrap();
            let expected = expected.slice(0, 0..1).unwrap().slice(1, step..step + 1).unwrap().to_f64_vec().unwrap();
            let apart = given.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-4, "{name}, step {step}: {apart}");
        }
        model.reset_states();
    }
}
