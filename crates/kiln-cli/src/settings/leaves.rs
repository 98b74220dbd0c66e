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

/// A setting that two runs do not have in common.
pub(crate) struct Difference {
    pub(crate) path: String,
    /// Its values in the first and in the second; none where it is not set.
    pub(crate) values: [Option<Node>; 2],
}

/// The settings that differ, in the order of the first; those that the second alone has follow.
pub(crate) fn differences(first: &[Leaf], second: &[Leaf]) -> Vec<Difference> {
    let find = |leaves: &[Leaf], path: &str| leaves.iter().find(|leaf| leaf.path == path).map(|leaf| leaf.node.clone());
    let alone = second.iter().filter(|leaf| find(first, &leaf.path).is_none());
    let pair = |leaf: &Leaf| Difference {
        path: leaf.path.clone(),
        values: [find(first, &leaf.path), find(second, &leaf.path)],
    };
    first.iter().chain(alone).map(pair).filter(|difference| !difference.is_none()).collect()
}

impl Difference {
    /// Whether the values are the same: 1 and 1.0 are.
    fn is_none(&self) -> bool {
        let [Some(first), Some(second)] = self.values.each_ref().map(|node| node.as_ref().map(Node::to_json)) else {
            return false;
        };
        first == second || first.as_f64().is_some_and(|first| Some(first) == second.as_f64())
    }
}
