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
    in_pool(options.opening.computing.threads, || {
        let device = options.opening.computing.device.open()?;
        device.session(|| generate(options, &device))
    })
}

/// A model that is being read to, one token after the other.
struct Writer<'a> {
    model: &'a Sequential,
    device: &'a Device,
    temperature: f64,
    stream: RandomStream,
    /// Whether the outputs are logits.
    logits: bool,
    /// Outputs that stand for a token.
    tokens: usize,
    /// Of a model whose layers carry no state: what it is given at each step, at most so much.
    context: Option<(Vec<i64>, usize)>,
}

impl Writer<'_> {
    /// Reads tokens; what it expects next is drawn.
    fn next(&mut self, tokens: &[i64]) -> Result<i64> {
        let read = match &mut self.context {
            // Layers that are stateful go on from where the call before ended.
            None => tokens,
            Some((context, longest)) => {
                context.extend(tokens);
                &context[context.len().saturating_sub(*longest)..]
            }
        };
        let x = Tensor::from_slice(read, [1, read.len()], self.device)?;
        let outputs = self.model.forward(&x, &Ctx::eval())?.into_tensor().index(1, read.len() - 1)?;
        let outputs = outputs.slice(1, 0..self.tokens.min(outputs.dims()[1]))?.to_dtype(DType::F64)?;
        let logits = if self.logits { outputs } else { outputs.add_scalar(f64::MIN_POSITIVE)?.ln()? };
        let sharpness = 1.0 / self.temperature;
        if !sharpness.is_finite() {
            // At 0, and so near to it that nothing else is left.
            return logits.argmax(-1)?.item().map(|token| token as i64);
        }
        let chances = logits.mul_scalar(sharpness)?.softmax(-1)?.to_f64_vec()?;
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

/// Turns tokens into text as they come, with what stands between two of them.
struct Spelling<'a> {
    tokenizer: &'a Tokenizer,
    /// The last token of which all was shown, and those that came after it.
    tokens: Vec<i64>,
}

impl Spelling<'_> {
    /// What a token adds; nothing while a character of several tokens is not whole.
    fn add(&mut self, token: i64, last: bool) -> Result<String> {
        self.tokens.push(token);
        let (before, all) = (self.tokenizer.decode(&self.tokens[..1])?, self.tokenizer.decode(&self.tokens)?);
        if all.ends_with('\u{fffd}') && !last {
            return Ok(String::new());
        }
        self.tokens = vec![token];
        Ok(all.strip_prefix(before.as_str()).unwrap_or(&all).to_owned())
    }
}

fn generate(options: &GenerateOptions, device: &Device) -> Result<()> {
    let run = Run::open(&options.run, options.opening.accept_changed, device)?;
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
        return write(options, tokenizer, &run, device);
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
fn write(options: &GenerateOptions, tokenizer: &Tokenizer, run: &Run, device: &Device) -> Result<()> {
    let model = &run.trained.model;
    let prompt = options.prompt.as_deref().unwrap_or(PROMPT);
    let temperature = options.temperature.unwrap_or(TEMPERATURE);
    let read = tokenizer
        .encode(prompt)
        .map_err(|error| Error::new(error.kind(), "", format!("--prompt: {}", error.message())))?;
    let Some(&last) = read.last() else {
        return Err(Error::value("", format!("--prompt {prompt:?}: a text with at least one token is expected")));
    };
    let stream = RandomStream::new(options.seed, Purpose::Data, 0);
    model.reset_states();
    let longest = model.input_shape().map_or(1, |shape| shape.elements()).max(1);
    let context = (!carries_state(&model.architecture())).then(|| (Vec::new(), longest));
    let (logits, tokens) = (run.trained.logits, tokenizer.len());
    let mut writer = Writer { model, device, temperature, stream, logits, tokens, context };
    let mut spelling = Spelling { tokenizer, tokens: vec![last] };
    let mut text = String::new();
    let mut show = |more: &str| {
        text += more;
        if !options.json {
            // As it is written.
            print(format_args!("{more}"));
        }
    };
    if !options.json {
        print(format_args!("{prompt}"));
    }
    let mut token = writer.next(&read)?;
    for left in (0..options.length.map_or(LENGTH, NonZeroUsize::get)).rev() {
        show(&spelling.add(token, left == 0)?);
        if left > 0 {
            token = writer.next(&[token])?;
        }
    }
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

/// Whether a layer of the description carries its state from batch to batch.
fn carries_state(description: &serde_json::Value) -> bool {
    use serde_json::Value;
    match description {
        Value::Object(object) => {
            object.get("stateful") == Some(&Value::Bool(true)) || object.values().any(carries_state)
        }
        Value::Array(list) => list.iter().any(carries_state),
        _ => false,
    }
}
