//! Recipes of texts: text-classifier and translate-toy, on what the command makes up and on a user's own CSV files.

use crate::support::{Folder, command, has_the_same_bits, lines, text, word};
use serde_json::Value;
use std::fs;

/// A small model of text-classifier.
const SMALL: [&str; 10] = [
    "--set",
    "model.layers.0.size=16",
    "--set",
    "model.layers.4.layers=1",
    "--set",
    "model.layers.4.block.attention.heads=2",
    "--set",
    "model.layers.4.block.feed_forward.hidden=16",
    "--batch-size",
    "16",
];
/// A small model of translate-toy.
const SMALL_PAIRS: [&str; 16] = [
    "--set",
    "model.layers.0.size=16",
    "--set",
    "model.layers.3.size=16",
    "--set",
    "model.layers.2.layers=1",
    "--set",
    "model.layers.5.layers=1",
    "--set",
    "model.layers.2.block.feed_forward.hidden=32",
    "--set",
    "model.layers.5.block.feed_forward.hidden=32",
    "--batch-size",
    "16",
    "--set",
    "schedule.warmup=4",
];

/// The sentence of a command that fails: one line on stderr alone.
#[track_caller]
fn refused(words: &[&str]) -> String {
    let output = command(words);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str(), said.lines().count()), (Some(1), "", 1), "{said}");
    said
}

fn last_json(lines: &[String]) -> Value {
    serde_json::from_str(lines.last().unwrap()).unwrap()
}

/// Reviews with the columns review and mood.
fn reviews(folder: &Folder) -> String {
    let line = |i: usize| {
        let words = [["fine", "lovely", "great"], ["dull", "bad", "boring"]][i % 2];
        let (first, second) = (words[i % 3], words[(i / 3) % 3]);
        format!("\"number {i}, the film was {first} and {second}\",{}\n", ["good", "bad"][i % 2])
    };
    let data = folder.join("reviews.csv");
    fs::write(&data, format!("review,mood\n{}", (0..120).map(line).collect::<String>())).unwrap();
    word(&data).to_owned()
}

#[test]
fn own_texts_are_classified() {
    let folder = Folder::new("text-classifier");
    let (data, run) = (reviews(&folder), folder.join("run"));
    let run = word(&run);
    let columns = ["--set", "data.text=review", "--set", "data.target=mood"];
    let train = ["train", "text-classifier", "--data", &data, "--epochs", "12", "--lr", "0.01", "--json", "--out", run];
    let result = last_json(&lines(&command(&[&train[..], &columns, &SMALL].concat())));
    assert!(result["test_accuracy"].as_f64().unwrap() > 0.9, "{result}");
    // The data is where the run's settings say it is.
    let evaluated = last_json(&lines(&command(&["evaluate", run, "--json"])));
    assert_eq!((&evaluated["test_loss"], &evaluated["images"]), (&result["test_loss"], &24.into()));
    assert_eq!(evaluated["classes"][0]["class"], "bad");
    let evaluated = last_json(&lines(&command(&["evaluate", run, "--data", &data, "--json"])));
    assert_eq!(evaluated["images"], 120);

    let said = lines(&command(&["predict", run, "a lovely film", "dull"]));
    assert!(said[0].starts_with("a lovely film: good 0.") && said[1].starts_with("dull: bad 0."), "{said:?}");
    let said = last_json(&lines(&command(&["predict", run, "great", "--json"])));
    assert_eq!((&said["text"], &said["top"][0]["class"]), (&"great".into(), &"good".into()));
    let said = lines(&command(&["predict", run, &data]));
    assert!(said.len() == 120 && said[0].starts_with(&format!("{data}: text 1: good ")), "{}", said[0]);
    let out = folder.join("said.csv");
    lines(&command(&["predict", run, "great", "--out", word(&out)]));
    let sheet = fs::read_to_string(&out).unwrap();
    assert!(sheet.starts_with("text,prediction,p(bad),p(good)\ngreat,good,0."), "{sheet}");

    assert!(refused(&["predict", run, ""]).contains("an empty text was given"));
    assert!(refused(&["predict", run, "quokka xylophone"]).contains("the model knows none of these words"));
    assert!(refused(&["predict", run, "elsewhere.csv"]).contains("elsewhere.csv"));
    assert!(refused(&["predict", run, "elsewhere.txt"]).contains("elsewhere.txt"));
    let said = refused(&["train", "text-classifier", "--data", &data]);
    assert!(said.contains("there is no column \"text\": there are review, mood; `--set data.text=COLUMN`"), "{said}");
    let said = refused(&[&["train", "text-classifier", "--data", &data], &columns[..2]].concat());
    assert!(said.contains("there is no column \"label\"") && said.contains("data.target=COLUMN"), "{said}");
    fs::write(&data, "text,label\nfine,good\n,bad\ndull,bad\n").unwrap();
    let said = refused(&["train", "text-classifier", "--data", &data]);
    assert!(said.contains("line 3: column \"text\": the text is missing: `drop_missing` leaves"), "{said}");
    assert!(refused(&["train", "text-classifier", "--data", "nowhere.csv"]).contains("nowhere.csv"));
}

