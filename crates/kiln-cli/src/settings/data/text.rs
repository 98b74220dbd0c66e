//! Texts: with classes or with other texts beside them, in a CSV file, or one text that a model is to go on with.

use super::parts::{Opened, Parts, Rows};
use super::{Data, EMBEDDED, Search, TEXT};
use crate::settings::section::Section;
use kiln::datasets::{TextEncoder, TextOptions, TextWindows, Tokenizer, WordOptions, load_text};
use kiln::prelude::*;
use kiln::trained::Input;

/// Tokens that a vocabulary has at most, where the settings do not say.
const VOCABULARY: usize = 20_000;

pub(super) fn data(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    match settings.or("task", "classification".to_owned())?.as_str() {
        "classification" => classes(settings, search, Rows::File),
        "translation" => pairs(settings, search, Rows::File),
        "language" => language(settings, search),
        other => {
            let why = format!("\"classification\", \"translation\" or \"language\" is expected, got {other:?}");
            Err(settings.wrong("task", &why))
        }
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

/// A column of texts, and the column of what belongs to them.
fn columns(settings: &Section<'_>) -> Result<(TextOptions, String)> {
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
    Ok((options.drop_missing(settings.or("drop_missing", false)?), target))
}

/// The table with both columns.
fn opened<'s, 'a>(settings: &'s Section<'a>, search: &Search<'_>, rows: Rows) -> Result<Opened<'s, 'a>> {
    let opened = Opened::new(settings, search, rows)?;
    let there = opened.all.columns();
    for key in ["text", "target"] {
        let name: String = settings.need(key)?;
        if !there.contains(&name) {
            let why = format!(
                "{}: there is no column {name:?}: there are {}; `--set data.{key}=COLUMN` names another one",
                opened.path.display(),
                there.join(", ")
            );
            return Err(settings.wrong(key, &why));
        }
    }
    Ok(opened)
}

/// A column of texts and one of classes.
pub(super) fn classes(settings: &Section<'_>, search: &Search<'_>, rows: Rows) -> Result<Data> {
    let (options, target) = columns(settings)?;
    let opened = opened(settings, search, rows)?;
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

/// A column of texts and one of what a model is to make of them.
pub(super) fn pairs(settings: &Section<'_>, search: &Search<'_>, rows: Rows) -> Result<Data> {
    let (options, _) = columns(settings)?;
    let opened = opened(settings, search, rows)?;
    let Parts { train, validation, test } = opened.parts(None)?;
    settings.done()?;
    let encoder = match search.input() {
        Some(Input::Pairs(encoder)) => encoder.clone(),
        _ => options.fit_pairs(&train)?,
    };
    let mut left_out = 0;
    let mut of = |csv: &Csv| -> Result<Box<dyn Dataset>> {
        let pairs = encoder.dataset(csv)?;
        left_out += pairs.left_out();
        Ok(Box::new(pairs))
    };
    let (parts, validation) = ([of(&train)?, of(&test)?], validation.as_ref().map(&mut of).transpose()?);
    let notices = match left_out {
        0 => Vec::new(),
        count => vec![format!(
            "{count} pairs are left out: one of their texts has more than {} tokens",
            encoder.max_length()
        )],
    };
    Ok(Data { validation, csv: opened.options, notices, ..Data::new("pairs of texts", parts, opened.path) }
        .with(Input::Pairs(encoder)))
}

/// One text in a file, whose end is what the model is tested on. Places of it are read side by side, for layers that carry their state on; or
/// it is cut into windows.
fn language(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    let path = search.path(settings)?;
    let data = language_of(settings, search, (&path.to_string_lossy(), &load_text(&path)?), "words")?;
    Ok(Data { place: path, ..data })
}

/// As [`language`], of a text that is here, by the name that errors call it.
pub(super) fn language_of(
    settings: &Section<'_>,
    search: &Search<'_>,
    (name, text): (&str, &str),
    default: &str,
) -> Result<Data> {
    let (steps, streams) = (settings.or("steps", 64)?, settings.or("streams", 32)?);
    // Windows are not read side by side.
    let windows = settings.or("windows", false)?;
    let streams = (!windows).then_some(streams);
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
    let of = |text: &str, part: &str, streams: Option<usize>| {
        let wrong = |error: Error| Error::new(error.kind(), "", format!("{name}: {part}: {}", error.message()));
        tokenizer.encode(text).and_then(|tokens| dataset(tokens, steps, streams)).map_err(wrong)
    };
    let (whole, tested) = ("the whole text", streams.map(|streams| (streams / 4).max(1)));
    let end = if search.all_is_test { whole } else { "the end of the text, which is tested on" };
    let test_set = of(test, end, tested)?;
    let train_set = match search.all_is_test {
        true => of(test, whole, tested)?,
        false => of(train, "the text without its end", streams)?,
    };
    Ok(Data::new(TEXT, [train_set, test_set], EMBEDDED).with(Input::Tokens(tokenizer)))
}

/// Tokens as streams of so many, or as windows that begin at other places in each pass of a training.
fn dataset(tokens: Vec<i64>, steps: usize, streams: Option<usize>) -> Result<Box<dyn Dataset>> {
    let needed = streams.unwrap_or(1).saturating_mul(steps);
    if tokens.len() <= needed {
        let less = if streams.is_some() { "`data.steps` or `data.streams`" } else { "`data.steps`" };
        let message = format!(
            "{} tokens, and more than {needed} are needed: take a longer text, or a smaller {less}",
            tokens.len(),
        );
        return Err(Error::value("", message));
    }
    Ok(match streams {
        Some(streams) => Box::new(TextStreams::new(tokens, streams, steps)?),
        None => Box::new(TextWindows::new(tokens, steps, steps)?.random_offsets(true)),
    })
}
