//! What the values of arguments are parsed by.

use crate::recipes::Recipe;
use clap::builder::{EnumValueParser, OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command, Error, ValueEnum};
use kiln::ErrorKind;
use kiln::datasets::{Augmentation, CATALOG, Source};
use kiln::tensor::Device;
use kiln::train::Every;
use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// More threads than any machine has cores: beyond, starting them takes longer than the training. (1024 is not 0, which the
/// compiler sees.)
const MAX_THREADS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// A data set's name, with or without its hyphen.
fn named(source: &Source<'static>) -> PossibleValue {
    let without = match source.name {
        "cifar-10" => "cifar10",
        "cifar-100" => "cifar100",
        "fashion-mnist" => "fashionmnist",
        name => name,
    };
    PossibleValue::new(source.name).alias(without)
}

/// A name that is known, or something else that is told by its look.
#[derive(Clone)]
pub(super) struct NameOr {
    known: fn() -> Vec<PossibleValue>,
    name: fn(&Command, Option<&Arg>, &OsStr) -> Result<String, Error>,
    is_other: fn(&str) -> bool,
}

impl TypedValueParser for NameOr {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, Error> {
        let other = value.to_str().filter(|value| (self.is_other)(value)).map(str::to_owned);
        (self.name)(command, arg, value).or_else(|error| other.ok_or(error))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.known)().into_iter()))
    }
}

/// A recipe's name, or a file or folder that is there.
pub(super) const RECIPE_OR_PATH: NameOr = NameOr {
    known: || Recipe::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect(),
    name: |command, arg, value| {
        EnumValueParser::<Recipe>::new().parse_ref(command, arg, value).map(|recipe| recipe.name())
    },
    is_other: |value| Path::new(value).exists(),
};

/// A path or a text. An empty one is told of by the command that reads it.
pub(super) fn file_or_text() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// A data set's name, or an address.
pub(super) const SET_OR_URL: NameOr = NameOr { is_other: |value| value.contains("://"), ..SET };

/// A data set's name, or a folder; a folder that has the name of a data set is ./NAME.
pub(super) const SET_OR_FOLDER: NameOr =
    NameOr { is_other: |value| value.contains(['/', '\\']) || Path::new(value).is_dir(), ..SET };

const SET: NameOr = NameOr {
    known: || CATALOG.iter().map(named).collect(),
    name: |command, arg, value| data_set().parse_ref(command, arg, value),
    is_other: |_| false,
};

/// A data set by its name.
fn data_set() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(CATALOG.iter().map(named)).map(|given| {
        let source = CATALOG.iter().find(|source| source.name.replace('-', "") == given.replace('-', ""));
        source.map_or(given, |source| source.name.to_owned())
    })
}

/// What `--device` names. Whether the device is there is found out when it is opened.
#[derive(Clone)]
pub(crate) struct Place(kiln::Result<Device>);

impl Place {
    pub(crate) fn open(&self) -> kiln::Result<Device> {
        self.0.clone()
    }
}

impl Default for Place {
    fn default() -> Self {
        Place(Ok(Device::cpu()))
    }
}

pub(super) fn device(name: &str) -> Result<Place, String> {
    match kiln::device(name) {
        Err(error) if error.kind() == ErrorKind::Value => Err(error.message().to_string()),
        // The user has named it: the operation's name adds nothing.
        Err(error) => Ok(Place(Err(kiln::Error::new(error.kind(), "", error.message())))),
        device => Ok(Place(device)),
    }
}

pub(super) fn augmentation(words: &str) -> Result<Augmentation, String> {
    words.parse().map_err(|error: kiln::Error| error.message().to_owned())
}

/// Pixels of an image's side.
pub(super) fn size(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|size| (1..=256).contains(size))
        .ok_or_else(|| "a whole number from 1 to 256 is expected".to_string())
}

/// When checkpoints are taken.
pub(super) fn every(text: &str) -> Result<String, String> {
    text.parse::<Every>().map(|_| text.to_owned()).map_err(|error| error.message().to_owned())
}

/// A number of things, at least one.
pub(super) fn count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "a whole number, at least 1, is expected".to_string())
}

pub(super) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    match count(text)? {
        threads if threads <= MAX_THREADS => Ok(threads),
        _ => Err(format!("at most {MAX_THREADS} threads are possible")),
    }
}

pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("a number of at least 0 is expected".to_string()),
    }
}

/// A number above 0, such as a learning rate.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("a number above 0 is expected".to_string()),
    }
}

pub(super) fn number(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| "a number is expected".to_string())
}

/// A part of all.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1.0 => Ok(value),
        _ => Err("a number above 0 and at most 1 is expected".to_string()),
    }
}
