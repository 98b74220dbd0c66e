//! BERT and vision transformers as their config.json describes them.

use super::fields::{Fields, wrong};
use crate::models::bert::{Bert, BertHead};
use crate::models::transformers::Blocks;
use crate::models::vit::Vit;
use kiln_tensor::Result;
use serde::Deserialize;

/// The blocks of an encoder, with this rate of dropout by default.
fn blocks(fields: Fields<'_>, dropout: f64) -> Result<Blocks> {
    let rate = |name| fields.get(name, dropout);
    Ok(Blocks {
        count: fields.get("num_hidden_layers", 12)?,
        width: fields.get("hidden_size", 768)?,
        heads: fields.get("num_attention_heads", 12)?,
        hidden: Some(fields.get("intermediate_size", 3072)?),
        activation: fields.activation("hidden_act", "gelu")?,
        epsilon: fields.get("layer_norm_eps", 1e-12)?,
        dropout: [rate("attention_probs_dropout_prob")?, rate("hidden_dropout_prob")?],
        ..Blocks::BASE
    })
}

impl Bert {
    /// The settings of a config.json for this class of `transformers`, and the names of its classes. What it leaves out has the default of
    /// `transformers`.
    pub(super) fn of_fields(fields: Fields<'_>, class: &str, classes: &mut Vec<String>) -> Result<Self> {
        fields.only("is_decoder", false)?;
        fields.only("position_embedding_type", "absolute".to_owned())?;
        fields.only("tie_word_embeddings", true)?;
        let head = match class {
            "BertForMaskedLM" | "BertForPreTraining" => BertHead::MaskedLm,
            "BertForSequenceClassification" => {
                *classes = fields.classes()?;
                BertHead::Classes(classes.len())
            }
            _ => BertHead::Encoder,
        };
        let blocks = Blocks { norm_first: false, ..blocks(fields, 0.1)? };
        Ok(Bert {
            vocabulary: fields.get("vocab_size", 30_522)?,
            positions: fields.get("max_position_embeddings", 512)?,
            segments: fields.get("type_vocab_size", 2)?,
            dropout: fields.get("classifier_dropout", blocks.dropout[1])?,
            blocks,
            with_segments: false,
            head,
        })
    }
}

/// The side of a square, or both of its sides.
#[derive(Deserialize)]
#[serde(untagged)]
enum Side {
    One(usize),
    Both([usize; 2]),
}

fn side(fields: Fields<'_>, name: &str, default: usize) -> Result<usize> {
    match fields.get(name, Side::One(default))? {
        Side::One(side) => Ok(side),
        Side::Both([height, width]) if height == width => Ok(height),
        Side::Both([height, width]) => Err(wrong(format!("`{name}`: a square is expected, got {height} × {width}"))),
    }
}

impl Vit {
    /// The settings of a config.json, for so many classes. What it leaves out has the default of `transformers`.
    pub(super) fn of_fields(fields: Fields<'_>, classes: usize) -> Result<Self> {
        fields.only("qkv_bias", true)?;
        Ok(Vit {
            image: side(fields, "image_size", 224)?,
            channels: fields.get("num_channels", 3)?,
            patch: side(fields, "patch_size", 16)?,
            blocks: blocks(fields, 0.0)?,
            classes,
        })
    }
}
