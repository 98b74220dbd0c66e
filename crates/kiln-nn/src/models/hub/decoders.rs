//! GPT-2 and decoders of Llama's kind as their config.json describes them.

use super::fields::{Fields, wrong};
use crate::RotaryScaling;
use crate::models::gpt2::Gpt2;
use crate::models::llama::Llama;
use crate::models::transformers::Blocks;
use kiln_tensor::Result;

impl Gpt2 {
    /// The settings of a config.json. What it leaves out has the default of `transformers`.
    pub(super) fn of_fields(fields: Fields<'_>) -> Result<Self> {
        fields.only("scale_attn_weights", true)?;
        fields.only("scale_attn_by_inverse_layer_idx", false)?;
        fields.only("add_cross_attention", false)?;
        let rate = |name| fields.get(name, 0.1);
        Ok(Gpt2 {
            vocabulary: fields.get("vocab_size", 50_257)?,
            positions: fields.get("n_positions", 1024)?,
            blocks: Blocks {
                count: fields.get("n_layer", 12)?,
                width: fields.get("n_embd", 768)?,
                heads: fields.get("n_head", 12)?,
                hidden: fields.find("n_inner")?,
                activation: fields.activation("activation_function", "gelu_new")?,
                epsilon: fields.get("layer_norm_epsilon", 1e-5)?,
                causal: true,
                dropout: [rate("attn_pdrop")?, rate("resid_pdrop")?],
                ..Blocks::BASE
            },
            dropout: rate("embd_pdrop")?,
            tied: fields.get("tie_word_embeddings", true)?,
        })
    }
}

impl Llama {
    /// The settings of a config.json of this `model_type`. What it leaves out has the default of `transformers`.
    pub(super) fn of_fields(fields: Fields<'_>, model_type: &str) -> Result<Self> {
        let qwen = model_type == "qwen2";
        if qwen {
            // Only some of its layers have windows.
            fields.only("use_sliding_window", false)?;
        }
        let heads = fields.get("num_attention_heads", 32)?;
        let positions = fields.get("max_position_embeddings", 2048)?;
        let (theta, scaling) = rotary(fields, positions)?;
        Ok(Llama {
            vocabulary: fields.get("vocab_size", 32_000)?,
            positions,
            width: fields.get("hidden_size", 4096)?,
            layers: fields.get("num_hidden_layers", 32)?,
            heads,
            key_heads: fields.get("num_key_value_heads", heads)?,
            head_width: fields.find("head_dim")?,
            hidden: fields.get("intermediate_size", 11_008)?,
            activation: fields.activation("hidden_act", "silu")?,
            epsilon: fields.get("rms_norm_eps", 1e-6)?,
            theta,
            scaling,
            window: if model_type == "mistral" { fields.find("sliding_window")? } else { None },
            dropout: fields.get("attention_dropout", 0.0)?,
            biases: [fields.get("attention_bias", qwen)?, fields.get("mlp_bias", false)?],
            tied: fields.get("tie_word_embeddings", false)?,
        })
    }
}

/// The base of rotary frequencies and how they are changed for contexts of so many positions: in `rope_parameters`, or in `rope_theta` and `rope_scaling` as files
/// written before version 5 of `transformers` have it.
fn rotary(fields: Fields<'_>, positions: usize) -> Result<(f64, RotaryScaling)> {
    let new = fields.below("rope_parameters")?;
    let theta = match new {
        Some(parameters) => parameters.find("rope_theta")?,
        None => None,
    };
    let theta = match theta {
        Some(theta) => theta,
        None => fields.get("rope_theta", 10_000.0)?,
    };
    let settings = match new {
        Some(parameters) => Some(parameters),
        None => fields.below("rope_scaling")?,
    };
    let Some(settings) = settings else { return Ok((theta, RotaryScaling::None)) };
    let kind: Option<String> = match settings.find("rope_type")? {
        Some(kind) => Some(kind),
        None => settings.find("type")?,
    };
    let needed = |name: &str| {
        settings.find::<f64>(name)?.ok_or_else(|| wrong(format!("the scaling of rotary positions lacks `{name}`")))
    };
    let original = || match fields.find("original_max_position_embeddings")? {
        Some(original) => Ok(original),
        None => settings.get("original_max_position_embeddings", positions),
    };
    let scaling = match kind.as_deref() {
        None | Some("default") => RotaryScaling::None,
        Some("linear") => RotaryScaling::Linear { factor: needed("factor")? },
        Some("llama3") => RotaryScaling::Llama3 {
            factor: needed("factor")?,
            low_freq_factor: needed("low_freq_factor")?,
            high_freq_factor: needed("high_freq_factor")?,
            original_positions: original()?,
        },
        Some("yarn") => yarn(settings, positions, original()?)?,
        Some(other) => {
            return Err(wrong(format!(
                "the `rope_type` `{other}` is unknown; there are default, linear, llama3 and yarn"
            )));
        }
    };
    Ok((theta, scaling))
}

/// YaRN's settings, of a model that was first trained with contexts of `original` positions.
fn yarn(settings: Fields<'_>, positions: usize, original: usize) -> Result<RotaryScaling> {
    // As in `transformers`, a `factor` that is null is the ratio of the two lengths, and betas of 0 are the paper's.
    let factor = settings.get("factor", positions as f64 / original as f64)?;
    let beta =
        |name, default| Ok(Some(settings.get(name, default)?).filter(|&beta: &f64| beta != 0.0).unwrap_or(default));
    let scale = |name| settings.get(name, 0.0);
    let magnitude = |scale| RotaryScaling::yarn_magnitude(factor, scale);
    let by_default = match (scale("mscale")?, scale("mscale_all_dim")?) {
        (scale, of_all) if scale != 0.0 && of_all != 0.0 => magnitude(scale) / magnitude(of_all),
        _ => magnitude(1.0),
    };
    Ok(RotaryScaling::Yarn {
        factor,
        original_positions: original,
        beta_fast: beta("beta_fast", 32.0)?,
        beta_slow: beta("beta_slow", 1.0)?,
        attention_factor: settings.get("attention_factor", by_default)?,
        truncate: settings.get("truncate", true)?,
    })
}
