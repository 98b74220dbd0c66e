//! Text generation.

use crate::arguments::{GenerateOptions, TextOptions};
use crate::report::{line, plain, print};
use crate::run_folder::Run;
use kiln::datasets::{Tokenizer, load_text};
use kiln::generate::{self, Ended, Generated, Sampling};
use kiln::prelude::*;
use serde_json::json;
use std::num::NonZeroUsize;

/// Defaults: the prompt, the temperature, and how many tokens are generated.
const PROMPT: &str = "Alice ";
const TEMPERATURE: f64 = 0.8;
const MAX_TOKENS: usize = 500;
/// The prompt where the vocabulary lacks letters of [`PROMPT`].
const LINE: &str = "\n";

/// Generates text after each prompt, and prints it.
pub(super) fn write(options: &GenerateOptions, tokenizer: &Tokenizer, run: &Run) -> Result<()> {
    let prompts = prompts(&options.text, tokenizer)?;
    let settings = settings(&options.text).seed(options.seed);
    // One text is shown as it is written, several one after the other.
    let streamed = !options.json && prompts.len() == 1;
    if streamed {
        print(format_args!("{}", prompts[0]));
    }
    let show = |_: usize, more: &str| {
        if streamed {
            print(format_args!("{more}"));
        }
    };
    let texts = run.trained.generate(&prompts, &settings, show)?;
    if streamed {
        plain("");
    }
    for (prompt, generated) in prompts.iter().zip(&texts) {
        if options.json {
            report(options, prompt, generated);
        } else if !streamed {
            plain(&format!("{prompt}{}\n", generated.text));
        }
    }
    Ok(())
}

/// The prompts, each of at least one token.
fn prompts(options: &TextOptions, tokenizer: &Tokenizer) -> Result<Vec<String>> {
    // Whatever is wrong with one is said here, by its option or line.
    let checked = |prompt: &str, name: &str| {
        let named = |error: Error| Error::new(error.kind(), "", format!("{name}: {}", error.message()));
        match tokenizer.encode(prompt).map_err(named)?.is_empty() {
            true => Err(Error::value("", format!("{name} {prompt:?}: a text with at least one token is expected"))),
            false => Ok(prompt.to_owned()),
        }
    };
    if let Some(prompt) = &options.prompt {
        return Ok(vec![checked(prompt, "--prompt")?]);
    }
    let Some(file) = &options.prompts else {
        let known = [PROMPT, LINE].into_iter().find_map(|prompt| checked(prompt, "").ok());
        let none = || Error::value("", "--prompt TEXT is needed: what the model reads first");
        return Ok(vec![known.ok_or_else(none)?]);
    };
    let text = load_text(file)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let prompts: Vec<String> = lines
        .map(|(at, line)| checked(line, &format!("{}, line {}", file.display(), at + 1)))
        .collect::<Result<_>>()?;
    match prompts.is_empty() {
        true => Err(Error::value("", format!("{}: a prompt in each line is expected", file.display()))),
        false => Ok(prompts),
    }
}

/// The settings of the generation.
fn settings(options: &TextOptions) -> generate::GenerateOptions {
    let max_tokens = options.max_tokens.map_or(MAX_TOKENS, NonZeroUsize::get);
    let settings = generate::GenerateOptions::new().max_tokens(max_tokens);
    let settings = options.stop.iter().fold(settings, |settings, stop| settings.stop(stop));
    if let Some(beams) = options.beams {
        return settings.beams(beams.get(), options.length_penalty.unwrap_or(1.0));
    }
    let mut sampling = Sampling::new().temperature(options.temperature.unwrap_or(TEMPERATURE));
    if let Some(k) = options.top_k {
        sampling = sampling.top_k(k.get());
    }
    if let Some(p) = options.top_p {
        sampling = sampling.top_p(p);
    }
    if let Some(p) = options.min_p {
        sampling = sampling.min_p(p);
    }
    settings.sampling(sampling.repetition_penalty(options.repetition_penalty.unwrap_or(1.0)))
}

fn report(options: &GenerateOptions, prompt: &str, generated: &Generated) {
    let drawn = options.text.beams.is_none();
    line(&json!({
        "result": "generate",
        "prompt": prompt,
        "text": generated.text,
        "tokens": generated.tokens.len(),
        "ended": match generated.ended {
            Ended::Text => "stop",
            Ended::Token => "end_of_text",
            _ => "length",
        },
        "temperature": drawn.then(|| options.text.temperature.unwrap_or(TEMPERATURE)),
        "seed": drawn.then_some(options.seed),
    }));
}
