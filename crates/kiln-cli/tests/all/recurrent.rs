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
        let output = command(&[&["generate", run, "--prompt", "Alice", "--max-tokens", "30"], words].concat());
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
    let json = write(&["--json"]);
    assert!(json.contains("\"prompt\":\"Alice\"") && json.contains("\"ended\":\"length\""), "{json}");
    // With one token left nothing is drawn.
    assert_eq!(write(&["--top-k", "1"]), likeliest);
    assert_eq!(write(&["--min-p", "1", "--seed", "3"]), likeliest);
    assert_eq!(write(&["--beams", "1"]), likeliest);
    assert_ne!(write(&["--top-p", "0.5", "--repetition-penalty", "1.5", "--seed", "1"]), first);
    let stop: String = likeliest.chars().skip(15).take(3).collect();
    let stopped = write(&["--temperature", "0", "--stop", &stop]);
    assert!(likeliest.starts_with(stopped.trim_end_matches('\n')) && !stopped.contains(&stop), "{stopped:?}");

    let prompts = folder.join("prompts.txt");
    std::fs::write(&prompts, "Alice\nThe Queen said\n\nAlice\n").unwrap();
    let generate = ["generate", run, "--max-tokens", "30", "--seed", "1"];
    let said = lines(&command(&[&generate[..], &["--prompts", word(&prompts), "--json"]].concat()));
    assert_eq!(said.len(), 3);
    let text_of =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
    assert_eq!(format!("Alice{}\n", text_of(&said[0])), first, "as it is alone");
    assert_ne!(text_of(&said[0]), text_of(&said[2]));
    let said = lines(&command(&[&generate[..], &["--prompts", word(&prompts)]].concat())).join("\n");
    assert!(said.contains(first.trim_end()), "{said}");
    std::fs::write(&prompts, "Alice\nÄ\n").unwrap();
    let output = command(&[&generate[..], &["--prompts", word(&prompts)]].concat());
    let said = text(&output.stderr);
    assert!(said.contains("prompts.txt, line 2: 'Ä' at position 0"), "{said}");

    let output = command(&["generate", run, "--prompt", "Älice"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("--prompt: 'Ä' at position 0 is not among the 72 characters"), "{said}");
    let output = command(&["generate", run, "--out", "digits.png"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("--out is for models that make images, which char-lstm does not: leave it out"), "{said}");
    for wrong in
        [["--temperature", "-1"], ["--max-tokens", "0"], ["--prompt", ""], ["--top-p", "0"], ["--length-penalty", "1"]]
    {
        assert_eq!(command(&[&["generate", run], &wrong[..]].concat()).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_recipe_of_text_takes_any_text() {
    let folder = Folder::new("text-option");
    let (poem, run) = (folder.join("poem.txt"), folder.join("run"));
    std::fs::write(&poem, "\u{feff}Ä rose is a rose is a rose.\n".repeat(200).trim_start_matches('\u{feff}')).unwrap();
    let train = |options: &[&str]| {
        let all = [
            "train",
            "char-lstm",
            "--text",
            word(&poem),
            "--set",
            "model.layers.1.units=8",
            "--epochs",
            "1",
            "--quiet",
        ];
        command(&[&all[..], options].concat())
    };
    lines(&train(&["--set", "data.streams=8", "--set", "data.steps=16", "--out", word(&run)]));
    let said = lines(&command(&["generate", word(&run), "--prompt", "Ä rose", "--max-tokens", "5", "--json"])).join("");
    assert!(said.contains("\"tokens\":5"), "{said}");
    lines(&command(&["generate", word(&run), "--max-tokens", "5"])); // begins with a line: it does not know Alice
    lines(&command(&["evaluate", word(&run)]));
    // As windows, for models that carry nothing on.
    let windows = ["--set", "data.windows=true", "--set", "data.steps=16", "--set", "model.layers.1.stateful=false"];
    lines(&train(&windows));

    let refused = |options: &[&str], bytes: &[u8]| {
        std::fs::write(&poem, bytes).unwrap();
        let output = train(options);
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr).to_owned()
    };
    let said = refused(&[], b"A rose.");
    assert!(said.contains("poem.txt: ") && said.contains("tokens, and more than"), "{said}");
    assert!(refused(&[], b"").contains("poem.txt: the file is empty"));
    assert!(refused(&[], b"a\nb\xff").contains("poem.txt: line 2, byte 3 of the file: the text is not UTF-8"));
    std::fs::remove_file(&poem).unwrap();
    assert!(text(&train(&[]).stderr).contains("poem.txt: "));
    let output = command(&["train", "adding-gru", "--text", word(&poem)]);
    let said = text(&output.stderr);
    assert!(said.contains("what is trained here is not trained on a text: leave it out"), "{said}");
}
