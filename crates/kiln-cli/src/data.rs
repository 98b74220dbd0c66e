//! `kiln data`.

use crate::arguments::DataCommand;
use crate::places::{cache, variable};
use crate::preview;
use crate::report::plain;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kiln::datasets::{CATALOG, FetchEvent, fetch, fetch_url, source};
use kiln::{Error, Result};
use std::path::{Path, PathBuf};

pub(crate) fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::List { data } => {
            list(data.as_deref());
            Ok(())
        }
        DataCommand::Fetch { what, sha256, name, data } => {
            let own = sha256.as_deref().zip(name.as_deref());
            match (what.contains("://"), own) {
                (true, Some((sha256, name))) => get_url(what, sha256, name, data.as_deref()),
                (true, None) => Err(Error::value(
                    "",
                    "an address needs --sha256 SUM, which the file is held to, and --name NAME, the folder that it is put into",
                )),
                (false, Some(_)) => {
                    Err(Error::value("", format!("--sha256 and --name go with an address: those of {what} are known")))
                }
                (false, None) => get(what, data.as_deref()),
            }
        }
        DataCommand::Preview(options) => preview::run(options),
    }
}

/// Bytes as one reads them.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn list(data: Option<&Path>) {
    let option = data.map(|folder| ("--data", folder.to_path_buf()));
    let variable = variable().map(|folder| ("$KILN_DATA_DIR", folder));
    let cache = cache().map(|folder| ("cache", folder));
    let places: Vec<(&str, PathBuf)> = [option, variable, cache].into_iter().flatten().collect();
    for source in CATALOG {
        let place = places.iter().find(|(_, folder)| source.is_present(folder));
        let state = match place {
            Some((place, _)) => format!("present ({place})"),
            None if source.name == "mnist" => "embedded subset".into(),
            None => "not here".into(),
        };
        plain(&format!("{:<14} {:>9}  {state:<24} {}", source.name, megabytes(source.size()), source.about));
    }
    plain("");
    for (i, (place, folder)) in places.iter().enumerate() {
        let begin = if i == 0 { "looked for in" } else { "then in" };
        plain(&format!("{begin:<14} {} ({place})", folder.display()));
    }
}

/// Fetches a data set that is known by name.
fn get(name: &str, data: Option<&Path>) -> Result<()> {
    let fetched = with_bar(name, data, |folder, report| fetch(name, folder, report))?;
    let Some(source) = source(name) else { return Ok(()) };
    plain(&format!("{name}: {} fetched to {}  ({})", megabytes(source.size()), fetched.display(), source.license));
    Ok(())
}

/// Fetches a file from its address.
fn get_url(url: &str, sha256: &str, name: &str, data: Option<&Path>) -> Result<()> {
    let file = with_bar(name, data, |folder, report| fetch_url(url, sha256, name, folder, report))?;
    let bytes = std::fs::metadata(&file).map_or(0, |file| file.len());
    plain(&format!("{name}: {} fetched to {}", megabytes(bytes), file.display()));
    Ok(())
}

/// What `fetch` puts into the folder of all data, with a bar that shows how far it is.
fn with_bar(
    name: &str,
    data: Option<&Path>,
    fetch: impl FnOnce(&Path, &mut dyn FnMut(FetchEvent<'_>)) -> Result<PathBuf>,
) -> Result<PathBuf> {
    let folder = data.map(Path::to_path_buf).or_else(variable).or_else(cache);
    let folder = folder.ok_or_else(|| {
        Error::value("", "there is no home for a cache folder: name a folder with --data DIR or $KILN_DATA_DIR")
    })?;
    // Hidden where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let template = "{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(name.to_owned());
    let fetched = fetch(&folder, &mut |event| match event {
        FetchEvent::Received { done, total, .. } => {
            bar.set_length(total);
            bar.set_position(done);
        }
        // The reasons are in the error where it comes to one.
        FetchEvent::Retrying { .. } => bar.set_message(format!("{name}, trying again")),
        FetchEvent::Waiting => bar.suspend(|| {
            eprintln!("another process fetches into {}: waiting for it", folder.display());
        }),
        FetchEvent::Unpacking { file } => bar.set_message(format!("unpacking {file}")),
        _ => {}
    });
    bar.finish_and_clear();
    fetched
}
