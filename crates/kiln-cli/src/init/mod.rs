//! `kiln init`: looks at a user's data and writes settings to begin with.

mod csv;
mod images;
mod text;

use crate::arguments::{InitCommand, InitOptions};
use crate::report::plain;
use crate::settings::Settings;
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::store::write_atomically;
use std::path::{Path, PathBuf};

pub(crate) fn run(command: &InitCommand) -> Result<()> {
    match command {
        InitCommand::Csv { file, target, delimiter, options } => {
            write(options, file, |path| csv::settings(file, path, target, delimiter.as_deref()))
        }
        InitCommand::Text { file, text, target, options } => {
            write(options, file, |path| text::settings(file, path, [text.as_deref(), target.as_deref()]))
        }
        InitCommand::Images { folder, options } => write(options, folder, |path| images::settings(folder, path)),
    }
}

/// What was found, a line each, and the settings.
struct Found {
    report: Vec<String>,
    toml: String,
}

/// Writes the settings that `make` gives for the data's path as they name it.
fn write(options: &InitOptions, data: &Path, make: impl FnOnce(&str) -> Result<Found>) -> Result<()> {
    let out = options.out.clone().unwrap_or_else(|| default_name(data));
    if out.exists() && !options.force {
        let message =
            format!("{}: this file is there already; --force replaces it, or name another with --out", out.display());
        return Err(Error::new(ErrorKind::Io, "", message));
    }
    let found = make(&path_from(&out, data)?)?;
    // What is written must be readable: a fault here is the command's.
    Settings::parse(&found.toml, &out)?;
    write_atomically(&out, found.toml.as_bytes())?;
    found.report.iter().for_each(|line| plain(line));
    plain(&format!("written to {}: `kiln train --config {} --out runs/first` trains it", out.display(), out.display()));
    Ok(())
}

/// `data/iris.csv` → `iris.toml`, in the current folder.
fn default_name(data: &Path) -> PathBuf {
    let whole = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    Path::new(whole.file_stem().unwrap_or("model".as_ref())).with_extension("toml")
}

/// The data's path as a settings file names it: from the file's folder where it lies in it, else from the root.
fn path_from(out: &Path, data: &Path) -> Result<String> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|e| Error::new(ErrorKind::Io, "", format!("{}: {e}", path.display())))
    };
    let (data, out) = (absolute(data)?, absolute(out)?);
    let inside = out.parent().and_then(|folder| data.strip_prefix(folder).ok());
    Ok(inside.unwrap_or(&data).to_string_lossy().into_owned())
}

/// Lines as comments. Names may hold line breaks and other signs that no comment may have.
fn comments<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let comment = |line: S| format!("# {}", line.as_ref().trim_end().chars().map(plain).collect::<String>());
    lines.into_iter().map(|line| comment(line).trim_end().to_owned() + "\n").collect()
}

/// A text in quotes.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A list of texts.
fn list<S: AsRef<str>>(texts: &[S]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text.as_ref())).collect::<Vec<_>>().join(", "))
}

/// Early stopping by the validation part.
fn stopping(patience: usize) -> String {
    format!(
        "[[callbacks]]\nname = \"EarlyStopping\"\nmonitor = \"val_loss\"\npatience = {patience}\nrestore_best_weights = true\n\n"
    )
}

/// How long and in what steps so many samples are trained on.
fn training(samples: usize, steps: usize) -> (usize, usize) {
    let batch_size = match samples {
        0..1_000 => 16,
        1_000..20_000 => 32,
        20_000..500_000 => 128,
        _ => 512,
    };
    let epochs = (steps * batch_size / samples.max(1)).clamp(3, 300);
    (epochs, batch_size)
}
