//! Text to tokens and back.

use crate::files::Folder;
use crate::fixture::values_of;
use kiln_datasets::{Tokenizer, WordOptions, load_text};
use kiln_tensor::Result;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn characters_there_and_back(text in "\\PC{0,60}") {
        let tokenizer = Tokenizer::characters(&text);
        let tokens = tokenizer.encode(&text).unwrap();
        prop_assert!(tokens.iter().all(|&token| (token as usize) < tokenizer.len()));
        prop_assert_eq!(tokenizer.decode(&tokens).unwrap(), text);
        prop_assert_eq!(Tokenizer::from_json(&tokenizer.to_json()).unwrap(), tokenizer);
    }

    #[test]
    fn byte_pairs_give_every_text_back(
        learned in prop::collection::vec("[ab \\n'é日]{0,40}", 0..4), text in "[ab \\n'é日]{0,40}|(?s:.{0,40})", size in 256usize..300,
    ) {
        let tokenizer = Tokenizer::byte_pairs(&learned, size).unwrap();
        prop_assert!(tokenizer.len() <= size);
        let tokens = tokenizer.encode(&text).unwrap();
        prop_assert!(tokens.len() <= text.len() && tokens.iter().all(|&token| (token as usize) < tokenizer.len()));
        prop_assert_eq!(&tokenizer.decode(&tokens).unwrap(), &text);
        prop_assert_eq!(&Tokenizer::from_json(&tokenizer.to_json()).unwrap(), &tokenizer);
        // Special tokens move the others up.
        let special = tokenizer.with_padding().with_unknown();
        prop_assert_eq!(special.encode(&text).unwrap(), tokens.iter().map(|token| token + 2).collect::<Vec<_>>());
        prop_assert_eq!(special.decode(&special.encode(&text).unwrap()).unwrap(), text);
    }

    #[test]
    fn words_there_and_back(words in prop::collection::vec("[a-z]{1,6}|[0-9]{1,3}", 1..20)) {
        // Of words and single spaces nothing is lost.
        let text = words.join(" ");
        let tokenizer = Tokenizer::words([&text], WordOptions::new()).unwrap();
        prop_assert_eq!(tokenizer.decode(&tokenizer.encode(&text).unwrap()).unwrap(), text);
        prop_assert_eq!(Tokenizer::from_json(&tokenizer.to_json()).unwrap(), tokenizer);
    }
}

#[test]
fn byte_pairs_are_those_of_another_implementation() {
    let values = values_of("byte_pairs.safetensors");
    let text = |name: &str| {
        let bytes = values[name].iter().map(|&byte| byte as u8).collect();
        String::from_utf8(bytes).unwrap()
    };
    let tokenizer = Tokenizer::byte_pairs([text("learned_from")], 256 + 500).unwrap();
    let json: serde_json::Value = serde_json::from_str(&tokenizer.to_json()).unwrap();
    let merges = json["merges"].as_array().unwrap().iter().flat_map(|pair| [pair[0].as_f64(), pair[1].as_f64()]);
    assert_eq!(merges.collect::<Option<Vec<f64>>>().unwrap(), values["merges"]);
    for i in 0..8 {
        let tokens: Vec<i64> = values[&format!("tokens/{i}")].iter().map(|&token| token as i64).collect();
        assert_eq!(tokenizer.encode(&text(&format!("text/{i}"))).unwrap(), tokens, "text {i}");
    }
}

/// The same pair everywhere, and one word as long as the file: time that grows with the square would show.
#[test]
fn byte_pairs_of_long_words_take_no_longer() -> Result<()> {
    let letters = ["ACGT", "TTAG", "GACA", "CCTA"];
    let text: String =
        (0..50_000usize).map(|i| letters[i * i % 7 % 4]).chain(std::iter::repeat_n("A", 200_000)).collect();
    let tokenizer = Tokenizer::byte_pairs([&text], 400)?;
    let tokens = tokenizer.encode(&text)?;
    assert!(tokenizer.len() > 270 && tokens.len() < text.len() / 20, "{} tokens", tokens.len());
    assert_eq!(tokenizer.decode(&tokens)?, text);
    Ok(())
}

