//! Models from folders as Hugging Face's hub has them: `config.json` with `model.safetensors`, or with the shards that
//! `model.safetensors.index.json` names.
//!
//! ```
//! use kiln_nn::{Ctx, models::hub};
//! use kiln_tensor::{Device, Tensor};
//! # fn main() -> Result<(), kiln_tensor::Error> {
//! // `hf download openai-community/gpt2 --local-dir models/gpt2` makes such a folder; this is a small one of 67 tokens.
//! let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hub/gpt2");
//! let cpu = Device::cpu();
//! let model = hub::load(folder, &cpu)?;
//! let logits = model.forward(Tensor::from_slice(&[15i64, 11], [1, 2], &cpu)?, &Ctx::eval())?;
//! assert_eq!(logits.dims(), [1, 2, 67]);
//! # Ok(())
//! # }
//! ```
//!
//! | `model_type` | classes of `transformers` | takes | gives |
//! |---|---|---|---|
//! | `gpt2` | `GPT2LMHeadModel` | tokens (N, T) | logits (N, T, vocabulary) |
//! | `llama`, `mistral`, `qwen2` | `LlamaForCausalLM`, `MistralForCausalLM`, `Qwen2ForCausalLM` | tokens (N, T) | logits (N, T, vocabulary) |
//! | `bert` | `BertModel` | tokens (N, T), with a mask where some are padding | features (N, T, width) |
//! | `bert` | `BertForMaskedLM`, `BertForPreTraining` | the same | logits (N, T, vocabulary) |
//! | `bert` | `BertForSequenceClassification` | the same | logits (N, classes) |
//! | `vit` | `ViTForImageClassification` | images (N, 3, H, W) | logits (N, classes) |
//!
//! Files of half types are converted: a model is f32 unless [`load_with`] is given an [`Init`] of another type. Tensors are found whether
//! or not their names begin with `transformer.`, `bert.`, `vit.` or `model.`. What a model does not need is ignored by name: buffers such
//! as `h.0.attn.bias`, and other heads of BERT. Everything else that has no place, or is missing, is an error that names it.
//!
//! To fine-tune with another head, change the [`Config`] and load what fits:
//!
//! ```
//! use kiln_nn::Init;
//! use kiln_nn::models::bert::BertHead;
//! use kiln_nn::models::hub::{Architecture, Config};
//! # fn main() -> Result<(), kiln_tensor::Error> {
//! let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hub/bert"); // such as models/bert-base-uncased
//! let mut config = Config::read(folder)?;
//! if let Architecture::Bert(bert) = config.architecture {
//!     config.architecture = Architecture::Bert(bert.head(BertHead::Classes(2)).dropout(0.1));
//! }
//! let mut model = config.build(&mut Init::new(1, &kiln_tensor::Device::cpu()))?;
//! let unmatched = config.load_weights(&mut model, folder, false)?;
//! assert_eq!(unmatched.missing, ["classifier.weight", "classifier.bias"]); // these keep their first weights
//! # Ok(())
//! # }
//! ```

mod config;
mod decoders;
mod encoders;
mod fields;
mod names;
mod weights;

pub use config::{Architecture, CONFIG, Config};

use crate::{Init, Sequential};
use kiln_tensor::{Device, Result};
use std::path::Path;

/// The model of a folder, with its weights, on a device.
///
/// # Errors
/// A folder without `config.json`, or with one of another architecture, which names those that are known; shards that are missing;
/// tensors that are missing, unexpected or of another shape, all named.
pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Sequential> {
    load_with(folder, &mut Init::new(0, device).placeholders())
}

/// As [`load`], with parameters from `init`: of another dtype, or on another device. Give one with
/// [`placeholders`](Init::placeholders), so that weights take memory once.
///
/// # Errors
/// As [`load`].
pub fn load_with(folder: impl AsRef<Path>, init: &mut Init) -> Result<Sequential> {
    let folder = folder.as_ref();
    let config = Config::read(folder)?;
    let mut model = config.build(init)?;
    config.load_weights(&mut model, folder, true)?;
    Ok(model)
}
