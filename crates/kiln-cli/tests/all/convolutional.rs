//! Recipes of convolutional networks: trained for a moment on few images, evaluated, asked and looked into.

use crate::support::{Folder, command, has_the_same_bits, lines, text, word};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

/// A small data set of CIFAR's format: image i is of the color of its class, on noise.
fn with_cifar(name: &str) -> Folder {
    let folder = Folder::with_data(name);
    let batches = folder.join("cifar-10-batches-bin");
    fs::create_dir(&batches).unwrap();
    let image = |i: usize| {
        let class = i % 10;
        let pixel = move |p: usize| (100 * (class >> (p / 1024) & 1) + 60 * (class / 8) + (p * 7 + i * 13) % 40) as u8;
        std::iter::once(class as u8).chain((0..3072).map(pixel))
    };
    let file = |from: usize| (from..from + 20).flat_map(image).collect::<Vec<u8>>();
    for batch in 1..=5 {
        fs::write(batches.join(format!("data_batch_{batch}.bin")), file(20 * batch)).unwrap();
    }
    fs::write(batches.join("test_batch.bin"), file(0)).unwrap();
    folder
}

/// The sentence of a run that failed in the work itself: one line, nothing on stdout, exit code 1.
fn failure(output: &Output) -> String {
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr.strip_prefix("error: ").unwrap().trim_end().to_owned()
}

fn write_png(path: &Path, (width, height): (u32, u32), pixels: &[u8]) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

fn png_size(path: &Path) -> (u32, u32) {
    let info = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap())).read_info().unwrap();
    (info.info().width, info.info().height)
}

#[test]
fn a_vision_transformer_trains_with_the_same_bits() {
    let folder = with_cifar("cifar10-vit");
    let mut words = vec!["train", "cifar10-vit", "--data", word(&folder.0), "--batch-size", "20", "--lr", "0.01"];
    for set in ["model.patch=8", "model.width=16", "model.layers=1", "model.heads=2", "model.hidden=16"] {
        words.extend(["--set", set]);
    }
    words.extend(["--set", "schedule.name=Constant", "--set", "schedule.factor=1"]);
    has_the_same_bits(&folder, &words);
    let evaluated = lines(&command(&["evaluate", word(&folder.join("one")), "--data", word(&folder.0)])).pop().unwrap();
    assert!(evaluated.starts_with("test accuracy 0."), "{evaluated}");
    let said = failure(&command(&[&words[..], &["--set", "model.patch=5"]].concat()));
    assert!(said.contains("images of side 32 cannot be cut into patches of side 5"), "{said}");
}

#[test]
fn mnist_cnn_trains_and_shows_its_filters() {
    let folder = Folder::with_data("mnist-cnn");
    let (data, run) = (word(&folder.0), folder.join("run"));
    let train = |threads: &str, out: &str| {
        let words = ["train", "mnist-cnn", "--data", data, "--batch-size", "20", "--quiet", "--out", out];
        lines(&command(&[&words[..], &["--threads", threads]].concat()))
    };
    assert!(train("1", word(&run))[0].starts_with("test accuracy "));
    let other = folder.join("other");
    train("2", word(&other));
    let weights = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
    assert!(weights(&run) == weights(&other), "the same bits for any number of threads");

    let picture = folder.join("filters.png");
    let said = lines(&command(&["plot", word(&run), "--filters", "--data", data, "--out", word(&picture)]));
    assert_eq!(said, [format!("32 filters of layer 1 and feature maps drawn to {}", picture.display())]);
    let (width, height) = png_size(&picture);
    assert!(width > 800 && height > 300, "{width} × {height}");

    let mlp = folder.join("mlp");
    let words = ["train", "mnist-mlp", "--data", data, "--epochs", "1", "--quiet", "--out", word(&mlp)];
    lines(&command(&words));
    let sentence = failure(&command(&["plot", word(&mlp), "--filters"]));
    let expected = "the model has no convolution whose filters could be drawn";
    assert_eq!(sentence, format!("{}: {expected}", mlp.join("model.json").display()));
    let sentence = failure(&command(&["plot", word(&run), word(&mlp), "--filters"]));
    assert_eq!(sentence, "--filters draws one run: name one only");
}

