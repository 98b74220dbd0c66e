//! Every bad input that the command is likely to meet, in one walk. Each is answered with the right exit code and one sentence
//! that names the file or the option, what was expected and what was found; within a second, on stderr alone, and with every
//! file as it was before.

#![allow(clippy::unwrap_used)] // a panic is a test's report

mod support;

use std::fs;
use std::io::Write;
use std::process::Command;
use support::answers::{FAILED, REFUSED, check, check_run, healthy};
use support::{IMAGES, idx, kiln, labels, lines, pixels, text, word};

const IMAGES_FILE: &str = "mnist/train-images-idx3-ubyte";
const LABELS_FILE: &str = "mnist/train-labels-idx1-ubyte";

#[test]
fn data_files() {
    let images = || idx(&[IMAGES, 28, 28], pixels());
    let gzip = |bytes: &[u8]| {
        // Stored, not compressed; what follows it is its checksum, which is not looked at before the end.
        let length = bytes.len() as u16;
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
        [&header[..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
    };
    let says_100 = "its header says [100, 28, 28], 78400 bytes, but";
    let little_endian = [[0x03, 8, 0, 0], [IMAGES as u8, 0, 0, 0], [28, 0, 0, 0], [28, 0, 0, 0]].concat();
    let bomb = {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&idx(&[IMAGES], labels())).unwrap();
        gz.write_all(&vec![0; 1 << 26]).unwrap();
        gz.finish().unwrap()
    };
    let cases: [(&str, Vec<u8>, &[&str]); 15] = [
        (IMAGES_FILE, images()[..1000].to_vec(), &[says_100, "only 984 follow: it is cut short"]),
        ("mnist/t10k-images-idx3-ubyte", images()[..78415].to_vec(), &[says_100, "only 78399 follow"]),
        (IMAGES_FILE, [images(), vec![0]].concat(), &[says_100, "more follow"]),
        (IMAGES_FILE, images()[..10].to_vec(), &["the file ends within its header"]),
        (LABELS_FILE, vec![], &["the file ends within its header"]),
        (
            LABELS_FILE,
            images(),
            &["not an IDX file of bytes with 1 axes: its magic number is 0x00000803, expected 0x00000801"],
        ),
        (LABELS_FILE, idx(&[99], vec![0; 99]), &["99 labels, but ", "train-images-idx3-ubyte holds 100 images"]),
        (
            LABELS_FILE,
            idx(&[IMAGES], [labels(), vec![10]].concat()[1..].to_vec()),
            &["label 99 is 10, a number from 0 to 9"],
        ),
        (
            IMAGES_FILE,
            idx(&[IMAGES, 14, 14], vec![0; 196 * IMAGES]),
            &["images of 28 × 28 are expected, these are 14 × 14"],
        ),
        (IMAGES_FILE, idx(&[0, 28, 28], vec![]), &["there is no image in it"]),
        ("mnist/train-labels-idx1-ubyte.gz", gzip(&idx(&[IMAGES], labels())[..50]), &["the data is cut short"]),
        ("mnist/train-labels-idx1-ubyte.gz", vec![0x1f, 0x8b, 8], &["the file ends within its header"]),
        (IMAGES_FILE, [little_endian, pixels()].concat(), &["this IDX file is little-endian", "IDX is big-endian"]),
        ("mnist/train-labels-idx1-ubyte.gz", bomb, &["its header says [100], 100 bytes, but", "more follow"]),
        ("mnist/train-labels-idx1-ubyte.gz", b"no gzip at all".to_vec(), &["no readable gzip data: "]),
    ];
    for (file, bytes, says) in cases {
        let folder = healthy("data-file");
        // Where both are there, the plain file is read.
        let _ = fs::remove_file(folder.join(file.trim_end_matches(".gz")));
        fs::write(folder.join(file), bytes).unwrap();
        let named = format!("@/{file}: {}", says[0]);
        check(&folder, "train mnist-mlp --data @ --out @/out", FAILED, &[&[named.as_str()], &says[1..]].concat());
    }
    let folder = healthy("folder-for-a-file");
    fs::remove_file(folder.join(LABELS_FILE)).unwrap();
    fs::create_dir(folder.join(LABELS_FILE)).unwrap();
    let says = format!("@/{LABELS_FILE}: a file is expected here, this is a directory");
    check(&folder, "train mnist-mlp --data @", FAILED, &[&says]);
}

#[test]
fn data_folders() {
    let folder = healthy("data-folders");
    fs::create_dir(folder.join("empty")).unwrap();
    let says = "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz is there; the data set's four files are expected";
    for data in ["empty", "nowhere"] {
        let words = format!("train mnist-mlp --data @/{data} --out @/runs/out");
        check(&folder, &words, FAILED, &[&format!("@/{data}: {says}")]);
        check(&folder, &format!("evaluate @/run --data @/{data}"), FAILED, &[&format!("@/{data}: {says}")]);
    }
    fs::remove_file(folder.join("mnist/t10k-labels-idx1-ubyte")).unwrap();
    check(&folder, "train mnist-mlp --data @", FAILED, &["@/mnist: neither t10k-labels-idx1-ubyte nor "]);
}

#[test]
fn arguments() {
    let folder = healthy("arguments");
    // Nothing is read before the arguments are right: the data need not be there.
    let train = "train mnist-mlp --data @/nowhere --out @/out";
    let whole = "a whole number, at least 1, is expected";
    for option in ["--epochs", "--batch-size", "--threads", "--limit"] {
        for value in ["0", "-1", "1.5", "many", "99999999999999999999999"] {
            let says = format!("invalid value '{value}' for '{option} <");
            check(&folder, &format!("{train} {option} {value}"), REFUSED, &[&says, whole]);
        }
    }
    for value in ["nan", "-1", "inf", "-inf", "fast"] {
        let says = format!("invalid value '{value}' for '--lr <LR>': a number of at least 0 is expected");
        check(&folder, &format!("{train} --lr={value}"), REFUSED, &[&says]);
    }
    for (words, says) in [
        ("train mnist-mlp --threads 65536", "invalid value '65536' for '--threads <THREADS>': at most 1024 threads"),
        ("train mnist-mlp --seed -1", "invalid value '-1' for '--seed <SEED>'"),
        (
            "train mnist-mlp --device tpu",
            "invalid value 'tpu' for '--device <DEVICE>': `tpu` is not a device of this build, which has `cpu`",
        ),
        ("train mnist-mlp --device cuda:x", "invalid value 'cuda:x' for '--device <DEVICE>': `cuda:x` is not a device"),
        ("train mnist-mlp --fast", "unexpected argument '--fast' found"),
        ("train mnist-mlp mnist-mlp", "unexpected argument 'mnist-mlp' found"),
        ("train mnist", "invalid value 'mnist' for '[RECIPE]'"),
        ("summary mnist", "invalid value 'mnist' for '<RECIPE|FILE|RUN>'"),
        ("train", "the following required arguments were not provided:"),
        ("predict @/run", "the following required arguments were not provided:"),
        ("data fetch mnis", "invalid value 'mnis' for '<NAME|URL>'"),
        ("bake", "unrecognized subcommand 'bake'"),
    ] {
        check(&folder, words, REFUSED, &[says]);
    }
    for (option, value) in [("min", "0"), ("min", "-1"), ("max", "nan"), ("max", "inf"), ("min", "fast")] {
        let says = format!("invalid value '{value}' for '--{option} <RATE>': a number above 0 is expected");
        check(&folder, &format!("find-lr mnist-mlp --{option}={value}"), REFUSED, &[&says]);
    }
    check(&folder, "find-lr", REFUSED, &["the following required arguments were not provided:"]);
    for (words, says) in [
        ("--min 1 --max 0.5", "max 0.5 is not above min 1"),
        ("--steps 9", "9 steps: at least 10 are needed"),
        ("--out @/nowhere/lr.png", "--out @/nowhere/lr.png: the folder @/nowhere is not there"),
        ("--out @", "--out @: this is a folder: name a PNG file"),
        ("--batch-size 101", "--batch-size 101 is above the 100 samples of the training data"),
        ("--set optimizer.rate=1", "--set optimizer.rate=1: unknown setting `optimizer.rate`"),
        (
            "--set callbacks=[{name=\"Meter\",every=0}]",
            "--set callbacks=[{name=\"Meter\",every=0}]: callbacks.0.every: at least 1 step",
        ),
    ] {
        check(&folder, &format!("find-lr mnist-mlp --data @ {words}"), FAILED, &[says]);
    }
    // Those that are wrong for this data only.
    let above = "--batch-size 101 is above the 100 samples of the training data";
    check(&folder, "train mnist-mlp --data @ --out @/out --batch-size 101", FAILED, &[above]);
    let fixed = "--batch-size 64: char-lstm reads 32 places of its text side by side";
    check(&folder, "train char-lstm --out @/out --batch-size 64", FAILED, &[fixed]);
    let above = "--batch-size 32 is above the 20 samples of the training data";
    check(&folder, "train mnist-mlp --data @ --out @/out --batch-size 32 --limit 20", FAILED, &[above]);
    let none = "--drop-last leaves out a batch that is not full, and the 20 samples of the training data do not fill one of 32: \
                --batch-size 20 or smaller is needed";
    check(&folder, "train mnist-mlp --data @ --out @/out --drop-last --limit 20", FAILED, &[none]);
}

#[test]
fn run_folders() {
    let json = fs::read_to_string(healthy("model-json").join("run/model.json")).unwrap();
    let swapped = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        Some(json.replace(from, to).into_bytes())
    };
    let weights = fs::read(healthy("weights").join("run/model.safetensors")).unwrap();
    let architecture = "model.json: `architecture`: ";
    // The file, what becomes of it (nothing: it is removed), what is said of it by `evaluate`.
    type Spoilt<'a> = (&'a str, Option<Vec<u8>>, &'a [&'a str]);
    let cases: [Spoilt; 14] = [
        ("model.json", None, &["model.json: cannot be read: "]),
        ("model.json", Some(json.as_bytes()[..100].to_vec()), &["model.json: not a model's JSON: "]),
        ("model.json", Some(b"[]".to_vec()), &["model.json: not a model's JSON: "]),
        ("model.json", swapped("\"Flatten\"", "\"Melt\""), &[architecture, "layer 0: unknown layer `Melt`"]),
        (
            "model.json",
            swapped("\"relu\"", "\"rely\""),
            &[architecture, "layer 1 (Dense): `activation`: unknown variant `rely`"],
        ),
        ("model.json", swapped("\"input\"", "\"output\""), &[architecture, "the model: unknown setting `output`"]),
        (
            "model.json",
            swapped("\"units\": 10", "\"units\": 9"),
            &["model.json: the model gives 9 numbers for a sample, and there are 10 classes"],
        ),
        ("model.json", swapped("\"units\": 10", "\"units\": 0"), &[architecture, "both must be above 0"]),
        // A model of another shape than the weights, and one of another shape than the images.
        (
            "model.json",
            swapped("\"units\": 128", "\"units\": 64"),
            &["load_state_dict: @/run/model.safetensors: ", "1.weight", "(64, 784)", "(128, 784)"],
        ),
        (
            "model.json",
            swapped("28,\n      28", "14,\n      56"),
            &["model.json: the model takes samples of (14, 56), the test images are of (28, 28)"],
        ),
        (
            "config.toml",
            Some(b"recipes = 1\n".to_vec()),
            &["config.toml:1:1: unknown setting `recipes`; the nearest is"],
        ),
        ("model.safetensors", None, &["load: @/run/model.safetensors: cannot be read: "]),
        (
            "model.safetensors",
            Some(weights[..1000].to_vec()),
            &["load: @/run/model.safetensors: not a complete safetensors file"],
        ),
        (
            "model.safetensors",
            Some(json.clone().into_bytes()),
            &["load: @/run/model.safetensors: not a complete safetensors file"],
        ),
    ];
    for (file, bytes, says) in cases {
        let folder = healthy("run");
        match bytes {
            Some(bytes) => fs::write(folder.join("run").join(file), bytes).unwrap(),
            None => fs::remove_file(folder.join("run").join(file)).unwrap(),
        }
        let named = if says[0].contains('@') { says[0].to_owned() } else { format!("@/run/{}", says[0]) };
        let says = [&[named.as_str()], &says[1..]].concat();
        let changed = format!("@/run/{file}: ");
        let refused: &[&str] = if folder.join("run").join(file).exists() {
            &[
                &changed,
                "this file differs from the manifest: it was changed or cut short; --accept-changed takes it as it is",
            ]
        } else {
            &[&changed, "cannot be read: "]
        };
        for words in ["evaluate @/run --data @ --out @/matrix.png", "predict @/run tests/fixtures/seven.jpg"] {
            check(&folder, words, FAILED, refused);
        }
        check(&folder, "evaluate @/run --data @ --out @/matrix.png --accept-changed", FAILED, &says);
        if !says[0].contains("the test images") {
            check(&folder, "predict @/run tests/fixtures/seven.jpg --accept-changed", FAILED, &says);
        }
    }
    let folder = healthy("no-run");
    let says = "@/nowhere: the folder does not exist; `kiln train RECIPE --out DIR` makes one";
    for words in
        ["evaluate @/nowhere", "predict @/nowhere tests/fixtures/seven.jpg", "plot @/run @/nowhere --out @/plot.png"]
    {
        check(&folder, words, FAILED, &[says]);
    }
    let says =
        "@/mnist: this folder has no manifest.json, so it is not known whether its files are a run's; --accept-changed";
    check(&folder, "evaluate @/mnist", FAILED, &[says]);
    check(&folder, "evaluate @/mnist --accept-changed", FAILED, &["@/mnist/model.json: cannot be read: "]);
    fs::write(folder.join("run/history.csv"), "epoch,loss\n1,0.5\n").unwrap();
    let says = "@/run/history.csv: this file differs from the manifest";
    check(&folder, "plot @/run --out @/plot.png", FAILED, &[says]);
    for (history, says) in [
        ("", "line 1: the names of the columns are expected, epoch,loss,…"),
        ("epoch,loss\n", "no epoch of this run was completed"),
        ("epoch,loss\n1\n", "line 2: 2 numbers are expected, got 1"),
        ("epoch,loss\n1,0.5\n2,low\n", "line 3: `low` is not a number"),
        (
            "epoch,loss\n1.5,0.5\n",
            "line 2: epoch 1.5 is not expected here: epochs are whole numbers that rise from 1 on",
        ),
        ("epoch,loss\n2,0.5\n1,0.5\n", "line 3: epoch 1.0 is not expected here: "),
        ("epoch,loss\nNaN,0.5\n", "line 2: epoch NaN is not expected here: "),
    ] {
        fs::write(folder.join("run/history.csv"), history).unwrap();
        let says = format!("@/run/history.csv: {says}");
        check(&folder, "plot @/run --out @/plot.png --accept-changed", FAILED, &[&says]);
    }
    fs::remove_file(folder.join("run/history.csv")).unwrap();
    check(&folder, "plot @/run --out @/plot.png", FAILED, &["@/run/history.csv: cannot be read: "]);
}

