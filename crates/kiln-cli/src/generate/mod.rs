//! `kiln generate`.

mod text;

use crate::arguments::GenerateOptions;
use crate::pictures::Pictures;
use crate::pool::in_pool;
use crate::report::{line, plain};
use crate::run_folder::Run;
use crate::settings::Setup;
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::store::write_atomically;
use kiln::trained::Input;
use serde_json::json;
use std::path::Path;

pub(crate) fn run(options: &GenerateOptions) -> Result<()> {
    in_pool(options.opening.computing.threads, || {
        let device = options.opening.computing.device.open()?;
        device.session(|| generate(options, &device))
    })
}

fn generate(options: &GenerateOptions, device: &Device) -> Result<()> {
    let run = Run::open(&options.run, options.opening.accept_changed, device)?;
    let images = [("--out", options.out.is_some()), ("--data", options.data.is_some())];
    let images = images.into_iter().find(|(_, given)| *given).map(|(option, _)| option);
    if let Some(Input::Tokens(tokenizer)) = &run.trained.input {
        refuse(images, "images", &run)?;
        return text::write(options, tokenizer, &run);
    }
    run.expect_tokenizer()?;
    if let Some(Input::Pairs(_)) = &run.trained.input {
        let message = format!("{}: {} translates texts: use `kiln predict`", run.description.display(), run.name());
        return Err(Error::new(ErrorKind::Unsupported, "", message));
    }
    let mut settings = run.settings()?.clone();
    settings.set("seed", &options.seed.to_string(), "--seed")?;
    if !settings.makes_images()? {
        let message = format!(
            "{}: {} writes no text and draws no images; char-lstm, mnist-gan and mnist-autoencoder do",
            run.description.display(),
            run.name()
        );
        return Err(Error::new(ErrorKind::Unsupported, "", message));
    }
    refuse(options.text.given(), "text", &run)?;
    let setup = Setup { data: options.data.as_deref(), device, learned: None };
    match settings.pictures(&setup)? {
        Some(pictures) => draw(options, &pictures, &run.trained.model),
        None => Ok(()),
    }
}

/// Fails where an option was given that is for models of another kind.
fn refuse(option: Option<&str>, of: &str, run: &Run) -> Result<()> {
    let Some(option) = option else { return Ok(()) };
    let message = format!("{option} is for models that make {of}, which {} does not: leave it out", run.name());
    Err(Error::value("", message))
}

/// Draws what a model makes.
fn draw(options: &GenerateOptions, pictures: &Pictures, model: &Sequential) -> Result<()> {
    let out = options.out.as_deref().unwrap_or(Path::new("generated.png"));
    write_atomically(out, &pictures.draw(model)?)?;
    if options.json {
        let (images, out) = (pictures.count(), out.to_string_lossy());
        line(&json!({ "result": "generate", "images": images, "out": out, "seed": options.seed }));
    } else {
        plain(&format!("{} images drawn to {}", pictures.count(), out.display()));
    }
    Ok(())
}
