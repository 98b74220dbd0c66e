//! `kiln runs`: lists of runs with what became of them, and two runs side by side.

use crate::support::{Folder, command, kiln, lines, text, word};
use kiln::store::Store;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with the data and a run, `runs/a`.
fn trained(name: &str, options: &[&str]) -> (Folder, PathBuf) {
    let folder = Folder::with_data(name);
    let run = folder.join("runs/a");
    lines(&kiln(&folder.0, &[options, &["--quiet", "--out", word(&run)]].concat()));
    (folder, run)
}

/// A copy of a run, by the side of it or elsewhere in its folder.
fn copy(run: &Path, to: &str) -> PathBuf {
    let to = run.parent().unwrap().join(to);
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(run).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    to
}

/// Changes files of a run, with their checksums.
fn rewrite(run: &Path, changed: &[(&str, &str)]) {
    let store = Store::new(run);
    let generation = store.current().unwrap().unwrap();
    let kept = generation.names().filter(|name| !changed.iter().any(|(other, _)| other == name));
    let kept: Vec<(&str, Vec<u8>)> = kept.map(|name| (name, generation.read(name).unwrap())).collect();
    let changed = changed.iter().map(|(name, text)| (*name, text.as_bytes().to_vec()));
    store.lock().unwrap().commit(&kept.into_iter().chain(changed).collect::<Vec<_>>()).unwrap();
}

fn progress(phase: &str, epoch: u64) -> String {
    let status = json!({
        "format": 1, "phase": phase, "epoch": epoch, "epochs": 9, "batch": 1, "batches": 4, "step": 5, "seconds": 75.0,
        "best": null
    });
    status.to_string()
}

