//! A GRU forecasts a time series: from three days of hours, the twelve that follow.
//!
//! ```sh
//! cargo run --release -p kiln --example forecast     # draws forecast.png
//! ```

mod plot;

use kiln::prelude::*;
use plot::{BLUE, GRAY, ORANGE, Panel};
use std::f64::consts::TAU;
use std::path::Path;

/// Hours of a day, of a window, and of what is foretold.
const DAY: usize = 24;
const WINDOW: usize = 3 * DAY;
const HORIZON: usize = 12;

/// A daily wave that is high at some times and low at others, as a week's; noise of 0.1.
fn series(from: usize, hours: usize) -> Result<Tensor> {
    let wave = |t: usize| {
        let t = t as f64;
        (TAU * t / DAY as f64).sin() * (1.0 + 0.6 * (TAU * t / (7 * DAY) as f64).sin())
    };
    let values = (from..from + hours).map(|t| wave(t) as f32).collect();
    let cpu = Device::cpu();
    let noise =
        Tensor::normal([hours, 1], 0.0, 0.1, DType::F32, &cpu, RandomStream::new(1, Purpose::Data, from as u64))?;
    Tensor::from_vec(values, [hours, 1], &cpu)?.add(&noise)
}

fn model() -> Result<Sequential> {
    Sequential::new().push(Gru::new(32)).push(Dense::new(HORIZON)).build([WINDOW, 1], &Device::cpu(), 1)
}

/// The root of the mean squared distance.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

/// Trains on ninety days; gives how far off on the next thirty the model is, and how far off yesterday's same hours are.
fn compare(path: &Path, epochs: usize) -> Result<[f64; 2]> {
    let past = SeriesWindows::new(&series(0, 90 * DAY)?, WINDOW)?.horizon(HORIZON);
    let hours = series(90 * DAY, 30 * DAY)?;
    let future = SeriesWindows::new(&hours, WINDOW)?.horizon(HORIZON);

    let mut trainer = compile(model()?, Adam::new(0.005).clip_norm(1.0), MeanSquaredError::new());
    trainer.fit(&past, FitOptions::new().epochs(epochs).batch_size(32).seed(1))?;

    let windows: Vec<usize> = (0..future.len()).collect();
    let foretold = trainer.predict(&future.batch(&windows, &[], &Device::cpu())?.inputs)?.to_f64_vec()?;
    let hours = hours.to_f64_vec()?;
    let after = |start: usize, lag: usize| hours[start + WINDOW - lag..][..HORIZON].iter().copied();
    let truth: Vec<f64> = (0..future.len()).flat_map(|start| after(start, 0)).collect();
    let yesterday: Vec<f64> = (0..future.len()).flat_map(|start| after(start, DAY)).collect();
    let distances = [distance(&foretold, &truth), distance(&yesterday, &truth)];

    // A week: each window's end is where the one before it had foretold to.
    let at = |values: Vec<f64>, from: usize| values.into_iter().enumerate().map(move |(i, y)| ((from + i) as f64, y));
    let said =
        (0..7 * DAY).step_by(HORIZON).flat_map(|start| at(foretold[start * HORIZON..][..HORIZON].to_vec(), start));
    let title = format!("twelve hours ahead: off by {:.3}, yesterday by {:.3}", distances[0], distances[1]);
    let panel = Panel::new(&title, ("hour", 0.0..7.0 * DAY as f64), ("value", -2.0..2.8))
        .dots("measured", GRAY, at(hours[WINDOW..][..7 * DAY].to_vec(), 0).collect())
        .line("foretold", ORANGE, said.collect())
        .dashed("yesterday", BLUE, at(hours[WINDOW - DAY..][..7 * DAY].to_vec(), 0).collect());
    plot::save(path, 1, &[panel])?;
    Ok(distances)
}

fn main() -> Result<()> {
    let [model, yesterday] = compare(Path::new("forecast.png"), 20)?;
    println!("the next {HORIZON} hours: off by {model:.3}; with yesterday's hours {yesterday:.3}; the noise is 0.1");
    println!("drawn to forecast.png");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_nearer_than_yesterday() {
        let path = std::env::temp_dir().join(format!("kiln-forecast-{}.png", std::process::id()));
        let [model, yesterday] = compare(&path, 6).unwrap();
        assert!(plot::ink(&path).2);
        std::fs::remove_file(path).unwrap();
        // The noise of an hour, which nobody can predict, is 0.1.
        assert!(0.09 < model && model < 0.75 * yesterday, "off by {model}, yesterday by {yesterday}");
    }
}
