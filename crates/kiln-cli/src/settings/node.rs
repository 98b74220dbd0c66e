//! A settings file as a tree of values, each with its place in the file.

use kiln::{Error, ErrorKind, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a value stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// In a file.
    File { file: Arc<Path>, line: usize, column: usize },
    /// In an option, as it was typed.
    Option(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Place::Option(option) => f.write_str(option),
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
}

impl Value {
    /// A list of numbers.
    pub(crate) fn counts(counts: [usize; 3]) -> Value {
        let place = Place::Option(Arc::from(""));
        let node = |count| Node { place: place.clone(), value: Value::Integer(count as i128) };
        Value::List(counts.map(node).into())
    }
}

/// Entries in the order of the file.
pub(crate) type Table = Vec<Entry>;

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Of the key.
    pub(crate) place: Place,
    pub(crate) node: Node,
}

/// Makes places of bytes.
struct Source<'t> {
    file: Arc<Path>,
    text: &'t str,
    /// All of the text is this option.
    option: Option<Arc<str>>,
}

impl Source<'_> {
    fn place(&self, byte: usize) -> Place {
        if let Some(option) = &self.option {
            return Place::Option(option.clone());
        }
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        Place::File { file: self.file.clone(), line, column }
    }

    fn table(&self, table: &DeTable<'_>) -> Result<Table> {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let key: &Spanned<std::borrow::Cow<'_, str>> = key;
            let entry =
                Entry { key: key.get_ref().to_string(), place: self.place(key.span().start), node: self.node(value)? };
            Ok((key.span().start, entry))
        };
        let mut entries = table.iter().map(entry).collect::<Result<Vec<_>>>()?;
        entries.sort_by_key(|(start, _)| *start);
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Result<Node> {
        let place = self.place(value.span().start);
        let wrong = |what: &str, text: &str| {
            Error::new(ErrorKind::Format, "", format!("{place}: {what} is expected, got {text}"))
        };
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                let parsed = i128::from_str_radix(number.as_str(), number.radix());
                Value::Integer(parsed.map_err(|_| wrong("a whole number", number.as_str()))?)
            }
            DeValue::Float(number) => {
                Value::Float(number.as_str().parse().map_err(|_| wrong("a number", number.as_str()))?)
            }
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Datetime(time) => Value::Text(time.to_string()),
            DeValue::Array(list) => Value::List(list.iter().map(|value| self.node(value)).collect::<Result<_>>()?),
            DeValue::Table(table) => Value::Table(self.table(table)?),
        };
        Ok(Node { place, value })
    }
}

impl Node {
    /// The tree of a TOML text; errors name `file` with line and column.
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Node> {
        let source = Source { file: file.into(), text, option: None };
        let table = DeTable::parse(text).map_err(|error| {
            let place = source.place(error.span().map_or(0, |span| span.start));
            Error::new(ErrorKind::Format, "", format!("{place}: {}", error.message().replace('\n', " ")))
        })?;
        Ok(Node { place: source.place(0), value: Value::Table(source.table(table.get_ref())?) })
    }

    /// A value as an option gives it: TOML, or a text without its quotes.
    fn of_option(text: &str, option: &Arc<str>) -> Result<Node> {
        let assignment = format!("value = {text}");
        let source = Source { file: PathBuf::new().into(), text: &assignment, option: Some(option.clone()) };
        let parsed = DeTable::parse(&assignment).ok().map(|table| source.table(table.get_ref())).transpose()?;
        let value = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.pop());
        let text = || Node { place: Place::Option(option.clone()), value: Value::Text(text.to_owned()) };
        Ok(value.map_or_else(text, |entry| entry.node))
    }

    /// Puts a value in at a path, `optimizer.lr`, or `model.layers.1.units` with the place in a list; tables that are not there
    /// are made.
    pub(crate) fn set(&mut self, path: &str, value: &str, option: &str) -> Result<()> {
        let value = Node::of_option(value, &option.into())?.value;
        self.set_value(path, value, option)
    }

    /// As [`Node::set`], of a value.
    pub(crate) fn set_value(&mut self, path: &str, value: Value, option: &str) -> Result<()> {
        let option: Arc<str> = option.into();
        let node = Node { place: Place::Option(option.clone()), value };
        let mut at = self;
        for key in path.split('.') {
            if key.is_empty() {
                return Err(Error::value("", format!("{option}: a path such as optimizer.lr is expected")));
            }
            at = at.step(key, &option)?;
        }
        *at = node;
        Ok(())
    }

    /// Takes a value out of a table at the top.
    pub(crate) fn remove(&mut self, table: &str, key: &str) {
        if let Value::Table(entries) = &mut self.value
            && let Some(entry) = entries.iter_mut().find(|entry| entry.key == table)
            && let Value::Table(entries) = &mut entry.node.value
        {
            entries.retain(|entry| entry.key != key);
        }
    }

    fn step(&mut self, key: &str, option: &Arc<str>) -> Result<&mut Node> {
        let refused = |why: String| Err(Error::value("", format!("{option}: {why}")));
        // A name alone, `loss = "Huber"`, becomes a table with more in it.
        if let Value::Text(name) = &mut self.value {
            let place = self.place.clone();
            let name = Node { place: place.clone(), value: Value::Text(std::mem::take(name)) };
            self.value = Value::Table(vec![Entry { key: "name".to_owned(), place, node: name }]);
        }
        match &mut self.value {
            Value::List(list) => {
                let count = list.len();
                match key.parse::<usize>().ok().and_then(|at| list.get_mut(at)) {
                    Some(node) => Ok(node),
                    None => refused(format!("`{key}` is no place in a list of {count}, which are counted from 0")),
                }
            }
            Value::Table(table) => {
                let at = table.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
                    let place = Place::Option(option.clone());
                    let node = Node { place: place.clone(), value: Value::Table(Vec::new()) };
                    table.push(Entry { key: key.to_owned(), place, node });
                    table.len() - 1
                });
                Ok(&mut table[at].node)
            }
            _ => refused(format!("there is nothing to set at `{key}`")),
        }
    }

    /// The entry of a key, of a table.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// What it is, for errors.
    pub(crate) fn kind(&self) -> String {
        match &self.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    /// As TOML, in one line.
    pub(crate) fn to_toml(&self) -> String {
        super::write::inline(self)
    }

    /// As TOML, a text without its quotes.
    pub(crate) fn to_text(&self) -> String {
        match &self.value {
            Value::Text(text) => text.clone(),
            _ => self.to_toml(),
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Text(text) => text.as_str().into(),
            Value::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) => number.into(),
                _ => (*number as f64).into(),
            },
            Value::Float(number) => (*number).into(),
            Value::Boolean(flag) => (*flag).into(),
            Value::List(list) => list.iter().map(Node::to_json).collect(),
            Value::Table(table) => table
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}
