//! `"tokens"` and `"classes"` in the settings of a model: how many there are in the data that it is trained on.

use super::data::Data;
use super::node::{Entry, Node, Value};
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::trained::Input;

/// Settings of layers and models that may be such a number.
const KEYS: [&str; 3] = ["vocabulary", "units", "classes"];

/// What a model is made for: how many tokens a text's vocabulary has, and how many classes there are.
#[derive(Clone, Copy, Default)]
pub(super) struct Numbers {
    tokens: Option<usize>,
    classes: Option<usize>,
}

impl Numbers {
    /// Of data.
    pub(super) fn of(data: &Data) -> Self {
        let tokens = match &data.input {
            Some(Input::Tokens(tokenizer)) => Some(tokenizer.len()),
            Some(Input::Text(texts)) => Some(texts.tokenizer().len()),
            Some(Input::Pairs(pairs)) => Some(pairs.tokenizer().len()),
            _ => None,
        };
        Numbers { tokens, classes: Some(data.classes.len()).filter(|&classes| classes > 0) }
    }

    /// The number that a word stands for, or what the data should be; none of other words.
    fn named(self, word: &str) -> Option<Result<usize, &'static str>> {
        match word {
            "tokens" => Some(self.tokens.ok_or("a text")),
            "classes" => Some(self.classes.ok_or("classes")),
            _ => None,
        }
    }

    /// The same tree with numbers in the place of the words, below `model`.
    pub(super) fn fill(self, root: &Node) -> Result<Node> {
        let mut root = root.clone();
        if let Value::Table(entries) = &mut root.value
            && let Some(model) = entries.iter_mut().find(|entry| entry.key == "model")
        {
            self.fill_below(&mut model.node)?;
        }
        Ok(root)
    }

    fn fill_below(self, node: &mut Node) -> Result<()> {
        match &mut node.value {
            Value::List(list) => list.iter_mut().try_for_each(|node| self.fill_below(node)),
            Value::Table(entries) => entries.iter_mut().try_for_each(|Entry { key, node, .. }| {
                let word = match &node.value {
                    Value::Text(text) if KEYS.contains(&key.as_str()) => text.clone(),
                    _ => return self.fill_below(node),
                };
                match self.named(&word) {
                    Some(Ok(number)) => node.value = Value::Integer(number as i128),
                    Some(Err(data)) => {
                        let why = format!("`{key} = {word:?}` is for models of {data}, and this data has none");
                        let message = format!("{}: {why}: a number is expected", node.place);
                        return Err(Error::new(ErrorKind::Format, "", message));
                    }
                    None => {}
                }
                Ok(())
            }),
            _ => Ok(()),
        }
    }
}
