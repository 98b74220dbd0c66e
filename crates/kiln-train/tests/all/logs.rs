//! Logs: what they say, and that a run which was killed and resumed has those of one that was not.

use kiln_datasets::ImageDataset;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::{Adam, ExponentialDecay, Optimizer};
use kiln_tensor::{Device, ErrorKind, Result};
use kiln_train::*;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

type Model = Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Adam>;

/// 8 batches of 8 images.
fn images(count: usize) -> ImageDataset {
    let mut stream = RandomStream::new(7, Purpose::Data, count as u64);
    let pixels = (0..count * 36).map(|_| stream.below(256) as u8).collect();
    ImageDataset::new(pixels, (0..count).map(|i| (i % 3) as u8).collect(), &[6, 6], 3).unwrap()
}

fn model() -> Model {
    let layers = Sequential::new().push(Flatten::new()).push(Dropout::new(0.2)).push(Dense::new(3));
    let model = layers.build([6, 6], &Device::cpu(), 1).unwrap();
    let optimizer = Adam::new(0.01).schedule(ExponentialDecay::new(10, 0.5));
    compile(model, optimizer, SparseCategoricalCrossentropy::from_logits())
        .metric(Accuracy)
        .metric(ConfusionMatrix::new())
}

/// A folder of the test, which is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("kiln-logs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        Folder(folder)
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    fn lines(&self, file: &str) -> Vec<Value> {
        self.text(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reports a number every third step.
struct Reports;

impl Callback for Reports {
    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if run.state.step.is_multiple_of(3) {
            run.log("step.twice", run.state.step as f64 * 2.0);
        }
        Ok(())
    }
}

/// Keeps the state after a batch, and ends the training some batches later, as if it had been killed there.
struct Killed {
    state_after: u64,
    batches: u64,
    state: Option<StateDict>,
}

impl Callback for Killed {
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        match run.state.batches {
            done if done == self.state_after => run.request_checkpoint(),
            done if done == self.batches => run.stop(),
            _ => {}
        }
        Ok(())
    }
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.state_after == 0 {
            run.request_checkpoint();
        }
        Ok(())
    }
    fn on_checkpoint(&mut self, _: &mut Run<'_>, state: &StateDict) -> Result<()> {
        self.state = Some(state.clone());
        Ok(())
    }
}

/// All logs in a folder.
fn options<'a>(folder: &Path, validation: &'a ImageDataset) -> FitOptions<'a> {
    let board = TensorBoard::new(folder.join("board"))
        .every_steps(3)
        .histogram_steps(7)
        .images(4)
        .class_names(["cat", "dog", "bird"])
        .text("note", "*A test.*")
        .hyperparameter("units", 3)
        .hyperparameter("dropout", true)
        .hyperparameter("limit", f64::INFINITY);
    FitOptions::new()
        .until_epoch(3)
        .batch_size(8)
        .seed(5)
        .validation(validation)
        .validate_every(4)
        .quiet()
        .callback(Reports)
        .callback(CsvLog::new(folder.join("log.csv")).steps(folder.join("steps.csv"), 2))
        .callback(JsonLinesLog::new(folder.join("log.jsonl")).every_steps(2))
        .callback(board)
}

const EVENTS: [&str; 3] = [
    "board/events.out.tfevents.kiln",
    "board/train/events.out.tfevents.kiln",
    "board/validation/events.out.tfevents.kiln",
];

/// The logs without the times in them.
fn untimed(folder: &Folder) -> (Vec<String>, String, Vec<Value>, Vec<Vec<u8>>) {
    let csv = folder.text("log.csv").lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect();
    let mut lines = folder.lines("log.jsonl");
    lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("seconds")));
    let events = EVENTS.iter().flat_map(|file| records(&fs::read(folder.0.join(file)).unwrap()));
    (csv, folder.text("steps.csv"), lines, events.collect())
}

/// The events of a file, without the time, which comes first; that of the hyperparameters has another one inside.
fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length) as usize;
        let (data, after) = rest[4..].split_at(length);
        assert_eq!(data[0], 9);
        if !data.windows(9).any(|window| window == b"_hparams_") {
            records.push(data[9..].to_vec());
        }
        bytes = &after[4..];
    }
    records
}

