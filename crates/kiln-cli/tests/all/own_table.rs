//! A user's own table: `init`, `train --config`, `evaluate`, `predict`, `plot`, `summary`, and what is wrong with each.

use crate::support::{Folder, command, lines, text, word};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// 120 flowers of three kinds, which two of the columns tell apart; one value is missing, one column is a date.
fn flowers() -> String {
    let mut csv = String::from("width,length,color,day,kind\n");
    for i in 0..120u32 {
        let kind = i % 3;
        let near = |center: f64, step: u32| center + f64::from(i * step % 17) / 20.0;
        let width = if i == 40 { String::new() } else { near(f64::from(kind), 7).to_string() };
        let color = ["red", "blue"][(i / 3 % 2) as usize];
        let name = ["aster", "iris, blue", "rose"][kind as usize];
        csv += &format!("{width},{},{color},2024-01-{:02},\"{name}\"\n", near(3.0 - f64::from(kind), 5), i % 28 + 1);
    }
    csv
}

/// 100 rows of y = 3·a − 2·b + 100.
fn line() -> String {
    let row = |i: u32| {
        let (a, b) = (f64::from(i * 7 % 23), f64::from(i * 5 % 19));
        format!("{a},{b},{}\n", 3.0 * a - 2.0 * b + 100.0)
    };
    format!("a,b,y\n{}", (0..100).map(row).collect::<String>())
}

struct Own {
    folder: Folder,
    config: PathBuf,
    run: PathBuf,
}

/// A table and its settings.
fn own(name: &str, csv: &str, target: &str) -> Own {
    let folder = Folder::new(name);
    fs::write(folder.join("data.csv"), csv).unwrap();
    let (config, run) = (folder.join("my.toml"), folder.join("run"));
    let data = folder.join("data.csv");
    let words = ["init", "csv", word(&data), "--target", target, "--out", word(&config)];
    let said = lines(&command(&words));
    assert!(said.last().unwrap().starts_with("written to "), "{said:?}");
    Own { folder, config, run }
}

fn last_json(said: &[String]) -> Value {
    serde_json::from_str(said.last().unwrap()).unwrap()
}

impl Own {
    fn train(&self, options: &[&str]) -> Vec<String> {
        lines(&command(&[&["train", "--config", word(&self.config)], options].concat()))
    }
}

#[test]
fn init_says_what_it_found_and_its_settings_train() {
    let own = own("own-classes", &flowers(), "kind");
    let toml = fs::read_to_string(&own.config).unwrap();
    for found in [
        "# 120 rows, 5 columns",
        "# target kind: 3 classes (aster 40, \"iris, blue\" 40, rose 40)",
        "# ignored: day (a date)",
        "# missing values in width",
        "path = \"data.csv\"",
        "missing = \"median\"",
        "ignore = [\"day\"]",
    ] {
        let found = found.replace("\"iris, blue\"", "iris, blue");
        assert!(toml.contains(&found), "{found}: {toml}");
    }
    let options = ["--json", "--epochs", "40", "--set", "optimizer.lr=0.01", "--out", word(&own.run)];
    let result = last_json(&own.train(&options));
    assert!(result["test_accuracy"].as_f64().unwrap() > 0.9, "{result}");
    let validated = own.train(&["--json", "--epochs", "1", "--set", "data.validation=0.2"]);
    assert!(last_json(&validated)["val_accuracy"].is_f64(), "{validated:?}");
    for file in ["model.json", "model.safetensors", "config.toml", "history.csv", "curves.png", "manifest.json"] {
        assert!(own.run.join(file).is_file(), "{file}");
    }
    // The run knows its data and what was set.
    let config = fs::read_to_string(own.run.join("config.toml")).unwrap();
    assert!(config.contains("lr = 0.01") && config.contains("epochs = 40"), "{config}");
    let evaluated = last_json(&lines(&command(&["evaluate", word(&own.run), "--json"])));
    assert_eq!(
        (&evaluated["test_loss"], &evaluated["test_accuracy"]),
        (&result["test_loss"], &result["test_accuracy"])
    );
    assert_eq!(evaluated["classes"][1]["class"], "iris, blue");
    // It can be trained again by its own settings, to the bit.
    let again = own.folder.join("again");
    let config = own.run.join("config.toml");
    let words = ["train", "--config", word(&config), "--quiet", "--out", word(&again)];
    lines(&command(&words));
    let weights = |run: &PathBuf| fs::read(run.join("model.safetensors")).unwrap();
    assert_eq!(weights(&own.run), weights(&again));
    lines(&command(&["plot", word(&own.run), "--out", word(&own.folder.join("curves.png"))]));
    for what in [&own.run, &own.config] {
        let summary = lines(&command(&["summary", word(what)])).join("\n");
        assert!(summary.contains("Normalization") && summary.contains("Dense"), "{summary}");
    }
}

