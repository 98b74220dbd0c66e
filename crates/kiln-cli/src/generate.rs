//! `kiln generate`.

use crate::arguments::GenerateOptions;
use crate::pictures::Pictures;
use crate::pool::in_pool;
use crate::report::{line, plain, print};
use crate::run_folder::Run;
use crate::settings::Setup;
use kiln::ErrorKind;
use kiln::datasets::Tokenizer;
use kiln::prelude::*;
use kiln::store::write_atomically;
use kiln::trained::Input;
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::Path;

/// What text begins with, how daring it is, and how many characters follow, where the options do not say.
const PROMPT: &str = "Alice ";
const TEMPERATURE: f64 = 0.8;
const LENGTH: usize = 500;

pub(crate) fn run(options: &GenerateOptions) -> Result<()> {
    in_pool(options.computing.threads, || {
        let device = options.computing.device.open()?;
        device.session(|| generate(options, &device))
    })
}

/// A model that is being read to, one character after the other.
struct Writer {
    model: Sequential,
    device: Device,
    temperature: f64,
    stream: RandomStream,
}

impl Writer {
    /// Reads tokens; what it expects next is drawn.
    fn next(&mut self, tokens: &[i64]) -> Result<i64> {
        let x = Tensor::from_slice(tokens, [1, tokens.len()], &self.device)?;
        // Layers that are stateful go on from where the call before ended.
        let logits = self.model.forward(&x, &Ctx::eval())?.into_tensor().index(1, tokens.len() - 1)?;
        let sharpness = 1.0 / self.temperature;
        if !sharpness.is_finite() {
            // At 0, and so near to it that nothing else is left.
            return logits.argmax(-1)?.item().map(|token| token as i64);
        }
        let chances = logits.to_dtype(DType::F64)?.mul_scalar(sharpness)?.softmax(-1)?.to_f64_vec()?;
        let mut left = self.stream.uniform_f64();
        for (token, chance) in chances.iter().enumerate() {
            left -= chance;
            if left < 0.0 {
                return Ok(token as i64);
            }
        }
        // What rounding left over.
        Ok(chances.len() as i64 - 1)
    }
}

fn generate(options: &GenerateOptions, device: &Device) -> Result<()> {
    let run = Run::open(&options.run, options.accept_changed, device)?;
    let mut settings = run.settings()?.clone();
    settings.set("seed", &options.seed.to_string(), "--seed")?;
    let text = [
        ("--prompt", options.prompt.is_some()),
        ("--temperature", options.temperature.is_some()),
        ("--length", options.length.is_some()),
    ];
    let images = [("--out", options.out.is_some()), ("--data", options.data.is_some())];
    if let Some(Input::Tokens(tokenizer)) = &run.trained.input {
        refuse(&images, "images", &run)?;
        return write(options, tokenizer, run.trained.model, device);
    }
    if !settings.makes_images()? {
        let message = format!(
            "{}: {} writes no text and draws no images; char-lstm, mnist-gan and mnist-autoencoder do",
            run.description.display(),
            run.name()
        );
        return Err(Error::new(ErrorKind::Unsupported, "", message));
    }
    refuse(&text, "text", &run)?;
    let setup = Setup { data: options.data.as_deref(), device, learned: None };
    match settings.pictures(&setup)? {
        Some(pictures) => draw(options, &pictures, &run.trained.model),
        None => Ok(()),
    }
}

/// Fails where an option was given that is for models of another kind.
fn refuse(options: &[(&str, bool)], of: &str, run: &Run) -> Result<()> {
    match options.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => {
            let message = format!("{option} is for models that make {of}, which {} does not: leave it out", run.name());
            Err(Error::value("", message))
        }
    }
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

/// Writes text.
fn write(options: &GenerateOptions, tokenizer: &Tokenizer, model: Sequential, device: &Device) -> Result<()> {
    let prompt = options.prompt.as_deref().unwrap_or(PROMPT);
    let temperature = options.temperature.unwrap_or(TEMPERATURE);
    let read = tokenizer
        .encode(prompt)
        .map_err(|error| Error::new(error.kind(), "", format!("--prompt: {}", error.message())))?;
    let stream = RandomStream::new(options.seed, Purpose::Data, 0);
    model.reset_states();
    let mut writer = Writer { model, device: device.clone(), temperature, stream };
    let mut tokens = vec![writer.next(&read)?];
    let mut shown = String::new();
    let show = |text: &str| {
        if !options.json {
            // As it is written.
            print(format_args!("{text}"));
        }
    };
    show(prompt);
    for left in (0..options.length.map_or(LENGTH, NonZeroUsize::get)).rev() {
        let text = tokenizer.decode(&tokens)?;
        // A character of several tokens is shown when it is whole.
        if let Some(more) = text.strip_prefix(shown.as_str()).filter(|more| left == 0 || !more.ends_with('\u{fffd}')) {
            show(more);
            shown = text;
        }
        if left > 0 {
            tokens.push(writer.next(&tokens[tokens.len() - 1..])?);
        }
    }
    let text = tokenizer.decode(&tokens)?;
    if options.json {
        line(&json!({
            "result": "generate",
            "prompt": prompt,
            "text": text,
            "temperature": temperature,
            "seed": options.seed,
        }));
    } else {
        plain("");
    }
    Ok(())
}
