//! Texts for BERT: the tokens, masks and segments of `transformers` (tests/fixtures/bert).

use crate::files::Folder;
use kiln_datasets::{EncodedTexts, TextInputs, Tokenizer};
use kiln_tensor::{Device, Result};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bert").join(name)
}

fn vocabulary() -> String {
    fs::read_to_string(fixture("vocab.txt")).unwrap()
}

fn batches() -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(fixture("batches.json")).unwrap()).unwrap()
}

/// A folder with vocab.txt and what its tokenizer_config.json says.
fn plain(name: &str, config: Option<&str>) -> Folder {
    let folder = Folder::new(name);
    fs::write(folder.0.join("vocab.txt"), vocabulary()).unwrap();
    if let Some(config) = config {
        fs::write(folder.0.join("tokenizer_config.json"), config).unwrap();
    }
    folder
}

fn encoded(inputs: &TextInputs, texts: &Value) -> EncodedTexts {
    let texts = texts.as_array().unwrap();
    if texts[0].is_string() {
        let texts: Vec<&str> = texts.iter().map(|text| text.as_str().unwrap()).collect();
        return inputs.texts(&texts, &Device::cpu()).unwrap();
    }
    let pairs: Vec<(&str, &str)> =
        texts.iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())).collect();
    inputs.pairs(&pairs, &Device::cpu()).unwrap()
}

/// Rows of numbers, one after the other.
fn numbers(rows: &Value) -> Vec<i64> {
    rows.as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|value| value.as_i64().unwrap())
        .collect()
}

fn expect_same(name: &str, tokenizer: &Tokenizer) {
    let batches = batches();
    let batches: Vec<&Value> = batches.iter().filter(|batch| batch["tokenizer"] == name).collect();
    assert_eq!(batches.len(), 7);
    for batch in batches {
        let inputs = TextInputs::new(tokenizer.clone());
        let longest = batch["max_length"].as_u64();
        let inputs = longest.map_or(inputs.clone(), |longest| inputs.max_length(longest as usize));
        let given = encoded(&inputs, &batch["texts"]);
        let what = format!("{name}, {}, {longest:?}", batch["texts"][0]);
        assert_eq!(given.tokens.to_vec::<i64>().unwrap(), numbers(&batch["input_ids"]), "{what}");
        let mask: Vec<bool> = numbers(&batch["attention_mask"]).into_iter().map(|own| own == 1).collect();
        assert_eq!(given.mask.to_vec::<bool>().unwrap(), mask, "{what}");
        assert_eq!(given.segments.to_vec::<i64>().unwrap(), numbers(&batch["token_type_ids"]), "{what}");
    }
}

#[test]
fn texts_and_pairs_are_those_of_transformers() -> Result<()> {
    for (name, lowercase) in [("uncased", true), ("cased", false)] {
        expect_same(name, &Tokenizer::load(fixture(name))?);
        let plain = Tokenizer::from_word_pieces(&vocabulary(), lowercase)?;
        expect_same(name, &plain);
        assert_eq!(plain, Tokenizer::load(fixture(name))?);
        assert_eq!(plain, Tokenizer::from_json(&plain.to_json())?);
    }
    Ok(())
}

#[test]
fn a_vocabulary_is_read_from_its_folder() -> Result<()> {
    expect_same("uncased", &Tokenizer::load(&plain("bert-plain", None).0)?);
    let config = fs::read_to_string(fixture("cased/tokenizer_config.json")).unwrap();
    expect_same("cased", &Tokenizer::load(&plain("bert-cased", Some(&config)).0)?);
    let error = Tokenizer::load(&plain("bert-config", Some("[]")).0).unwrap_err().to_string();
    assert!(error.contains("tokenizer_config.json: "), "{error}");
    let error = Tokenizer::from_word_pieces("a\nb", true).unwrap_err().to_string();
    assert!(error.contains("there is no token [UNK] for unknown words"), "{error}");
    let error = Tokenizer::from_word_pieces("[UNK]\na\na", true).unwrap_err().to_string();
    assert!(error.contains("the token \"a\" is there twice"), "{error}");
    Ok(())
}

#[test]
fn special_tokens_of_a_vocabulary() -> Result<()> {
    let tokenizer = Tokenizer::load(fixture("uncased"))?;
    assert_eq!((tokenizer.len(), tokenizer.padding(), tokenizer.unknown()), (67, Some(0), Some(1)));
    assert_eq!(tokenizer.encode("a[SEP]")?, [6, 3]);
    // What a stranger wrote is no mark of the model.
    let ordinary = tokenizer.encode_ordinary("a[SEP] [UNK]x")?;
    assert!(ordinary[1..].iter().all(|&token| token == 1 || token > 4), "{ordinary:?}");
    assert_eq!(tokenizer.decode(&[2, 5, 7, 18, 9, 10, 17, 3, 0, 0])?, "[CLS] the cat, undo. [SEP]");
    Ok(())
}

