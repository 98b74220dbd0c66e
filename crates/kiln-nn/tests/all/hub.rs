//! Folders of Hugging Face's hub: what `transformers` computes with the same weights (tests/fixtures/hub).

use crate::shards::{copy, fixture};
use kiln_autograd::Var;
use kiln_nn::models::bert::BertHead;
use kiln_nn::models::hub::{self, Architecture, Config};
use kiln_nn::{Ctx, Init, Layer, Mask, Module, Sequential, StateDict, Value, safetensors};
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
fn reconfigured(name: &str, to: &str, change: impl FnOnce(&mut Json)) -> std::path::PathBuf {
    let folder = copy(name, to);
    let path = folder.join("config.json");
    let mut config: Json = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(path, config.to_string()).unwrap();
    folder
}

/// A copy of a fixture's folder with other tensors.
fn rewritten(name: &str, to: &str, change: impl FnOnce(StateDict) -> StateDict) -> std::path::PathBuf {
    let folder = copy(name, to);
    let path = folder.join("model.safetensors");
    let tensors = safetensors::read(&path, &Device::cpu()).unwrap();
    safetensors::write(&change(tensors), path).unwrap();
    folder
}

fn load(folder: &Path) -> kiln_tensor::Result<Sequential> {
    let model = hub::load(folder, &Device::cpu());
    fs::remove_dir_all(folder).unwrap();
    model
}

fn refused(folder: &Path) -> String {
    load(folder).map(|_| "a model was loaded").unwrap_err().to_string()
}

#[test]
fn logits_are_those_of_transformers() {
    for name in ["gpt2", "bert-masked-lm", "bert-classes", "vit", "llama-sharded", "llama-tied", "mistral", "qwen2"] {
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
fn another_architecture_is_named_with_those_that_are_known() {
    let error = |kind: &str, class: &str| {
        refused(&reconfigured("gpt2", class, |config| {
            config["model_type"] = kind.into();
            config["architectures"] = json!([class]);
        }))
    };
    let told = error("t5", "T5ForConditionalGeneration");
    assert!(told.contains("the architecture `T5ForConditionalGeneration` of the model type `t5` is unknown"), "{told}");
    assert!(told.contains("known are gpt2 (GPT2LMHeadModel, GPT2Model), llama (LlamaForCausalLM)"), "{told}");
    let told = error("gpt2", "GPT2ForSequenceClassification");
    assert!(told.contains("`GPT2ForSequenceClassification` of the model type `gpt2` is unknown"), "{told}");
    let told = refused(&reconfigured("gpt2", "untyped", |config| *config = json!({})));
    assert!(told.contains("config.json: `model_type` is missing; known are gpt2"), "{told}");
}

#[test]
fn settings_that_are_unknown_are_refused() {
    let cases = [
        ("gpt2", "n_embd", json!("wide"), "config.json: `n_embd`: invalid type: string \"wide\""),
        ("gpt2", "n_head", json!(3), "heads"),
        ("gpt2", "n_positions", json!(0), "inputs of shape (0,) are empty"),
        (
            "gpt2",
            "activation_function",
            json!("gelu_odd"),
            "the activation `gelu_odd` is unknown; there are gelu, gelu_new",
        ),
        ("gpt2", "scale_attn_by_inverse_layer_idx", json!(true), "`scale_attn_by_inverse_layer_idx` is true"),
        ("llama-tied", "rope_parameters", json!({"rope_type": "yarn"}), "the `rope_type` `yarn` is unknown"),
        ("llama-tied", "rope_parameters", json!({"rope_type": "linear"}), "lacks `factor`"),
        ("bert-classes", "id2label", json!({"1": "a"}), "no name for class 0"),
        ("bert", "position_embedding_type", json!("relative_key"), "known with \"absolute\" alone"),
        ("vit", "image_size", json!([8, 12]), "a square is expected, got 8 × 12"),
        ("vit", "patch_size", json!(3), "images of side 8 cannot be cut into patches of side 3"),
    ];
    for (at, (name, setting, value, expected)) in cases.into_iter().enumerate() {
        let folder = reconfigured(name, &format!("setting-{at}"), |config| config[setting] = value);
        let error = refused(&folder);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn folders_that_lack_something_are_refused() {
    let folder = copy("gpt2", "no-config");
    fs::write(folder.join("config.json"), "{").unwrap();
    assert!(hub::load(&folder, &Device::cpu()).unwrap_err().to_string().contains("config.json: not JSON"));
    fs::remove_file(folder.join("config.json")).unwrap();
    assert!(refused(&folder).contains("config.json: cannot be read"));
    let folder = copy("llama-sharded", "no-shard");
    fs::remove_file(folder.join("model-00003-of-00004.safetensors")).unwrap();
    assert!(refused(&folder).contains("are missing: model-00003-of-00004.safetensors"));
}

#[test]
fn tensors_that_do_not_fit_are_all_named() {
    let folder = rewritten("gpt2", "unfit", |mut tensors| {
        tensors.remove("transformer.h.0.attn.c_attn.bias");
        tensors.remove("transformer.ln_f.weight");
        let turned = tensors["transformer.h.1.mlp.c_fc.weight"].transpose(0, 1).unwrap().contiguous().unwrap();
        tensors.insert("transformer.h.1.mlp.c_fc.weight".to_owned(), turned);
        tensors
            .insert("transformer.h.2.ln_1.bias".to_owned(), Tensor::zeros([16], DType::F32, &Device::cpu()).unwrap());
        tensors
    });
    let error = refused(&folder);
    let expected = "Missing (2): transformer.h.0.attn.c_attn.bias, transformer.ln_f.weight. \
                    Unexpected (1): transformer.h.2.ln_1.bias. Of another shape or type (1): \
                    transformer.h.1.mlp.c_fc.weight: expected (64, 16) transposed, got [64, 16].";
    assert!(error.contains(expected), "{error}");
    let folder = rewritten("mistral", "heads", |mut tensors| {
        let name = "model.layers.0.self_attn.k_proj.weight";
        tensors.insert(name.to_owned(), Tensor::zeros([16, 16], DType::F32, &Device::cpu()).unwrap());
        tensors
    });
    let error = refused(&folder);
    assert!(
        error.contains("model.layers.0.self_attn.v_proj.weight: expected (32, 16), got [16, 16] + [16, 16] + [8, 16]"),
        "{error}"
    );
}

#[test]
fn tokens_and_contexts_that_do_not_fit_are_refused() {
    let model = hub::load(fixture("gpt2"), &Device::cpu()).unwrap();
    let forward = |tokens: &[i64]| {
        let x = Tensor::from_slice(tokens, [1, tokens.len()], &Device::cpu()).unwrap();
        model.forward(x, &Ctx::eval()).unwrap_err().to_string()
    };
    let error = forward(&[3, 67]);
    assert!(error.contains("token 67 at position (0, 1) is outside the vocabulary"), "{error}");
    let error = forward(&[1; 25]);
    assert!(error.contains("the context of 25 steps is longer than the 24 positions"), "{error}");
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