#[test]
fn new_rows_are_predicted_in_lines_json_csv_and_by_the_library() {
    let own = own("own-predict", &flowers(), "kind");
    own.train(&["--quiet", "--epochs", "40", "--set", "optimizer.lr=0.01", "--out", word(&own.run)]);
    // Other order, no target, one column more, a missing value.
    let new = own.folder.join("new.csv");
    fs::write(&new, "color,extra,length,width\nred,1,3.2,0.3\nblue,2,1.3,2.4\nred,3,2.2,\n").unwrap();
    let predict = |more: &[&str]| lines(&command(&[&["predict", word(&own.run), word(&new)], more].concat()));
    let said = predict(&[]);
    assert_eq!(said.len(), 3);
    assert!(said[0].contains("row 1: aster ") && said[1].contains("row 2: rose "), "{said:?}");
    let json: Value = serde_json::from_str(&predict(&["--json"])[1]).unwrap();
    assert_eq!((&json["row"], &json["top"][0]["class"]), (&2.into(), &"rose".into()));
    let (csv, list) = (own.folder.join("said.csv"), own.folder.join("said.json"));
    predict(&["--out", word(&csv)]);
    let table = fs::read_to_string(&csv).unwrap();
    let mut rows = table.lines();
    assert_eq!(rows.next(), Some("row,prediction,p(aster),\"p(iris, blue)\",p(rose)"));
    assert!(rows.next().unwrap().starts_with("1,aster,"), "{table}");
    predict(&["--out", word(&list)]);
    let list: Value = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    assert_eq!((list.as_array().unwrap().len(), &list[1]["prediction"]), (3, &"rose".into()));

    let trained = kiln::load(&own.run).unwrap();
    let predictions = trained.predict_csv(&kiln::datasets::Csv::open(&new).unwrap()).unwrap();
    assert_eq!((predictions.len(), predictions.class(0), predictions.class(1)), (3, Some("aster"), Some("rose")));
    assert_eq!(predictions.top(1, 1)[0].1, json["top"][0]["probability"].as_f64().unwrap());
}

#[test]
fn a_number_is_predicted_in_its_own_unit() {
    let own = own("own-number", &line(), "y");
    let result = last_json(&own.train(&["--json", "--epochs", "120", "--out", word(&own.run)]));
    assert!(result["r2"].as_f64().unwrap() > 0.95 && result["test_mae"].as_f64().unwrap() < 6.0, "{result}");
    let new = own.folder.join("new.csv");
    fs::write(&new, "b,a\n0,20\n").unwrap();
    let said: Value =
        serde_json::from_str(&lines(&command(&["predict", word(&own.run), word(&new), "--json"]))[0]).unwrap();
    assert!((said["prediction"].as_f64().unwrap() - 160.0).abs() < 15.0, "{said}");
    let evaluated = last_json(&lines(&command(&["evaluate", word(&own.run), "--json"])));
    assert_eq!(evaluated["r2"], result["r2"]);
}

/// The one sentence of a command that fails.
fn refused(words: &[&str]) -> String {
    let output = command(words);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.trim_end().lines().count() == 1, "{words:?}: {said}");
    said
}

