//! What tokenizers of all kinds have in Hugging Face's tokenizer.json.

use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// A token that is found in a text before it is cut into pieces.
#[derive(Deserialize)]
pub(super) struct Added {
    id: u32,
    content: String,
}

/// Whether a setting is there and changes something.
pub(super) fn is_set(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value.as_f64() != Some(0.0)
}

/// The `type` of a part, `none` if it has none.
pub(super) fn type_of(part: &Value) -> &str {
    part["type"].as_str().unwrap_or("none")
}

/// What keeps an added token from being found as it is, which any of these `settings` does.
pub(super) fn odd_token(json: &Value, settings: &[&str]) -> Option<String> {
    let added = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let odd = |token: &&Value| settings.iter().any(|setting| is_set(&token[*setting]));
    added
        .iter()
        .find(odd)
        .map(|token| format!("its token {} takes spaces beside it, whole words or other spellings", token["content"]))
}

/// All tokens by their numbers, and the numbers of those that were added; or what is wrong with them.
pub(super) fn with_added(
    mut numbers: HashMap<String, u32>,
    added: Vec<Added>,
) -> Result<(Vec<String>, BTreeSet<u32>), String> {
    let mut special = BTreeSet::new();
    for Added { id, content } in added {
        special.insert(id);
        if let Some(other) = numbers.insert(content, id).filter(|other| *other != id) {
            return Err(format!("the added token {id} is token {other} of the vocabulary"));
        }
    }
    Ok((in_order(numbers)?, special))
}

/// Tokens by their numbers, which must be 0, 1, 2, ….
pub(super) fn in_order(numbers: HashMap<String, u32>) -> Result<Vec<String>, String> {
    let mut tokens: Vec<(u32, String)> = numbers.into_iter().map(|(token, number)| (number, token)).collect();
    tokens.sort_unstable();
    match tokens.iter().zip(0u32..).find(|((number, _), expected)| number != expected) {
        Some((_, expected)) => Err(format!(
            "the numbers of {} tokens must be 0 to {}: {expected} is missing",
            tokens.len(),
            tokens.len() - 1
        )),
        None => Ok(tokens.into_iter().map(|(_, token)| token).collect()),
    }
}
