//! Folders of Hugging Face's hub that make no model, and inputs that a model of one does not take.

use crate::hub::{load, reconfigured, rewritten};
use crate::shards::{copy, fixture};
use kiln_autograd::Var;
use kiln_nn::models::hub;
use kiln_nn::{Ctx, Mask, Value};
use kiln_tensor::{DType, Device, Tensor};
use serde_json::json;
use std::fs;
use std::path::Path;

fn refused(folder: &Path) -> String {
    load(folder).map(|_| "a model was loaded").unwrap_err().to_string()
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
        ("gpt2", "n_head", json!(3), "3 heads do not divide a width of 16: use a number of heads that divides it"),
        ("gpt2", "n_positions", json!(0), "inputs of shape (0,) are empty"),
        (
            "gpt2",
            "activation_function",
            json!("gelu_odd"),
            "the activation `gelu_odd` is unknown; there are gelu, gelu_new",
        ),
        ("gpt2", "scale_attn_by_inverse_layer_idx", json!(true), "`scale_attn_by_inverse_layer_idx` is true"),
        (
            "llama-tied",
            "rope_parameters",
            json!({"rope_type": "longrope"}),
            "the `rope_type` `longrope` is unknown; there are default, linear, llama3 and yarn",
        ),
        (
            "llama-yarn",
            "rope_parameters",
            json!({"rope_type": "yarn", "factor": 0.0}),
            "the `factor` of a rotary scaling must be above 0, got 0",
        ),
        (
            "llama-yarn",
            "rope_parameters",
            json!({"rope_type": "yarn", "beta_fast": 0.5}),
            "`beta_fast` must be above `beta_slow`, got 0.5 and 1",
        ),
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
fn a_mask_of_another_shape_is_refused() {
    let model = hub::load(fixture("bert"), &Device::cpu()).unwrap();
    let tokens = Var::from(Tensor::from_slice(&[1i64, 2, 3, 4], [1, 4], &Device::cpu()).unwrap());
    for shape in [[1, 3], [2, 4]] {
        let mask = Tensor::ones(shape, DType::Bool, &Device::cpu()).unwrap();
        let error =
            model.forward(Value::One(tokens.clone(), Some(Mask::from(mask))), &Ctx::eval()).unwrap_err().to_string();
        let expected = format!("the mask of the steps is bool ({}, {}), expected bool (1, 4)", shape[0], shape[1]);
        assert!(error.contains(&expected), "{error}");
    }
}
