//! What a layer carries from one pass to the next.

use crate::{AnyLayer, Param, StateDict, Visitor};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tensors that a layer carries from one pass to the next: the last states of a stateful recurrent layer, the keys and values of
/// causal attention.
///
/// A layer that is used several times in a pass carries tensors for each use: [`Ctx::carried`](crate::Ctx::carried) finds those of
/// the same use. They are not learned and not part of `state_dict`, because they belong to a place in the data. A training that is
/// saved in the middle of an epoch saves them too ([`Module::carried_states`](crate::Module::carried_states)). Layers change them in
/// a forward pass, hence the lock.
#[derive(Default, Debug)]
pub struct Carried(Arc<Mutex<States>>);

/// The tensors of each use.
type States = BTreeMap<Use, Vec<Tensor>>;

/// Where a pass uses a layer: the path, and how many uses of the layer at that path came before it in the pass.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Use {
    pub(crate) path: String,
    pub(crate) number: usize,
}

impl Carried {
    /// Nothing is carried.
    pub fn new() -> Self {
        Carried::default()
    }

    /// Forgets the tensors of all uses: what [`Layer::reset_states`](crate::Layer::reset_states) does.
    pub fn clear(&self) {
        self.states().clear();
    }

    fn states(&self) -> MutexGuard<'_, States> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tensors of a use, which stay.
    pub(crate) fn get(&self, of: &Use) -> Vec<Tensor> {
        self.states().get(of).cloned().unwrap_or_default()
    }

    /// Takes out the tensors of a use.
    pub(crate) fn take(&self, of: &Use) -> Vec<Tensor> {
        self.states().remove(of).unwrap_or_default()
    }

    /// Replaces the tensors of a use.
    pub(crate) fn set(&self, of: &Use, tensors: Vec<Tensor>) {
        match tensors.is_empty() {
            true => self.states().remove(of),
            false => self.states().insert(of.clone(), tensors),
        };
    }

    /// The same tensors under another name: what a change can be undone with.
    pub(crate) fn shared(&self) -> Carried {
        Carried(self.0.clone())
    }

    /// Whether both are of one layer.
    pub(crate) fn is(&self, other: &Carried) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Clone for Carried {
    /// A copy of a layer starts with nothing carried.
    fn clone(&self) -> Self {
        Carried::default()
    }
}

/// As names of states have it: `decoder.0#0`.
impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.path, self.number)
    }
}

impl Use {
    fn parse(text: &str) -> Option<Self> {
        let (path, number) = text.rsplit_once('#')?;
        Some(Use { path: path.to_owned(), number: number.parse().ok()? })
    }
}

/// What some layers carry at a time.
pub(crate) struct CarriedStates(Vec<States>);

impl CarriedStates {
    pub(crate) fn of<'l>(layers: impl Iterator<Item = &'l (dyn AnyLayer + 'static)>) -> Self {
        CarriedStates(places_of(layers).into_iter().map(|carried| carried.states().clone()).collect())
    }

    /// Makes the same layers carry that.
    pub(crate) fn put<'l>(&self, layers: impl Iterator<Item = &'l (dyn AnyLayer + 'static)>) {
        places_of(layers).into_iter().zip(&self.0).for_each(|(carried, states)| carried.states().clone_from(states));
    }
}

fn places_of<'l>(layers: impl Iterator<Item = &'l (dyn AnyLayer + 'static)>) -> Vec<&'l Carried> {
    struct Places<'m>(Vec<&'m Carried>);
    impl<'m> Visitor<'m> for Places<'m> {
        fn parameter(&mut self, _: &'m Param) {}
        fn carried(&mut self, carried: &'m Carried) {
            self.0.push(carried);
        }
    }
    let mut places = Places(Vec::new());
    layers.for_each(|layer| layer.visit(&mut places));
    places.0
}

/// See [`Module::carried_states`](crate::Module::carried_states).
pub(crate) fn states(places: Vec<(String, &Carried)>) -> StateDict {
    let mut all = StateDict::new();
    for (path, carried) in places {
        for (of, tensors) in &*carried.states() {
            let named = tensors.iter().enumerate().map(|(at, tensor)| (format!("{path}[{of}].{at}"), tensor.clone()));
            all.extend(named);
        }
    }
    all
}

/// The use and the position of a tensor with this name, where the layer at `path` carries it.
fn named(name: &str, path: &str) -> Option<(Use, usize)> {
    let (of, at) = name.strip_prefix(path)?.strip_prefix('[')?.rsplit_once("].")?;
    Some((Use::parse(of)?, at.parse().ok()?))
}

/// See [`Module::set_carried_states`](crate::Module::set_carried_states).
pub(crate) fn set(places: Vec<(String, &Carried)>, states: &StateDict, device: &Device) -> Result<()> {
    let unknown = |name: &str| {
        let message = format!("`{name}` is not a state that this model carries; nothing was changed");
        Err(Error::new(ErrorKind::Format, "set_carried_states", message))
    };
    let mut found: Vec<BTreeMap<Use, BTreeMap<usize, Tensor>>> = vec![BTreeMap::new(); places.len()];
    for (name, tensor) in states {
        let mut candidates = places.iter().zip(&mut found);
        let known = candidates.find_map(|((path, _), found)| named(name, path).map(|at| (found, at)));
        let Some((found, (of, at))) = known else { return unknown(name) };
        found.entry(of).or_default().insert(at, tensor.to_device(device)?);
    }
    // The tensors of a use are numbered without gaps.
    for ((path, _), found) in places.iter().zip(&found) {
        let gap = found.iter().find(|(_, tensors)| tensors.keys().last().copied() != tensors.len().checked_sub(1));
        if let Some((of, tensors)) = gap {
            return unknown(&format!("{path}[{of}].{}", tensors.keys().last().copied().unwrap_or_default()));
        }
    }
    for ((_, carried), found) in places.into_iter().zip(found) {
        *carried.states() = found.into_iter().map(|(of, tensors)| (of, tensors.into_values().collect())).collect();
    }
    Ok(())
}