#[test]
fn made_up_reviews_are_classified_with_the_same_bits() {
    let folder = Folder::new("toy-reviews");
    let train = ["train", "text-classifier", "--set", "data.rows=100", "--set", "schedule.name=Constant"];
    let train = [&train[..], &["--set", "schedule.factor=1"], &SMALL].concat();
    has_the_same_bits(&folder, &train);
    let run = folder.join("one");
    let (run, config) = (word(&run), fs::read_to_string(run.join("config.toml")).unwrap());
    assert!(config.contains("toy_reviews") && config.contains("data = \"embedded\""), "{config}");
    let evaluated = last_json(&lines(&command(&["evaluate", run, "--json"])));
    assert_eq!(evaluated["images"], 20);
    let other = folder.join("other.csv");
    fs::write(&other, "text,label\nthe plot was good,positive\nthe plot was bad,negative\n").unwrap();
    let evaluated = last_json(&lines(&command(&["evaluate", run, "--data", word(&other), "--json"])));
    assert_eq!(evaluated["images"], 2);
    fs::write(&other, "text,label\nthe plot was good,splendid\n").unwrap();
    assert!(refused(&["evaluate", run, "--data", word(&other)]).contains("\"splendid\" is not among the classes"));
    assert!(refused(&["train", "text-classifier", "--set", "data.rows=0"]).contains("data.rows: 0 rows"));
}

/// Numbers in two languages.
fn numbers(folder: &Folder) -> (String, Vec<[String; 2]>) {
    let words = [("one", "un"), ("two", "deux"), ("three", "trois"), ("four", "quatre")];
    let mut rows: Vec<[String; 2]> = Vec::new();
    for (a, b) in words {
        rows.extend(words.iter().map(|(c, d)| [format!("{a} {c}"), format!("{b} {d}")]));
    }
    let row = |[a, b]: &[String; 2]| format!("{a},{b}\n");
    let data = folder.join("numbers.csv");
    fs::write(&data, format!("text,answer\n{}", rows.iter().map(row).collect::<String>())).unwrap();
    (word(&data).to_owned(), rows)
}

