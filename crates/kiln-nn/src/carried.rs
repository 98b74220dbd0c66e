//! What a layer carries from one batch to the next.

use crate::{AnyLayer, Param, StateDict, Visitor};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use std::sync::{Mutex, PoisonError};

/// Tensors that a layer carries from one batch to the next: the last states of a stateful recurrent layer.
///
/// They are not learned and not part of `state_dict`, for they belong to a place in the data. A training that is saved in the
/// middle of an epoch saves them too ([`Module::carried_states`](crate::Module::carried_states)). A layer puts them away in its forward pass, hence the lock.
#[derive(Default, Debug)]
pub struct Carried(Mutex<Vec<Tensor>>);

impl Carried {
    /// Nothing carried.
    pub fn new() -> Self {
        Carried::default()
    }

    /// Takes out what was put; nothing is left. Empty at the beginning.
    pub fn take(&self) -> Vec<Tensor> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts tensors in the place of those before.
    pub fn put(&self, tensors: Vec<Tensor>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = tensors;
    }

    /// The same tensors, which stay.
    fn get(&self) -> Vec<Tensor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Clone for Carried {
    /// A copy of a layer starts with nothing carried.
    fn clone(&self) -> Self {
        Carried::default()
    }
}

/// What some layers carry at a time.
pub(crate) struct CarriedStates(Vec<Vec<Tensor>>);

impl CarriedStates {
    pub(crate) fn of<'l>(layers: impl Iterator<Item = &'l (dyn AnyLayer + 'static)>) -> Self {
        CarriedStates(places_of(layers).into_iter().map(Carried::get).collect())
    }

    /// Makes the same layers carry that.
    pub(crate) fn put<'l>(&self, layers: impl Iterator<Item = &'l (dyn AnyLayer + 'static)>) {
        places_of(layers).into_iter().zip(&self.0).for_each(|(carried, tensors)| carried.put(tensors.clone()));
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
    let named = |(path, carried): (String, &Carried)| {
        let tensors = carried.get().into_iter().enumerate();
        tensors.map(move |(at, tensor)| (format!("{path}.{at}"), tensor)).collect::<Vec<_>>()
    };
    places.into_iter().flat_map(named).collect()
}

/// See [`Module::set_carried_states`](crate::Module::set_carried_states).
pub(crate) fn set(places: Vec<(String, &Carried)>, states: &StateDict, device: &Device) -> Result<()> {
    let of_place = |path: &str| -> Result<Vec<Tensor>> {
        let tensors = (0..).map_while(|at| states.get(&format!("{path}.{at}")));
        tensors.map(|tensor| tensor.to_device(device)).collect()
    };
    let found = places.iter().map(|(path, _)| of_place(path)).collect::<Result<Vec<_>>>()?;
    if found.iter().map(Vec::len).sum::<usize>() != states.len() {
        let known = |name: &String| {
            name.rsplit_once('.').is_some_and(|(path, _)| places.iter().any(|(place, _)| place == path))
        };
        let strange = states.keys().find(|name| !known(name)).or(states.keys().next()).cloned().unwrap_or_default();
        let message = format!("`{strange}` is not a state that this model carries; nothing was changed");
        return Err(Error::new(ErrorKind::Format, "set_carried_states", message));
    }
    places.into_iter().zip(found).for_each(|((_, carried), tensors)| carried.put(tensors));
    Ok(())
}
