//! Two schedules as one.

use super::Schedule;
use kiln_nn::{StateDict, Stateful};
use kiln_tensor::{Error, ErrorKind, Result};

/// Two schedules, whose states are under `0.` and `1.`.
#[derive(Debug)]
struct Pair<A, B>(A, B);

/// One schedule for some steps, then another one: made by [`Schedule::then`].
#[derive(Debug)]
pub struct Then<A, B> {
    pair: Pair<A, B>,
    steps: u64,
}

/// The product of two schedules: made by [`Schedule::times`].
#[derive(Debug)]
pub struct Times<A, B>(Pair<A, B>);

impl<A: Schedule, B: Schedule> Then<A, B> {
    pub(super) fn new(first: A, steps: u64, next: B) -> Self {
        Then { pair: Pair(first, next), steps }
    }
}

impl<A: Schedule, B: Schedule> Times<A, B> {
    pub(super) fn new(a: A, b: B) -> Self {
        Times(Pair(a, b))
    }
}

impl<A: Schedule, B: Schedule> Schedule for Then<A, B> {
    fn at(&self, step: u64) -> f64 {
        if step < self.steps { self.pair.0.at(step) } else { self.pair.1.at(step - self.steps) }
    }
    fn check(&self) -> Result<()> {
        self.pair.check()
    }
    fn name(&self) -> String {
        format!("{}, {}", self.pair.0.name(), self.pair.1.name())
    }
    fn stateful(&self) -> Option<&dyn Stateful> {
        self.pair.has_state().then_some(&self.pair as _)
    }
    fn stateful_mut(&mut self) -> Option<&mut dyn Stateful> {
        self.pair.has_state().then_some(&mut self.pair as _)
    }
}

impl<A: Schedule, B: Schedule> Schedule for Times<A, B> {
    fn at(&self, step: u64) -> f64 {
        self.0.0.at(step) * self.0.1.at(step)
    }
    fn check(&self) -> Result<()> {
        self.0.check()
    }
    fn name(&self) -> String {
        format!("({}) · ({})", self.0.0.name(), self.0.1.name())
    }
    fn stateful(&self) -> Option<&dyn Stateful> {
        self.0.has_state().then_some(&self.0 as _)
    }
    fn stateful_mut(&mut self) -> Option<&mut dyn Stateful> {
        self.0.has_state().then_some(&mut self.0 as _)
    }
}

impl<A: Schedule, B: Schedule> Pair<A, B> {
    fn check(&self) -> Result<()> {
        self.0.check()?;
        self.1.check()
    }

    fn has_state(&self) -> bool {
        self.0.stateful().is_some() || self.1.stateful().is_some()
    }
}

impl<A: Schedule, B: Schedule> Stateful for Pair<A, B> {
    fn state_dict(&self) -> Result<StateDict> {
        let mut all = StateDict::new();
        for (at, part) in [(0, self.0.stateful()), (1, self.1.stateful())] {
            if let Some(part) = part {
                all.extend(part.state_dict()?.into_iter().map(|(key, value)| (format!("{at}.{key}"), value)));
            }
        }
        Ok(all)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let part = |prefix: &str| -> StateDict {
            let own = state.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.into(), value.clone())));
            own.collect()
        };
        let (first, second) = (part("0."), part("1."));
        if first.len() + second.len() != state.len() {
            return Err(Error::new(
                ErrorKind::Format,
                "schedule.load_state_dict",
                "the state is not that of two schedules; nothing was changed",
            ));
        }
        // What the second refuses must leave the first as it was.
        let before = self.0.stateful().map(Stateful::state_dict).transpose()?;
        load(&mut self.0, &first)?;
        let loaded = load(&mut self.1, &second);
        if let (Err(_), Some(before)) = (&loaded, before) {
            load(&mut self.0, &before)?;
        }
        loaded
    }
}

/// Loads a schedule's state; of one that has none, none.
pub(crate) fn load(schedule: &mut dyn Schedule, state: &StateDict) -> Result<()> {
    match schedule.stateful_mut() {
        Some(stateful) => stateful.load_state_dict(state),
        None if state.is_empty() => Ok(()),
        None => Err(Error::new(
            ErrorKind::Format,
            "schedule.load_state_dict",
            format!("{} has no state, but there is one; nothing was changed", schedule.name()),
        )),
    }
}
