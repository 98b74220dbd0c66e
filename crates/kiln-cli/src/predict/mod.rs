//! `kiln predict`.

mod sheet;
mod texts;

use crate::arguments::PredictOptions;
use crate::pool::in_pool;
use crate::report::{line, plain};
use crate::run_folder::Run;
use kiln::ErrorKind;
use kiln::datasets::ImageFiles;
use kiln::prelude::*;
use kiln::trained::{Input, Predictions};
use serde_json::json;
use sheet::Sheet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Samples at a time, where the run does not say what it was trained with.
const BATCH: usize = 32;
/// How many classes are named.
const TOP: usize = 3;

pub(crate) fn run(options: &PredictOptions) -> Result<()> {
    in_pool(options.opening.computing.threads, || {
        let device = options.opening.computing.device.open()?;
        device.session(|| predict(options, &device))
    })
}

fn predict(options: &PredictOptions, device: &Device) -> Result<()> {
    let mut run = Run::open(&options.run, options.opening.accept_changed, device)?;
    run.trained.batch_size = options.batch_size.map(NonZeroUsize::get).or(run.batch_size()?).unwrap_or(BATCH);
    let several = options.inputs.iter().filter(|input| input.exists()).count() > 1;
    let mut table = options.out.as_deref().map(|out| Sheet::new(out, several)).transpose()?;
    run.expect_tokenizer()?;
    match &run.trained.input {
        Some(Input::Table(_)) => of_tables(options, &run, &mut table)?,
        Some(input @ (Input::Digits | Input::Images(_))) => of_images(options, &run, input, &mut table)?,
        Some(Input::Text(texts)) => texts::classified(options, &run, Some(texts), &mut table)?,
        Some(Input::WholeText(_)) => texts::classified(options, &run, None, &mut table)?,
        Some(Input::Pairs(pairs)) => texts::translated(options, &run, pairs, &mut table)?,
        Some(Input::Series(_)) => of_series(options, &run)?,
        Some(Input::Tokens(_)) => return Err(unsupported(&run, "writes text: use `kiln generate`")),
        _ if run.trained.classes.is_empty() => {
            return Err(unsupported(&run, "names no classes; `kiln generate` draws what models of images make"));
        }
        _ => return Err(unsupported(&run, "does not say how files become its inputs")),
    }
    match table {
        Some(table) => table.write(options.json),
        None => Ok(()),
    }
}

fn unsupported(run: &Run, why: &str) -> Error {
    let message = format!("{}: {} {why}", run.description.display(), run.name());
    Error::new(ErrorKind::Unsupported, "", message)
}

/// What comes after the newest rows of series.
fn of_series(options: &PredictOptions, run: &Run) -> Result<()> {
    if let Some(out) = &options.out {
        return Err(Error::value(
            "",
            format!("--out {}: series are predicted in lines, or with --json", out.display()),
        ));
    }
    for path in &options.inputs {
        let predictions = run.trained.predict_series(&run.trained.open_csv(path)?)?;
        let object = json!({ "result": "predict", "file": path.to_string_lossy() });
        report(options, &path.display().to_string(), object, &predictions, 0);
    }
    Ok(())
}

/// The rows of CSV files.
fn of_tables(options: &PredictOptions, run: &Run, sheet: &mut Option<Sheet>) -> Result<()> {
    for path in &options.inputs {
        let predictions = run.trained.predict_csv(&run.trained.open_csv(path)?)?;
        of_parts(options, path, "row", &predictions, sheet);
    }
    Ok(())
}

/// Says what the parts of a file, which are counted from 1, were taken for.
fn of_parts(options: &PredictOptions, path: &Path, part: &str, predictions: &Predictions, sheet: &mut Option<Sheet>) {
    for at in 0..predictions.len() {
        let name = format!("{}: {part} {}", path.display(), at + 1);
        let object = json!({ "result": "predict", "file": path.to_string_lossy(), part: at + 1 });
        report(options, &name, object, predictions, at);
    }
    if let Some(sheet) = sheet {
        sheet.add(path, |at| (at + 1).to_string(), part, predictions);
    }
}

/// Images in files, and in folders of them.
fn of_images(options: &PredictOptions, run: &Run, input: &Input, sheet: &mut Option<Sheet>) -> Result<()> {
    if run.trained.classes.is_empty() {
        return Err(unsupported(run, "names no classes; `kiln generate` draws what it makes"));
    }
    let files = files(&options.inputs)?;
    for images in files.chunks(run.trained.batch_size) {
        let inputs = input.images(images, &Device::cpu())?;
        run.expect_input("images", &inputs.dims()[1..])?;
        let predictions = run.trained.predict(&inputs)?;
        for (at, path) in images.iter().enumerate() {
            let object = json!({ "result": "predict", "image": path.to_string_lossy() });
            report(options, &path.display().to_string(), object, &predictions, at);
        }
        if let Some(sheet) = sheet {
            sheet.add(Path::new(""), |at| images[at].to_string_lossy().into_owned(), "image", &predictions);
        }
    }
    Ok(())
}

/// The files that are named, and the images in folders that are named, in order.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => files.extend_from_slice(ImageFiles::unlabeled(path)?.files()),
            false => files.push(path.clone()),
        }
    }
    Ok(files)
}

/// Says what a sample was taken for.
fn report(options: &PredictOptions, name: &str, mut object: serde_json::Value, predictions: &Predictions, at: usize) {
    let top = predictions.top(at, TOP);
    if options.json {
        if top.is_empty() {
            object["prediction"] = numbers(predictions.values(at));
        } else {
            let top = top.iter().map(|(class, probability)| json!({ "class": class, "probability": probability }));
            object["top"] = top.collect();
        }
        line(&object);
    } else if options.out.is_none() {
        let said: Vec<String> = match top.is_empty() {
            true => predictions.values(at).iter().map(|value| format!("{value:.6}")).collect(),
            false => top.iter().map(|(class, probability)| format!("{class} {probability:.4}")).collect(),
        };
        plain(&format!("{name}: {}", said.join("  ")));
    }
}

fn numbers(values: &[f64]) -> serde_json::Value {
    match values {
        [one] => (*one).into(),
        several => json!(several),
    }
}
