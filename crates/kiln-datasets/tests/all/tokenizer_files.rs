//! Tokenizers in files: GPT-2's vocab.json and merges.txt, Hugging Face's tokenizer.json.

use crate::files::Folder;
use crate::fixture::values_of;
use kiln_datasets::Tokenizer;
use kiln_tensor::Result;
use std::fs;
use std::path::{Path, PathBuf};

const END: &str = "<|endoftext|>";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer")
}

#[test]
fn its_files_give_its_tokens() -> Result<()> {
    let json = Tokenizer::load(fixtures())?; // tokenizer.json
    let file = |name: &str| fs::read_to_string(fixtures().join(name)).unwrap();
    let gpt2 = Tokenizer::from_vocab_and_merges(&file("vocab.json"), &file("merges.txt"))?;
    assert_eq!(json, gpt2);
    assert_eq!((json.len(), json.special(END), json.end_of_text()), (457, Some(0), Some(0)));
    let values = values_of("byte_pairs.safetensors");
    for i in 0..8 {
        let text = values[&format!("text/{i}")].iter().map(|&byte| byte as u8).collect();
        let text = String::from_utf8(text).unwrap();
        let expected: Vec<i64> = values[&format!("file_tokens/{i}")].iter().map(|&token| token as i64).collect();
        let tokens = json.encode(&text)?;
        assert_eq!(tokens, expected, "text {i}");
        assert_eq!(json.decode(&tokens)?, text);
        // In an ordinary text nothing is special, and all of it is there too.
        let ordinary = json.encode_ordinary(&text)?;
        assert!(!ordinary.contains(&0));
        assert_eq!(json.decode(&ordinary)?, text);
    }
    // What stands in model.json.
    assert_eq!(Tokenizer::from_json(&json.to_json())?, json);
    Ok(())
}