#[test]
fn lengths_and_pairs_that_are_not_possible_are_refused() -> Result<()> {
    let inputs = |longest| TextInputs::new(Tokenizer::load(fixture("uncased")).unwrap()).max_length(longest);
    assert_eq!(inputs(3).encode("the cat")?, [2, 5, 3]);
    for longest in [0, 2] {
        let error = inputs(longest).encode("a").unwrap_err().to_string();
        let expected =
            format!("at most {longest} tokens have no place for a text: 2 are added, so 3 or more are needed");
        assert!(error.contains(&expected), "{error}");
    }
    let error = inputs(4).encode_pair("a", "a").unwrap_err().to_string();
    assert!(error.contains("3 are added, so 5 or more are needed"), "{error}");
    let error = TextInputs::new(Tokenizer::characters("ab")).encode_pair("a", "b").unwrap_err().to_string();
    assert!(error.contains("does not say how two texts become one input"), "{error}");
    assert_eq!(TextInputs::new(Tokenizer::characters("ab")).encode("ba")?, [1, 0]);
    let plain = TextInputs::new(Tokenizer::from_word_pieces("[UNK]\na", true)?).encode("a").unwrap_err().to_string();
    assert!(plain.contains("the vocabulary has no token [CLS]"), "{plain}");
    // No text is no row.
    assert_eq!(inputs(9).texts::<&str>(&[], &Device::cpu())?.tokens.dims(), [0, 0]);
    Ok(())
}

/// The same vocabulary by Hugging Face's own crate, which reads files that Kiln alone does not.
#[cfg(feature = "tokenizers")]
mod by_its_own_crate {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::ops::RangeInclusive;
    use std::sync::LazyLock;

    /// Blocks of letters with accents, marks of punctuation, Chinese and Korean, which have had no new characters for long.
    const BLOCKS: [RangeInclusive<u32>; 8] = [
        0x20..=0x36f,
        0x391..=0x3a1,
        0x400..=0x52f,
        0x1e00..=0x1eff,
        0x2000..=0x2064,
        0x3000..=0x30ff,
        0xac00..=0xacff,
        0xf900..=0xf9ff,
    ];

    /// A tokenizer.json with a token for each letter that the blocks are made of; one of Kiln, and one of the crate.
    static BOTH: LazyLock<[Tokenizer; 2]> = LazyLock::new(|| {
        let mut json: Value =
            serde_json::from_str(&fs::read_to_string(fixture("uncased/tokenizer.json")).unwrap()).unwrap();
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
        let letters = BLOCKS.into_iter().chain([0x4e00..=0x9fff, 0x1100..=0x11ff]).flatten().filter_map(char::from_u32);
        let tokens = letters.flat_map(|letter| [letter.to_string(), format!("##{letter}")]);
        let vocabulary: BTreeMap<String, usize> = special.into_iter().chain(tokens).zip(0..).collect();
        json["model"]["vocab"] = serde_json::to_value(vocabulary).unwrap();
        let kiln = Tokenizer::from_json(&json.to_string()).unwrap();
        json["added_tokens"][4]["lstrip"] = true.into();
        [kiln, Tokenizer::from_json(&json.to_string()).unwrap()]
    });

    #[test]
    fn its_texts_are_those_of_transformers() -> Result<()> {
        let json = fs::read_to_string(fixture("uncased/tokenizer.json")).unwrap();
        let mut json: Value = serde_json::from_str(&json).unwrap();
        json["added_tokens"][4]["lstrip"] = true.into();
        let crates = Tokenizer::from_json(&json.to_string())?;
        assert_ne!(crates, Tokenizer::load(fixture("uncased"))?);
        expect_same("uncased", &crates);
        // With tokens before the others, and one after them.
        let inputs = TextInputs::new(crates.with_padding().with_special("<end>")?);
        assert_eq!(inputs.encode_pair("a<end>", "cat")?, (vec![3, 7, 68, 4, 8, 4], vec![0, 0, 0, 0, 1, 1]));
        Ok(())
    }

    #[test]
    fn every_character_becomes_its_tokens() -> Result<()> {
        let [kiln, crates] = &*BOTH;
        for character in BLOCKS.into_iter().flatten().filter_map(char::from_u32) {
            let text = format!("a{character}b {character}");
            assert_eq!(kiln.encode(&text)?, crates.encode(&text)?, "{character:?}");
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn texts_become_its_tokens(
            codes in prop::collection::vec((0usize..8, 0u32..0x350), 0..40), marks in prop::collection::vec("[ a-c.]|\\[SEP\\]", 0..20),
        ) {
            let character = |(block, code): (usize, u32)| {
                let block = &BLOCKS[block];
                char::from_u32(block.start() + code % (block.end() - block.start() + 1)).map(String::from)
            };
            let characters: Vec<String> = codes.into_iter().filter_map(character).collect();
            let text: String = characters.iter().zip(marks.iter().cycle()).flat_map(|(a, b)| [a.as_str(), b]).collect();
            let [kiln, crates] = &*BOTH;
            prop_assert_eq!(kiln.encode(&text).unwrap(), crates.encode(&text).unwrap());
            prop_assert_eq!(kiln.encode_ordinary(&text).unwrap(), crates.encode_ordinary(&text).unwrap());
        }
    }
}