#[test]
fn a_network_for_cifar_trains_is_evaluated_and_names_what_photos_show() {
    let folder = with_cifar("resnet");
    let (data, run) = (word(&folder.0), folder.join("run"));
    let words = ["train", "cifar10-resnet20", "--data", data, "--batch-size", "25", "--epochs", "2", "--lr", "0.01"];
    let said = lines(&command(&[&words[..], &["--json", "--out", word(&run)]].concat()));
    let losses: Vec<f64> =
        said[..2].iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap()).collect();
    assert!(losses[1] < losses[0], "{losses:?}");

    let picture = folder.join("confusion.png");
    let table = lines(&command(&["evaluate", word(&run), "--data", data, "--out", word(&picture)]));
    assert_eq!(table.len(), 14);
    assert!(
        table[0].starts_with("class       airp auto bird  cat deer  dog frog hors ship truc   acc"),
        "{}",
        table[0]
    );
    assert!(table[1].starts_with("  airplane ") && table[1].ends_with(" of 2"), "{}", table[1]);
    assert!(table[..12].iter().all(|line| line.chars().count() <= 80), "{table:?}");
    png_size(&picture);

    let photo = folder.join("photo.png");
    write_png(&photo, (90, 50), &[200, 30, 90].repeat(90 * 50));
    let said = lines(&command(&["predict", word(&run), word(&photo), "--json"]));
    let object: Value = serde_json::from_str(&said[0]).unwrap();
    let top = object["top"].as_array().unwrap();
    let sum: f64 = top.iter().map(|entry| entry["probability"].as_f64().unwrap()).sum();
    assert!(top.len() == 3 && (0.3..1.0001).contains(&sum), "{object}");

    // Filters alone, of a custom image, of one of the test images.
    let draw = |more: &[&str]| {
        command(&[&["plot", word(&run), "--filters", "--out", word(&folder.join("f.png"))], more].concat())
    };
    let heights = [&[][..], &["--image", word(&photo)], &["--data", data]].map(|more| {
        let output = draw(more);
        assert!(output.status.success());
        assert_eq!(text(&output.stderr).contains("feature maps need an image"), more.is_empty());
        assert!(text(&output.stdout).starts_with("16 filters of layer conv1"), "{}", text(&output.stdout));
        png_size(&folder.join("f.png")).1
    });
    assert!(heights[0] < heights[1] && heights[1] == heights[2], "{heights:?}");
    let nowhere = folder.join("nowhere.png");
    assert!(failure(&command(&["predict", word(&run), word(&nowhere)])).contains("nowhere.png: cannot be read: "));
}

#[test]
fn every_recipe_for_cifar_takes_a_step() {
    let folder = with_cifar("steps");
    // Four test images are enough.
    let test = folder.join("cifar-10-batches-bin/test_batch.bin");
    let images = fs::read(&test).unwrap();
    fs::write(&test, &images[..4 * 3073]).unwrap();
    for recipe in ["cifar10-alexnet", "cifar10-vgg", "cifar10-resnet18"] {
        let run = folder.join(recipe);
        let few = ["--limit", "4", "--batch-size", "4", "--epochs", "1", "--quiet", "--out", word(&run)];
        let said = lines(&command(&[&["train", recipe, "--data", word(&folder.0)], &few[..]].concat()));
        assert!(said[0].starts_with("test accuracy "), "{recipe}: {said:?}");
    }
    let config = fs::read_to_string(folder.join("cifar10-resnet18/config.toml")).unwrap();
    assert!(config.contains("schedule = \"OneCycle over 1 steps\""), "{config}");
}