#[test]
fn curves_of_any_numbers_are_drawn() {
    let folder = healthy("any-numbers");
    for losses in ["1e308,-1e308", "5e-324,0", "1,1.0000000000000002", "nan,inf", "1e300,1e300", "-1e308,-1e308"] {
        let (first, second) = losses.split_once(',').unwrap();
        let history = format!("epoch,loss,val_loss\n1,{first},0\n2147483647,{second},1e-300\n");
        fs::write(folder.join("run/history.csv"), history).unwrap();
        lines(&support::command(&[
            "plot",
            word(&folder.join("run")),
            "--out",
            word(&folder.join("plot.png")),
            "--accept-changed",
        ]));
    }
}

#[test]
fn images() {
    let folder = healthy("images");
    let png = |width: u32, height: u32, shades: Option<&[u8]>| {
        let mut bytes = Vec::new();
        let mut writer = png::Encoder::new(&mut bytes, width, height).write_header().unwrap();
        if let Some(shades) = shades {
            writer.write_image_data(shades).unwrap();
        }
        drop(writer);
        bytes
    };
    let whole = png(28, 28, Some(&[9; 784]));
    let jpeg = fs::read("tests/fixtures/seven.jpg").unwrap();
    let figure = "a figure on a background is expected, not an image of one shade or without an inside";
    for (bytes, says) in [
        (&b""[..], "this file is empty"),
        (b"no image", "this is no "),
        (&whole[..60], "this PNG file cannot be read: "),
        (&whole[..8], "this PNG file cannot be read: "),
        (&jpeg[..900], "this JPEG file cannot be read: "),
        (&jpeg[..3], "this JPEG file cannot be read: "),
        // A header that claims more than there can be, and no pixels.
        (&png(60_000, 60_000, None), "this PNG file cannot be read: "),
        // What claims less than that, but more than its bytes can hold: refused before memory is asked for.
        (&png(14_000, 14_000, None), "this PNG file cannot be read: "),
        (&whole, figure),
        (&png(3, 3, Some(&[7; 9])), figure),
    ] {
        fs::write(folder.join("bad"), bytes).unwrap();
        // Nothing is said of the good one either.
        check(&folder, "predict @/run tests/fixtures/seven.jpg @/bad", FAILED, &[&format!("@/bad: {says}")]);
    }
    check(&folder, "predict @/run @/nowhere.png", FAILED, &["@/nowhere.png: cannot be read: "]);
    check(&folder, "predict @/run @/mnist", FAILED, &["@/mnist: there is no image in this folder"]);
    let json = fs::read_to_string(folder.join("run/model.json")).unwrap();
    fs::write(folder.join("run/model.json"), json.replace("28,\n      28", "14,\n      56")).unwrap();
    let says = "@/run/model.json: the model takes samples of (14, 56), images are of (28, 28)";
    check(&folder, "predict @/run tests/fixtures/seven.jpg --accept-changed", FAILED, &[says]);
}

