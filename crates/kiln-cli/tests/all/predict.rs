//! `kiln predict`: digits drawn in many ways are told apart, and what is no image is named.

use crate::support::{Folder, command, lines, text, word};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A model trained on the images that the command carries, once for each process: equal bytes, whoever writes them.
fn model() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("predict");
        let run = home.join("run");
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.args(["train", "mnist-mlp", "--quiet", "--epochs", "4", "--force", "--out", word(&run)]);
        let output =
            command.env_remove("KILN_DATA_DIR").env_remove("XDG_CACHE_HOME").env("HOME", &home).output().unwrap();
        assert!(output.status.success());
        run
    })
}

/// Light strokes on black, `size` pixels high and wide: from point to point, in hundredths of it.
fn strokes(size: usize, points: &[(f32, f32)]) -> Vec<u8> {
    let near = |x: f32, y: f32| {
        points.windows(2).any(|pair| {
            let [(ax, ay), (bx, by)] = [pair[0], pair[1]];
            let (dx, dy) = (bx - ax, by - ay);
            let t = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
            (x - ax - t * dx).hypot(y - ay - t * dy) < 4.5
        })
    };
    let at = |i: usize| 100.0 * (i as f32 + 0.5) / size as f32;
    (0..size * size).map(|i| if near(at(i % size), at(i / size)) { 255 } else { 0 }).collect()
}

const SEVEN: &[(f32, f32)] = &[(25.0, 20.0), (75.0, 20.0), (45.0, 80.0)];
const ONE: &[(f32, f32)] = &[(52.0, 15.0), (48.0, 85.0)];

fn zero() -> Vec<(f32, f32)> {
    (0..=24)
        .map(|i| (i as f32 / 12.0 * std::f32::consts::PI).sin_cos())
        .map(|(s, c)| (50.0 + 22.0 * s, 50.0 + 32.0 * c))
        .collect()
}

fn write_png(path: &Path, size: usize, color: png::ColorType, pixels: &[u8]) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), size as u32, size as u32);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

#[test]
fn digits_of_any_size_color_and_polarity_are_told_apart() {
    let folder = Folder::new("digits");
    let path = folder.join("digit.png");
    for (digit, points) in [("7", SEVEN), ("1", ONE), ("0", &zero())] {
        for size in [20, 28, 64, 301] {
            let light = strokes(size, points);
            let dark: Vec<u8> = light.iter().map(|shade| 250 - shade / 2).collect();
            let red_on_white = light.iter().flat_map(|&s| [255, 255 - s, 255 - s]).collect();
            let ink_on_nothing = light.iter().flat_map(|&s| [0, 0, 60, s]).collect();
            for (color, pixels) in [
                (png::ColorType::Grayscale, light),
                (png::ColorType::Grayscale, dark),
                (png::ColorType::Rgb, red_on_white),
                (png::ColorType::Rgba, ink_on_nothing),
            ] {
                write_png(&path, size, color, &pixels);
                let said = lines(&command(&["predict", word(model()), word(&path)]));
                assert!(said[0].starts_with(&format!("{}: {digit} ", path.display())), "{size} {color:?}: {said:?}");
            }
        }
    }
}

#[test]
fn photos_that_a_camera_turned_are_read_upright() {
    // The same photo in all of Exif's eight orientations, 1.jpg to 8.jpg and 1.png to 8.png.
    let paths = ["png", "jpg"].map(|kind| (1..=8).map(move |number| format!("tests/fixtures/turned/{number}.{kind}")));
    let paths: Vec<String> = paths.into_iter().flatten().collect();
    let words: Vec<&str> = paths.iter().map(String::as_str).collect();
    let said = lines(&command(&[&["predict", word(model())], &words[..], &["--json"]].concat()));
    let top: Vec<Value> = said.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["top"].clone()).collect();
    assert_eq!((top.len(), &top[0][0]["class"]), (16, &"7".into()));
    assert!(top[..8].iter().all(|other| *other == top[0]), "{top:#?}");
    // JPEG loses a little, and not the same everywhere.
    let likely = |top: &Value| top[0]["probability"].as_f64().unwrap();
    assert!(
        top[8..].iter().all(|other| other[0]["class"] == "7" && (likely(other) - likely(&top[0])).abs() < 0.05),
        "{top:#?}"
    );
}