#[test]
fn a_schedule_goes_over_all_steps() {
    let folder = with_cifar("schedule");
    let run = folder.join("run");
    let words = ["train", "cifar10-resnet20", "--data", word(&folder.0), "--limit", "12", "--batch-size", "8"];
    let cycle = ["--set", "schedule.name=OneCycle", "--epochs", "3", "--quiet", "--out", word(&run)];
    lines(&command(&[&words[..], &cycle].concat()));
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("schedule = \"OneCycle over 6 steps\""), "{config}");
}

/// The summary of a recipe with a small batch, whose memory is soon measured.
fn summary(folder: &Folder, recipe: &str, settings: &str) -> Vec<String> {
    let path = folder.join(recipe);
    let line =
        |line: &str| if line.starts_with("batch_size") { "batch_size = 4\n".into() } else { format!("{line}\n") };
    fs::write(&path, settings.lines().map(line).collect::<String>()).unwrap();
    let said = lines(&command(&["summary", word(&path)]));
    assert_eq!(said[0], format!("Model: \"{}\"", path.display()));
    said
}

#[test]
fn summaries_of_recipes() {
    let folder = Folder::new("summaries");
    let total = |said: &[String]| said.iter().find(|line| line.contains("Total params")).unwrap().clone();
    let alexnet = summary(&folder, "alexnet.toml", include_str!("../../src/recipes/cifar10-alexnet.toml"));
    assert_eq!(total(&alexnet), " Total params: 21,650,858 (82.59 MB)");
    let resnet20 = summary(&folder, "resnet20.toml", include_str!("../../src/recipes/cifar10-resnet20.toml"));
    assert!(total(&resnet20).starts_with(" Total params: 274,042"));
    assert!(resnet20.iter().any(|line| line.contains("layer3.0 (Residual)")));
    // 11,173,962 parameters, and running statistics.
    let resnet18 = summary(&folder, "resnet18.toml", include_str!("../../src/recipes/cifar10-resnet18.toml"));
    assert!(total(&resnet18).starts_with(" Total params: 11,183,562"));
    let vgg = summary(&folder, "vgg.toml", include_str!("../../src/recipes/cifar10-vgg.toml"));
    assert!(vgg.iter().any(|line| line.contains("features.0 (Conv2d)")));
    // Of a recipe by its name.
    let cnn = lines(&command(&["summary", "mnist-cnn"]));
    assert_eq!(cnn[0], "Model: \"mnist-cnn\"");
    assert!(cnn.iter().any(|line| line.contains("7 (Flatten)")));
}

#[test]
fn cifar_that_is_not_here_or_not_as_it_should_be_is_named() {
    let home = Folder::new("no-cifar");
    let mut bare = std::process::Command::new(env!("CARGO_BIN_EXE_kiln"));
    bare.args(["train", "cifar10-vgg"]).env_remove("KILN_DATA_DIR").env_remove("XDG_CACHE_HOME").env("HOME", &home.0);
    assert_eq!(
        failure(&bare.output().unwrap()),
        "cifar-10 is not here: `kiln data fetch cifar-10` brings it, or name its folder with --data DIR"
    );
    let folder = with_cifar("bad-cifar");
    let train = || failure(&command(&["train", "cifar10-alexnet", "--data", word(&folder.0)]));
    let third = folder.join("cifar-10-batches-bin/data_batch_3.bin");
    let whole = fs::read(&third).unwrap();
    fs::write(&third, &whole[..whole.len() - 1]).unwrap();
    let sentence = train();
    assert!(sentence.contains("data_batch_3.bin: images of 3073 bytes are expected"), "{sentence}");
    let mut label = whole.clone();
    label[3073] = 10;
    fs::write(&third, &label).unwrap();
    let sentence = train();
    assert!(sentence.ends_with("data_batch_3.bin: label 1 is 10, a number from 0 to 9 is expected"), "{sentence}");
}
