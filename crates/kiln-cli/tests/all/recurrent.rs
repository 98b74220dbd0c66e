//! The recipes of recurrent networks, and text that a model writes.

use crate::support::{Folder, command, lines, text, word};

#[test]
fn rows_of_digits_are_sequences() {
    let folder = Folder::with_data("sequence-lstm");
    let (data, run) = (word(&folder.0), folder.join("run"));
    let words =
        ["train", "sequence-lstm", "--data", data, "--epochs", "2", "--limit", "64", "--quiet", "--out", word(&run)];
    let said = lines(&command(&words)).remove(0);
    assert!(said.starts_with("test accuracy 0."), "{said}");
    let evaluated = lines(&command(&["evaluate", word(&run), "--data", data])).pop().unwrap();
    assert_eq!(Some(evaluated.as_str()), said.split("  fit").next());
}

#[test]
fn a_model_without_classes_has_a_loss() {
    let folder = Folder::new("adding-gru");
    let run = folder.join("run");
    let run = word(&run);
    let train = ["train", "adding-gru", "--epochs", "1", "--limit", "64", "--out", run];
    let said = lines(&command(&train)).join("\n");
    assert!(said.contains("64 + 2,000 sequences") && !said.contains("accuracy"), "{said}");
    let evaluated = lines(&command(&["evaluate", run]));
    assert!(evaluated.last().unwrap().starts_with("test loss "), "{evaluated:?}");
    let output = command(&["evaluate", run, "--out", "confusion.png"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("adding-gru has no classes to be confused"), "{}", text(&output.stderr));
    let output = command(&["generate", run]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("adding-gru writes no text and draws no images; char-lstm, mnist-gan and"), "{said}");
}

#[test]
fn strings_of_digits_are_read() {
    let folder = Folder::with_data("digits-ctc");
    let (data, run) = (word(&folder.0), folder.join("run"));
    let set = ["--set", "data.train=128", "--set", "data.test=32"];
    let words = ["train", "digits-ctc", "--data", data, "--epochs", "2", "--quiet", "--out", word(&run)];
    let said = lines(&command(&[&words[..], &set].concat())).remove(0);
    assert!(said.contains("exact match 0.") && said.contains("label error rate "), "{said}");
    let evaluated = lines(&command(&["evaluate", word(&run), "--data", data])).pop().unwrap();
    assert_eq!(Some(evaluated.as_str()), said.split("  fit").next());
}

#[test]
fn a_character_model_writes() {
    let folder = Folder::new("char-lstm");
    let run = folder.join("run");
    let run = word(&run);
    // The beginning of each stream: one batch.
    lines(&command(&["train", "char-lstm", "--epochs", "1", "--limit", "33", "--quiet", "--out", run]));
    let json = lines(&command(&["evaluate", run, "--json"])).join("");
    assert!(json.contains("\"bits_per_character\":"), "{json}");
    let write = |words: &[&str]| {
        let output = command(&[&["generate", run, "--prompt", "Alice", "--length", "30"], words].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    let first = write(&["--seed", "1"]);
    assert!(first.starts_with("Alice") && first.chars().count() == 5 + 30 + 1, "{first:?}");
    assert_eq!(write(&["--seed", "1", "--threads", "1"]), first);
    assert_ne!(write(&["--seed", "2"]), first);
    // What is likeliest does not depend on the seed.
    let likeliest = write(&["--seed", "1", "--temperature", "0"]);
    assert_eq!(write(&["--seed", "2", "--temperature", "0"]), likeliest);
    assert_eq!(write(&["--temperature", "1e-310"]), likeliest);
    assert_eq!(write(&["--temperature", "1e-300"]), likeliest);
    assert!(write(&["--json"]).contains("\"prompt\":\"Alice\""));

    let output = command(&["generate", run, "--prompt", "Älice"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("--prompt: 'Ä' at position 0 is not among the 72 characters"), "{said}");
    let output = command(&["generate", run, "--out", "digits.png"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("--out is for models that make images, which char-lstm does not: leave it out"), "{said}");
    for wrong in [["--temperature", "-1"], ["--length", "0"], ["--prompt", ""]] {
        assert_eq!(command(&[&["generate", run], &wrong[..]].concat()).status.code(), Some(2), "{wrong:?}");
    }
}
