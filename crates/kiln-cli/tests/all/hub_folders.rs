//! `kiln summary`, `kiln generate` and `kiln predict` with folders as Hugging Face's hub has them.

use crate::support::{Folder, command, word};
use kiln::datasets::Tokenizer;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(of: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(of).join("tests/fixtures").join(name)
}

/// A copy of a small model's folder.
fn copy(name: &str) -> Folder {
    let folder = Folder::new(name);
    for file in fs::read_dir(fixture("kiln-nn", "hub").join(name)).unwrap().flatten() {
        fs::copy(file.path(), folder.join(file.file_name().to_str().unwrap())).unwrap();
    }
    folder
}

/// A copy with another config.json.
fn reconfigured(name: &str, key: &str, value: Value) -> Folder {
    let folder = copy(name);
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(path, config.to_string()).unwrap();
    folder
}

/// A copy with a tokenizer of so many tokens, which is one more than the letters of `text`.
fn with_tokenizer(name: &str, text: &str) -> Folder {
    let folder = copy(name);
    let tokenizer = Tokenizer::characters(text).with_unknown();
    fs::write(folder.join("tokenizer.json"), tokenizer.to_json()).unwrap();
    folder
}

/// What the command says that it cannot do.
fn refused(words: &[&str]) -> String {
    let output = command(words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.lines().count() == 1, "{words:?}: {said}");
    said
}

fn expect(said: &str, expected: &str) {
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_config_that_makes_no_model_is_refused_in_a_sentence() {
    let cases = [
        ("gpt2", "n_head", json!(3), "3 heads do not divide a width of 16"),
        ("gpt2", "model_type", json!("t5"), "`t5` is unknown; known are gpt2"),
        ("gpt2", "n_positions", json!(0), "inputs of shape (0,) are empty"),
        ("gpt2", "n_positions", json!(48), "transformer.wpe.weight: expected (48, 16), got [24, 16]"),
        ("llama-sharded", "num_key_value_heads", json!(3), "4 heads cannot share 3 key heads evenly"),
        ("bert-classes", "vocab_size", json!(50), "expected (50, 16), got [67, 16]"),
    ];
    for (name, key, value, expected) in cases {
        let folder = reconfigured(name, key, value);
        for verb in ["summary", "generate"] {
            let said = refused(&[verb, word(&folder.0)]);
            expect(&said, expected);
        }
        expect(&refused(&["predict", word(&folder.0), "a.txt"]), expected);
    }
    let folder = copy("llama-sharded");
    fs::remove_file(folder.join("model-00002-of-00004.safetensors")).unwrap();
    let said = refused(&["summary", word(&folder.0)]);
    expect(
        &said,
        "1 of the 4 shards that model.safetensors.index.json names are missing: model-00002-of-00004.safetensors",
    );
}

#[test]
fn a_folder_without_a_tokenizer_says_what_is_missing() {
    let said = refused(&["generate", word(&copy("gpt2").0)]);
    expect(&said, "config.json: this folder has no tokenizer");
    expect(&said, "tokenizer.json, vocab.json, vocab.txt");
    expect(&refused(&["predict", word(&copy("bert-classes").0), "a.txt"]), "this folder has no tokenizer");
    assert!(command(&["summary", word(&copy("bert-classes").0)]).status.success());
}

#[test]
fn text_is_generated_and_what_is_not_in_the_vocabulary_is_named() {
    let letters: String = ('!'..='z').collect();
    let folder = with_tokenizer("gpt2", &letters[..60]);
    let output = command(&["generate", word(&folder.0), "--prompt", "ABC", "--max-tokens", "30"]);
    assert!(output.status.success(), "{output:?}");
    // The model has 67 tokens, the tokenizer more.
    let folder = with_tokenizer("gpt2", &letters);
    expect(
        &refused(&["generate", word(&folder.0), "--prompt", "Az"]),
        "token 90 at position (0, 1) is outside the vocabulary",
    );
}

#[test]
fn texts_are_predicted_by_a_classifier_of_berts_kind() {
    let folder = copy("bert-classes");
    fs::copy(fixture("kiln-datasets", "bert/vocab.txt"), folder.join("vocab.txt")).unwrap();
    let texts = folder.join("texts.txt");
    // The second text is longer than the model's 12 positions, and cut.
    fs::write(&texts, format!("The cats undo it!\n{}\n\n", "a cat ".repeat(20))).unwrap();
    let output = command(&["predict", word(&folder.0), word(&texts), "--json"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((output.status.code(), lines.len()), (Some(0), 3));
    for line in &lines {
        let top = line["top"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        let sum: f64 = top.iter().map(|class| class["probability"].as_f64().unwrap()).sum();
        assert!(
            (sum - 1.0).abs() < 1e-5 && ["sad", "so-so", "glad"].contains(&top[0]["class"].as_str().unwrap()),
            "{line}"
        );
    }
    // Texts do not change one another.
    fs::write(&texts, "The cats undo it!\n").unwrap();
    let alone = command(&["predict", word(&folder.0), word(&texts), "--json"]);
    let alone: Value = serde_json::from_slice(&alone.stdout).unwrap();
    let probability = |line: &Value| line["top"][0]["probability"].as_f64().unwrap();
    assert!((probability(&alone) - probability(&lines[0])).abs() < 1e-5);

    let table = folder.join("texts.csv");
    fs::write(&table, "mood,text\nglad,a cat\n").unwrap();
    expect(
        &refused(&["predict", word(&folder.0), word(&table)]),
        "one column is expected, that of the texts, and there are 2",
    );
    fs::write(&table, "text\nThe cats undo it!\n").unwrap();
    let of_table = command(&["predict", word(&folder.0), word(&table), "--json"]);
    let of_table: Value = serde_json::from_slice(&of_table.stdout).unwrap();
    assert!((probability(&of_table) - probability(&alone)).abs() < 1e-9);
}
