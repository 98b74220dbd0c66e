//! The names of layers and other parts as numbers, which nodes of a graph keep.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All names that profiles have met. They are kept until the process ends, each once. They are the process's: a graph may be
/// differentiated on another thread than it was recorded on.
#[derive(Default)]
struct Names {
    /// By path; of each the types of the layers there, which may be several in a process.
    known: HashMap<String, Vec<(String, u32)>>,
    /// By number − 1; 0 is no name.
    labels: Vec<String>,
}

static NAMES: Mutex<Option<Names>> = Mutex::new(None);

fn names() -> MutexGuard<'static, Option<Names>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the layer of this type at this path. `layer` is empty for what is no layer.
pub(super) fn number(path: &str, layer: &str) -> u32 {
    let mut names = names();
    let Names { known, labels } = names.get_or_insert_with(Names::default);
    let found = known.get(path).and_then(|layers| layers.iter().find(|(known, _)| known == layer));
    if let Some((_, number)) = found {
        return *number;
    }
    labels.push(match (path, layer) {
        (path, "") => path.to_owned(),
        ("", layer) => format!("model ({layer})"),
        (path, layer) => format!("{path} ({layer})"),
    });
    let number = labels.len() as u32;
    known.entry(path.to_owned()).or_default().push((layer.to_owned(), number));
    number
}

/// The name of a number: `conv1 (Conv2d)`; empty where there is none.
pub(super) fn label(number: u32) -> String {
    let place = (number as usize).checked_sub(1);
    names().as_ref().zip(place).and_then(|(names, at)| names.labels.get(at).cloned()).unwrap_or_default()
}
