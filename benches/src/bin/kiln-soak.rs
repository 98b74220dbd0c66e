//! One process that trains, saves, resumes, evaluates and predicts again and again: what it holds of the memory must not grow.
//!
//! `cargo xtask torture --soak` runs it. Each line is the memory after some rounds; the last one is an object of JSON.

use clap::Parser;
use kiln::prelude::*;
use kiln::train::{Checkpoint, Every};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Trains again and again and watches the memory of its process.
#[derive(Parser)]
#[command(name = "kiln-soak")]
struct Arguments {
    /// For how long
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
}

/// The part of the time after which the memory must stay as it is, and by which share it may grow then.
const WARM_UP: f64 = 0.2;
const GROWTH: f64 = 0.01;

/// A dense network, or a convolutional one with buffers and random numbers.
fn model(convolutional: bool, seed: u64) -> Result<Sequential> {
    let device = Device::cpu();
    if !convolutional {
        let hidden = Dense::new(128).activation(Activation::Relu);
        return Sequential::new().push(Flatten::new()).push(hidden).push(Dense::new(10)).build([28, 28], &device, seed);
    }
    Sequential::new()
        .push(Reshape::new([1, 28, 28]))
        .push(Conv2d::new(8, 5))
        .push(BatchNorm2d::new().activation(Activation::Relu))
        .push(MaxPool2d::new(4))
        .push(Flatten::new())
        .push(Dropout::new(0.2))
        .push(Dense::new(10))
        .build([28, 28], &device, seed)
}

/// Images of noise, each of some class.
struct Data {
    images: Tensor,
    data: TensorDataset,
}

impl Data {
    fn new(count: usize, seed: u64) -> Result<Data> {
        let (device, stream) = (Device::cpu(), RandomStream::new(seed, Purpose::Data, 0));
        let images = Tensor::normal([count, 28, 28], 0.0, 1.0, DType::F32, &device, stream)?;
        let classes: Vec<i64> = (0..count as i64).map(|index| index % 10).collect();
        let data = TensorDataset::new(images.clone(), Tensor::from_slice(&classes, [count], &device)?)?;
        Ok(Data { images, data })
    }
}

/// A training of an epoch with checkpoints, one that goes on from its last one for another epoch, an evaluation and predictions.
fn round(data: &[Data; 2], folder: &Path, number: u64) -> Result<f64> {
    let [train, test] = data;
    let trainer = || {
        let model = model(number % 2 == 1, number)?;
        Ok::<_, Error>(compile(model, Adam::new(0.001), SparseCategoricalCrossentropy::from_logits()).metric(Accuracy))
    };
    let run = folder.join(format!("run-{number}"));
    for epochs in 1..=2 {
        let mut trainer = trainer()?;
        if epochs == 2 {
            trainer.resume(&run)?;
        }
        let checkpoint = Checkpoint::new(&run).every(Every::Steps(7)).keep_best("val_loss");
        let options = FitOptions::new().until_epoch(epochs).seed(number).validation(&test.data).quiet();
        trainer.fit(&train.data, options.callback(checkpoint))?;
        if epochs == 2 {
            let accuracy = trainer.evaluate(&test.data)?.accuracy();
            trainer.predict(&test.images)?;
            std::fs::remove_dir_all(&run).map_err(|error| io(&run, &error))?;
            return Ok(accuracy);
        }
    }
    Ok(f64::NAN)
}

fn io(path: &Path, error: &std::io::Error) -> Error {
    Error::new(kiln::ErrorKind::Io, "soak", format!("{}: {error}", path.display()))
}

/// Megabytes of this process that lie in memory; none where the system does not say.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0 / 1e6)
}

/// The middle of some numbers.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn soak(arguments: &Arguments) -> Result<bool> {
    let data = [Data::new(2000, 1)?, Data::new(500, 2)?];
    let folder = std::env::temp_dir().join(format!("kiln-soak-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| io(&folder, &error))?;
    let (start, all) = (Instant::now(), Duration::from_secs_f64(60.0 * arguments.minutes));
    let (mut memory, mut told) = (Vec::new(), Duration::ZERO);
    while start.elapsed() < all {
        let accuracy = round(&data, &folder, memory.len() as u64)?;
        let Some(resident) = resident() else {
            return Err(Error::new(
                kiln::ErrorKind::Unsupported,
                "soak",
                "this system does not say what a process holds",
            ));
        };
        memory.push((start.elapsed(), resident));
        if start.elapsed() > told {
            println!(
                "{:4.0} s: round {}, {resident:.1} MB, accuracy {accuracy:.3}",
                start.elapsed().as_secs_f64(),
                memory.len()
            );
            told += all / 20;
        }
    }
    std::fs::remove_dir_all(&folder).map_err(|error| io(&folder, &error))?;
    let between = |from: f64, to: f64| {
        let within = |time: &Duration| *time >= all.mul_f64(from) && *time < all.mul_f64(to);
        median(memory.iter().filter(|(time, _)| within(time)).map(|(_, resident)| *resident).collect())
    };
    let (warm, end) = (between(WARM_UP, WARM_UP + 0.2), between(0.8, 2.0));
    let most = memory.iter().map(|(_, resident)| *resident).fold(0.0, f64::max);
    let flat = end <= warm * (1.0 + GROWTH);
    let line = serde_json::json!({
        "task": "soak", "minutes": arguments.minutes, "rounds": memory.len(), "warm_mb": warm, "end_mb": end, "most_mb": most,
        "growth": end / warm - 1.0, "flat": flat,
    });
    println!("{line}");
    Ok(flat)
}

fn main() -> ExitCode {
    match soak(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: the memory of the process has grown by more than {:.0} %", 100.0 * GROWTH);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
