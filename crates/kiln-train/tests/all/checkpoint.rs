//! A training that is killed goes on from its last checkpoint with the bits of one that was not.

use kiln_datasets::{ImageDataset, Subset};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::Adam;
use kiln_tensor::{Device, ErrorKind, Result};
use kiln_train::*;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

type Model = Trainer<Supervised<Sequential, SparseCategoricalCrossentropy>, Adam>;

fn images() -> ImageDataset {
    let mut stream = RandomStream::new(7, Purpose::Data, 0);
    let pixels = (0..50 * 36).map(|_| stream.below(256) as u8).collect();
    ImageDataset::new(pixels, (0..50).map(|i| (i % 3) as u8).collect(), &[6, 6], 3).unwrap()
}

fn model_of(units: usize) -> Model {
    let model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(units).activation(Activation::Relu))
        .push(BatchNorm1d::new())
        .push(Dropout::new(0.3))
        .push(Dense::new(3));
    let model = model.build([6, 6], &Device::cpu(), 1).unwrap();
    compile(model, Adam::new(0.01), SparseCategoricalCrossentropy::from_logits()).metric(Accuracy)
}

fn model() -> Model {
    model_of(8)
}

/// All of a trainer's state, bit for bit, without times.
fn bits(trainer: &Model) -> Vec<(String, Vec<u64>)> {
    let state = trainer.state_dict().unwrap().into_iter().filter(|(name, _)| !name.ends_with("seconds"));
    state.map(|(name, value)| (name, value.to_f64_vec().unwrap().into_iter().map(f64::to_bits).collect())).collect()
}

/// Ends the training as a kill does: nothing is saved after it.
struct KillAfter(u64);

impl Callback for KillAfter {
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        match run.state.batches == self.0 {
            true => Err(kiln_tensor::Error::value("kill", "killed")),
            false => Ok(()),
        }
    }
}

fn folder() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    (parent, folder)
}

fn every_step(folder: &Path) -> Checkpoint<'static> {
    Checkpoint::new(folder).every(Every::Steps(1)).keep_best("val_loss")
}

fn options<'a>() -> FitOptions<'a> {
    FitOptions::new().until_epoch(4).batch_size(8).seed(5)
}

/// Trains to the end with the callbacks that remember something, and gives the state.
fn trained(folder: &Path, resume: bool, kill: Option<u64>) -> Result<(Model, Vec<EpochRecord>)> {
    let (data, mut trainer) = (images(), model());
    let (training, validation) = (Subset::new(&data, 0..40)?, Subset::new(&data, 40..50)?);
    if resume {
        trainer.resume(folder)?;
    }
    let mut options = options()
        .validation(&validation)
        .validate_every(3)
        .callback(Ema::new(0.9))
        .callback(ReduceOnPlateau::new().patience(0).factor(0.5))
        .callback(EarlyStopping::new().patience(30))
        .callback(every_step(folder));
    if let Some(batches) = kill {
        options = options.callback(KillAfter(batches));
    }
    trainer.fit(&training, options)?;
    let history = trainer.state.history.iter().map(|record| EpochRecord { seconds: 0.0, ..record.clone() }).collect();
    Ok((trainer, history))
}

#[test]
fn a_killed_training_goes_on_with_the_same_bits() {
    let (_parent, whole_folder) = folder();
    let (whole, history) = trained(&whole_folder, false, None).unwrap();
    // Five batches an epoch: in the first one, at the end of one, in the middle, at the end of all.
    for kill in [1, 2, 5, 10, 13, 19] {
        let (_parent, folder) = folder();
        trained(&folder, false, Some(kill)).map(drop).unwrap_err();
        let (resumed, rest) = trained(&folder, true, None).unwrap();
        assert_eq!(bits(&resumed), bits(&whole), "killed after {kill} batches");
        assert_eq!(rest, history);
        assert_eq!(resumed.state.validations, whole.state.validations);
        let status = Resumed::read(&folder).unwrap().status;
        assert_eq!((status.phase, status.epoch, status.batch, status.step), (Phase::Complete, 4, 0, 20));
        // Again and again.
        let (_parent, folder) = crate::checkpoint::folder();
        trained(&folder, false, Some(1)).map(drop).unwrap_err();
        for kill in (2..20).step_by(kill as usize) {
            trained(&folder, true, Some(kill)).map(drop).unwrap_err();
        }
        let (resumed, _) = trained(&folder, true, None).unwrap();
        assert_eq!(bits(&resumed), bits(&whole), "killed every {kill} batches");
    }
    // What is complete stays as it is.
    let (again, _) = trained(&whole_folder, true, None).unwrap();
    assert_eq!((bits(&again), again.state.history.len()), (bits(&whole), 4));
}

