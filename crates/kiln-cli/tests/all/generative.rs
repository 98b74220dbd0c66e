//! Recipes whose models make images: what they draw in training and afterwards.

use crate::support::{Folder, command, lines, text, word};
use std::fs;
use std::path::Path;

/// How high a PNG file is that the command has drawn, and the share of its values that are dark, such as an image's background.
fn height_and_dark(path: &Path) -> (u32, f64) {
    let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap())).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let values = &bytes[..info.buffer_size()];
    let dark = values.iter().filter(|&&value| value < 50).count();
    (info.height, dark as f64 / values.len() as f64)
}

#[test]
fn an_autoencoder_draws_images_again() {
    let folder = Folder::with_data("autoencoder");
    let (data, run) = (word(&folder.0), folder.join("run"));
    let words = ["train", "mnist-autoencoder", "--data", data, "--batch-size", "10", "--epochs", "12", "--lr", "0.01"];
    let said = lines(&command(&[&words[..], &["--out", word(&run)]].concat()));
    assert!(said.iter().any(|line| line.ends_with("curves.png, samples.png")), "{said:?}");
    assert!(said.last().unwrap().starts_with("test loss 0."), "{said:?}");
    assert!(fs::read_to_string(run.join("manifest.json")).unwrap().contains("samples.png"));
    let out = folder.join("again.png");
    let generate = ["generate", word(&run), "--data", data, "--out", word(&out)];
    assert_eq!(lines(&command(&generate)), [format!("50 images drawn to {}", out.display())]);
    // A row of images and six of every second epoch; five rows of images, each with the model's below.
    let ((samples, _), (again, dark)) = (height_and_dark(&run.join("samples.png")), height_and_dark(&out));
    let row = (again - samples) / 3;
    assert_eq!((again - 10 * row, samples - 7 * row), (again % row, samples % row));
    // The test images are one line of light on black, and so are the model's.
    assert!(dark > 0.7, "{dark}");
    let again = || {
        lines(&command(&generate));
        fs::read(&out).unwrap()
    };
    assert!(again() == again());

    let evaluated = lines(&command(&["evaluate", word(&run), "--data", data]));
    assert_eq!(evaluated.last().unwrap().as_str(), said.last().unwrap().split("  fit").next().unwrap());
    let image = folder.join("image.png");
    let output = command(&["predict", word(&run), word(&image)]);
    assert_eq!(output.status.code(), Some(1));
    let sentence = text(&output.stderr);
    assert!(sentence.contains("mnist-autoencoder names no classes; `kiln generate` draws what it makes"), "{sentence}");
    let output = command(&["generate", word(&run), "--prompt", "Alice"]);
    assert_eq!(output.status.code(), Some(1));
    let sentence = text(&output.stderr);
    assert!(sentence.contains("--prompt is for models that make text, which mnist-autoencoder does not"), "{sentence}");
}

#[test]
fn a_gan_draws_digits_of_noise() {
    let folder = Folder::with_data("gan");
    let (data, run) = (word(&folder.0), folder.join("run"));
    let train = |threads: &str, out: &Path| {
        let words = ["train", "mnist-gan", "--data", data, "--batch-size", "25", "--epochs", "2", "--limit", "50"];
        lines(&command(&[&words[..], &["--threads", threads, "--out", word(out)]].concat()))
    };
    let said = train("1", &run);
    assert!(said[1].contains("discriminator_loss ") && said[1].contains("generator_loss "), "{said:?}");
    let header = fs::read_to_string(run.join("history.csv")).unwrap();
    assert!(header.starts_with("epoch,loss,discriminator_loss,generator_loss,val_loss,"), "{header}");
    let other = folder.join("other");
    train("2", &other);
    for file in ["model.safetensors", "samples.png"] {
        assert!(fs::read(run.join(file)).unwrap() == fs::read(other.join(file)).unwrap(), "{file}: the same bits");
    }

    let draw = |seed: &str| {
        let out = folder.join("digits.png");
        let json = lines(&command(&["generate", word(&run), "--seed", seed, "--out", word(&out), "--json"])).join("");
        assert!(json.contains("\"images\":100"), "{json}");
        fs::read(out).unwrap()
    };
    assert!(draw("1") == draw("1") && draw("1") != draw("2"));
    let evaluated = lines(&command(&["evaluate", word(&run), "--data", data]));
    assert!(evaluated.last().unwrap().contains("test loss "), "{evaluated:?}");
}

/// A training that goes on has the weights and the picture of one that was never stopped.
#[test]
fn a_resumed_training_draws_the_same_picture() {
    let folder = Folder::with_data("redrawn");
    let (data, whole, run) = (word(&folder.0), folder.join("whole"), folder.join("run"));
    let words = ["train", "mnist-autoencoder", "--data", data, "--batch-size", "50", "--quiet"];
    let train = |more: &[&str]| lines(&command(&[&words[..], more].concat()));
    train(&["--epochs", "2", "--out", word(&whole)]);
    train(&["--epochs", "1", "--out", word(&run)]);
    lines(&command(&["train", "--resume", word(&run), "--epochs", "2", "--quiet"]));
    for file in ["model.safetensors", "samples.png"] {
        assert!(fs::read(whole.join(file)).unwrap() == fs::read(run.join(file)).unwrap(), "{file}");
    }
}
