//! The names of layers and other parts as numbers, which nodes of a graph keep.

use super::key::Mix;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
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

thread_local! {
    /// What this thread has asked for, by a hash of 128 bits, at which two names do not meet. Layers are entered at each step, and by then
    /// a step's weights have taken the names' place in the cache: comparing letters would wait for memory.
    static KNOWN: RefCell<HashMap<[u64; 2], u32, BuildHasherDefault<Mix>>> = RefCell::default();
}

fn names() -> MutexGuard<'static, Option<Names>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the layer of this type at this path. `layer` is empty for what is no layer.
pub(super) fn number(path: &str, layer: &str) -> u32 {
    let hash = [Mix::new(0), Mix::new(u64::MAX / 3)].map(|mut mix| {
        mix.write(path.as_bytes());
        mix.write_u64(path.len() as u64);
        mix.write(layer.as_bytes());
        mix.finish()
    });
    KNOWN.with_borrow_mut(|known| *known.entry(hash).or_insert_with(|| of_process(path, layer)))
}

fn of_process(path: &str, layer: &str) -> u32 {
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
pub(crate) fn label(number: u32) -> String {
    let place = (number as usize).checked_sub(1);
    names().as_ref().zip(place).and_then(|(names, at)| names.labels.get(at).cloned()).unwrap_or_default()
}
