//! `kiln predict`.

use crate::arguments::PredictOptions;
use crate::pool::in_pool;
use crate::report::{line, plain};
use crate::run_folder::Run;
use kiln::ErrorKind;
use kiln::datasets::{Csv, ImageFiles, load_text};
use kiln::prelude::*;
use kiln::store::write_atomically;
use kiln::trained::{Input, Predictions};
use serde_json::json;
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
    let mut table = options.out.as_deref().map(|out| Sheet::new(out, options.inputs.len() > 1)).transpose()?;
    run.expect_tokenizer()?;
    match &run.trained.input {
        Some(Input::Table(_)) => of_tables(options, &run, &mut table)?,
        Some(input @ (Input::Digits | Input::Images(_))) => of_images(options, &run, input, &mut table)?,
        Some(Input::Text(_) | Input::WholeText(_)) => of_texts(options, &run, &mut table)?,
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

/// The texts of files: the column of texts of a CSV file, the lines of another.
fn of_texts(options: &PredictOptions, run: &Run, sheet: &mut Option<Sheet>) -> Result<()> {
    for path in &options.inputs {
        let mut texts = Vec::new();
        if is_table(path) {
            let csv = run.trained.open_csv(path)?;
            csv.for_each(&[text_column(run, &csv, path)?], |values| {
                texts.push(values[0].unwrap_or_default().to_owned());
                Ok(())
            })?;
        } else {
            texts.extend(load_text(path)?.lines().map(str::to_owned));
        }
        of_parts(options, path, "text", &run.trained.predict_texts(&texts)?, sheet);
    }
    Ok(())
}

/// The column of a table that has the texts: that of the training, or the only one.
fn text_column<'a>(run: &'a Run, csv: &'a Csv, path: &Path) -> Result<&'a str> {
    match (&run.trained.input, csv.columns()) {
        (Some(Input::Text(encoder)), _) => Ok(encoder.text()),
        (_, [column]) => Ok(column),
        (_, columns) => {
            let message = format!(
                "{}: one column is expected, that of the texts, and there are {}; a text file has a text in each line",
                path.display(),
                columns.len()
            );
            Err(Error::value("", message))
        }
    }
}

/// Whether a file is a table, by its name.
fn is_table(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| ["csv", "tsv", "parquet", "arrow", "feather"].contains(&extension.as_str()))
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

/// A file of predictions: CSV, or JSON with one object for each sample.
struct Sheet {
    path: PathBuf,
    json: bool,
    /// Whether the samples are of several files, whose names are then a column.
    several: bool,
    text: String,
}

impl Sheet {
    fn new(path: &Path, several: bool) -> Result<Sheet> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension {
            "csv" | "json" => {
                Ok(Sheet { path: path.to_owned(), json: extension == "json", several, text: String::new() })
            }
            _ => Err(Error::value(
                "",
                format!("--out {}: a file that ends with .csv or .json is expected", path.display()),
            )),
        }
    }

    /// Adds predictions for a file; `name` says what each is for, under the heading `key`. Images have names of their own.
    fn add(&mut self, file: &Path, name: impl Fn(usize) -> String, key: &str, predictions: &Predictions) {
        let classes = predictions.classes();
        let file = (self.several && key != "image").then(|| file.to_string_lossy());
        if !self.json && self.text.is_empty() {
            let of_classes = classes.iter().map(|class| cell(&format!("p({class})")));
            let names = [key.to_owned(), "prediction".to_owned()];
            let columns: Vec<String> = file.iter().map(|_| "file".to_owned()).chain(names).chain(of_classes).collect();
            self.text = columns.join(",") + "\n";
        }
        for at in 0..predictions.len() {
            let values = predictions.values(at);
            if self.json {
                let mut object = json!({ key: name(at) });
                if let Some(file) = &file {
                    object["file"] = file.as_ref().into();
                }
                object["prediction"] = predictions.class(at).map_or_else(|| numbers(values), Into::into);
                if !classes.is_empty() {
                    let each = classes.iter().cloned().zip(values.iter().map(|&value| value.into()));
                    object["probabilities"] = serde_json::Value::Object(each.collect());
                }
                self.text += if self.text.is_empty() { "[\n" } else { ",\n" };
                self.text += &object.to_string();
                continue;
            }
            let (of_file, said) = (file.as_deref().map(cell), predictions.class(at).map(cell));
            let cells: Vec<String> = (of_file.into_iter().chain([cell(&name(at))]).chain(said))
                .chain(values.iter().map(f64::to_string))
                .collect();
            self.text += &(cells.join(",") + "\n");
        }
    }

    fn write(mut self, json: bool) -> Result<()> {
        if self.json {
            self.text += if self.text.is_empty() { "[]\n" } else { "\n]\n" };
        }
        write_atomically(&self.path, self.text.as_bytes())?;
        match json {
            true => line(&json!({ "result": "predict", "out": self.path.to_string_lossy() })),
            false => plain(&format!("written to {}", self.path.display())),
        }
        Ok(())
    }
}

/// A value of a CSV file, in quotes where it needs them.
fn cell(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