#[test]
fn settings_that_are_wrong_are_named_with_line_and_column() {
    let own = own("own-mistakes", &flowers(), "kind");
    let whole = fs::read_to_string(&own.config).unwrap();
    let line_of = |part: &str| whole.lines().position(|line| line.contains(part)).unwrap() + 1;
    for (from, to, column, sentence) in [
        ("lr = 0.005", "lrr = 0.002", 1, "unknown setting `optimizer.lrr`; the nearest is `lr`"),
        ("lr = 0.005", "lr = \"fast\"", 6, "optimizer.lr: a number is expected, got \"fast\""),
        ("name = \"AdamW\"", "name = \"Adamm\"", 8, "unknown optimizer \"Adamm\"; the nearest is Adam"),
        ("[loss]", "[los]", 2, "unknown setting `los`; the nearest is `loss`"),
        ("target = \"kind\"", "target = \"kinds\"", 0, "there is no column \"kinds\": the nearest name is \"kind\""),
        (
            "metrics = [\"Accuracy\"]",
            "metrics = [\"Acuracy\"]",
            12,
            "unknown metric \"Acuracy\"; the nearest is Accuracy",
        ),
        (
            "[schedule]",
            "[[callbacks]]\nname = \"EarlyStopping\"\npatienc = 1\n[schedule]",
            0,
            "unknown setting `callbacks.0.patienc`; the nearest is `patience`",
        ),
        ("test = 0.2", "test = 1.2", 8, "data.test: "),
        ("batch_size = ", "batch_size = -", 14, "a whole number of at least 0 is expected, got -"),
        ("{ layer = \"Normalization\" }", "{ layer = \"Normalisation\" }", 0, "Normalization"),
        ("seed = 0", "seed = ", 0, "my.toml:"),
    ] {
        assert!(whole.contains(from), "{from}");
        fs::write(&own.config, whole.replacen(from, to, 1)).unwrap();
        let said = refused(&["train", "--config", word(&own.config), "--out", word(&own.run)]);
        assert!(said.contains(sentence), "{to}: {said}");
        if column > 0 {
            assert!(said.contains(&format!("my.toml:{}:{column}: ", line_of(from))), "{to}: {said}");
        }
        assert!(!own.run.exists(), "{to}");
    }
    // A unit of a layer that is misspelled, and layers that do not fit.
    fs::write(&own.config, whole.replacen("units = 64", "unit = 64", 1)).unwrap();
    let said = refused(&["train", "--config", word(&own.config)]);
    assert!(said.contains(&format!("my.toml:{}:", line_of("units = 64"))) && said.contains("`units`"), "{said}");
    fs::write(&own.config, whole.replacen("units = 3", "units = 2", 1)).unwrap();
    let said = refused(&["train", "--config", word(&own.config), "--quiet", "--epochs", "1"]);
    assert!(said.contains("has label 2, expected 0 to 1: the model has 2 outputs"), "{said}");
}

#[test]
fn options_that_are_wrong_are_one_sentence() {
    let own = own("own-options", &flowers(), "kind");
    let (config, data) = (word(&own.config), own.folder.join("data.csv"));
    for (words, sentence) in [
        (vec!["train", "--config", config, "--set", "optimizer.lr"], "PATH=VALUE is expected"),
        (vec!["train", "--config", config, "--set", "optimizer.rate=1"], "--set optimizer.rate=1: unknown setting"),
        (vec!["train", "--config", config, "--set", "model.layers.9.units=1"], "no place in a list of 6"),
        (vec!["train", "--config", "missing.toml"], "missing.toml: cannot be read"),
        (vec!["init", "csv", word(&data), "--target", "kind", "--out", config], "--force replaces it"),
        (vec!["init", "csv", word(&data), "--target", "kinds", "--out", "x.toml"], "the nearest name is \"kind\""),
    ] {
        let said = refused(&words);
        assert!(said.contains(sentence), "{words:?}: {said}");
    }
    assert!(!PathBuf::from("x.toml").exists());
}

#[test]
fn tables_that_are_wrong_are_refused_by_init_and_predict() {
    let folder = Folder::new("own-tables");
    for (name, csv, sentence) in [
        ("ragged", "a,y\n1,2\n3\n", "line 3"),
        ("twice", "a,a,y\n1,2,3\n", "both named"),
        ("empty", "", "empty"),
        ("one-class", "a,y\n1,cat\n2,cat\n3,cat\n", "one class only"),
    ] {
        let path = folder.join(&format!("{name}.csv"));
        fs::write(&path, csv).unwrap();
        let said = refused(&["init", "csv", word(&path), "--target", "y", "--out", word(&folder.join("x.toml"))]);
        assert!(said.contains(sentence), "{name}: {said}");
        assert!(!folder.join("x.toml").exists());
    }
    let own = own("own-columns", &flowers(), "kind");
    own.train(&["--quiet", "--epochs", "1", "--out", word(&own.run)]);
    for (csv, sentence) in [
        ("width,length\n1,2\n", "color"),
        ("width,length,color\n1,2,green\n", "line 2"),
        ("width,length,color\nwide,2,red\n", "line 2: column \"width\""),
    ] {
        let path = own.folder.join("other.csv");
        fs::write(&path, csv).unwrap();
        let out = own.folder.join("said.csv");
        let said = refused(&["predict", word(&own.run), word(&path), "--out", word(&out)]);
        assert!(said.contains(sentence), "{csv}: {said}");
        assert!(!out.exists());
    }
}

