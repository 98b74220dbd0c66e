//! `kiln sweep`: what it trains, and that it is the same every time.

mod goes_on;

use crate::support::{Folder, command, kiln, lines, text, word};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

/// A folder with the data, and a sweep's file with these lines after the base.
struct Sweep {
    folder: Folder,
    file: PathBuf,
    out: PathBuf,
}

impl Sweep {
    fn new(name: &str, text: &str) -> Sweep {
        let folder = Folder::with_data(name);
        let (file, out) = (folder.join("search.toml"), folder.join("out"));
        fs::write(&file, format!("base = \"mnist-mlp\"\n{text}")).unwrap();
        Sweep { folder, file, out }
    }

    fn words<'a>(&'a self, options: &[&'a str]) -> Vec<&'a str> {
        let words = ["sweep", word(&self.file), "--data", word(&self.folder.0), "--out", word(&self.out)];
        [&words[..], options].concat()
    }

    /// The lines of a sweep that went well: trials as they end, then the result.
    fn run(&self, options: &[&str]) -> (Vec<Value>, Value) {
        let said = lines(&command(&self.words(&[&["--json"], options].concat())));
        let mut said: Vec<Value> = said.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let result = said.pop().unwrap();
        assert_eq!(result["result"], "sweep");
        (said, result)
    }

    fn trial(&self, trial: usize) -> PathBuf {
        self.out.join(format!("trial-{trial:03}"))
    }

    /// A trial's history without the times, which are never the same.
    fn history(&self, trial: usize) -> Vec<String> {
        let text = fs::read_to_string(self.trial(trial).join("history.csv")).unwrap();
        text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect()
    }

    fn weights(&self, trial: usize) -> Vec<u8> {
        fs::read(self.trial(trial).join("model.safetensors")).unwrap()
    }
}

fn refused(output: &Output) -> String {
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    stderr.trim_end().strip_prefix("error: ").unwrap().to_owned()
}

const GRID: &str = "method = \"grid\"\nepochs = 2\nmetric = \"val_accuracy\"\n[parameters]\n\"optimizer.lr\" = [0.0, 0.01]\n\
                    \"model.layers.1.units\" = { min = 8, max = 16, step = 8 }\n";

#[test]
fn a_grid_trains_all_combinations_and_is_done_once() {
    let sweep = Sweep::new("sweep-grid", GRID);
    let (trials, result) = sweep.run(&["--parallel", "2", "--threads", "1"]);
    let settings = |trial: &Value| trial["settings"].to_string();
    let by_number: BTreeMap<u64, String> =
        trials.iter().map(|trial| (trial["trial"].as_u64().unwrap(), settings(trial))).collect();
    let expected = [(0.0, 8), (0.0, 16), (0.01, 8), (0.01, 16)];
    let expected = expected.map(|(lr, units)| format!("{{\"model.layers.1.units\":{units},\"optimizer.lr\":{lr:?}}}"));
    assert_eq!(by_number.into_values().collect::<Vec<_>>(), expected);
    assert_eq!((&result["trials"], &result["done"]), (&4.into(), &4.into()));
    assert!(result["best"]["trial"].as_u64().unwrap() >= 3, "{result}");
    let config = fs::read_to_string(sweep.trial(3).join("config.toml")).unwrap();
    assert!(config.contains("units = 8,") && config.contains("lr = 0.01") && config.contains("epochs = 2"), "{config}");
    let state: Value = serde_json::from_slice(&fs::read(sweep.out.join("sweep.json")).unwrap()).unwrap();
    assert_eq!(
        (&state["trials"][3]["trial"], &state["trials"][3]["settings"]["optimizer.lr"]),
        (&4.into(), &0.01.into())
    );

    // All trials are runs; the sweep itself is none.
    let listed = lines(&command(&["runs", word(&sweep.folder.0), "--json"]));
    assert_eq!(listed.len(), 4, "{listed:?}");
    let picture = fs::read(sweep.out.join("sweep.png")).unwrap();
    let size = png::Decoder::new(std::io::Cursor::new(picture)).read_header_info().unwrap().size();
    assert_eq!(size, (2 * (220 + 2 * 190), 2 * 470));

    let weights: Vec<Vec<u8>> = (1..=4).map(|trial| sweep.weights(trial)).collect();
    let modified = || fs::metadata(sweep.trial(2).join("manifest.json")).unwrap().modified().unwrap();
    let before = modified();
    let (again, same) = sweep.run(&[]);
    assert_eq!((again.len(), &same["best"], modified()), (0, &result["best"], before));
    // One that is lost is trained anew, to the same bits.
    fs::remove_dir_all(sweep.trial(4)).unwrap();
    let table = lines(&command(&sweep.words(&[])));
    assert!(table[0].starts_with("trial-004  val_accuracy "), "{}", table[0]);
    assert_eq!((1..=4).map(|trial| sweep.weights(trial)).collect::<Vec<_>>(), weights);
    let heading: Vec<&str> = table[2].split_whitespace().collect();
    assert_eq!(heading, ["trial", "val_accuracy", "epoch", "epochs", "state", "optimizer.lr", "model.layers.1.units"]);
    let accuracies: Vec<f64> =
        table[3..7].iter().map(|row| row.split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
    assert!(accuracies.is_sorted_by(|a, b| a >= b) && accuracies[0] > accuracies[3], "{table:#?}");
    assert!(table[7].starts_with("drawn to "), "{table:#?}");
}

#[test]
fn random_trials_are_the_same_for_any_number_of_processes() {
    let text = "method = { name = \"random\", trials = 5, seed = 3 }\nepochs = 2\n[parameters]\n\
                \"optimizer.lr\" = { min = 1e-4, max = 0.1, log = true }\n\"training.batch_size\" = [10, 20]\n";
    let (one, three) = (Sweep::new("sweep-random-1", text), Sweep::new("sweep-random-3", text));
    let (first, result) = one.run(&[]);
    let (_, other) = three.run(&["--parallel", "3"]);
    assert_eq!(result["best"], other["best"]);
    for trial in 1..=5 {
        assert_eq!((one.history(trial), one.weights(trial)), (three.history(trial), three.weights(trial)));
    }
    let lrs: Vec<f64> = first.iter().map(|trial| trial["settings"]["optimizer.lr"].as_f64().unwrap()).collect();
    assert!(lrs.iter().all(|lr| (1e-4..=0.1).contains(lr)) && lrs[0] != lrs[1], "{lrs:?}");
}

#[test]
fn a_trial_that_is_worse_than_the_others_is_pruned() {
    let text = "method = \"grid\"\nepochs = 12\n[parameters]\n\"optimizer.lr\" = [0.001, 0.002, 0.003, 0.0]\n\
                [pruning]\nwarmup = 2\ntrials = 3\n";
    let sweep = Sweep::new("sweep-pruning", text);
    let (trials, result) = sweep.run(&[]);
    let states: Vec<&str> = trials.iter().map(|trial| trial["state"].as_str().unwrap()).collect();
    assert_eq!(states[0], "complete");
    let pruned = &trials[3];
    assert_eq!((&pruned["trial"], &pruned["state"]), (&4.into(), &"pruned".into()));
    // In the third epoch at the earliest; its process may train some more before it ends.
    assert!(pruned["epochs"].as_u64().unwrap() >= 3, "{pruned}");
    assert_eq!(result["done"], 4);
    // It stays so.
    let (again, _) = sweep.run(&[]);
    assert_eq!(again.len(), 0, "{again:?}");
}

#[test]
fn bad_sweeps_are_refused_in_one_sentence() {
    let base = "base = \"mnist-mlp\"\nmethod = \"grid\"\n";
    let parameters = "[parameters]\n\"optimizer.lr\" = [0.1]\n";
    let whole = format!("{base}{parameters}");
    let sweep = Sweep::new("sweep-bad", "");
    for (text, says) in [
        (whole.replace("optimizer.lr", "optimizer.lrr"), "unknown setting `optimizer.lrr`; the nearest is `lr`"),
        (whole.replace("optimizer.lr", "optimzer.lr"), "unknown setting `optimzer`; the nearest is `optimizer`"),
        (whole.replace("optimizer.lr", "model.layers.9.units"), "`9` is no place in a list of 3"),
        (
            format!("{whole}\"optimizer.name\" = [\"Sgd\", \"Adam\"]\n\"optimizer.momentum\" = [0.9]\n"),
            "`optimizer.momentum`",
        ),
        (whole.replace("\"optimizer.lr\" = [0.1]", "optimizer.name = [\"Adam\", \"Admm\"]"), "the nearest is Adam"),
        (whole.replace("[0.1]", "[]"), "parameters.optimizer.lr: the list is empty"),
        (whole.replace("[0.1]", "{ min = 2.0, max = 1.0 }"), "parameters.optimizer.lr.min: 2 is above max, 1"),
        (whole.replace("[0.1]", "{ min = 1.0, max = 2.0 }"), "a grid needs the number of points"),
        (whole.replace("grid", "gird"), "unknown method \"gird\"; the nearest is grid"),
        (whole.replace("\"grid\"", "\"random\""), "`method.trials`, a whole number of at least 0, is missing"),
        (
            whole.replace("\"grid\"", "{ name = \"random\", trials = 2 }"),
            "2 trials are asked for and the parameters have 1",
        ),
        (whole.replace("\"grid\"", "{ name = \"hyperband\", eta = 1 }"), "method.eta: at least 2 is expected"),
        (
            whole.replace("mnist-mlp", "mnist-mpl"),
            "\"mnist-mpl\" is neither a recipe nor a file; the nearest recipe is mnist-mlp",
        ),
        (whole.replace("mnist-mlp", "no.toml"), "no.toml: cannot be read"),
        (whole.replace("optimizer.lr", "training.epochs"), "`epochs` says how long all are trained"),
        (format!("metric = \"val_closs\"\n{whole}"), "it is not known whether a larger val_closs is better"),
        (format!("epochs = 0\n{whole}"), "epochs: at least 1 is expected"),
        (format!("paralel = 2\n{whole}"), "unknown setting `paralel`; the nearest is `parallel`"),
        (format!("{whole}[pruning]\nwarm = 2\n"), "unknown setting `pruning.warm`; the nearest is `warmup`"),
        (base.to_owned(), "`parameters`, a table of paths and values, is missing"),
    ] {
        fs::write(&sweep.file, &text).unwrap();
        let said = refused(&command(&sweep.words(&[])));
        assert!(said.contains(says), "{text}: {said}");
        assert!(!sweep.out.exists(), "{text}");
    }
    // What only a report can tell.
    fs::write(&sweep.file, format!("metric = \"val_loss_of_x\"\ndirection = \"min\"\nepochs = 1\n{whole}")).unwrap();
    let said = refused(&command(&sweep.words(&[])));
    assert_eq!(said, "metric: no epoch reports \"val_loss_of_x\", only accuracy, loss, val_accuracy, val_loss");
    let said = refused(&command(&["sweep", word(&sweep.folder.join("no.toml"))]));
    assert!(said.contains("no.toml: cannot be read"), "{said}");
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let sweep = Sweep::new("sweep-other", GRID);
    sweep.run(&[]);
    let before = fs::read(sweep.out.join("sweep.json")).unwrap();
    let text = fs::read_to_string(&sweep.file).unwrap();
    for (from, to, says) in [
        ("epochs = 2", "epochs = 3", "this folder has another sweep, with other `epochs`;"),
        ("[0.0, 0.01]", "[0.0, 0.02]", "this folder has another sweep, with other values of the parameters;"),
        (
            "\"grid\"\nepochs = 2",
            "{ name = \"random\", trials = 4 }\nepochs = 1",
            "sweep, with other `epochs`, `method`;",
        ),
    ] {
        fs::write(&sweep.file, text.replace(from, to)).unwrap();
        let said = refused(&command(&sweep.words(&[])));
        assert!(said.contains(says) && said.contains("choose another folder with --out"), "{said}");
    }
    assert_eq!(fs::read(sweep.out.join("sweep.json")).unwrap(), before);
    fs::write(&sweep.file, &text).unwrap();
    for (out, says) in
        [(sweep.trial(1), "this folder has a run"), (sweep.folder.0.clone(), "and no sweep; choose another")]
    {
        let words = ["sweep", word(&sweep.file), "--data", word(&sweep.folder.0), "--out", word(&out)];
        let said = refused(&command(&words));
        assert!(said.contains(says), "{said}");
    }
    let store = kiln::store::Store::new(&sweep.out);
    let _writer = store.lock().unwrap();
    let said = refused(&command(&sweep.words(&[])));
    assert!(said.contains(&format!("process {} is writing here", std::process::id())), "{said}");
}

#[test]
fn hyperband_resumes_the_best_of_each_round() {
    // Brackets: three trials of one epoch, of which one goes on to three; two of three.
    let text = "method = { name = \"hyperband\", seed = 5 }\nepochs = 3\n[parameters]\n\
                \"optimizer.lr\" = { min = 1e-4, max = 0.1, log = true }\n";
    let (one, two) = (Sweep::new("sweep-hyperband-1", text), Sweep::new("sweep-hyperband-2", text));
    let (said, result) = one.run(&[]);
    let (_, other) = two.run(&["--parallel", "2"]);
    assert_eq!((&result["best"], &result["done"]), (&other["best"], &5.into()));
    let mut epochs: Vec<usize> = (1..=5).map(|trial| one.history(trial).len() - 1).collect();
    assert_eq!(epochs, (1..=5).map(|trial| two.history(trial).len() - 1).collect::<Vec<_>>());
    let went_on = 1 + epochs[..3].iter().position(|&epochs| epochs == 3).unwrap();
    epochs[..3].sort();
    assert_eq!(epochs, [1, 1, 3, 3, 3]);
    // The first three after one epoch, then the best of them again.
    assert_eq!(said.len(), 6, "{said:?}");
    let loss = |trial: usize| said[trial - 1]["val_loss"].as_f64().unwrap();
    assert!((1..=3).all(|trial| loss(went_on) <= loss(trial)), "{said:?}");
    // No epoch was trained twice, and the weights are those of a training without a break.
    let lr = format!("optimizer.lr={}", said[went_on - 1]["settings"]["optimizer.lr"]);
    let whole = one.folder.join("whole");
    let words = ["--set", &lr, "--epochs", "3", "--quiet", "--out", word(&whole)];
    lines(&kiln(&one.folder.0, &words));
    assert_eq!(fs::read(whole.join("model.safetensors")).unwrap(), one.weights(went_on));
}