#[test]
fn files_there_and_back() -> Result<()> {
    let folder = Folder::new("tokenizer");
    let learned =
        Tokenizer::byte_pairs(["low lower lowest slow 日本 日本"], 300)?.with_special(END)?.with_special("<|user|>")?;
    learned.save(&folder.0)?;
    assert_eq!(Tokenizer::load(&folder.0)?, learned);
    assert_eq!(Tokenizer::from_json(&learned.to_json())?, learned);
    let text = format!("<|user|>a low day{END}");
    let tokens = learned.encode(&text)?;
    assert_eq!((tokens[0], tokens.last()), (learned.len() as i64 - 1, Some(&(learned.len() as i64 - 2))));
    assert_eq!(learned.decode(&tokens)?, text);

    // With tokens before the others.
    let padded = learned.with_padding().with_unknown();
    padded.save(&folder.0)?;
    let read = Tokenizer::load(&folder.0)?;
    assert_eq!((read.special("[PAD]"), read.special("[UNK]"), read.len()), (Some(0), Some(1), padded.len()));
    assert_eq!(read.encode(&text)?, padded.encode(&text)?);
    assert_eq!(Tokenizer::from_json(&read.to_json())?, read);
    let twice = Tokenizer::byte_pairs(["aa aa aa"], 300)?.with_special("aa")?;
    let error = twice.save(&folder.0).unwrap_err().to_string();
    assert!(error.contains(r#"vocab.json: the tokens 256 and 258 are both spelled "aa" there"#), "{error}");
    let error = Tokenizer::characters("ab").save(&folder.0).unwrap_err().to_string();
    assert!(error.contains("are files of byte pairs, and this tokenizer has none: save `to_json`"), "{error}");
    Ok(())
}

/// Two ways to one token, and bytes without a token.
#[test]
fn vocabularies_of_any_order() -> Result<()> {
    let vocab = r#"{"c": 0, "abc": 1, "a": 2, "ab": 3, "b": 4, "bc": 5, "<end>": 6, "abcb": 7}"#;
    let tokenizer = Tokenizer::from_vocab_and_merges(vocab, "a b\nb c\nab c\na bc\nabc b\n")?;
    assert_eq!(tokenizer.encode("abcbc<end>cab")?, [1, 5, 6, 0, 3]);
    assert_eq!(tokenizer.decode(&[7, 0, 6, 5, 3])?, "abcbc<end>bcab");
    assert_eq!(Tokenizer::from_json(&tokenizer.to_json())?, tokenizer);
    let error = tokenizer.encode("abd").unwrap_err().to_string();
    assert!(error.contains(r#""abd" has the byte 0x64, for which the vocabulary has no token"#), "{error}");
    assert_eq!(tokenizer.with_unknown().encode("bd")?, [5, 0]);
    Ok(())
}

#[test]
fn special_tokens_of_any_tokenizer() -> Result<()> {
    let characters = Tokenizer::characters("ab").with_special("<a>")?.with_special("<ab>")?;
    assert_eq!(characters.encode("a<ab><a>b")?, [0, 3, 2, 1]);
    assert_eq!(characters.decode(&[3, 0, 2])?, "<ab>a<a>");
    let error = characters.encode("b<a>ba?").unwrap_err().to_string();
    assert!(error.contains("'?' at position 6"), "{error}");
    let refused = |text: &str| characters.clone().with_special(text).unwrap_err().to_string();
    assert!(refused("<a>").contains(r#""<a>" is there already"#));
    assert!(refused("").contains("is an empty text"));
    let json = characters.to_json();
    assert_eq!(Tokenizer::from_json(&json)?, characters);
    let wrong = Tokenizer::from_json(&json.replace("\"<ab>\",3", "\"<ab>\",4")).unwrap_err().to_string();
    assert!(wrong.contains("the special tokens do not follow the 2 others"), "{wrong}");
    Ok(())
}

#[test]
fn files_that_are_none() {
    let refused = |vocab: &str, merges: &str| Tokenizer::from_vocab_and_merges(vocab, merges).unwrap_err().to_string();
    let vocab = r#"{"a": 0, "b": 1, "ab": 2}"#;
    assert!(refused("[]", "").contains("vocab.json is not a map from tokens to numbers"));
    assert!(
        refused(r#"{"a": 0, "b": 2}"#, "").contains("vocab.json: the numbers of 2 tokens must be 0 to 1: 1 is missing")
    );
    assert!(refused(vocab, "#version: 0.2\na b c").contains("merges.txt, line 2: two tokens with a space"));
    assert!(refused(vocab, "a c").contains(r#"merges.txt, line 1: "c" is not in the vocabulary"#));
    assert!(refused(vocab, "b a").contains(r#""b" and "a" make "ba", which is not in the vocabulary"#));
    assert!(refused(vocab, "a b\na b").contains(r#"the pair of "a" and "b" is there twice"#));
    let json = r#"{"model":{"type":"BPE","vocab":{"a":0,"日":1},"merges":[]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}}"#;
    let error = Tokenizer::from_json(json).unwrap_err().to_string();
    assert!(error.contains("vocabulary: '日' of the token \"日\" stands for no byte"), "{error}");
    let folder = Folder::new("no-tokenizer");
    let error = Tokenizer::load(&folder.0).unwrap_err().to_string();
    assert!(error.contains("this folder has none of tokenizer.json, vocab.json and vocab.txt"), "{error}");
    fs::write(folder.0.join("tokenizer.json"), "{\"model\": {}}").unwrap();
    assert!(Tokenizer::load(&folder.0).is_err());
}

/// Parts of words as in BERT, but other words: only Hugging Face's own crate reads it.
const WORD_PIECE: &str = r###"{"version":"1.0","added_tokens":[{"id":0,"content":"[UNK]","single_word":false,"lstrip":false,"rstrip":false,
"normalized":false,"special":true}],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":{"type":"WordPiece",
"prefix":"##","cleanup":false},"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
"vocab":{"[UNK]":0,"un":1,"##do":2,"it":3}}}"###;

#[cfg(not(feature = "tokenizers"))]
#[test]
fn other_kinds_need_the_feature() {
    let error = Tokenizer::from_json(WORD_PIECE).unwrap_err().to_string();
    assert!(
        error.contains(
            "is not of BERT's kind: its normalizer is none, not BertNormalizer; build with the feature `tokenizers`"
        ),
        "{error}"
    );
}

#[cfg(feature = "tokenizers")]
#[test]
fn other_kinds_by_their_own_crate() -> Result<()> {
    let tokenizer = Tokenizer::from_json(WORD_PIECE)?;
    assert_eq!((tokenizer.len(), tokenizer.special("[UNK]")), (4, Some(0)));
    assert_eq!(tokenizer.encode("undo it now")?, [1, 2, 3, 0]);
    assert_eq!(tokenizer.decode(&[1, 2, 3])?, "undo it");
    let padded = tokenizer.with_padding().with_special("<end>")?;
    assert_eq!(padded.encode("it<end>")?, [4, 5]);
    assert_eq!(padded.decode(&[0, 4, 5])?, "it<end>");
    assert_eq!(Tokenizer::from_json(&padded.to_json())?, padded);
    Ok(())
}

/// Special tokens that the models have among their words, in texts of strangers.
#[cfg(feature = "tokenizers")]
#[test]
fn nothing_is_special_in_an_ordinary_text_of_its_own_crate() -> Result<()> {
    let added = |id: usize, content: &str| {
        format!(
            r#"{{"id":{id},"content":"{content}","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}"#
        )
    };
    let json = |added: String, normalizer: &str, cutting: &str, model: &str| {
        format!(
            r#"{{"version":"1.0","added_tokens":[{added}],"normalizer":{normalizer},"pre_tokenizer":{cutting},"post_processor":null,"decoder":null,"model":{model}}}"#
        )
    };
    let whole = r#"{"type":"WhitespaceSplit"}"#;
    let words = json(
        [added(0, "[UNK]"), added(1, "[END]")].join(","),
        "null",
        whole,
        r#"{"type":"WordLevel","unk_token":"[UNK]","vocab":{"[UNK]":0,"[END]":1,"one":2,"[":3,"END]":4}}"#,
    );
    let words = Tokenizer::from_json(&words)?;
    assert_eq!(words.encode("one [END]two one[END]")?, [2, 1, 0, 2, 1]);
    assert_eq!(words.encode_ordinary("one [END] one")?, [2, 3, 4, 2]);
    // Words that are unknown still are.
    assert_eq!(words.encode_ordinary("one two [UNK]")?, [2, 0, 0]);
    // Pieces of texts, and a text that becomes a special one: NFKC makes <end> of it.
    let pieces = json(
        added(1, "<end>"),
        r#"{"type":"NFKC"}"#,
        "null",
        r#"{"type":"Unigram","unk_id":0,"byte_fallback":false,"vocab":[["<unk>",0.0],["<end>",0.0],["<",-4.0],["e",-4.0],["n",-4.0],["d",-4.0],[">",-4.0]]}"#,
    );
    let pieces = Tokenizer::from_json(&pieces)?;
    assert_eq!(pieces.encode("e<end>d")?, [3, 1, 5]);
    assert_eq!(pieces.encode_ordinary("e<end><end>d")?, [3, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 5]);
    assert_eq!(pieces.encode_ordinary("\u{ff1c}end\u{ff1e}")?, [2, 3, 4, 5, 6]);
    assert_eq!(pieces.special("<end>"), Some(1));
    Ok(())
}