/// A table with other signs, whose test part is a file; the binary model gives one logit.
#[test]
fn files_of_other_forms_are_parts_and_are_predicted() {
    let folder = Folder::new("own-forms");
    let rows = |from: usize, to: usize| {
        let row = |i: usize| {
            let a = (i * 7 % 40) as f64 / 10.0;
            format!(
                "{a};{};{}\n",
                if i.is_multiple_of(9) { "-".to_owned() } else { (i % 5).to_string() },
                ["no", "yes"][usize::from(a > 2.0)]
            )
        };
        format!("a;b;big\n{}", (from..to).map(row).collect::<String>())
    };
    fs::write(folder.join("train.csv"), rows(0, 160)).unwrap();
    fs::write(folder.join("test.csv"), rows(160, 200)).unwrap();
    fs::write(folder.join("hold.csv"), rows(200, 203)).unwrap();
    let settings = r#"
        metrics = ["BinaryAccuracy"]
        callbacks = [{ name = "EarlyStopping", patience = 3, restore_best_weights = true }]
        [data]
        kind = "csv"
        path = "train.csv"
        delimiter = ";"
        missing_words = ["-"]
        missing = "median"
        target = "big"
        test = "test.csv"
        [model]
        layers = [{ layer = "Normalization" }, { layer = "Dense", units = 1 }]
        [loss]
        name = "BinaryCrossentropy"
        from_logits = true
        [optimizer]
        lr = 0.1
        [training]
        epochs = 60
    "#;
    // BinaryAccuracy of logits has another threshold.
    let settings = settings.replace("[\"BinaryAccuracy\"]", "[{ name = \"BinaryAccuracy\", from_logits = true }]");
    let (config, run) = (folder.join("my.toml"), folder.join("run"));
    fs::write(&config, settings).unwrap();
    let result = last_json(&lines(&command(&["train", "--config", word(&config), "--json", "--out", word(&run)])));
    assert!(result["test_binary_accuracy"].as_f64().unwrap() > 0.9, "{result}");
    // The weights that were restored are measured, and they are those of the folder.
    let evaluated = last_json(&lines(&command(&["evaluate", word(&run), "--json"])));
    assert_eq!((&evaluated["test_loss"], &evaluated["images"]), (&result["test_loss"], &40.into()));
    assert_eq!(evaluated["test_accuracy"], result["test_binary_accuracy"]);
    let said = lines(&command(&["predict", word(&run), word(&folder.join("test.csv"))]));
    assert!(said.len() == 40 && said[0].contains("row 1: "), "{said:?}");
    // All rows of another file are measured, whatever their number.
    let hold = folder.join("hold.csv");
    let held = last_json(&lines(&command(&["evaluate", word(&run), "--data", word(&hold), "--json"])));
    assert_eq!(held["images"], 3);
    // Rows that came to the table since the training would be other parts.
    fs::write(folder.join("train.csv"), rows(0, 161)).unwrap();
    assert!(refused(&["evaluate", word(&run)]).contains("the data has changed since the training"));
}

#[test]
fn a_part_of_a_sorted_table_has_all_classes() {
    let csv: String = (0..90).map(|i| format!("{}.{},{}\n", i / 30, i % 7, ["x", "y", "z"][i / 30])).collect();
    let own = own("own-sorted", &format!("a,kind\n{csv}"), "kind");
    let result = last_json(&own.train(&["--json", "--limit", "30", "--epochs", "60", "--lr", "0.02"]));
    // Of one class alone a third would be right.
    assert!(result["test_accuracy"].as_f64().unwrap() > 0.8, "{result}");
}

#[test]
fn a_model_that_a_program_saved_is_predicted_with() {
    use kiln::prelude::*;
    let folder = Folder::new("own-saved");
    let (data, run) = (folder.join("data.csv"), folder.join("run"));
    fs::write(&data, flowers()).unwrap();
    let csv = Csv::open(&data).unwrap();
    let table = TableOptions::new("kind").ignore(["day"]).missing(Missing::Median).fit(&csv).unwrap();
    let classes = table.class_names().unwrap().to_vec();
    let model = Sequential::new().push(Dense::new(3).activation(Activation::Softmax));
    assert!(model.save(&run).is_err(), "it is not built");
    let model = model.build([table.features()], &Device::cpu(), 1).unwrap();
    Trained::new(model).input(kiln::trained::Input::Table(table)).classes(classes).save(&run).unwrap();
    assert_eq!(lines(&command(&["predict", word(&run), word(&data)])).len(), 120);
    assert!(refused(&["evaluate", word(&run)]).contains("not known on which data"));
}