fn listed(folder: &Path, options: &[&str]) -> Vec<Value> {
    let said = lines(&command(&[&["runs", word(folder), "--json"], options].concat()));
    said.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(runs: &[Value]) -> Vec<&str> {
    runs.iter().map(|run| run["run"].as_str().unwrap()).collect()
}

#[test]
fn every_state_is_told() {
    let (folder, run) = trained("runs-states", &["--epochs", "2"]);
    let runs = folder.join("runs");
    for (name, phase) in [("killed", "training"), ("stopped", "stopped"), ("group/diverged", "diverged")] {
        rewrite(&copy(&run, name), &[("progress.json", &progress(phase, 2))]);
    }
    // What is hidden, or inside of a run, is none of the list.
    copy(&run, ".hidden/b");
    copy(&run, "a/checkpoints/1");
    let cut = copy(&run, "cut");
    fs::write(cut.join("history.csv"), "epoch,loss\n").unwrap();
    fs::write(copy(&run, "unreadable").join("manifest.json"), "{").unwrap();
    let flipped = copy(&run, "weights");
    let mut weights = fs::read(flipped.join("model.safetensors")).unwrap();
    *weights.last_mut().unwrap() ^= 1;
    fs::write(flipped.join("model.safetensors"), weights).unwrap();
    let going_on = copy(&run, "going-on");
    rewrite(&going_on, &[("progress.json", &progress("training", 1)), ("history.csv", "epoch,seconds\n")]);
    let store = Store::new(&going_on);
    let _writer = store.lock().unwrap();

    let found = listed(&runs, &[]);
    let all = ["a", "cut", "going-on", "group/diverged", "killed", "stopped", "unreadable", "weights"];
    assert_eq!(names(&found), all);
    let states = ["complete", "broken", "running", "diverged", "killed", "stopped", "broken", "complete"];
    assert_eq!(found.iter().map(|run| run["state"].as_str().unwrap()).collect::<Vec<_>>(), states);
    assert_eq!(found[1]["reason"], "history.csv: this file differs from the manifest: it was changed or cut short");
    assert!(found[6]["reason"].as_str().unwrap().starts_with("manifest.json: this is not JSON"), "{}", found[6]);
    assert_eq!((&found[2]["process"], &found[2]["best"]), (&std::process::id().into(), &Value::Null));
    // Of what was made before there was a progress file, the history and the settings tell it.
    assert_eq!((&found[0]["epochs"], &found[0]["epochs_asked"]), (&2.into(), &2.into()));
    assert_eq!(
        (&found[4]["epochs"], &found[4]["epochs_asked"], &found[4]["seconds"]),
        (&2.into(), &9.into(), &75.0.into())
    );
    let best = &found[0]["best"];
    assert_eq!(best["name"], "val_accuracy");
    assert!(best["value"].as_f64().unwrap() <= 1.0 && best["epoch"].as_u64().unwrap() <= 2, "{best}");

    // Only reading all files finds a bit that is wrong.
    let checked = listed(&runs, &["--check"]);
    assert_eq!((&checked[7]["state"], &checked[0]["state"]), (&"broken".into(), &"complete".into()));
    assert_eq!(
        checked[7]["reason"],
        "model.safetensors: this file differs from the manifest: it was changed or cut short"
    );
    let table = lines(&command(&["runs", word(&runs)]));
    assert_eq!(
        table[0].split_whitespace().collect::<Vec<_>>(),
        ["run", "state", "epochs", "best", "loss", "time", "saved"]
    );
    assert!(
        table[1].starts_with("a               complete") && table[1].contains("  2/2  val_accuracy "),
        "{}",
        table[1]
    );
    assert!(table[3].contains(&format!("running, process {}", std::process::id())), "{}", table[3]);
    assert!(table[5].contains("1 min 15 s"), "{}", table[5]);
}

#[test]
fn lists_have_an_order() {
    let (folder, run) = trained("runs-order", &["--epochs", "1"]);
    for (name, loss) in [("b", "0.2"), ("c", "0.3"), ("d", "NaN")] {
        let history = format!("epoch,loss,val_loss,seconds\n1,{loss},{loss},1\n2,0.9,{loss},1\n");
        rewrite(&copy(&run, name), &[("history.csv", &history)]);
    }
    let runs = folder.join("runs");
    assert_eq!(names(&listed(&runs, &["--sort", "metric", "--metric", "loss"]))[..2], ["b", "c"]);
    // Runs of one metric stand together; a number that was never finite is told by another one.
    let by_metric = listed(&runs, &["--sort", "metric"]);
    assert_eq!(names(&by_metric), ["d", "a", "b", "c"]);
    assert_eq!((&by_metric[0]["best"]["name"], &by_metric[2]["best"]["value"]), (&"loss".into(), &0.2.into()));
    let older = fs::File::options().write(true).open(run.join("manifest.json")).unwrap();
    older.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(7300)).unwrap();
    assert_eq!(names(&listed(&runs, &["--sort", "time"])).last(), Some(&"a"));
    assert!(lines(&command(&["runs", word(&runs)]))[1].ends_with("2 h ago"));
    let said = |metric: &str| {
        let output = command(&["runs", word(&runs), "--metric", metric]);
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    let unknown =
        "error: --metric val_acuracy: no run has this number; the nearest is val_accuracy; there are accuracy, loss, ";
    assert!(said("val_acuracy").starts_with(unknown), "{}", said("val_acuracy"));
    rewrite(&copy(&run, "e"), &[("history.csv", "epoch,loss,closs\n1,0.5,0.5\n")]);
    assert!(said("closs").contains("it is not known whether a larger value is better"), "{}", said("closs"));
    // The folder may be a run itself.
    assert_eq!(names(&listed(&run, &[])), ["a"]);
}

#[test]
fn a_folder_without_runs_says_so() {
    let folder = Folder::new("runs-none");
    let output = command(&["runs", word(&folder.0)]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""));
    assert!(text(&output.stderr).ends_with(": there is no run in this folder\n"));
    // Files of other programs.
    for (file, json) in
        [("manifest.json", r#"{"name": "page", "icons": []}"#), ("model.json", r#"{"format": "layers-model"}"#)]
    {
        fs::write(folder.join(file), json).unwrap();
        assert!(
            text(&command(&["runs", word(&folder.0)]).stderr).ends_with(": there is no run in this folder\n"),
            "{file}"
        );
        fs::remove_file(folder.join(file)).unwrap();
    }
    for (path, says) in [("nowhere", "cannot be read: "), ("file", "this is a file; a folder of runs is expected")] {
        fs::write(folder.join("file"), "").unwrap();
        let output = command(&["runs", word(&folder.join(path))]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(&format!("/{path}: {says}")), "{}", text(&output.stderr));
    }
}

#[test]
fn diff_shows_what_was_set_and_what_came_of_it() {
    let (folder, run) = trained("runs-diff", &["--epochs", "2"]);
    let other = folder.join("runs/b");
    let options =
        ["--epochs", "3", "--lr", "0.1", "--set", "model.layers.1.units=16", "--set", "optimizer.clip_norm=1.0"];
    lines(&kiln(&folder.0, &[&options[..], &["--quiet", "--out", word(&other)]].concat()));
    let said = lines(&command(&["runs", "diff", word(&run), word(&other)]));
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells(&said[0]), ["setting", "a", "b"]);
    let settings: Vec<Vec<String>> =
        said[1..].iter().take_while(|line| !line.is_empty()).map(|line| cells(line)).collect();
    assert_eq!(
        settings,
        [
            vec!["model.layers.1.units", "128", "16"],
            vec!["optimizer.lr", "0.001", "0.1"],
            vec!["training.epochs", "2", "3"],
            vec!["optimizer.clip_norm", "-", "1.0"],
        ]
    );
    let results: Vec<&String> = said.iter().skip_while(|line| !line.is_empty()).skip(1).collect();
    assert_eq!((cells(results[0]), cells(results[1])), (cells("result a b"), cells("epochs 2 3")));
    assert!(results.iter().any(|line| line.starts_with("best val_accuracy")), "{results:?}");

    let object = lines(&command(&["runs", "diff", word(&run), word(&other), "--json"]));
    let object: Value = serde_json::from_str(&object[0]).unwrap();
    assert_eq!(object["settings"]["optimizer.clip_norm"], json!([null, 1.0]));
    assert_eq!((&object["epochs"], &object["runs"]), (&json!([2, 3]), &json!(["a", "b"])));
    let last = fs::read_to_string(other.join("history.csv")).unwrap();
    let last: f64 = last.lines().last().unwrap().split(',').nth(1).unwrap().parse().unwrap();
    assert_eq!(object["results"]["loss"]["last"][1].as_f64(), Some(last));
    let same = lines(&command(&["runs", "diff", word(&run), word(&run)]));
    assert_eq!(same[0], "the settings are the same");

    // No epoch of it was completed.
    let begun = copy(&run, "begun");
    rewrite(&begun, &[("history.csv", "epoch,seconds\n")]);
    let said = lines(&command(&["runs", "diff", word(&run), word(&begun)]));
    assert_eq!((cells(&said[2]), cells(&said[3])), (cells("result a begun"), cells("epochs 2 0")));
    assert_eq!(cells(&said[5])[2], "-", "{said:?}");
    let output = command(&["plot", word(&begun), "--out", word(&folder.join("begun.png"))]);
    assert_eq!(
        text(&output.stderr),
        format!("error: {}: no epoch of this run was completed\n", begun.join("history.csv").display())
    );
}
