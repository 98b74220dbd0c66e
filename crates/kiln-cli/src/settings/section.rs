//! Reading a table of a settings file: each key is asked for by name, and one that nobody asks for is an error.

use super::node::{Entry, Node, Place, Value};
use kiln::tensor::nearest;
use kiln::{Error, ErrorKind, Result};
use std::cell::RefCell;

/// A table that is being read.
pub(crate) struct Section<'a> {
    /// Its path in the file: `optimizer`, `callbacks.0`.
    path: String,
    place: Place,
    entries: &'a [Entry],
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// A table of the tree; `path` is what errors call it.
    pub(crate) fn of(node: &'a Node, path: &str) -> Result<Section<'a>> {
        let entries = match &node.value {
            Value::Table(entries) => entries.as_slice(),
            _ => return Err(expected(&node.place, path, "a table", node)),
        };
        Ok(Section { path: path.to_owned(), place: node.place.clone(), entries, asked: RefCell::default() })
    }

    fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, where it is there.
    pub(crate) fn get<T: Setting>(&self, key: &'static str) -> Result<Option<T>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let read =
            |node| T::of(node).ok_or_else(|| expected(&entry.node.place, &self.below(key), &T::expected(), node));
        read(&entry.node).map(Some)
    }

    /// The value of a key, or this one.
    pub(crate) fn or<T: Setting>(&self, key: &'static str, default: T) -> Result<T> {
        self.get(key).map(|value| value.unwrap_or(default))
    }

    /// The value of a key that must be there.
    pub(crate) fn need<T: Setting>(&self, key: &'static str) -> Result<T> {
        self.get(key)?.ok_or_else(|| self.missing(key, &T::expected()))
    }

    /// The error of a key that must be there.
    pub(crate) fn missing(&self, key: &str, what: &str) -> Error {
        Error::new(ErrorKind::Format, "", format!("{}: `{}`, {what}, is missing", self.place, self.below(key)))
    }

    /// The tree below a key.
    pub(crate) fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The table of a key; an empty one where it is not there.
    pub(crate) fn section(&self, key: &'static str) -> Result<Section<'a>> {
        match self.entry(key) {
            Some(entry) => Section::of(&entry.node, &self.below(key)),
            None => Ok(Section {
                path: self.below(key),
                place: self.place.clone(),
                entries: &[],
                asked: RefCell::default(),
            }),
        }
    }

    /// A thing that is chosen by its name: a text, or a table with `name` and more.
    pub(crate) fn named(&self, key: &'static str) -> Result<Option<Named<'a>>> {
        self.entry(key).map(|entry| Named::of(&entry.node, &self.below(key), None)).transpose()
    }

    /// As [`Section::named`]; where there is no name, or no such key, it is this one.
    pub(crate) fn named_or(&self, key: &'static str, name: &'static str) -> Result<Named<'a>> {
        match self.entry(key) {
            Some(entry) => Named::of(&entry.node, &self.below(key), Some(name)),
            None => Ok(Named { name, place: self.place.clone(), settings: self.section(key)? }),
        }
    }

    /// A list of such things; of one thing it need not be a list.
    pub(crate) fn list(&self, key: &'static str) -> Result<Vec<Named<'a>>> {
        let Some(entry) = self.entry(key) else { return Ok(Vec::new()) };
        let path = self.below(key);
        match &entry.node.value {
            Value::List(list) => {
                list.iter().enumerate().map(|(at, node)| Named::of(node, &format!("{path}.{at}"), None)).collect()
            }
            _ => Ok(vec![Named::of(&entry.node, &path, None)?]),
        }
    }

    /// The tables of a list.
    pub(crate) fn sections(&self, key: &'static str) -> Result<Vec<Section<'a>>> {
        let Some(entry) = self.entry(key) else { return Ok(Vec::new()) };
        let path = self.below(key);
        match &entry.node.value {
            Value::List(list) => {
                list.iter().enumerate().map(|(at, node)| Section::of(node, &format!("{path}.{at}"))).collect()
            }
            _ => Err(expected(&entry.node.place, &path, "a list of tables", &entry.node)),
        }
    }

    /// Whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// An error about the value of a key, or about the table where the key is not there.
    pub(crate) fn wrong(&self, key: &str, why: &str) -> Error {
        let place = self.entries.iter().find(|entry| entry.key == key).map_or(&self.place, |entry| &entry.node.place);
        Error::new(ErrorKind::Value, "", format!("{place}: {}: {why}", self.below(key)))
    }

    /// An error of what was made by this table's settings, with its place.
    pub(crate) fn at(&self, error: &Error) -> Error {
        let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        Error::new(error.kind(), "", format!("{}: {path}{}", self.place, error.message()))
    }

    /// Fails where there is a key that nobody asked for.
    pub(crate) fn done(&self) -> Result<()> {
        let asked = self.asked.borrow();
        let Some(entry) = self.entries.iter().find(|entry| !asked.contains(&entry.key.as_str())) else { return Ok(()) };
        let mut known = asked.clone();
        known.dedup();
        let hint = match nearest(&entry.key, known.iter().copied()) {
            Some(nearest) => format!("the nearest is `{nearest}`"),
            None if known.is_empty() => "none is known here".to_owned(),
            None => format!("known here: {}", known.join(", ")),
        };
        let message = format!("{}: unknown setting `{}`; {hint}", entry.place, self.below(&entry.key));
        Err(Error::new(ErrorKind::Format, "", message))
    }
}

fn expected(place: &Place, path: &str, what: &str, got: &Node) -> Error {
    Error::new(ErrorKind::Format, "", format!("{place}: {path}: {what} is expected, got {}", got.kind()))
}

/// A name as names are compared.
pub(crate) fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', '-', ' '], "")
}

/// A thing that is chosen by its name, with its settings.
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    /// Of the name.
    place: Place,
    pub(crate) settings: Section<'a>,
}

impl<'a> Named<'a> {
    fn of(node: &'a Node, path: &str, default: Option<&'static str>) -> Result<Named<'a>> {
        if let Value::Text(name) = &node.value {
            let place = node.place.clone();
            let settings =
                Section { path: path.to_owned(), place: place.clone(), entries: &[], asked: RefCell::default() };
            return Ok(Named { name, place, settings });
        }
        let settings = Section::of(node, path)?;
        match settings.entry("name") {
            Some(Entry { node: Node { place, value: Value::Text(name) }, .. }) => {
                Ok(Named { name, place: place.clone(), settings })
            }
            Some(entry) => Err(expected(&entry.node.place, &settings.below("name"), "a text", &entry.node)),
            None => match default {
                Some(name) => Ok(Named { name, place: node.place.clone(), settings }),
                None => Err(settings.missing("name", "a text")),
            },
        }
    }

    /// Which of the names it is, whatever the case, with underscores or without: `mean_squared_error` is MeanSquaredError.
    pub(crate) fn which(&self, what: &str, names: &[&'static str]) -> Result<&'static str> {
        let found = names.iter().find(|name| plain(name) == plain(self.name));
        found.copied().ok_or_else(|| {
            let hint = match nearest(self.name, names.iter().copied()) {
                Some(nearest) => format!("the nearest is {nearest}"),
                None => format!("known are {}", names.join(", ")),
            };
            let message = format!("{}: {}: unknown {what} {:?}; {hint}", self.place, self.settings.path, self.name);
            Error::new(ErrorKind::Format, "", message)
        })
    }
}

/// A type of value.
pub(crate) trait Setting: Sized {
    /// None where the value is of another type.
    fn of(node: &Node) -> Option<Self>;
    /// "a number"
    fn expected() -> String;
}

macro_rules! settings {
    ($($type:ty, $expected:literal: $($pattern:pat => $value:expr),+;)+) => {$(
        impl Setting for $type {
            fn of(node: &Node) -> Option<Self> {
                match &node.value {
                    $($pattern => $value,)+
                    #[allow(unreachable_patterns)] // where the patterns take all values
                    _ => None,
                }
            }
            fn expected() -> String {
                $expected.to_owned()
            }
        }
    )+};
}

settings! {
    String, "a text": Value::Text(text) => Some(text.clone());
    bool, "true or false": Value::Boolean(flag) => Some(*flag);
    f64, "a number": Value::Float(number) => Some(*number), Value::Integer(number) => Some(*number as f64);
    i64, "a whole number": Value::Integer(number) => i64::try_from(*number).ok();
    isize, "a whole number": Value::Integer(number) => isize::try_from(*number).ok();
    usize, "a whole number of at least 0": Value::Integer(number) => usize::try_from(*number).ok();
    u64, "a whole number of at least 0": Value::Integer(number) => u64::try_from(*number).ok();
}

impl<T: Setting> Setting for Vec<T> {
    fn of(node: &Node) -> Option<Self> {
        match &node.value {
            Value::List(list) => list.iter().map(T::of).collect(),
            _ => None,
        }
    }
    fn expected() -> String {
        format!("a list, each of it {},", T::expected())
    }
}

impl<T: Setting> Setting for [T; 2] {
    fn of(node: &Node) -> Option<Self> {
        Vec::of(node)?.try_into().ok()
    }
    fn expected() -> String {
        format!("a list of two, each {},", T::expected())
    }
}