#[test]
fn a_run_that_was_killed_and_resumed_has_the_logs_of_one_that_was_not() {
    let (data, test) = (images(64), images(9));
    let whole = Folder::new("whole");
    model().fit(&data, options(&whole.0, &test)).unwrap();
    let expected = untimed(&whole);
    assert_eq!((expected.0.len(), expected.3.len() > 30), (4, true));
    // The state is of the beginning, of an epoch's middle, of its last batch, before its validation, and of the last epoch.
    for (state_after, batches) in [(0, 1), (0, 13), (3, 3), (5, 12), (8, 9), (8, 17), (15, 23)] {
        let folder = Folder::new(&format!("killed-{state_after}-{batches}"));
        let mut killed = Killed { state_after, batches, state: None };
        model().fit(&data, options(&folder.0, &test).callback(&mut killed)).unwrap();
        let mut resumed = model();
        resumed.load_state_dict(&killed.state.unwrap()).unwrap();
        resumed.fit(&data, options(&folder.0, &test)).unwrap();
        assert_eq!(untimed(&folder), expected, "state after {state_after} batches, killed after {batches}");
    }
}

#[test]
fn the_table_is_that_of_the_history_and_lines_hold_all_numbers() {
    let (data, test) = (images(64), images(9));
    let folder = Folder::new("numbers");
    let history = model().fit(&data, options(&folder.0, &test)).unwrap();
    assert_eq!(folder.text("log.csv"), history.to_csv());
    let steps = folder.text("steps.csv");
    let mut rows = steps.lines();
    assert_eq!(rows.next(), Some("step,name,value"));
    assert!(rows.next().unwrap().starts_with("2,loss,"));
    assert_eq!(rows.next(), Some(&*format!("2,learning_rate,{}", 0.01 * 0.5f64.powf(0.1))));
    assert_eq!(rows.next(), Some("3,step.twice,6"));
    assert!(rows.any(|row| row.starts_with("4,val_loss,")));
    let lines = folder.lines("log.jsonl");
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    let counts = ["epoch", "step", "scalars", "validation"].map(|kind| of(kind).len());
    assert_eq!((counts, counts.iter().sum::<usize>()), ([3, 12, 8, 3], lines.len()));
    let (last, epoch) = (history.last().unwrap(), of("epoch")[2]);
    assert_eq!((epoch["epoch"].as_u64(), epoch["step"].as_u64()), (Some(3), Some(24)));
    assert_eq!(epoch["loss"].as_f64(), Some(last.train.loss));
    assert_eq!(epoch["val_accuracy"].as_f64(), last.value("val_accuracy"));
    assert_eq!(epoch["learning_rate"].as_f64(), Some(0.01 * 0.5f64.powf(2.3)));
    assert_eq!((of("scalars")[0]["step.twice"].as_f64(), of("scalars")[0]["step"].as_u64()), (Some(6.0), Some(3)));
}

/// Reports what JSON has no number for.
struct NotFinite;

impl Callback for NotFinite {
    fn on_epoch_end(&mut self, run: &mut Run<'_>, _: &EpochRecord) -> Result<()> {
        run.log("x", f64::NAN);
        run.log("y,z", f64::INFINITY);
        Ok(())
    }
}

#[test]
fn numbers_that_are_not_finite_are_logged() {
    let (data, test) = (images(16), images(9));
    let folder = Folder::new("not-finite");
    model().fit(&data, options(&folder.0, &test).callback(NotFinite)).unwrap();
    let lines = folder.lines("log.jsonl");
    assert!(lines.iter().any(|line| line.get("x").is_some_and(Value::is_null) && line["y,z"].is_null()));
    assert!(folder.text("steps.csv").contains("2,x,NaN\n2,\"y,z\",inf\n"));
}

#[test]
fn a_log_that_was_shortened_or_removed_goes_on() {
    let (data, test) = (images(64), images(9));
    let folder = Folder::new("shortened");
    let mut killed = Killed { state_after: 12, batches: 13, state: None };
    model().fit(&data, options(&folder.0, &test).callback(&mut killed)).unwrap();
    fs::remove_file(folder.0.join("log.csv")).unwrap();
    let lines = folder.text("log.jsonl");
    let cut = lines.match_indices('\n').nth(2).unwrap().0;
    fs::write(folder.0.join("log.jsonl"), &lines[..cut + 10]).unwrap();
    let events = fs::read(folder.0.join(EVENTS[1])).unwrap();
    fs::write(folder.0.join(EVENTS[1]), &events[..events.len() / 4]).unwrap();
    let mut resumed = model();
    resumed.load_state_dict(&killed.state.unwrap()).unwrap();
    resumed.fit(&data, options(&folder.0, &test)).unwrap();
    assert_eq!(folder.text("log.csv").lines().count(), 3);
    let after = folder.lines("log.jsonl");
    assert_eq!((&after[2]["step"], &after[3]["step"]), (&4.into(), &14.into()), "the lines between are lost");
    assert!(records(&fs::read(folder.0.join(EVENTS[1])).unwrap()).len() > 5);
}

