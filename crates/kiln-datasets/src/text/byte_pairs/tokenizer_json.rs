//! Hugging Face's tokenizer.json.

use super::Vocabulary;
use super::vocabulary::pair_of;
use crate::text::tokenizer_json::{Added, is_set, odd_token, type_of, with_added};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

/// A pair as older and newer files have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Line(String),
    Pair(String, String),
}

impl Merge {
    fn names(&self) -> Option<(&str, &str)> {
        match self {
            Merge::Line(line) => line.split_once(' '),
            Merge::Pair(first, second) => Some((first, second)),
        }
    }
}

/// Why a tokenizer.json is not of GPT-2's kind, if it is not.
pub(in crate::text) fn other_kind(json: &Value) -> Option<String> {
    let (model, cutting) = (&json["model"], &json["pre_tokenizer"]);
    // Files that were written before models had types are of byte pairs if they have pairs.
    let kind = model["type"].as_str().unwrap_or(if model["merges"].is_array() { "BPE" } else { "none" });
    if kind != "BPE" {
        return Some(format!("its model is {kind}, not BPE"));
    }
    if type_of(cutting) != "ByteLevel" {
        return Some(format!("its pre_tokenizer is {}, not ByteLevel", type_of(cutting)));
    }
    if is_set(&cutting["add_prefix_space"]) || cutting["use_regex"] == false {
        return Some("its ByteLevel adds a space before a text, or does not cut it into words".to_owned());
    }
    if is_set(&json["normalizer"]) {
        return Some("it has a normalizer".to_owned());
    }
    let settings =
        ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges"];
    if let Some(setting) = settings.iter().find(|setting| is_set(&model[**setting])) {
        return Some(format!("its model has {setting}"));
    }
    odd_token(json, &["lstrip", "rstrip", "single_word"])
}

/// The vocabulary of a tokenizer.json of GPT-2's kind, or what is wrong with it.
pub(in crate::text) fn vocabulary(json: Value) -> Result<Vocabulary, String> {
    let File { added_tokens, model } = File::deserialize(json).map_err(|error| error.to_string())?;
    let mut merges = Vec::with_capacity(model.merges.len());
    for (at, merge) in model.merges.iter().enumerate() {
        let pair = merge.names().ok_or("two tokens are expected".to_owned());
        let pair = pair.and_then(|names| pair_of(names, &model.vocab));
        merges.push(pair.map_err(|why| format!("pair {at} of `merges`: {why}"))?);
    }
    let (tokens, special) = with_added(model.vocab, added_tokens)?;
    Ok(Vocabulary { tokens, merges, special })
}