#[test]
fn own_pairs_are_translated() {
    let folder = Folder::new("translate");
    let ((data, rows), run) = (numbers(&folder), folder.join("run"));
    let (run, test) = (word(&run), format!("data.test={data}"));
    let train = ["train", "translate-toy", "--data", &data, "--set", &test, "--epochs", "40", "--lr", "0.01", "--json"];
    let result = last_json(&lines(&command(&[&train[..], &["--out", run], &SMALL_PAIRS].concat())));
    assert!(result["test_exact_match"].as_f64().unwrap() > 0.9, "{result}");
    let evaluated = last_json(&lines(&command(&["evaluate", run, "--json"])));
    assert_eq!(evaluated["test_exact_match"], result["test_exact_match"]);
    let said = lines(&command(&["evaluate", run])).remove(0);
    assert!(said.starts_with("test exact match ") && said.contains("test accuracy "), "{said}");

    // Of as many texts the answers are right.
    let said = lines(&command(&["predict", run, &data]));
    let right = said.iter().zip(&rows).enumerate();
    let right =
        right.filter(|(at, (said, [_, answer]))| **said == format!("{data}: text {}: {answer}", at + 1)).count();
    assert_eq!(right as f64 / rows.len() as f64, result["test_exact_match"].as_f64().unwrap(), "{said:?}");
    let words = lines(&command(&["predict", run, "three one", "Four two"]));
    assert_eq!(words, [said[8].rsplit(": ").next().unwrap(), said[13].rsplit(": ").next().unwrap()]);
    let json = last_json(&lines(&command(&["predict", run, "three one", "--json"])));
    assert_eq!(json, serde_json::json!({ "result": "predict", "text": "three one", "prediction": words[0] }));
    let out = folder.join("said.json");
    lines(&command(&["predict", run, &data, "two two", "--out", word(&out)]));
    let sheet: Vec<Value> = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!((sheet.len(), &sheet[16]["text"], &sheet[0]["text"]), (17, &"two two".into(), &"1".into()));

    assert!(refused(&["predict", run, "one five"]).contains("\"one five\": \"five\" is unknown"));
    assert!(refused(&["predict", run, ""]).contains("a text with at least one token is expected"));
    assert!(refused(&["predict", run, &"one ".repeat(20)]).contains("20 tokens, and the model reads at most 16"));
    assert!(refused(&["generate", run]).contains("translate-toy translates texts: use `kiln predict`"));
    fs::write(&data, format!("text,answer\n{},un\n", "one ".repeat(20))).unwrap();
    assert!(refused(&["evaluate", run, "--data", &data]).contains("1 have more than 16 tokens"));
    fs::write(&data, "text,label\none,un\n").unwrap();
    let said = refused(&["train", "translate-toy", "--data", &data]);
    assert!(said.contains("there is no column \"answer\""), "{said}");
}

#[test]
fn made_up_pairs_are_translated_with_the_same_bits() {
    let folder = Folder::new("toy-translations");
    let train = ["train", "translate-toy", "--set", "data.rows=100", "--set", "schedule.name=Constant"];
    has_the_same_bits(&folder, &[&train[..], &["--set", "schedule.factor=1"], &SMALL_PAIRS].concat());
    let run = folder.join("one");
    assert_eq!(lines(&command(&["predict", word(&run), "sort: pear fig apple"])).len(), 1);
    assert!(refused(&["predict", word(&run), "sort: pear fig quokka"]).contains("\"quokka\" is unknown"));
    let said = lines(&command(&["summary", "translate-toy"])).join("\n");
    assert!(said.contains("encoder (TransformerEncoder)") && said.contains("activations"), "{said}");
}

#[test]
fn what_is_wrong_with_a_graph_is_said_with_its_place() {
    let folder = Folder::new("graph-settings");
    let file = folder.join("graph.toml");
    let recipe = include_str!("../../src/recipes/translate-toy.toml").replace("rows = 20000", "rows = 20");
    let wrong = |from: &str, to: &str| {
        assert!(recipe.contains(from), "{from}");
        fs::write(&file, recipe.replacen(from, to, 1)).unwrap();
        refused(&["train", "--config", word(&file)])
    };
    let inputs = "inputs = [\"source\", \"target\"]";
    assert!(wrong(inputs, "inputs = [\"source\"]").contains("the data has 2 inputs, and 1 are named"));
    let said = wrong("from = [\"target_positions\", \"encoder\"]", "from = [\"target_positions\", \"encodr\"]");
    assert!(said.contains("no input and no layer before is called `encodr`: the nearest is `encoder`"), "{said}");
    assert!(said.contains("graph.toml:24:"), "{said}");
    assert!(wrong(", from = \"source\"", "").contains("`model.layers.0.from`, the name of an input, is missing"));
    let said = wrong("from = [\"target_positions\", \"encoder\"]", "from = \"target_positions\"");
    assert!(said.contains("no layer takes the output of `encoder`"), "{said}");
    let said = wrong("name = \"target_tokens\"", "name = \"source_tokens\"");
    assert!(
        said.contains("graph.toml:22:") && said.contains("two inputs or layers are called `source_tokens`"),
        "{said}"
    );
    let said = wrong("positions = 16 },\n    { name = \"decoder\"", "positions = 4 },\n    { name = \"decoder\"");
    assert!(said.contains("graph.toml:23:") && said.contains("4"), "{said}");
    assert!(wrong("units = \"tokens\"", "units = \"classes\"").contains("is for models of classes"));
}
