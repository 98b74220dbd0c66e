//! A run's folder: what `train --out` writes, that it is whole or not there, and what `evaluate`, `plot` and Ctrl-C make of it.

use crate::support::{Folder, IMAGES, Running, command, idx, kiln, lines, text, word};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A data folder with a run of three epochs in it.
fn trained(name: &str) -> (Folder, PathBuf) {
    let folder = Folder::with_data(name);
    let run = folder.join("run");
    lines(&kiln(&folder.0, &["--epochs", "3", "--quiet", "--out", word(&run)]));
    (folder, run)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Width and height of a PNG file that can be read to its end.
fn png_size(path: &Path) -> (u32, u32) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(fs::read(path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    // Something is drawn on it.
    assert!(pixels.iter().filter(|&&byte| byte < 128).count() > 100);
    (frame.width, frame.height)
}

#[test]
fn config_says_how_the_run_went_about_it() {
    let folder = Folder::with_data("config");
    // A name with all that must be quoted.
    let odd = folder.join("a \"b\"\\c");
    fs::rename(folder.join("mnist"), &odd).unwrap();
    let options =
        ["--epochs", "2", "--lr", "0.01", "--seed", "7", "--threads", "1", "--limit", "50", "--quiet", "--drop-last"];
    lines(&kiln(&odd, &[&options[..], &["--out", word(&folder.join("run"))]].concat()));
    // A name in single quotes is taken as it is.
    let expected = format!(
        "recipe = \"mnist-mlp\"\nseed = 7\nmetrics = [\"Accuracy\"]\n\n[data]\nname = \"mnist\"\n\n[model]\nlayers = [\n    \
         {{ layer = \"Flatten\" }},\n    {{ layer = \"Dense\", units = 128, activation = \"relu\" }},\n    \
         {{ layer = \"Dense\", units = 10, activation = \"softmax\" }},\n]\n\n\
         [loss]\nname = \"SparseCategoricalCrossentropy\"\n\n[optimizer]\nname = \"Adam\"\nlr = 0.01\n\n\
         [training]\nepochs = 2\nbatch_size = 32\nlimit = 50\ndrop_last = true\n\n\
         [run]\ndata = '{}'\nsamples = [100, 0, 100]\ndevice = \"cpu\"\nthreads = 1\nkiln = \"{}\"\ndata_folder = '{}'\n",
        word(&odd),
        env!("CARGO_PKG_VERSION"),
        word(&odd)
    );
    assert_eq!(fs::read_to_string(folder.join("run/config.toml")).unwrap(), expected);
    // Whatever is written can be read again.
    let largest = u64::MAX.to_string();
    let options = ["--epochs", "1", "--quiet", "--force", "--seed", &largest, "--lr", "1e-30"];
    lines(&kiln(&odd, &[&options[..], &["--out", word(&folder.join("run"))]].concat()));
    lines(&command(&["evaluate", word(&folder.join("run")), "--data", word(&odd)]));
}

#[test]
fn a_mistake_in_config_is_one_sentence_with_its_line() {
    let (folder, run) = trained("config-mistakes");
    let path = run.join("config.toml");
    let whole = fs::read_to_string(&path).unwrap();
    let evaluate = |config: &str| {
        fs::write(&path, config).unwrap();
        command(&["evaluate", word(&run), "--data", word(&folder.0), "--accept-changed"])
    };
    for (from, to, sentence) in [
        ("batch_size = 32", "batch_size = 0", "training.batch_size: at least 1 is expected"),
        (
            "batch_size = 32",
            "batch_size = \"32\"",
            "training.batch_size: a whole number of at least 0 is expected, got \"32\"",
        ),
        ("batch_size = 32", "batch_size 32", "expected"),
        ("batch_size = 32", "batchsize = 32", "unknown setting `training.batchsize`; the nearest is `batch_size`"),
        ("metrics = ", "seed = -1\nmetrics = ", "seed: a whole number of at least 0 is expected, got -1"),
    ] {
        assert!(whole.contains(from), "{whole}");
        let output = evaluate(&whole.replace(from, to));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.trim_end().lines().count() == 1, "{said}");
        let line = whole.lines().position(|line| line.contains(from)).unwrap() + 1;
        assert!(said.contains(&format!("config.toml:{line}:")) && said.contains(sentence), "{said}");
    }
    // What another version writes of the run is no mistake, nor is how it is written.
    let other = whole.replace("batch_size = 32", "batch_size    = 0x20 # a comment").replace("[run]", "[run]\na = 1");
    lines(&evaluate(&other));
    fs::remove_file(&path).unwrap();
    lines(&command(&["evaluate", word(&run), "--data", word(&folder.0), "--accept-changed"]));
}

#[test]
fn model_json_describes_the_layers() {
    let (_folder, run) = trained("architecture");
    let model = json(&run.join("model.json"));
    assert_eq!((&model["recipe"], &model["parameters"]), (&"mnist-mlp".into(), &101_770.into()));
    let layers = model["architecture"]["layers"].as_array().unwrap();
    let names: Vec<&str> = layers.iter().map(|layer| layer["layer"].as_str().unwrap()).collect();
    assert_eq!(names, ["Flatten", "Dense", "Dense"]);
    assert_eq!((&layers[1]["units"], &layers[1]["activation"]), (&128.into(), &"relu".into()));
    assert_eq!(model["architecture"]["input"], Value::from(vec![28, 28]));
}

#[test]
fn curves_are_drawn_also_of_a_single_epoch() {
    let (folder, run) = trained("curves");
    assert_eq!(png_size(&run.join("curves.png")), (1920, 732));
    let one = folder.join("one");
    lines(&kiln(&folder.0, &["--epochs", "1", "--quiet", "--out", word(&one)]));
    assert_eq!(png_size(&one.join("curves.png")), (1920, 732));
}

#[test]
fn evaluate_repeats_what_training_measured() {
    let (folder, run) = trained("evaluate");
    let words = ["evaluate", word(&run), "--data", word(&folder.0)];
    let table = lines(&command(&words));
    assert_eq!(table.len(), 13);
    assert_eq!(table[0].split_whitespace().last(), Some("accuracy"));
    assert!(table[1].trim_start().starts_with("0 ") && table[1].ends_with("1.0000   of 10"), "{}", table[1]);
    assert!(table[12].starts_with("test accuracy 1.0000  test loss "), "{}", table[12]);

    let picture = folder.join("confusion.png");
    let object = lines(&command(&[&words[..], &["--json", "--threads", "1", "--out", word(&picture)]].concat()));
    let object: Value = serde_json::from_str(&object[0]).unwrap();
    let history = fs::read_to_string(run.join("history.csv")).unwrap();
    let last: Vec<f64> = history.lines().last().unwrap().split(',').map(|cell| cell.parse().unwrap()).collect();
    assert_eq!((object["test_loss"].as_f64(), object["test_accuracy"].as_f64()), (Some(last[3]), Some(last[4])));
    assert_eq!((&object["result"], &object["images"]), (&"evaluate".into(), &IMAGES.into()));
    for (class, row) in object["confusion"].as_array().unwrap().iter().enumerate() {
        let expected: Vec<usize> = (0..10).map(|column| if column == class { 10 } else { 0 }).collect();
        assert_eq!(row, &Value::from(expected));
        assert_eq!(object["classes"][class]["accuracy"], 1.0);
    }
    png_size(&picture);
}

#[test]
fn mistakes_are_in_the_row_of_the_class_and_the_column_of_what_was_said() {
    let (folder, run) = trained("mistakes");
    // The images stay; all threes are called fives now.
    let labels = (0..IMAGES).map(|i| if i % 10 == 3 { 5 } else { (i % 10) as u8 }).collect();
    folder.write("t10k-labels-idx1-ubyte", &idx(&[IMAGES], labels));
    let words = ["evaluate", word(&run), "--data", word(&folder.0)];
    let object: Value = serde_json::from_str(&lines(&command(&[&words[..], &["--json"]].concat()))[0]).unwrap();
    assert_eq!(object["confusion"][5], Value::from(vec![0, 0, 0, 10, 0, 10, 0, 0, 0, 0]));
    assert_eq!((&object["classes"][5]["accuracy"], &object["classes"][3]["accuracy"]), (&0.5.into(), &Value::Null));
    let table = lines(&command(&words));
    assert!(table[4].ends_with("-        of 0") && table[6].ends_with("0.5000   of 20"), "{table:#?}");
}

#[test]
fn plot_lays_runs_over_each_other() {
    let (folder, first) = trained("plot");
    let second = folder.join("second");
    lines(&kiln(&folder.0, &["--epochs", "5", "--lr", "0.01", "--quiet", "--out", word(&second)]));
    let picture = folder.join("both.png");
    let words = ["plot", word(&first), word(&second), "--out", word(&picture)];
    let said = lines(&command(&words));
    assert!(
        said[0].starts_with("run     best:  loss ") && said[0].contains("  val accuracy 1.0000 in epoch "),
        "{said:?}"
    );
    assert!(said[1].starts_with("second  best:  loss ") && said[1].contains(" in epoch 5  "), "{said:?}");
    assert_eq!(said[2], format!("drawn to {}", picture.display()));
    assert_eq!(png_size(&picture), (1920, 732));

    // Values that cannot be drawn, and epochs far apart, are no reason to fail.
    fs::write(first.join("history.csv"), "epoch,loss,val_loss\n1,NaN,inf\n1000000,1,1\n").unwrap();
    lines(&command(&[&words[..], &["--accept-changed"]].concat()));
    png_size(&picture);
}

#[test]
fn plot_answers_soon_whatever_the_history_holds() {
    let (folder, run) = trained("histories");
    let picture = folder.join("curves.png");
    let names: Vec<String> = (0..300).map(|i| format!("metric_{i}")).collect();
    let many = |row: &str| (1..=100_000).map(|epoch| format!("{epoch},{row}\n")).collect::<String>();
    let large = "epoch,loss,val_loss\n1,1.7e308,-1.7e308\n2,1,1\n".to_owned();
    let long = format!("epoch,loss,val_loss\n{}", many("0.25,0.5"));
    let wide = format!("epoch,loss,{}\n1,1{}\n", names.join(","), ",1".repeat(300));
    let nothing = "epoch,loss\n1,NaN\n2,inf\n".to_owned();
    for (history, said_of_it, size) in [
        (large, "run  best:  loss 1.0000 in epoch 2  val loss -1.700e308 in epoch 1", (960, 732)),
        (long, "run  best:  loss 0.2500 in epoch 1  val loss 0.5000 in epoch 1", (960, 732)),
        (wide, "run  best:  loss 1.0000 in epoch 1", (3840, 2052)),
        (nothing, "run  best:  no finite loss or accuracy", (960, 732)),
    ] {
        fs::write(run.join("history.csv"), history).unwrap();
        let start = Instant::now();
        let said = lines(&command(&["plot", word(&run), "--accept-changed", "--out", word(&picture)]));
        // In a build that is hardly optimized, beside other tests.
        assert!(start.elapsed() < Duration::from_secs(8), "{said_of_it}: {:?}", start.elapsed());
        let more = if size.0 == 3840 { ", the first 12 of 301 quantities" } else { "" };
        assert_eq!(said, [said_of_it.to_owned(), format!("drawn to {}{more}", picture.display())]);
        assert_eq!(png_size(&picture), size);
    }
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    let (folder, run) = trained("not-finite");
    let path = run.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    // The last weight of the file.
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let output = command(&["evaluate", word(&run), "--data", word(&folder.0), "--accept-changed"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("model.safetensors: 2.weight: 1 of 1280 values are infinite or NaN; "), "{stderr}");
}

#[test]
fn force_replaces_a_run() {
    let (folder, run) = trained("force");
    lines(&kiln(&folder.0, &["--epochs", "2", "--quiet", "--force", "--out", word(&run)]));
    assert!(json(&run.join("manifest.json"))["generation"].as_u64() > Some(2));
    assert_eq!(fs::read_to_string(run.join("history.csv")).unwrap().lines().count(), 3);
    lines(&command(&["evaluate", word(&run), "--data", word(&folder.0)]));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_an_error_and_a_closed_pipe_is_not() {
    let (folder, run) = trained("stdout");
    let to = |place: &str, words: &[&str]| {
        let mut shell = std::process::Command::new("sh");
        let script = format!("\"$0\" \"$@\" {place}");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_kiln")]).args(words).output().unwrap()
    };
    let says = "error: stdout: cannot be written: No space left on device (os error 28)\n";
    let kept = folder.join("kept");
    let train = ["train", "mnist-mlp", "--epochs", "2", "--json", "--data", word(&folder.0), "--out", word(&kept)];
    let evaluate = ["evaluate", word(&run), "--data", word(&folder.0)];
    for words in [&train[..], &evaluate[..], &["summary", "mnist-mlp"], &["completions", "bash"]] {
        let output = to("> /dev/full", words);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), says), "{words:?}");
        // Into the same folder a second time.
        let force: &[&str] = if words[0] == "train" { &["--force"] } else { &[] };
        let output = to("| true", &[words, force].concat());
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{words:?}");
    }
    // The training was saved all the same.
    lines(&command(&["evaluate", word(&kept), "--data", word(&folder.0)]));
}

