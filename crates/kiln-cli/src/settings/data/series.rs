//! Time series in CSV files.

use super::parts::{Opened, Parts, Rows};
use super::{Data, Search};
use crate::settings::section::Section;
use kiln::datasets::SeriesOptions;
use kiln::prelude::*;
use kiln::trained::Input;

pub(super) fn data(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    let targets = match settings.get::<String>("target")? {
        Some(target) => vec![target],
        None => settings.need("targets")?,
    };
    let mut options = SeriesOptions::new(targets, settings.need("window")?)
        .horizon(settings.or("horizon", 1)?)
        .stride(settings.or("stride", 1)?)
        .fill_forward(settings.or("fill_forward", false)?);
    if let Some(time) = settings.get::<String>("time")? {
        options = options.time(time);
    }
    if let Some(features) = settings.get::<Vec<String>>("features")? {
        options = options.features(features);
    }
    let opened = Opened::new(settings, search, Rows::File)?;
    let Parts { train, validation, test } = opened.parts_by(|rows, fraction| options.split(rows, fraction))?;
    settings.done()?;
    let encoder = match search.input() {
        Some(Input::Series(encoder)) => encoder.clone(),
        _ => options.fit(&train)?,
    };
    let of = |csv: &Csv| -> Result<Box<dyn Dataset>> { Ok(Box::new(encoder.dataset(csv)?)) };
    Ok(Data {
        validation: validation.as_ref().map(of).transpose()?,
        csv: opened.options,
        ..Data::new("windows", [of(&train)?, of(&test)?], opened.path)
    }
    .with(Input::Series(encoder)))
}
