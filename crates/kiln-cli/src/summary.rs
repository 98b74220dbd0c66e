//! `kiln summary`.

use crate::recipes::Recipe;
use crate::report::plain;
use crate::run_folder::Run;
use crate::settings::{Settings, Setup};
use clap::ValueEnum;
use kiln::prelude::*;
use std::path::Path;

/// Shows the layers of a recipe, of a settings file or of a run's model.
pub(crate) fn run(name: &str) -> Result<()> {
    let device = Device::cpu();
    let (what, recipe) = (Path::new(name), Recipe::from_str(name, false));
    let model = match recipe {
        Ok(recipe) => recipe.settings()?.model(&setup(&device))?,
        Err(_) if what.is_dir() => Run::open(what, false, &device)?.trained.model,
        Err(_) => Settings::read(what)?.model(&setup(&device))?,
    };
    plain(model.summary(name).trim_end());
    Ok(())
}

fn setup(device: &Device) -> Setup<'_> {
    Setup { data: None, device, learned: None }
}