#[cfg(unix)]
#[test]
fn a_run_that_cannot_be_saved_keeps_its_weights() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};
    let folder = Folder::with_data("rescue");
    let run = folder.join("run");
    let words = ["train", "mnist-mlp", "--json", "--epochs", "1000000", "--data", word(&folder.0), "--out", word(&run)];
    let mut child = Command::new(env!("CARGO_BIN_EXE_kiln"));
    let child = child.args(words).env("TMPDIR", &folder.0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Running::spawn(child);
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    stdout.next().unwrap().unwrap();
    // Another training may not write there meanwhile.
    let other = kiln(&folder.0, &["--out", word(&run)]);
    let says = format!(": process {} is writing here; wait until it ends or choose another folder\n", child.id());
    assert!(text(&other.stderr).ends_with(&says), "{}", text(&other.stderr));
    // A checkpoint may come in between.
    while fs::create_dir(run.join("history.csv")).is_err() {
        let _ = fs::remove_file(run.join("history.csv"));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    stdout.for_each(drop);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{stderr}");
    // With a second checkpoint, the one before is named.
    let says = "history.csv: cannot be written: this is a folder; ";
    assert!(stderr.contains(says) && stderr.contains("the weights are kept in "), "{stderr}");
    let kept = folder.join(&format!("kiln-{}.safetensors", child.id()));
    assert!(stderr.ends_with(&format!("{}\n", kept.display())), "{stderr}");
    assert!(fs::metadata(kept).unwrap().len() > 400_000);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_after_the_batch_and_saves() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};
    let folder = Folder::with_data("interrupt");
    let run = folder.join("run");
    let words = ["train", "mnist-mlp", "--json", "--epochs", "1000000", "--data", word(&folder.0), "--out", word(&run)];
    let mut child = Command::new(env!("CARGO_BIN_EXE_kiln"));
    let mut child = Running::spawn(child.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    stdout.next().unwrap().unwrap();
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let last = stdout.map(Result::unwrap).last().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{stderr}");
    assert!(stderr.starts_with("interrupted in epoch ") && stderr.contains(" of 1000000, after batch "), "{stderr}");
    let says = format!(": saved; resume with `kiln train --resume {}`\n", run.display());
    assert!(stderr.ends_with(&says), "{stderr}");
    let result: Value = serde_json::from_str(&last).unwrap();
    assert_eq!((&result["result"], &result["interrupted"]), (&"train".into(), &true.into()));
    // What was saved can be evaluated and drawn, measured or not.
    let evaluated = lines(&command(&["evaluate", word(&run), "--data", word(&folder.0), "--json"]));
    let evaluated: Value = serde_json::from_str(&evaluated[0]).unwrap();
    assert!(result["test_loss"].is_null() || evaluated["test_loss"] == result["test_loss"], "{result}");
    lines(&command(&["plot", word(&run), "--out", word(&folder.join("curves.png"))]));
}