#[test]
fn a_damaged_checkpoint_is_done_without() {
    let (_parent, folder) = folder();
    let (whole, _) = trained(&folder, false, None).unwrap();
    let (_parent, folder) = crate::checkpoint::folder();
    trained(&folder, false, Some(13)).map(drop).unwrap_err();
    let newest = Resumed::read(&folder).unwrap();
    assert!(newest.skipped.is_empty());
    let path = folder.join("training.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let older = Resumed::read(&folder).unwrap();
    assert_eq!(older.generation.number() + 1, newest.generation.number());
    assert!(older.status.step < newest.status.step);
    assert!(older.skipped[0].message().contains("training.safetensors: this file differs from the manifest"));
    let (resumed, _) = trained(&folder, true, None).unwrap();
    assert_eq!(bits(&resumed), self::bits(&whole));
}

#[test]
fn the_best_and_the_last_are_kept() {
    let (_parent, folder) = folder();
    let (data, mut trainer) = (images(), model());
    let (training, validation) = (Subset::new(&data, 0..40).unwrap(), Subset::new(&data, 40..50).unwrap());
    let mut checkpoint = Checkpoint::new(&folder).every(Every::Steps(2)).keep_last(3).keep_best("val_loss");
    let options = options().until_epoch(8).validation(&validation).callback(&mut checkpoint);
    trainer.fit(&training, options).unwrap();
    let best = checkpoint.best().unwrap().clone();
    let losses = trainer.state.history.iter().map(|record| record.value("val_loss").unwrap());
    let (least, epoch) = losses.zip(1..).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    assert_eq!((best.value, best.epoch), (least, epoch));
    let status = Resumed::read(&folder).unwrap().status;
    assert_eq!(status.best.as_ref(), Some(&best));
    let last = checkpoint.saved().unwrap();
    let mut kept: Vec<u64> = fs::read_dir(folder.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    kept.sort_unstable();
    let mut expected = vec![best.generation, last - 2, last - 1];
    expected.retain(|number| *number != last);
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(kept, expected);
    // The best one is a training too.
    if best.generation != last {
        let mut other = model();
        other.resume(folder.join("checkpoints").join(best.generation.to_string())).unwrap();
        assert_eq!(other.state.epoch, best.epoch);
    }
}

/// Sets a flag after a batch.
struct Interrupt<'a>(&'a std::sync::atomic::AtomicBool, u64);

impl Callback for Interrupt<'_> {
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.0.store(run.state.batches == self.1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn what_became_of_a_training() {
    let phase = |folder: &Path| Resumed::read(folder).unwrap().status.phase;
    let data = images();
    // Interrupted; the state is that of the moment, though the callbacks give the model other weights at the end.
    let (_parent, folder) = folder();
    let flag = std::sync::atomic::AtomicBool::new(false);
    let mut trainer = model();
    let options =
        options().callback(Ema::new(0.9)).callback(Interrupt(&flag, 9)).stop(&flag).callback(Checkpoint::new(&folder));
    trainer.fit(&data, options).unwrap();
    assert_eq!(phase(&folder), Phase::Stopped);
    let status = Resumed::read(&folder).unwrap().status;
    assert_eq!((status.epoch, status.epochs, status.batch, status.batches, status.step), (1, 4, 2, 7, 9));
    let mut resumed = model();
    resumed.resume(&folder).unwrap();
    resumed.fit(&data, self::options().callback(Ema::new(0.9)).callback(Checkpoint::new(&folder))).unwrap();
    assert_eq!(phase(&folder), Phase::Complete);
    let mut whole = model();
    whole.fit(&data, self::options().callback(Ema::new(0.9))).unwrap();
    assert_eq!(bits(&resumed), bits(&whole));
    // A callback has ended it after an epoch.
    let (_parent, folder) = crate::checkpoint::folder();
    let end = TerminateOn::new("loss").above(0.0);
    model().fit(&data, self::options().callback(end).callback(Checkpoint::new(&folder))).unwrap();
    assert_eq!((phase(&folder), Resumed::read(&folder).unwrap().status.epoch), (Phase::Complete, 1));
    // A loss that is not finite.
    struct Spoil;
    impl Callback for Spoil {
        fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
            let nan = if run.state.epoch == 1 { f64::NAN } else { return Ok(()) };
            run.model.parameters_mut()[0].1.value_mut().fill(nan)
        }
    }
    let (_parent, folder) = crate::checkpoint::folder();
    let mut trainer = model();
    let error = trainer.fit(&data, self::options().callback(Spoil).callback(Checkpoint::new(&folder))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged);
    let diverged = Resumed::read(&folder).unwrap();
    assert_eq!((diverged.status.phase, diverged.status.epoch, diverged.status.batch), (Phase::Diverged, 1, 0));
    let mut kept = model();
    kept.resume_from(&diverged).unwrap();
    assert_eq!(kept.objective.state_dict().len(), trainer.objective.state_dict().len());
    for (name, value) in kept.objective.state_dict() {
        let (a, b) = (value.to_f64_vec().unwrap(), trainer.objective.state_dict()[&name].to_f64_vec().unwrap());
        assert_eq!(a, b, "{name}");
        assert!(a.iter().all(|number| number.is_finite()));
    }
}

/// A callback that ends the training with an epoch has ended it, also where the process is killed before the last checkpoint.
#[test]
fn a_training_that_a_callback_has_ended_is_not_gone_on_with() {
    struct KillAtEnd;
    impl Callback for KillAtEnd {
        fn on_fit_end(&mut self, _: &mut Run<'_>) -> Result<()> {
            Err(kiln_tensor::Error::value("kill", "killed"))
        }
    }
    let data = images();
    let goal = || TerminateOn::new("loss").above(0.0);
    let mut whole = model();
    whole.fit(&data, options().callback(goal())).unwrap();
    assert_eq!(whole.state.epoch, 1);
    let (_parent, folder) = folder();
    // Before or after the callback that ends it.
    for first in [true, false] {
        let checkpoint = || every_step(&folder).keep_best("loss").replace(true);
        let ordered = |options: FitOptions<'static>, checkpoint: Checkpoint<'static>| match first {
            true => options.callback(checkpoint).callback(goal()),
            false => options.callback(goal()).callback(checkpoint),
        };
        model().fit(&data, ordered(options(), checkpoint()).callback(KillAtEnd)).unwrap_err();
        assert_eq!(Resumed::read(&folder).unwrap().status.epoch, 0, "the last checkpoint before the end of the epoch");
        let mut resumed = model();
        resumed.resume(&folder).unwrap();
        resumed.fit(&data, ordered(options(), checkpoint())).unwrap();
        assert_eq!(bits(&resumed), bits(&whole));
        assert_eq!(Resumed::read(&folder).unwrap().status.phase, Phase::Complete);
    }
}

#[test]
fn a_best_by_another_number_is_dropped() {
    let (_parent, folder) = folder();
    let data = images();
    let fit = |epochs: usize, monitor: &str, resume: bool| {
        let mut trainer = model();
        if resume {
            trainer.resume(&folder).unwrap();
        }
        let mut checkpoint = Checkpoint::new(&folder).every(Every::Steps(3)).keep_best(monitor);
        trainer.fit(&data, options().until_epoch(epochs).callback(&mut checkpoint)).unwrap();
        checkpoint.best().cloned().unwrap()
    };
    let first = fit(2, "accuracy", false);
    let second = fit(3, "loss", true);
    assert_eq!((first.monitor.as_str(), second.monitor.as_str(), second.epoch), ("accuracy", "loss", 3));
    let third = fit(4, "loss", true);
    assert!(third.value <= second.value);
}

#[test]
fn bad_input() {
    let (parent, folder) = folder();
    let data = images();
    let says = |error: kiln_tensor::Error| error.message().to_owned();
    let resume = |folder: &Path| says(model().resume(folder).map(drop).unwrap_err());
    assert!(resume(&folder).ends_with("run: there is no such folder"));
    assert!(resume(parent.path()).ends_with("so this is no run"));
    let fit = |checkpoint: Checkpoint<'_>| model().fit(&data, options().callback(checkpoint));
    fit(Checkpoint::new(&folder)).unwrap();
    // Another run is there; it stays whole.
    let before = fs::read(folder.join("manifest.json")).unwrap();
    assert!(says(fit(Checkpoint::new(&folder)).unwrap_err()).contains("run: this folder has a run: resume it"));
    assert_eq!(fs::read(folder.join("manifest.json")).unwrap(), before);
    // Another model: all names, and nothing is changed.
    let mut other = model_of(9);
    let weights = bits(&other);
    let error = says(other.resume(&folder).map(drop).unwrap_err());
    assert!(error.contains("run: ") && error.contains("1.weight") && error.contains("4.weight"), "{error}");
    assert_eq!(bits(&other), weights);
    // Another process, or another training in this one.
    let mut first = Checkpoint::new(folder.with_file_name("busy"));
    first.lock().unwrap();
    let busy = says(fit(Checkpoint::new(folder.with_file_name("busy"))).unwrap_err());
    assert!(busy.contains(&format!("busy: process {} is writing here", std::process::id())), "{busy}");
    // A training that goes on elsewhere begins a new run there; it is replaced where that is asked for.
    let mut trainer = model();
    trainer.resume(&folder).unwrap();
    let elsewhere = folder.with_file_name("elsewhere");
    trainer.fit(&data, options().until_epoch(5).callback(Checkpoint::new(&elsewhere))).unwrap();
    assert_eq!(Resumed::read(&elsewhere).unwrap().status.epoch, 5);
    fit(Checkpoint::new(&elsewhere).replace(true)).unwrap();
    assert_eq!(Resumed::read(&elsewhere).unwrap().status.epoch, 4);
    // Settings.
    assert!(says(fit(Checkpoint::new(&folder).keep_last(0)).unwrap_err()).contains("at least 1"));
    let missing = says(fit(Checkpoint::new(folder.with_file_name("x")).keep_best("val_loss")).unwrap_err());
    assert!(missing.contains("no epoch reports `val_loss`"), "{missing}");
    assert!(!folder.with_file_name("x").exists());
    fs::write(folder.join("manifest.json"), "{\"format\": 9}").unwrap();
    assert!(resume(&folder).contains("format 9 is newer than this version of Kiln reads"));
}

#[test]
fn a_checkpoint_that_fails_leaves_the_one_before() {
    let (_parent, folder) = folder();
    let data = images();
    /// Puts a folder in the place of a file, and takes it away again.
    struct Block(PathBuf);
    impl Callback for Block {
        fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
            match run.state.batches {
                8 => fs::create_dir_all(self.0.join("notes.txt/in")).unwrap(),
                28 => fs::remove_dir_all(self.0.join("notes.txt")).unwrap(),
                _ => {}
            }
            Ok(())
        }
    }
    let mut failures = Vec::new();
    struct Attach;
    impl Callback for Attach {
        fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
            if run.state.batches > 8 {
                run.attach("notes.txt", run.state.batches.to_string().into_bytes());
            }
            Ok(())
        }
    }
    let checkpoint = Checkpoint::new(&folder)
        .every(Every::Steps(1))
        .keep_best("loss")
        .on_failure(|error| failures.push(error.message().to_owned()));
    let options = options().callback(Block(folder.clone())).callback(Attach).callback(checkpoint);
    model().fit(&data, options).unwrap();
    assert!(
        !failures.is_empty()
            && failures.iter().all(|text| text.contains("notes.txt: cannot be written: this is a folder"))
    );
    let resumed = Resumed::read(&folder).unwrap();
    assert_eq!(
        (resumed.status.phase, resumed.generation.read("notes.txt").unwrap()),
        (Phase::Complete, b"28".to_vec())
    );
}
