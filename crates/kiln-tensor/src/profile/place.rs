//! Where a computation is: in which layer, and in which part of a step.

use super::recorder::{leave, open};
use super::{is_on, names};
use std::cell::Cell;
use std::marker::PhantomData;

/// The part of a training step that an operation belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Phase {
    /// The forward pass of a training step.
    Forward,
    /// The backward pass, with what it computes once more.
    Backward,
    /// The optimizer's step, and what is updated with it.
    Optimizer,
    /// A forward pass that does not train: validation, prediction.
    Evaluation,
    /// Anything else: data, metrics.
    #[default]
    Other,
}

impl Phase {
    /// All of them.
    pub const ALL: [Phase; 5] = [Phase::Forward, Phase::Backward, Phase::Optimizer, Phase::Evaluation, Phase::Other];

    /// The name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Forward => "forward",
            Phase::Backward => "backward",
            Phase::Optimizer => "optimizer",
            Phase::Evaluation => "evaluation",
            Phase::Other => "other",
        }
    }
}

/// A layer by its number, and a phase.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Place {
    pub(super) scope: u32,
    pub(super) phase: Phase,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place { scope: 0, phase: Phase::Other }) };
}

pub(super) fn here() -> Place {
    PLACE.get()
}

pub(super) fn reset() {
    PLACE.set(Place::default());
}

/// The number of the layer that computes now, 0 of none: a node of a graph keeps it for the backward pass.
#[inline]
pub fn scope() -> u32 {
    PLACE.get().scope
}

/// Until this is dropped, operations are counted for what was entered.
#[must_use = "operations are counted for this until it is dropped"]
#[derive(Debug)]
pub struct Entered(Option<Within>);

/// How to go back.
#[derive(Debug)]
struct Within {
    before: Place,
    /// Of the profile, and of the event in its trace.
    profile: u64,
    event: Option<usize>,
    // The place is the thread's.
    _thread: PhantomData<*const ()>,
}

/// Counts the operations that follow on this thread for the part of this name, until the value is dropped. Layers, the backward pass,
/// losses and optimizers of Kiln do so themselves. Within a backward pass or an optimizer's step the phase stays that.
#[inline]
pub fn enter(phase: Phase, name: &str) -> Entered {
    enter_layer(phase, |go| go(name, ""))
}

/// As [`enter`], of a layer: `with` calls what it is given with the path and the type, which are only asked for where there is a profile.
#[inline]
pub fn enter_layer(phase: Phase, with: impl FnOnce(&dyn Fn(&str, &str) -> Entered) -> Entered) -> Entered {
    if is_on() { with(&|path, layer| enter_now(phase, path, layer)) } else { Entered(None) }
}

#[cold]
fn enter_now(phase: Phase, path: &str, layer: &str) -> Entered {
    let phase = match here().phase {
        outer @ (Phase::Backward | Phase::Optimizer) => outer,
        _ => phase,
    };
    go(Place { scope: names::number(path, layer), phase })
}

/// As [`enter`], of the backward pass of what this layer has recorded.
#[inline]
pub fn enter_node(scope: u32) -> Entered {
    if is_on() && scope != 0 { go(Place { scope, phase: Phase::Backward }) } else { Entered(None) }
}

#[cold]
fn go(place: Place) -> Entered {
    let before = PLACE.replace(place);
    let (profile, event) = open(place);
    Entered(Some(Within { before, profile, event, _thread: PhantomData }))
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        if let Some(Within { before, profile, event, .. }) = self.0.take()
            && leave(profile, event)
        {
            PLACE.set(before);
        }
    }
}
