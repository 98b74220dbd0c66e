//! A user's own pictures and texts: `init`, `train --config`, `evaluate`, `predict`, and what is wrong with each.

use crate::support::{Folder, command, lines, text, word};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A picture of one of two kinds, a light bar across or along, as a PNG file.
fn picture(path: &Path, size: [u32; 2], kind: usize, shade: u8) {
    let [height, width] = size;
    let lit = |row: u32, column: u32| if kind == 0 { row / (height / 3) == 1 } else { column / (width / 3) == 1 };
    let pixel = |i: u32| if lit(i / width, i % width) { [255, 240 - shade, 230] } else { [shade, 10, 20] };
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Rgb);
    let pixels: Vec<u8> = (0..height * width).flat_map(pixel).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

fn pictures(folder: &Path, count: usize) {
    for (kind, name) in ["across", "along"].into_iter().enumerate() {
        fs::create_dir_all(folder.join(name)).unwrap();
        for i in 0..count {
            let size = [24 + i as u32 * 7 % 20, 24 + i as u32 * 5 % 20];
            picture(&folder.join(name).join(format!("{i}.png")), size, kind, (i * 13 % 90) as u8);
        }
    }
}

/// The one sentence of a command that fails.
fn refused(words: &[&str]) -> String {
    let output = command(words);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.trim_end().lines().count() == 1, "{words:?}: {said}");
    said
}

fn last_json(said: &[String]) -> Value {
    serde_json::from_str(said.last().unwrap()).unwrap()
}

#[test]
fn pictures_of_a_folder_are_learned_and_new_ones_predicted() {
    let folder = Folder::new("own-pictures");
    let (data, config, run) = (folder.join("photos"), folder.join("photos.toml"), folder.join("run"));
    pictures(&data, 20);
    let said = lines(&command(&["init", "images", word(&data), "--out", word(&config)]));
    let toml = fs::read_to_string(&config).unwrap();
    assert!(said.iter().any(|line| line.contains("across")) && toml.contains("kind = \"images\""), "{said:?}\n{toml}");
    let small = ["--set", "data.size=16", "--set", "training.epochs=12", "--set", "training.batch_size=8"];
    let words = ["train", "--config", word(&config), "--json", "--out", word(&run)];
    let result = last_json(&lines(&command(&[&words[..], &small].concat())));
    assert!(result["test_accuracy"].as_f64().unwrap() > 0.8, "{result}");
    let evaluated = last_json(&lines(&command(&["evaluate", word(&run), "--json"])));
    assert_eq!(evaluated["test_loss"], result["test_loss"]);
    // A folder, and a file of other proportions.
    let new = folder.join("new");
    fs::create_dir(&new).unwrap();
    picture(&new.join("a.png"), [60, 33], 0, 40);
    picture(&new.join("b.png"), [33, 60], 1, 70);
    let out = folder.join("said.csv");
    lines(&command(&["predict", word(&run), word(&new), "--out", word(&out)]));
    let table = fs::read_to_string(&out).unwrap();
    let said: Vec<&str> = table.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(said, ["across", "along"], "{table}");
    let trained = kiln::load(&run).unwrap();
    let predictions = trained.predict_images(&[new.join("b.png")]).unwrap();
    assert_eq!(predictions.class(0), Some("along"));

    // Classes are the model's, also where the folder lacks some or has more.
    let part = folder.join("part");
    fs::create_dir_all(part.join("along")).unwrap();
    picture(&part.join("along/0.png"), [40, 40], 1, 20);
    let held = last_json(&lines(&command(&["evaluate", word(&run), "--data", word(&part), "--json"])));
    assert_eq!((&held["test_accuracy"], &held["classes"][1]["images"]), (&1.0.into(), &1.into()));

    // A broken picture is refused by name, or left out.
    fs::write(data.join("along/broken.png"), b"\x89PNG\r\n\x1a\nand no more").unwrap();
    let words = ["train", "--config", word(&config), "--quiet", "--epochs", "1"];
    assert!(refused(&words).contains("broken.png"));
    let output = command(&[&words[..], &["--set", "data.skip_broken=true"]].concat());
    assert!(output.status.success() && text(&output.stderr).contains("left out: "), "{}", text(&output.stderr));
    fs::create_dir(data.join("none")).unwrap();
    assert!(refused(&["init", "images", word(&data), "--out", word(&folder.join("x.toml"))]).contains("none"));
    assert!(!folder.join("x.toml").exists());
}

