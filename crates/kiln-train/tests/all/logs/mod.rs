//! Logs: what they say, that a run which was killed and resumed has those of one that was not, and what happens where they cannot be
//! written.

mod contents;
mod failures;
mod resumed;

use kiln_datasets::ImageDataset;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::{Adam, ExponentialDecay, Optimizer};
use kiln_tensor::{Device, Result};
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

/// Reports what JSON has no number for.
struct NotFinite;

impl Callback for NotFinite {
    fn on_epoch_end(&mut self, run: &mut Run<'_>, _: &EpochRecord) -> Result<()> {
        run.log("x", f64::NAN);
        run.log("y,z", f64::INFINITY);
        Ok(())
    }
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