#[test]
fn json_has_the_three_likeliest_of_each_image() {
    let folder = Folder::new("top");
    let (png, jpeg) = (folder.join("one.png"), Path::new("tests/fixtures/seven.jpg"));
    write_png(&png, 40, png::ColorType::Grayscale, &strokes(40, ONE));
    let said = lines(&command(&["predict", word(model()), word(jpeg), word(&png), "--json"]));
    assert_eq!(said.len(), 2);
    for (line, (path, digit)) in said.iter().zip([(word(jpeg), "7"), (word(&png), "1")]) {
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&object["result"], &object["image"]), (&"predict".into(), &path.into()));
        let top = object["top"].as_array().unwrap();
        let probabilities: Vec<f64> = top.iter().map(|entry| entry["probability"].as_f64().unwrap()).collect();
        assert_eq!((top.len(), &top[0]["class"]), (3, &digit.into()));
        assert!(probabilities.is_sorted_by(|a, b| a >= b) && probabilities.iter().sum::<f64>() < 1.0001);
    }
}

#[test]
fn images_are_predicted_in_batches() {
    let folder = Folder::new("batches");
    let figures = [SEVEN.to_vec(), ONE.to_vec(), zero(), SEVEN.to_vec(), ONE.to_vec()];
    let paths: Vec<PathBuf> = (0..figures.len()).map(|i| folder.0.join(format!("{i}.png"))).collect();
    for (path, figure) in paths.iter().zip(&figures) {
        write_png(path, 60, png::ColorType::Grayscale, &strokes(60, figure));
    }
    let mut words = vec!["predict", word(model())];
    words.extend(paths.iter().map(|path| word(path)));
    let at_once = lines(&command(&words));
    assert_eq!(at_once.len(), figures.len());
    for size in ["1", "2", "100"] {
        assert_eq!(lines(&command(&[&words[..], &["--batch-size", size]].concat())), at_once, "{size}");
    }
}

#[test]
fn a_model_of_another_scale_is_not_given_images_of_the_usual_one() {
    let folder = Folder::with_data("scaled");
    let run = folder.join("run");
    let words = ["train", "mnist-mlp", "--data", word(&folder.0), "--epochs", "1", "--quiet", "--out", word(&run)];
    lines(&command(&[&words[..], &["--set", "data.scale=[-1, 1]"]].concat()));
    let output = command(&["predict", word(&run), "tests/fixtures/seven.jpg"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("does not say how files become its inputs"), "{said}");
}

#[test]
fn a_quantized_model_names_the_same_digits() {
    let folder = Folder::new("quantized");
    let (out, png) = (folder.join("int8"), folder.join("seven.png"));
    // Beside the table, stderr says that the embedded subset is used.
    let quantize = |more: &[&str]| -> Vec<String> {
        let output = command(&[&["quantize", word(model()), "--batches", "2"], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(String::from).collect()
    };
    let object: Value = serde_json::from_str(&quantize(&["--json", "--out", word(&out)])[0]).unwrap();
    let layers = object["layers"].as_array().unwrap();
    assert!(layers.len() == 2 && layers.iter().all(|layer| layer["int8"] == true), "{object}");
    assert!(layers.iter().all(|layer| (0.0..0.1).contains(&layer["error"].as_f64().unwrap())), "{object}");
    let [f32, int8] = ["accuracy_f32", "accuracy_int8"].map(|name| object[name].as_f64().unwrap());
    assert!(f32 > 0.9 && (f32 - int8).abs() < 0.01, "{object}");
    assert!((1e-6..0.1).contains(&object["error"].as_f64().unwrap()), "{object}");

    write_png(&png, 40, png::ColorType::Grayscale, &strokes(40, SEVEN));
    let [before, after] = [model(), &out].map(|run| {
        let line = lines(&command(&["predict", word(run), word(&png), "--json"])).remove(0);
        serde_json::from_str::<Value>(&line).unwrap()["top"].clone()
    });
    assert!(before[0]["class"] == "7" && after[0]["class"] == "7", "{before} {after}");
    assert_ne!(before, after, "integers have other digits");

    let first = layers[0]["layer"].as_str().unwrap();
    let kept = quantize(&["--keep", first]);
    assert!(kept.iter().any(|line| line.starts_with(first) && line.contains(" f32")), "{kept:#?}");
    assert!(kept.last().unwrap().starts_with("test accuracy "), "{kept:#?}");
    let kept = quantize(&["--keep-worst", "2"]);
    assert!(kept.last().unwrap().ends_with("outputs differ by 0.000 %"), "{kept:#?}");
    let refused = command(&["quantize", word(model()), "--batches", "1", "--keep", "none"]);
    let said = text(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("error: --keep: unknown layer \"none\", expected one of: "),
        "{said}"
    );
}