#[test]
fn a_training_that_begins_replaces_logs_and_refuses_what_it_would_spoil() {
    let (data, test) = (images(16), images(9));
    let folder = Folder::new("anew");
    for _ in 0..2 {
        model().fit(&data, options(&folder.0, &test)).unwrap();
    }
    assert_eq!((folder.text("log.csv").lines().count(), folder.lines("log.jsonl").len()), (4, 3 + 3 + 2));
    // Without validation there are no events of the last one's.
    let board = || TensorBoard::new(folder.0.join("board"));
    model().fit(&data, FitOptions::new().callback(board())).unwrap();
    assert!(!folder.0.join(EVENTS[2]).exists());
    let other = folder.0.join("board/train/events.out.tfevents.123.host");
    fs::write(&other, "").unwrap();
    let error = model().fit(&data, FitOptions::new().callback(board())).unwrap_err().to_string();
    assert!(error.contains("events.out.tfevents.123.host") && error.contains("another folder"), "{error}");
    // A log goes on with the same object, and not with other columns.
    let mut log = CsvLog::new(folder.0.join("two.csv"));
    let mut trainer = model();
    for _ in 0..2 {
        trainer.fit(&data, FitOptions::new().epochs(1).callback(&mut log)).unwrap();
    }
    assert_eq!(folder.text("two.csv").lines().count(), 3);
    let with_validation = FitOptions::new().epochs(1).validation(&test).callback(&mut log);
    let error = trainer.fit(&data, with_validation).unwrap_err().to_string();
    assert!(error.contains("the columns are epoch,loss,accuracy,seconds") && error.contains("val_loss"), "{error}");
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_the_first_epoch() {
    let (data, folder) = (images(16), Folder::new("blocked"));
    fs::create_dir_all(&folder.0).unwrap();
    let blocked = folder.0.join("file");
    fs::write(&blocked, "").unwrap();
    let path = blocked.join("log");
    let logs: [Box<dyn Callback>; 3] =
        [Box::new(CsvLog::new(&path)), Box::new(JsonLinesLog::new(&path)), Box::new(TensorBoard::new(&path))];
    for mut log in logs {
        let mut trainer = model();
        let error = trainer.fit(&data, FitOptions::new().callback(&mut *log)).unwrap_err();
        assert_eq!((error.kind(), trainer.state.step), (ErrorKind::Io, 0));
        let (message, path) = (error.to_string(), path.display().to_string());
        assert!(message.contains(&path) && message.contains("cannot be written"), "{message}");
    }
    if cfg!(target_os = "linux") {
        let error = model().fit(&data, FitOptions::new().callback(CsvLog::new("/dev/full"))).unwrap_err().to_string();
        assert!(error.contains("/dev/full: the log cannot be written: No space left"), "{error}");
    }
    let error = model().fit(&data, FitOptions::new().callback(CsvLog::new("x").steps("y", 0))).unwrap_err();
    assert!(error.to_string().contains("at least 1 is needed"), "{error}");
}

/// Files that xtask/interop/event_files.py reads with TensorBoard: those of a training that was killed and resumed, the same as JSON lines, and
/// the weights at its end.
#[test]
#[ignore = "writes files that `cargo xtask interop` gives to TensorBoard"]
fn interop() {
    let folder = PathBuf::from(std::env::var("KILN_INTEROP_DIR").expect("KILN_INTEROP_DIR names a folder"));
    let (data, test) = (images(64), images(9));
    let options = || options(&folder, &test).callback(NotFinite);
    let mut killed = Killed { state_after: 12, batches: 13, state: None };
    model().fit(&data, options().callback(&mut killed)).unwrap();
    let mut resumed = model();
    resumed.load_state_dict(&killed.state.unwrap()).unwrap();
    resumed.fit(&data, options()).unwrap();
    let weights = resumed.objective.parameters().into_iter();
    let weights: serde_json::Map<String, Value> =
        weights.map(|(path, parameter)| (path, parameter.value().to_f64_vec().unwrap().into())).collect();
    fs::write(folder.join("weights.json"), Value::Object(weights).to_string()).unwrap();
}
