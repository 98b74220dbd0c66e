//! Where in the model a forward pass is, and the random streams of that place.

use crate::streams::Draws;
use crate::{Path, Segment};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Error, Result};
use serde_json::Value as Json;
use std::cell::RefCell;
use std::fmt;

/// The path to the layer that runs, and what random streams are made of: the seed, the step and the path.
#[derive(Default, Debug)]
pub(crate) struct Place {
    seed: u64,
    step: u64,
    path: RefCell<Path>,
    draws: RefCell<Draws>,
}

/// A place as plain data.
pub(crate) struct Spot {
    seed: u64,
    step: u64,
    path: Path,
    draws: Draws,
}

impl Place {
    /// Where it is now.
    pub(crate) fn spot(&self) -> Spot {
        Spot { seed: self.seed, step: self.step, path: self.path.borrow().clone(), draws: self.draws.borrow().clone() }
    }

    /// A place from there on.
    pub(crate) fn at(spot: &Spot) -> Self {
        let Spot { seed, step, path, draws } = spot;
        Place { seed: *seed, step: *step, path: path.clone().into(), draws: draws.clone().into() }
    }

    /// The beginning of a model, of a step of a run.
    pub(crate) fn new(seed: u64, step: u64) -> Self {
        Place { seed, step, ..Place::default() }
    }

    /// Whether the path is empty: at the model itself.
    #[inline]
    pub(crate) fn is_at_the_beginning(&self) -> bool {
        self.path.borrow().as_str().is_empty()
    }

    /// Runs something one step down the path.
    #[inline]
    pub(crate) fn scope<R>(&self, segment: Segment<'_>, run: impl FnOnce() -> Result<R>) -> Result<R> {
        self.path.borrow_mut().push(segment);
        let result = run();
        self.path.borrow_mut().pop();
        result
    }

    /// A random stream for this place, step and repetition.
    pub(crate) fn stream(&self, purpose: Purpose) -> RandomStream {
        let number = self.draws.borrow_mut().next(self.path.borrow().as_str(), self.step);
        RandomStream::new(self.seed, purpose, number)
    }

    /// The error as seen from here, unless it was located further inside.
    #[cold]
    pub(crate) fn locate(&self, error: Error, layer: &str) -> Error {
        located(error, &self.path.borrow(), layer)
    }

    /// Calls `f` with the layer that is here.
    pub(crate) fn with<R>(&self, layer: &str, f: impl FnOnce(Here<'_>) -> R) -> R {
        f(Here::new(self.path.borrow().as_str(), layer))
    }
}

/// A layer and where it is: `model.5 (MaxPool2d)`.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    /// Its path; empty of the model itself.
    pub path: &'a str,
    /// Its name.
    pub layer: &'a str,
    /// Its settings, which are made only for who asks for them.
    config: Option<&'a dyn Fn() -> Option<Json>>,
}

impl<'a> Here<'a> {
    pub(crate) fn new(path: &'a str, layer: &'a str) -> Self {
        Here { path, layer, config: None }
    }

    pub(crate) fn with_config(self, config: &'a dyn Fn() -> Option<Json>) -> Self {
        Here { config: Some(config), ..self }
    }

    /// The settings of the layer ([`Describe::config`](crate::Describe::config)), for example its `activation`; none where it has none
    /// to tell.
    pub fn config(&self) -> Option<Json> {
        self.config.and_then(|config| config())
    }
}

impl fmt::Debug for Here<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Here").field("path", &self.path).field("layer", &self.layer).finish()
    }
}

impl fmt::Display for Here<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.path.is_empty() { "" } else { "." };
        write!(f, "model{dot}{} ({})", self.path, self.layer)
    }
}

/// The error with the place it is from.
#[cold]
pub(crate) fn located(error: Error, path: &Path, layer: &str) -> Error {
    error.at(&Here::new(path.as_str(), layer).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_left_after_an_error_too() {
        let place = Place::new(1, 0);
        let failed: Result<()> = place.scope("a".into(), || Err(place.locate(Error::value("x", "wrong"), "Dense")));
        assert!(failed.unwrap_err().to_string().contains("model.a (Dense)"));
        assert_eq!(place.with("Net", |here| here.to_string()), "model (Net)");
    }

    #[test]
    fn streams_depend_on_place_step_and_repetition() {
        let draw = |place: &Place| place.stream(Purpose::Dropout).next_u64();
        let (first, other) = (Place::new(1, 0), Place::new(1, 1));
        let (a, again) = (draw(&first), draw(&first));
        assert_ne!(a, again);
        assert_ne!(a, draw(&other));
        assert_eq!(a, draw(&Place::new(1, 0)));
    }
}
