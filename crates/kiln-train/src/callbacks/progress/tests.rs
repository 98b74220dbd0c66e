#![allow(clippy::unwrap_used)] // a panic is a test's report

use super::*;
use crate::{Accuracy, Evaluation, FitOptions, compile};
use kiln_datasets::{Batch, Dataset, TensorDataset};
use kiln_nn::{Dense, MeanSquaredError, Sequential};
use kiln_optim::Sgd;
use kiln_tensor::{DType, Device, Result, Tensor};
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::sleep;

/// A terminal that keeps what is written to it.
#[derive(Clone, Debug)]
struct Recorder {
    width: u16,
    written: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    fn new(width: u16) -> Self {
        Recorder { width, written: Arc::default() }
    }

    fn bar(&self) -> ProgressBar {
        ProgressBar::on(Some(Box::new(self.clone())))
    }

    fn write(&self, text: String) -> io::Result<()> {
        self.written.lock().unwrap().push(text);
        Ok(())
    }

    /// What was written since the last call; a cleared line is `-`.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.written.lock().unwrap())
    }
}

impl TermLike for Recorder {
    fn width(&self) -> u16 {
        self.width
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write(format!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        self.write(text.to_owned())
    }
    fn clear_line(&self) -> io::Result<()> {
        self.write("-".to_owned())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

const PHASE: Phase = Phase { epoch: 3, validation: false, batches: 10, samples: 1000 };

#[test]
fn the_first_readings_have_no_rate_and_later_ones_the_right_one() {
    let screen = Recorder::new(121);
    let mut bar = screen.bar();
    let so_far = || (Some(0.5), Some(("accuracy", 0.75)));
    bar.epochs = 10;
    bar.begin_phase(PHASE);
    assert_eq!(screen.take(), ["-", &format!("epoch  3/10 [{}]\r", " ".repeat(40))]);
    // A first batch that takes longer than the others.
    sleep(3 * REDRAW);
    // The bar reads the clock within `end_batch`.
    let begun = Instant::now();
    bar.end_batch(1, so_far);
    let text = screen.take().concat();
    assert!(text.ends_with("]  loss 0.5000  accuracy 0.7500\r"), "{text}");
    bar.end_batch(2, so_far);
    assert_eq!(screen.take(), [""; 0], "drawn too often");
    sleep(REDRAW);
    bar.end_batch(3, so_far);
    let text = screen.take().concat();
    // Two batches of 100 in this time.
    let most = 200.0 / REDRAW.as_secs_f64();
    let least = 200.0 / begun.elapsed().as_secs_f64();
    let rate: f64 = text.split(" samples/s").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((least - 1.0..=most + 1.0).contains(&rate), "{rate}, not from {least} to {most}: {text}");
    assert!(text.contains("  0:01 left"), "{text}");
    // The next pass knows nothing of the one before it.
    bar.begin_phase(Phase { validation: true, ..PHASE });
    sleep(REDRAW);
    bar.end_batch(1, so_far);
    let text = screen.take().concat();
    assert!(text.contains(" validation [") && !text.contains("/s"), "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_word_is_broken() {
    let evaluation = Evaluation { loss: 0.25, metrics: vec![("accuracy".into(), 0.5)], ..Evaluation::default() };
    let record = EpochRecord { epoch: 3, train: evaluation.clone(), validation: Some(evaluation), seconds: 1.5 };
    let whole = "epoch 3/10 validation [ ] loss 0.2500 accuracy 0.5000 images/s left";
    let known: Vec<&str> = whole.split(' ').chain(["samples/s", "1.50", "s"]).collect();
    for width in [20, 40, 60, 80, 120] {
        for validation in [false, true] {
            let screen = Recorder::new(width);
            let mut bar = screen.bar();
            bar.epochs = 10;
            bar.begin_phase(Phase { validation, ..PHASE });
            bar.end_batch(1, || (None, None));
            sleep(REDRAW);
            bar.end_batch(5, || (Some(0.25), Some(("accuracy", 0.5))));
            bar.end_epoch(&record);
            let written = screen.take();
            assert!(written.len() >= 4 && written.last().unwrap().ends_with('\n'), "{written:?}");
            for line in written.iter().flat_map(|text| text.lines()).map(|line| line.trim_end_matches('\r')) {
                assert!(line.len() <= usize::from(width), "{width}: {line:?}");
                for word in line.split(['[', ']', ' ', '=', '>', '-']).filter(|word| !word.is_empty()) {
                    let number = word.ends_with('%') || word.contains(':') || word.parse::<f64>().is_ok();
                    assert!(number || known.contains(&word), "{width}: {word:?} of {line:?}");
                }
            }
        }
    }
}

/// Takes its time for each batch.
struct Slow(TensorDataset);

impl Dataset for Slow {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn input_shape(&self) -> &[usize] {
        self.0.input_shape()
    }
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        sleep(REDRAW / 2);
        self.0.batch(indices, upcoming, device)
    }
}

fn data(samples: usize) -> TensorDataset {
    let ones = |columns| Tensor::ones([samples, columns], DType::F32, &Device::cpu()).unwrap();
    TensorDataset::new(ones(2), ones(1)).unwrap()
}

fn fit(data: &dyn Dataset, options: FitOptions<'_>) -> Result<()> {
    let model = Sequential::new().push(Dense::new(1)).build([2], &Device::cpu(), 1)?;
    let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new()).metric(Accuracy);
    trainer.fit(data, options).map(drop)
}

#[test]
fn fit_shows_training_and_validation_and_leaves_a_line() {
    let (train, slow, screen) = (data(96), Slow(data(128)), Recorder::new(80));
    let options = || FitOptions::new().epochs(2).validation(&slow).progress(screen.bar());
    fit(&train, options()).unwrap();
    let written = screen.take();
    let of = |word: &str| written.iter().filter(|text| text.starts_with(word)).count();
    assert!(of("epoch 1/2 [") >= 1 && of("epoch 1/2 validation [") >= 1, "{written:?}");
    assert_eq!((of("epoch 1/2  loss "), of("epoch 2/2  loss ")), (1, 1), "{written:?}");
    // Nothing is left of the bar below the last line.
    assert!(written.last().unwrap().ends_with(" s\n"), "{written:?}");
    fit(&train, options().quiet()).unwrap();
    assert_eq!(screen.take(), [""; 0]);
    fit(&train, options().progress(screen.bar().epoch_lines(false))).unwrap();
    let written = screen.take();
    assert!(written.iter().all(|text| !text.contains('\n')) && written.last().unwrap() == "-", "{written:?}");
}

#[test]
fn a_training_that_fails_leaves_no_bar() {
    let screen = Recorder::new(80);
    let wide = Tensor::ones([4, 3], DType::F32, &Device::cpu()).unwrap();
    let wrong = TensorDataset::new(wide.clone(), wide).unwrap();
    assert!(fit(&wrong, FitOptions::new().progress(screen.bar())).is_err());
    assert_eq!(screen.take().last().unwrap(), "-");
}

#[test]
fn of_short_epochs_the_first_and_the_last_leave_a_line() {
    let screen = Recorder::new(80);
    fit(&data(4), FitOptions::new().epochs(3000).progress(screen.bar())).unwrap();
    let lines: Vec<String> = screen.take().into_iter().filter(|text| text.ends_with('\n')).collect();
    assert!(lines[0].starts_with("epoch    1/3000  loss") && lines.len() < 1000, "{} lines", lines.len());
    assert!(lines.last().unwrap().starts_with("epoch 3000/3000  loss"));
    let numbers = lines.iter().map(|line| line[6..10].trim());
    let numbers: std::collections::BTreeSet<&str> = numbers.collect();
    assert_eq!(numbers.len(), lines.len(), "an epoch leaves one line");
}
