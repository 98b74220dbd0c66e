//! Settings as TOML text.

use super::TOP;
use super::node::{Entry, Node, Place, Table, Value};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// The tree as TOML, values before tables, in the order of [`TOP`], and a table `run` at the end. Paths of data are made absolute, as
/// the text lies elsewhere than the file.
pub(super) fn toml(root: &Node, folder: &Path, run: &[(&str, Value)]) -> String {
    let Value::Table(entries) = &root.value else { return String::new() };
    let place = |entry: &&Entry| TOP.iter().position(|key| *key == entry.key).unwrap_or(TOP.len());
    let mut sorted: Vec<&Entry> = entries.iter().filter(|entry| entry.key != "run").collect();
    sorted.sort_by_key(place);
    let mut text = String::new();
    for entry in sorted.iter().filter(|entry| !is_table(&entry.node)) {
        let _ = writeln!(text, "{} = {}", key(&entry.key), inline(&entry.node));
    }
    for entry in sorted.iter().filter(|entry| is_table(&entry.node)) {
        let mut node = entry.node.clone();
        if entry.key == "data" {
            ["path", "test", "validation"].iter().for_each(|key| absolute(&mut node, key, folder));
        }
        match &node.value {
            Value::Table(table) => section(&mut text, &format!("[{}]", key(&entry.key)), table),
            Value::List(list) => list.iter().for_each(|node| match &node.value {
                Value::Table(table) => section(&mut text, &format!("[[{}]]", key(&entry.key)), table),
                _ => named(&mut text, &entry.key, node),
            }),
            _ => {}
        }
    }
    let place = Place::Option(Arc::from(""));
    let entry = |(key, value): &(&str, Value)| Entry {
        key: (*key).to_owned(),
        place: place.clone(),
        node: Node { place: place.clone(), value: value.clone() },
    };
    section(&mut text, "[run]", &run.iter().map(entry).collect::<Table>());
    text
}

fn is_table(node: &Node) -> bool {
    match &node.value {
        Value::Table(_) => true,
        Value::List(list) => list.iter().any(|node| matches!(node.value, Value::Table(_))),
        _ => false,
    }
}

/// A thing of a list that is a name alone, beside others that are tables.
fn named(text: &mut String, list: &str, node: &Node) {
    let _ = write!(text, "\n[[{}]]\nname = {}\n", key(list), inline(node));
}

fn section(text: &mut String, heading: &str, table: &Table) {
    let _ = writeln!(text, "\n{heading}");
    for entry in table {
        let _ = write!(text, "{} = ", key(&entry.key));
        match &entry.node.value {
            // Layers, one a line.
            Value::List(list) if is_table(&entry.node) => {
                *text += "[\n";
                for node in list {
                    let _ = writeln!(text, "    {},", inline(node));
                }
                *text += "]\n";
            }
            _ => {
                let _ = writeln!(text, "{}", inline(&entry.node));
            }
        }
    }
}

pub(super) fn inline(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => toml::Value::String(text.clone()).to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => toml::Value::Float(*number).to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::List(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(table) if table.is_empty() => "{}".to_owned(),
        Value::Table(table) => {
            let entry = |entry: &Entry| format!("{} = {}", key(&entry.key), inline(&entry.node));
            format!("{{ {} }}", table.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A key, in quotes where it needs them.
fn key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        toml::Value::String(name.to_owned()).to_string()
    }
}

fn absolute(data: &mut Node, key: &str, folder: &Path) {
    let Value::Table(table) = &mut data.value else { return };
    let entry = table.iter_mut().find(|entry| entry.key == key);
    if let Some(Entry { node: Node { value: Value::Text(path), .. }, .. }) = entry
        && let Ok(whole) = std::path::absolute(folder.join(&*path))
    {
        *path = whole.to_string_lossy().into_owned();
    }
}
