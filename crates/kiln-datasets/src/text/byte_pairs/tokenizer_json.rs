//! Hugging Face's tokenizer.json.

use super::Vocabulary;
use super::vocabulary::{in_order, pair_of};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    model: Model,
}

/// A token that is found in a text before it is cut into pieces.
#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
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
    let set = |value: &Value| {
        !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value.as_f64() != Some(0.0)
    };
    let type_of = |value: &Value| value["type"].as_str().unwrap_or("none").to_owned();
    let (model, cutting) = (&json["model"], &json["pre_tokenizer"]);
    // Files that were written before models had types are of byte pairs if they have pairs.
    let kind = model["type"].as_str().unwrap_or(if model["merges"].is_array() { "BPE" } else { "none" });
    if kind != "BPE" {
        return Some(format!("its model is {kind}, not BPE"));
    }
    if type_of(cutting) != "ByteLevel" {
        return Some(format!("its pre_tokenizer is {}, not ByteLevel", type_of(cutting)));
    }
    if set(&cutting["add_prefix_space"]) || cutting["use_regex"] == false {
        return Some("its ByteLevel adds a space before a text, or does not cut it into words".to_owned());
    }
    if set(&json["normalizer"]) {
        return Some("it has a normalizer".to_owned());
    }
    let settings =
        ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges"];
    if let Some(setting) = settings.iter().find(|setting| set(&model[**setting])) {
        return Some(format!("its model has {setting}"));
    }
    let added = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let matched = |token: &&Value| ["lstrip", "rstrip", "single_word"].iter().any(|setting| set(&token[*setting]));
    added
        .iter()
        .find(matched)
        .map(|token| format!("its token {} takes spaces beside it, or whole words", token["content"]))
}

/// The vocabulary of a tokenizer.json of GPT-2's kind, or what is wrong with it.
pub(in crate::text) fn vocabulary(json: Value) -> Result<Vocabulary, String> {
    let File { added_tokens, model } = File::deserialize(json).map_err(|error| error.to_string())?;
    let mut numbers = model.vocab;
    let mut merges = Vec::with_capacity(model.merges.len());
    for (at, merge) in model.merges.iter().enumerate() {
        let pair = merge.names().ok_or("two tokens are expected".to_owned());
        let pair = pair.and_then(|names| pair_of(names, &numbers));
        merges.push(pair.map_err(|why| format!("pair {at} of `merges`: {why}"))?);
    }
    let mut special = BTreeSet::new();
    for Added { id, content } in added_tokens {
        special.insert(id);
        if let Some(other) = numbers.insert(content, id).filter(|other| *other != id) {
            return Err(format!("the added token {id} is token {other} of the vocabulary"));
        }
    }
    Ok(Vocabulary { tokens: in_order(numbers)?, merges, special })
}
