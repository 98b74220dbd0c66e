//! BERT's vocabularies: vocab.txt, and Hugging Face's tokenizer.json.

use super::{GOES_ON, LONGEST, Normalizer, WordPiece};
use crate::text::special::Special;
use crate::text::tokenizer::UNKNOWN;
use crate::text::tokenizer_json::{Added, odd_token, type_of, with_added};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

/// The special tokens of a vocab.txt.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// The tokens of a vocab.txt, one in each line; or what is wrong with it.
pub(in crate::text) fn from_vocabulary(text: &str, normalizer: Normalizer) -> Result<(WordPiece, Special), String> {
    let tokens: Vec<String> = text.lines().map(str::to_owned).collect();
    let numbered = (0u32..).zip(&tokens);
    let special = numbered.filter(|(_, token)| SPECIAL.contains(&token.as_str())).map(|(number, _)| number).collect();
    of(tokens, special, UNKNOWN, normalizer)
}

fn of(
    tokens: Vec<String>,
    special: BTreeSet<u32>,
    unknown: &str,
    normalizer: Normalizer,
) -> Result<(WordPiece, Special), String> {
    let lacks = || format!("there is no token {unknown} for unknown words");
    let unknown = tokens.iter().position(|token| token == unknown).ok_or_else(lacks)?;
    let texts = special.iter().filter_map(|&number| Some((tokens.get(number as usize)?.clone(), number))).collect();
    let pieces = WordPiece::new(tokens, unknown, normalizer, &special)?;
    Ok((pieces, Special::new(texts)))
}

/// Why a tokenizer.json is not of BERT's kind, if it is not.
pub(in crate::text) fn other_kind(json: &Value) -> Option<String> {
    let model = &json["model"];
    for (part, expected) in [("normalizer", "BertNormalizer"), ("pre_tokenizer", "BertPreTokenizer")] {
        let given = type_of(&json[part]);
        if given != expected {
            return Some(format!("its {part} is {given}, not {expected}"));
        }
    }
    let (goes_on, longest) = (&model["continuing_subword_prefix"], &model["max_input_chars_per_word"]);
    if goes_on != GOES_ON || *longest != json!(LONGEST) {
        return Some(format!("parts of words begin with {goes_on}, and words have up to {longest} characters"));
    }
    if !adds_cls_and_sep(&json["post_processor"]) {
        return Some("its post_processor does not make [CLS] text [SEP] of a text".to_owned());
    }
    odd_token(json, &["lstrip", "rstrip", "single_word", "normalized"])
}

/// Whether a text becomes `[CLS] text [SEP]`, and a pair `[CLS] first [SEP] second [SEP]`.
fn adds_cls_and_sep(processor: &Value) -> bool {
    let special = |id: &str, segment: i64| json!({ "SpecialToken": { "id": id, "type_id": segment } });
    let text = |id: &str, segment: i64| json!({ "Sequence": { "id": id, "type_id": segment } });
    let single = json!([special("[CLS]", 0), text("A", 0), special("[SEP]", 0)]);
    let pair = json!([special("[CLS]", 0), text("A", 0), special("[SEP]", 0), text("B", 1), special("[SEP]", 1)]);
    match type_of(processor) {
        "TemplateProcessing" => processor["single"] == single && processor["pair"] == pair,
        "BertProcessing" => processor["cls"][0] == "[CLS]" && processor["sep"][0] == "[SEP]",
        _ => false,
    }
}

/// What a tokenizer.json of BERT's kind says; or what is wrong with it.
pub(in crate::text) fn from_json(json: Value) -> Result<(WordPiece, Special), String> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        added_tokens: Vec<Added>,
        model: Model,
        normalizer: Settings,
    }
    #[derive(Deserialize)]
    struct Model {
        vocab: HashMap<String, u32>,
        unk_token: String,
    }
    #[derive(Deserialize)]
    struct Settings {
        clean_text: bool,
        handle_chinese_chars: bool,
        strip_accents: Option<bool>,
        lowercase: bool,
    }
    let File { added_tokens, model, normalizer } = File::deserialize(json).map_err(|error| error.to_string())?;
    let (tokens, special) = with_added(model.vocab, added_tokens)?;
    let Settings { clean_text: clean, handle_chinese_chars: chinese, strip_accents, lowercase } = normalizer;
    let strip_accents = strip_accents.unwrap_or(lowercase);
    of(tokens, special, &model.unk_token, Normalizer { clean, chinese, strip_accents, lowercase })
}

/// What a tokenizer_config.json says of texts; or what is wrong with it.
pub(in crate::text) fn normalizer(config: &str) -> Result<Normalizer, String> {
    #[derive(Deserialize)]
    struct Config {
        do_lower_case: Option<bool>,
        strip_accents: Option<bool>,
        tokenize_chinese_chars: Option<bool>,
    }
    let config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
    let lowercase = config.do_lower_case.unwrap_or(true);
    let strip_accents = config.strip_accents.unwrap_or(lowercase);
    Ok(Normalizer { clean: true, chinese: config.tokenize_chinese_chars.unwrap_or(true), strip_accents, lowercase })
}