#[test]
fn places_that_cannot_be_written() {
    let folder = healthy("places");
    let train = "train mnist-mlp --data @ --quiet --out";
    check(&folder, &format!("{train} @/{LABELS_FILE}"), FAILED, &["--out @/mnist/", "this folder cannot be made: "]);
    check(
        &folder,
        &format!("{train} @/{LABELS_FILE}/out"),
        FAILED,
        &["--out @/mnist/", "this folder cannot be made: "],
    );
    // A folder is where a file should be: found before the work, which would take longer than a second.
    fs::create_dir_all(folder.join("half/history.csv/inside")).unwrap();
    let says = "--out @/half: @/half/history.csv: cannot be written: this is a folder";
    check(&folder, &format!("{train} @/half --epochs 1000"), FAILED, &[says]);
    // A run is not overwritten unless that is asked for.
    let says =
        "--out @/run: this folder has a run; --resume goes on with it, --force replaces it, or choose another folder";
    check(&folder, &format!("{train} @/run --epochs 1000"), FAILED, &[says]);
    check(&folder, "train mnist-mlp --force", REFUSED, &["the following required arguments were not provided"]);
    for words in ["evaluate @/run --data @ --out", "plot @/run --out"] {
        for (place, says) in [("mnist", "this is a folder"), ("nowhere/picture.png", "No such file or directory")] {
            let says = format!("save: @/{place}: cannot be written: {says}");
            check(&folder, &format!("{words} @/{place}"), FAILED, &[&says]);
        }
        if cfg!(unix) {
            let says = "save: /dev/null: cannot be written: this is not a regular file";
            check(&folder, &format!("{words} /dev/null"), FAILED, &[says]);
        }
    }
    let says = format!("fetch: @/{LABELS_FILE}/mnist: ");
    check(&folder, &format!("data fetch mnist --data @/{LABELS_FILE}"), FAILED, &[&says]);
}