#[test]
fn texts_with_classes_are_learned() {
    let folder = Folder::new("own-texts");
    let (data, config, run) = (folder.join("reviews.csv"), folder.join("reviews.toml"), folder.join("run"));
    let line = |i: usize| {
        let words = [["fine", "lovely", "great"], ["dull", "bad", "boring"]][i % 2];
        format!(
            "\"number {i}, the film was {} and {}{}\",{}\n",
            words[i % 3],
            words[(i / 3) % 3],
            " indeed".repeat(i % 4),
            ["good", "bad"][i % 2]
        )
    };
    fs::write(&data, format!("review,mood\n{}", (0..120).map(line).collect::<String>())).unwrap();
    lines(&command(&["init", "text", word(&data), "--out", word(&config)]));
    let words = ["train", "--config", word(&config), "--json", "--epochs", "12", "--lr", "0.01", "--out", word(&run)];
    let result = last_json(&lines(&command(&words)));
    assert!(result["test_accuracy"].as_f64().unwrap() > 0.9, "{result}");
    let evaluated = last_json(&lines(&command(&["evaluate", word(&run), "--json"])));
    assert_eq!(evaluated["test_loss"], result["test_loss"]);
    let new = folder.join("new.txt");
    fs::write(&new, "what a great and lovely evening\nbad and dull\n").unwrap();
    let said = lines(&command(&["predict", word(&run), word(&new)]));
    assert!(said[0].contains("text 1: good ") && said[1].contains("text 2: bad "), "{said:?}");
    let trained = kiln::load(&run).unwrap();
    assert_eq!(trained.predict_texts(&["dull and boring"]).unwrap().class(0), Some("bad"));

    // What stands beside a text makes no difference to it, whatever masks the model makes itself.
    let plain =
        ["--set", "model.layers.0={ layer = \"Embedding\", vocabulary = 200, size = 4 }", "--epochs", "1", "--force"];
    let words = ["train", "--config", word(&config), "--quiet", "--out", word(&run)];
    lines(&command(&[&words[..], &plain].concat()));
    let trained = kiln::load(&run).unwrap();
    let (alone, beside) =
        (trained.predict_texts(&["bad"]).unwrap(), trained.predict_texts(&["bad", &"long ".repeat(30)]).unwrap());
    alone.values(0).iter().zip(beside.values(0)).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
}

#[test]
fn a_text_is_gone_on_with() {
    let folder = Folder::new("own-text");
    let (data, config, run) = (folder.join("song.txt"), folder.join("song.toml"), folder.join("run"));
    fs::write(&data, "the sea, the sea, o the open sea.\n".repeat(600)).unwrap();
    lines(&command(&["init", "text", word(&data), "--out", word(&config)]));
    let small = ["--set", "model.layers.1.units=16", "--set", "data.streams=8", "--epochs", "1", "--quiet"];
    let words = [&["train", "--config", word(&config), "--out", word(&run)], &small[..]].concat();
    lines(&command(&words));
    let said =
        lines(&command(&["generate", word(&run), "--prompt", "the ", "--max-tokens", "20", "--temperature", "0"]));
    assert_eq!(said.join("\n").chars().count(), 24, "{said:?}");
    // The same text in byte pairs.
    let pairs =
        ["--set", "data.tokens=byte-pairs", "--set", "data.vocabulary=270", "--set", "model.layers.0.vocabulary=270"];
    let words = [&words[..], &pairs, &["--set", "model.layers.3.units=270", "--force"]].concat();
    lines(&command(&words));
    lines(&command(&["generate", word(&run), "--prompt", "the sea", "--max-tokens", "20"]));
    let short = folder.join("short.txt");
    fs::write(&short, "too short").unwrap();
    assert!(refused(&["init", "text", word(&short), "--out", word(&folder.join("x.toml"))]).contains("too short"));
}

#[test]
fn a_series_is_learned_from_its_windows() {
    let folder = Folder::new("own-series");
    let (data, config) = (folder.join("load.csv"), folder.join("load.toml"));
    let row =
        |t: usize| format!("2024-01-{:02}T{:02}:00,{}\n", t / 24 + 1, t % 24, (t as f64 / 4.0).sin() * 10.0 + 50.0);
    fs::write(&data, format!("at,load\n{}", (0..480).map(row).collect::<String>())).unwrap();
    let settings = r#"
        metrics = ["R2"]
        [data]
        kind = "series"
        path = "load.csv"
        time = "at"
        target = "load"
        window = 12
        [model]
        layers = [
            { layer = "Normalization", axes = [-1] },
            { layer = "Lstm", units = 8 },
            { layer = "Dense", units = 1 },
            { layer = "Normalization", invert = true },
        ]
        [optimizer]
        lr = 0.02
        name = "Adam"
        [training]
        epochs = 15
    "#;
    fs::write(&config, settings).unwrap();
    let result = last_json(&lines(&command(&["train", "--config", word(&config), "--json"])));
    assert!(result["r2"].as_f64().unwrap() > 0.9, "{result}");
}
