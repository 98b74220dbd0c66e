//! Texts: with classes, in a CSV file, or one text that a model is to go on with.

use super::parts::{Opened, Parts};
use super::{Data, EMBEDDED, Search, TEXT};
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

fn tokens(settings: &Section<'_>, default: &str) -> Result<Tokens> {
    let size = || settings.or("vocabulary", VOCABULARY);
    match settings.or("tokens", default.to_owned())?.as_str() {
        "words" => {
            let (lowercase, count) = (settings.or("lowercase", true)?, settings.or("minimum_count", 1)?);
            Ok(Tokens::Words(WordOptions::new().size(size()?).lowercase(lowercase).minimum_count(count)))
        }
        "byte-pairs" => Ok(Tokens::BytePairs(size()?)),
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
    options = match tokens(settings, "words")? {
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
    let encoder: TextEncoder = match search.input() {
        Some(Input::Text(encoder)) => encoder.clone(),
        _ => options.fit(&train)?,
    };
    let of = |csv: &Csv| -> Result<Box<dyn Dataset>> { Ok(Box::new(encoder.dataset(csv)?)) };
    Ok(Data {
        validation: validation.as_ref().map(of).transpose()?,
        classes: encoder.class_names().to_vec(),
        csv: opened.options,
        ..Data::new("texts", [of(&train)?, of(&test)?], opened.path)
    }
    .with(Input::Text(encoder)))
}

/// One text in a file, of which places are read side by side; its end is what the model is tested on.
fn language(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    let path = search.path(settings)?;
    let data = language_of(settings, search, &load_text(&path)?, "words")?;
    Ok(Data { place: path, ..data })
}

/// As [`language`], of a text that is here.
pub(super) fn language_of(settings: &Section<'_>, search: &Search<'_>, text: &str, default: &str) -> Result<Data> {
    let (steps, streams) = (settings.or("steps", 64)?, settings.or("streams", 32)?);
    let fraction: f64 = settings.or("test", 0.1)?;
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(settings.wrong("test", "a share above 0 and below 1 is expected"));
    }
    let kind = tokens(settings, default)?;
    settings.done()?;
    let mut cut = if search.all_is_test { 0 } else { (text.len() as f64 * (1.0 - fraction)) as usize };
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    let (train, test) = text.split_at(cut);
    let tokenizer = match search.input() {
        Some(Input::Tokens(tokenizer)) => tokenizer.clone(),
        _ => match kind {
            Tokens::Words(options) => Tokenizer::words([train], options)?,
            Tokens::BytePairs(size) => Tokenizer::byte_pairs([train], size)?,
            // What is only in the end of the text is unknown.
            Tokens::Characters => match Tokenizer::characters(train) {
                all if test.chars().all(|character| all.encode(character.encode_utf8(&mut [0; 4])).is_ok()) => all,
                some => some.with_unknown(),
            },
        },
    };
    let streams_of = |text: &str, streams: usize| -> Result<Box<dyn Dataset>> {
        Ok(Box::new(TextStreams::new(tokenizer.encode(text)?, streams, steps)?))
    };
    let tested = (streams / 4).max(1);
    let train = if search.all_is_test { streams_of(test, tested)? } else { streams_of(train, streams)? };
    Ok(Data::new(TEXT, [train, streams_of(test, tested)?], EMBEDDED).with(Input::Tokens(tokenizer)))
}