#[test]
fn words_by_how_often_they_come() -> Result<()> {
    let texts = ["It's the 3.14th day -- the DAY!", "the day, naïve café"];
    let words = Tokenizer::words(texts, WordOptions::new())?;
    assert_eq!((words.len(), words.padding(), words.unknown()), (11, Some(0), Some(1)));
    assert_eq!(words.encode("The day!")?, [3, 2, 5]);
    assert_eq!(words.decode(&words.encode("it's\n Naïve, day  nonsense")?)?, "it's naïve , day [UNK]");
    assert_eq!(words.decode(&[0, 3, 0, 2, 1])?, "the day [UNK]");
    let exact = Tokenizer::words(texts, WordOptions::new().lowercase(false).minimum_count(2))?;
    assert_eq!((exact.len(), exact.encode("The the day")?), (5, vec![1, 2, 4]));
    assert_eq!(Tokenizer::words(texts, WordOptions::new().size(3))?.encode("the day")?, [1, 2]);

    let refused = |texts: &[&str], options| Tokenizer::words(texts, options).unwrap_err().to_string();
    assert!(refused(&texts, WordOptions::new().size(2)).contains("2 tokens has no place for a word"));
    assert!(refused(&texts, WordOptions::new().minimum_count(9)).contains("no word of the texts comes 9 times"));
    assert!(refused(&[" \n"], WordOptions::new()).contains("the texts have no word"));
    Ok(())
}

#[test]
fn tokens_that_are_not_there() -> Result<()> {
    let characters = Tokenizer::characters("hello");
    let error = characters.encode("help").unwrap_err().to_string();
    assert!(error.contains("'p' at position 3 is not among the 4 characters"), "{error}");
    let error = characters.decode(&[0, 4]).unwrap_err().to_string();
    assert!(error.contains("token 4 at position 1 is out of range, expected 0 to 3"), "{error}");
    assert!(characters.decode(&[-1]).is_err());
    let unknown = characters.with_unknown();
    assert_eq!((unknown.len(), unknown.unknown(), unknown.padding()), (5, Some(0), None));
    assert_eq!(unknown.decode(&unknown.encode("help")?)?, "hel[UNK]");
    // A part of a character.
    let pairs = Tokenizer::byte_pairs(["é"], 256)?;
    assert_eq!(pairs.decode(&pairs.encode("é")?[..1])?, "\u{fffd}");
    let error = Tokenizer::byte_pairs(["a"], 255).unwrap_err().to_string();
    assert!(error.contains("255 tokens is too small: byte pairs need 256"), "{error}");
    Ok(())
}

#[test]
fn json_that_is_no_tokenizer() {
    let refused = |json: &str| Tokenizer::from_json(json).unwrap_err().to_string();
    assert!(refused("{}").contains("not a tokenizer's JSON"));
    let with = |units: &str| format!(r#"{{"padding":false,"unknown":true,{units}}}"#);
    let pairs = |merges: &str| refused(&with(&format!(r#""kind":"byte_pairs","merges":{merges}"#)));
    assert!(pairs("[[1,2],[1,2]]").contains("pair 1 of tokens, 1 and 2, is there twice"));
    assert!(pairs("[[1,256]]").contains("has a token that comes after it"));
    let doubled: Vec<(u32, u32)> = (255..300).map(|token| (token, token)).collect();
    assert!(pairs(&serde_json::to_string(&doubled).unwrap()).contains("has more than 65536 bytes"));
    assert!(refused(&with(r#""kind":"characters","characters":"ba""#)).contains("not in order"));
    let words = with(r#""kind":"words","lowercase":true,"words":["a","b","a"]"#);
    assert!(refused(&words).contains(r#"the word "a" is there twice"#));
    assert!(refused(&words.replace("true,\"kind", "false,\"kind")).contains("no token for unknown words"));
}

#[test]
fn text_files() -> Result<()> {
    let folder = Folder::new("text");
    let path = folder.0.join("a.txt");
    let load = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        load_text(&path)
    };
    assert_eq!(load("\u{feff}one\r\ntwo".as_bytes())?.lines().collect::<Vec<_>>(), ["one", "two"]);
    let error = load(b"one\ntw\xffo").unwrap_err().to_string();
    assert!(error.contains("a.txt: line 2, byte 6 of the file: the text is not UTF-8"), "{error}");
    assert!(load(b"").unwrap_err().to_string().contains("a.txt: the file is empty"));
    assert!(load_text(folder.0.join("b.txt")).unwrap_err().to_string().contains("b.txt: "));
    Ok(())
}

#[cfg(feature = "embedded-text")]
#[test]
fn the_book_is_whole() {
    use kiln_datasets::ALICE;
    assert_eq!(ALICE.len(), 148_476);
    assert!(ALICE.trim_start().starts_with("ALICE'S ADVENTURES IN WONDERLAND") && ALICE.ends_with("THE END\n"));
    assert_eq!(Tokenizer::characters(ALICE).len(), 72);
}
