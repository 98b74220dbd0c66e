//! Texts: with classes, in a CSV file, or one text that a model is to go on with.

use super::parts::{Opened, Parts, in_settings};
use super::{Data, Search, TEXT};
use crate::settings::section::Section;
use kiln::datasets::{TextEncoder, TextOptions, Tokenizer, WordOptions, load_text};
use kiln::prelude::*;
use kiln::trained::Input;

/// Tokens that a vocabulary has at most, where the settings do not say.
const VOCABULARY: usize = 20_000;

pub(super) fn data(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    match settings.or("task", "classification".to_owned())?.as_str() {
        "classification" => classes(settings, search),
        "language" => language(settings, search),
        other => Err(settings.wrong("task", &format!("\"classification\" or \"language\" is expected, got {other:?}"))),
    }
}

/// Which tokens.
enum Tokens {
    Words(WordOptions),
    BytePairs(usize),
    Characters,
}

fn tokens(settings: &Section<'_>) -> Result<Tokens> {
    let size = settings.or("vocabulary", VOCABULARY)?;
    let (lowercase, count) = (settings.or("lowercase", true)?, settings.or("minimum_count", 1)?);
    match settings.or("tokens", "words".to_owned())?.as_str() {
        "words" => Ok(Tokens::Words(WordOptions::new().size(size).lowercase(lowercase).minimum_count(count))),
        "byte-pairs" => Ok(Tokens::BytePairs(size)),
        "characters" => Ok(Tokens::Characters),
        other => {
            let why = format!("\"words\", \"byte-pairs\" or \"characters\" is expected, got {other:?}");
            Err(settings.wrong("tokens", &why))
        }
    }
}

/// A column of texts and one of classes.
fn classes(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    let target: String = settings.need("target")?;
    let mut options = TextOptions::new(settings.need::<String>("text")?, target.as_str());
    options = match tokens(settings)? {
        Tokens::Words(words) => options.words(words),
        Tokens::BytePairs(size) => options.byte_pairs(size),
        Tokens::Characters => options.characters(),
    };
    if let Some(length) = settings.get("max_length")? {
        options = options.max_length(length);
    }
    options = options.drop_missing(settings.or("drop_missing", false)?);
    let opened = Opened::new(settings, search)?;
    let Parts { train, validation, test } = opened.parts(Some(&target))?;
    settings.done()?;
    let encoder: TextEncoder = match search.learned {
        Some(Input::Text(encoder)) => encoder.clone(),
        _ => options.fit(&train).map_err(in_settings)?,
    };
    let of = |csv: &Csv| -> Result<Box<dyn Dataset>> { Ok(Box::new(encoder.dataset(csv)?)) };
    Ok(Data {
        train: of(&train)?,
        validation: validation.as_ref().map(of).transpose()?,
        test: of(&test)?,
        called: "texts",
        classes: encoder.class_names().to_vec(),
        input: Some(Input::Text(encoder)),
        place: opened.path,
    })
}

/// One text, of which places are read side by side; its end is what the model is tested on.
fn language(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    let path = search.path(settings)?;
    let text = load_text(&path)?;
    let (steps, streams) = (settings.or("steps", 64)?, settings.or("streams", 32)?);
    let fraction: f64 = settings.or("test", 0.1)?;
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(settings.wrong("test", "a share above 0 and below 1 is expected"));
    }
    let kind = tokens(settings)?;
    settings.done()?;
    let mut cut = (text.len() as f64 * (1.0 - fraction)) as usize;
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    let (train, test) = text.split_at(cut);
    let tokenizer = match search.learned {
        Some(Input::Tokens(tokenizer)) => tokenizer.clone(),
        // What is only in the end of the text is unknown.
        _ => match kind {
            Tokens::Words(options) => Tokenizer::words([train], options)?,
            Tokens::BytePairs(size) => Tokenizer::byte_pairs([train], size)?,
            Tokens::Characters => Tokenizer::characters(train).with_unknown(),
        },
    };
    let streams_of = |text: &str, streams: usize| -> Result<Box<dyn Dataset>> {
        Ok(Box::new(TextStreams::new(tokenizer.encode(text)?, streams, steps)?))
    };
    Ok(Data {
        train: streams_of(train, streams)?,
        validation: None,
        test: streams_of(test, (streams / 4).max(1))?,
        called: TEXT,
        classes: Vec::new(),
        input: Some(Input::Tokens(tokenizer)),
        place: path,
    })
}
