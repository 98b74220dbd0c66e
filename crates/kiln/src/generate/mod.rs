//! Text that a model writes: sampling, beam search, stop texts, several prompts at a time.
//!
//! ```
//! use kiln::generate::{GenerateOptions, ModelDecoder, Sampling, generate};
//! use kiln::prelude::*;
//!
//! // A model that has learned nothing yet.
//! let tokenizer = Tokenizer::characters("abcdefgh .");
//! let vocabulary = tokenizer.len();
//! let model = Sequential::new()
//!     .push(Embedding::new(vocabulary, 8))
//!     .push(Lstm::new(16).return_sequences(true).stateful(true))
//!     .push(Dense::new(vocabulary))
//!     .build([1], &Device::cpu(), 1)?;
//!
//! let mut decoder = ModelDecoder::new(&model)?;
//! let options = GenerateOptions::new()
//!     .max_tokens(20)
//!     .sampling(Sampling::new().temperature(0.8).top_k(5))
//!     .stop(".")
//!     .seed(7);
//! let mut streamed = [String::new(), String::new()];
//! let texts = generate(&mut decoder, &tokenizer, &["a bad", "head"], &options, |prompt, piece| streamed[prompt] += piece)?;
//! assert_eq!(texts[1].text, streamed[1]);
//!
//! // A prompt's text depends neither on the others nor on the number of threads.
//! let alone = generate(&mut decoder, &tokenizer, &["head"], &options, |_, _| {})?;
//! assert_eq!(alone[0], texts[1]);
//! # Ok::<(), Error>(())
//! ```

mod beams;
mod decoder;
mod filters;
mod options;
mod rows;
mod sampling;
mod source;
mod spelling;
mod stops;
mod trained;

pub use decoder::{Decoder, ModelDecoder};
pub use options::GenerateOptions;
pub use sampling::Sampling;
pub use source::SourceDecoder;

use crate::datasets::Tokenizer;
use crate::math::{Purpose, RandomStream};
use crate::{Error, Result};
use options::Search;
use rows::Row;
use spelling::Spelling;
use std::collections::HashMap;
use stops::Stops;

/// What was written after a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The text, without the prompt and without what ended it.
    pub text: String,
    /// All tokens that were chosen, with those that ended it.
    pub tokens: Vec<i64>,
    /// Why it ends here.
    pub ended: Ended,
}

/// Why a text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It has as many tokens as were asked for.
    Length,
    /// A stop text came.
    Text,
    /// A token came that ends a text.
    Token,
}

/// What all prompts have in common.
struct Request<'r> {
    tokenizer: &'r Tokenizer,
    options: &'r GenerateOptions,
}

impl Request<'_> {
    /// The logits that stand for tokens.
    fn tokens<'l>(&self, logits: &'l mut [f32]) -> &'l mut [f32] {
        let tokens = logits.len().min(self.tokenizer.len());
        &mut logits[..tokens]
    }

    /// Whether a token ends a text.
    fn ends(&self, token: i64) -> bool {
        self.options.stop_tokens.contains(&token) || self.tokenizer.end_of_text() == Some(token)
    }

    /// What tokens after a prompt are as a text that has ended, if it has.
    fn ended(&self, prompt: &[i64], tokens: &[i64], longest: bool) -> Result<Option<Generated>> {
        let ends = tokens.last().is_some_and(|&token| self.ends(token));
        if !ends && !longest && self.options.stops.is_empty() {
            return Ok(None);
        }
        let mut spelling = Spelling::after(self.tokenizer, prompt.last().copied());
        let mut text = String::new();
        for &token in &tokens[..tokens.len() - usize::from(ends)] {
            text += &spelling.add(token)?;
        }
        if ends || longest {
            text += &spelling.end()?;
        }
        let mut stops = Stops::new(&self.options.stops);
        let (mut text, found) = stops.add(&text);
        let ended = match (found, ends) {
            (true, _) => Ended::Text,
            (_, true) => Ended::Token,
            _ if longest => Ended::Length,
            _ => return Ok(None),
        };
        text += &stops.end();
        Ok(Some(Generated { text, tokens: tokens.to_vec(), ended }))
    }
}

/// Lets a model go on with each of some prompts. `show` is called with the number of a prompt and what was added to its text, as soon as it is
/// known: of a beam search at the end.
///
/// What is random about a text depends on the seed, the prompt and its tokens alone: it is the same for any number of threads, any batch size
/// and any other prompts. The same prompt several times gives several texts.
///
/// # Errors
/// Settings that make no sense; prompts without a token, or with one that the tokenizer lacks, by number; what the model refuses.
pub fn generate<P: AsRef<str>>(
    decoder: &mut dyn Decoder,
    tokenizer: &Tokenizer,
    prompts: &[P],
    options: &GenerateOptions,
    mut show: impl FnMut(usize, &str),
) -> Result<Vec<Generated>> {
    options.check()?;
    let prompts: Vec<Vec<i64>> =
        prompts.iter().enumerate().map(|(at, prompt)| read(tokenizer, prompt.as_ref(), at)).collect::<Result<_>>()?;
    let request = Request { tokenizer, options };
    let sampling = match &options.search {
        Search::Sampling(sampling) => sampling,
        Search::Beams(beams) => {
            let texts = prompts.iter().enumerate().map(|(number, prompt)| {
                let generated = beams.search(decoder, prompt, &request)?;
                show(number, &generated.text);
                Ok(generated)
            });
            return texts.collect();
        }
    };
    let mut times: HashMap<&[i64], u64> = HashMap::new();
    let mut rows = Vec::with_capacity(prompts.len());
    for (number, prompt) in prompts.iter().enumerate() {
        // The same prompt again goes on in another way.
        let time = times.entry(prompt).or_default();
        rows.push(Row::new(number, prompt, stream(options.seed, prompt, *time), &request));
        *time += 1;
    }
    let mut texts = Vec::with_capacity(prompts.len());
    let mut rows = rows.into_iter();
    loop {
        let batch: Vec<Row<'_>> = rows.by_ref().take(options.batch_size).collect();
        if batch.is_empty() {
            break;
        }
        texts.extend(rows::write(decoder, batch, sampling, &request, &mut show)?);
    }
    texts.sort_unstable_by_key(|(number, _)| *number);
    Ok(texts.into_iter().map(|(_, text)| text).collect())
}

/// The random numbers of a prompt that is there for the first, the second, … time.
fn stream(seed: u64, prompt: &[i64], time: u64) -> RandomStream {
    let mixed = |seed: u64, &token: &i64| RandomStream::new(seed, Purpose::Data, token as u64).key();
    RandomStream::new(prompt.iter().fold(seed, mixed), Purpose::Data, time)
}

/// The tokens of a prompt.
fn read(tokenizer: &Tokenizer, prompt: &str, number: usize) -> Result<Vec<i64>> {
    let tokens = tokenizer.encode(prompt).map_err(|error| {
        Error::new(error.kind(), "generate", format!("prompt {number}: {}", error.message())).with_source(error)
    })?;
    match tokens.is_empty() {
        true => Err(Error::value(
            "generate",
            format!("prompt {number}, {prompt:?}: a text with at least one token is expected"),
        )),
        false => Ok(tokens),
    }
}
