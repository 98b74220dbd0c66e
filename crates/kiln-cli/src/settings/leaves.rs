//! Settings one by one, each under the path that `--set` takes.

use super::node::{Node, Value};

/// What may be written as a name alone: `loss = "Huber"` is `loss.name`.
const NAMED: [&str; 3] = ["loss", "optimizer", "schedule"];

/// A value that has no other settings in it, and its path.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) path: String,
    pub(crate) node: Node,
}

pub(super) fn leaves(root: &Node) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    add(&mut leaves, "", root);
    leaves
}

fn add(leaves: &mut Vec<Leaf>, path: &str, node: &Node) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match &node.value {
        Value::Table(table) if !table.is_empty() => {
            table.iter().for_each(|entry| add(leaves, &below(&entry.key), &entry.node));
        }
        Value::List(list) if list.iter().any(|node| matches!(node.value, Value::Table(_))) => {
            list.iter().enumerate().for_each(|(at, node)| add(leaves, &below(&at.to_string()), node));
        }
        Value::Text(_) if NAMED.contains(&path) => leaves.push(Leaf { path: below("name"), node: node.clone() }),
        _ => leaves.push(Leaf { path: path.to_owned(), node: node.clone() }),
    }
}
