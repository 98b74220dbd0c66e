//! Settings as TOML text.

use super::TOP;
use super::node::{Entry, Node, Value};
use kiln::{Error, ErrorKind, Result};
use serde_json::Value as Json;
use std::path::Path;

/// The tree as TOML, tables in the order of [`TOP`]. Paths of data are made absolute, as the text lies elsewhere than the file.
pub(super) fn toml(root: &Node, folder: &Path, run: &Json) -> Result<String> {
    let Value::Table(entries) = &root.value else { return Ok(String::new()) };
    let place = |entry: &&Entry| TOP.iter().position(|key| *key == entry.key).unwrap_or(TOP.len());
    let mut sorted: Vec<&Entry> = entries.iter().filter(|entry| entry.key != "run").collect();
    sorted.sort_by_key(place);
    let mut text = String::new();
    // Values come before tables.
    for entry in sorted.iter().filter(|entry| !is_table(&entry.node)) {
        text += &lines(&entry.key, entry.node.to_json())?;
    }
    for entry in sorted.iter().filter(|entry| is_table(&entry.node)) {
        let mut json = entry.node.to_json();
        if entry.key == "data" {
            ["path", "test", "validation"].iter().for_each(|key| absolute(&mut json, key, folder));
        }
        text += "\n";
        text += &lines(&entry.key, json)?;
    }
    text += "\n";
    text += &lines("run", run.clone())?;
    Ok(text)
}

fn is_table(node: &Node) -> bool {
    match &node.value {
        Value::Table(_) => true,
        Value::List(list) => list.iter().any(|node| matches!(node.value, Value::Table(_))),
        _ => false,
    }
}

fn absolute(data: &mut Json, key: &str, folder: &Path) {
    if let Some(Json::String(path)) = data.get_mut(key)
        && let Ok(whole) = std::path::absolute(folder.join(&*path))
    {
        *path = whole.to_string_lossy().into_owned();
    }
}

fn lines(key: &str, value: Json) -> Result<String> {
    let object = Json::Object(serde_json::Map::from_iter([(key.to_owned(), value)]));
    toml::to_string(&object).map_err(|error| Error::new(ErrorKind::Value, "", format!("config.toml: {error}")))
}
