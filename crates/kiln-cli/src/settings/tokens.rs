//! `"tokens"` in the settings of a model: how many tokens the text has that it is trained on.

use super::node::{Entry, Node, Value};
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::trained::Input;

/// Settings of layers and models that are a number of tokens.
const KEYS: [&str; 3] = ["vocabulary", "units", "classes"];

/// The same tree with the number in the place of the word, below `model`.
pub(super) fn filled(root: &Node, input: Option<&Input>) -> Result<Node> {
    let tokens = match input {
        Some(Input::Tokens(tokenizer)) => Some(tokenizer.len()),
        _ => None,
    };
    let mut root = root.clone();
    if let Value::Table(entries) = &mut root.value
        && let Some(model) = entries.iter_mut().find(|entry| entry.key == "model")
    {
        fill(&mut model.node, tokens)?;
    }
    Ok(root)
}

fn fill(node: &mut Node, tokens: Option<usize>) -> Result<()> {
    match &mut node.value {
        Value::List(list) => list.iter_mut().try_for_each(|node| fill(node, tokens)),
        Value::Table(entries) => entries.iter_mut().try_for_each(|Entry { key, node, .. }| {
            if !KEYS.contains(&key.as_str()) || !matches!(&node.value, Value::Text(text) if text == "tokens") {
                return fill(node, tokens);
            }
            let Some(tokens) = tokens else {
                let why = format!(
                    "`{key} = \"tokens\"` is for models of a text, and this data is none: a number is expected"
                );
                return Err(Error::new(ErrorKind::Format, "", format!("{}: {why}", node.place)));
            };
            node.value = Value::Integer(tokens as i128);
            Ok(())
        }),
        _ => Ok(()),
    }
}