/// A full disk, as far as it can be had without a file system of its own: no file may become longer than 100 blocks.
#[cfg(unix)]
#[test]
fn a_full_disk() {
    let run = |words: &[&str]| {
        let mut shell = Command::new("sh");
        // The signal that comes with the limit would end the process before it can say anything.
        shell.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kiln")]);
        shell.args(words).env_remove("KILN_DATA_DIR").output().unwrap()
    };
    let folder = healthy("full");
    // Seen before the training: a thousand epochs would not fit into a second.
    let train = "train mnist-mlp --data @ --epochs 1000 --out";
    let says = ["the run cannot be written in this folder: File too large"];
    check_run(&folder, &format!("{train} @/runs/out"), FAILED, &[&["--out @/runs/out: "], &says[..]].concat(), run);
    check_run(&folder, &format!("{train} @/run --force"), FAILED, &[&["--out @/run: "], &says[..]].concat(), run);
}

/// Files and folders that the user may not read or write. Root may, so that root's test is run as nobody.
#[cfg(unix)]
#[test]
fn no_permission() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let folder = healthy("permission");
    let mode =
        |path: &str, mode: u32| fs::set_permissions(folder.join(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("", 0o755);
    // Where nobody can run it.
    let program = folder.0.with_extension("kiln");
    fs::copy(env!("CARGO_BIN_EXE_kiln"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    mode(LABELS_FILE, 0);
    let root = fs::read(folder.join(LABELS_FILE)).is_ok();
    let run = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(words).env_remove("KILN_DATA_DIR");
        if root {
            command.uid(65534).gid(65534);
        }
        command.output()
    };
    if let Err(error) = run(&["--version"]) {
        eprintln!("not tested: no process of another user can be started: {error}");
        return;
    }
    let run = |words: &[&str]| run(words).unwrap();
    let denied = |words: &str, says: &str| check_run(&folder, words, FAILED, &[says, "Permission denied"], run);
    denied("train mnist-mlp --data @", &format!("@/{LABELS_FILE}: "));
    mode(LABELS_FILE, 0o644);
    mode("run", 0o555);
    let train = "train mnist-mlp --data @ --epochs 1000 --out";
    denied(&format!("{train} @/run --force"), "--out @/run: @/run/.lock: cannot be made: ");
    denied(&format!("{train} @/run/inner/out"), "--out @/run/inner/out: this folder cannot be made: ");
    denied("evaluate @/run --data @ --out @/run/matrix.png", "save: @/run/matrix.png: cannot be written: ");
    denied("plot @/run --out @/run/plot.png", "save: @/run/plot.png: cannot be written: ");
    for file in ["model.safetensors", "model.json", "history.csv"] {
        mode(&format!("run/{file}"), 0);
    }
    denied("evaluate @/run --data @", "@/run/model.json: cannot be read: ");
    denied("plot @/run --out @/plot.png", "@/run/history.csv: cannot be read: ");
    mode("run/model.json", 0o644);
    denied("evaluate @/run --data @", "@/run/model.safetensors: cannot be read: ");
    mode("run/model.safetensors", 0o644);
    mode(IMAGES_FILE, 0);
    denied(&format!("predict @/run @/{IMAGES_FILE}"), &format!("@/{IMAGES_FILE}: cannot be read: "));
    mode("run", 0o755);
    fs::remove_file(program).unwrap();
}

#[test]
fn a_loss_that_is_no_number() {
    let folder = healthy("nan");
    let train = "train mnist-mlp --data @ --quiet --lr 1e300 --out @/out";
    let first = "the first values that are not finite are the output of model.1 (Dense): a smaller learning rate";
    let kept = "the weights are again those that it began with";
    check(&folder, train, FAILED, &["fit: the loss of step 2 is NaN; ", first, kept]);
    // Where an epoch is one step, its validation is the first to see the new weights.
    check(
        &folder,
        &format!("{train} --batch-size 100"),
        FAILED,
        &["fit: the validation loss after step 1 is ", first, kept],
    );

    // The epochs that were completed are kept, as a shorter run would have left them.
    let (kept, shorter) = (folder.join("kept"), folder.join("shorter"));
    let options = ["--batch-size", "100", "--lr", "2.5e17", "--json", "--out"];
    let output = kiln(&folder.0, &[&options[..], &[word(&kept), "--epochs", "1000"]].concat());
    let (stderr, completed) = (text(&output.stderr), text(&output.stdout).lines().count());
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(FAILED), 1), "{stderr}");
    let says = format!("; the weights are again those of epoch {completed}, saved in {}\n", kept.display());
    assert!(completed > 0 && stderr.ends_with(&says), "{stderr}");
    lines(&kiln(&folder.0, &[&options[..], &[word(&shorter), "--epochs", &completed.to_string()]].concat()));
    for file in ["model.safetensors", "model.json"] {
        assert!(fs::read(kept.join(file)).unwrap() == fs::read(shorter.join(file)).unwrap(), "{file}");
    }
    assert_eq!(fs::read_to_string(kept.join("history.csv")).unwrap().lines().count(), 1 + completed);
}
