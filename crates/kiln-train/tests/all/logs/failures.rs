//! Logs that cannot be written, and files that they would spoil.

use super::{EVENTS, Folder, Model, images, model};
use kiln_datasets::ImageDataset;
use kiln_tensor::ErrorKind;
use kiln_train::*;
use std::fs;
use std::sync::{Arc, Mutex};

#[test]
fn a_training_that_begins_replaces_logs_and_refuses_what_it_would_spoil() {
    let (data, test) = (images(16), images(9));
    let folder = Folder::new("anew");
    for _ in 0..2 {
        model().fit(&data, super::options(&folder.0, &test)).unwrap();
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
    let error = model().fit(&data, FitOptions::new().callback(CsvLog::new("x").steps("y", 0))).unwrap_err();
    assert!(error.to_string().contains("at least 1 step is needed"), "{error}");
}

/// What a log told of.
type Told = Arc<Mutex<Vec<String>>>;

fn fit(trainer: &mut Model, data: &ImageDataset, log: impl Callback) {
    trainer.fit(data, FitOptions::new().epochs(2).batch_size(8).quiet().callback(log)).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_log_that_cannot_be_written_is_told_once_and_the_training_goes_on() {
    let data = images(16);
    let (mut csv, mut lines) = (CsvLog::new("/dev/full"), JsonLinesLog::new("/dev/full").every_steps(1));
    let told = Told::default();
    let note = |told: &Told| {
        let told = Arc::clone(told);
        move |error: &kiln_tensor::Error| told.lock().unwrap().push(error.to_string())
    };
    (csv, lines) = (csv.on_failure(note(&told)), lines.on_failure(note(&told)));
    let mut trainer = model();
    fit(&mut trainer, &data, &mut csv);
    fit(&mut trainer, &data, &mut lines);
    assert_eq!(trainer.state.epoch, 4);
    let told = told.lock().unwrap();
    assert!(
        told.len() == 2 && told.iter().all(|error| error.contains("/dev/full: the log cannot be written")),
        "{told:?}"
    );
    assert_eq!([csv.failure(), lines.failure()].map(|error| error.map(|error| error.kind())), [Some(ErrorKind::Io); 2]);
}
