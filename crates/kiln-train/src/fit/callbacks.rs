//! Calls of the callbacks, and the state of a training with theirs.

use super::Fit;
use super::group::Group;
use crate::{Callback, Run, Scalar};
use kiln_nn::{StateDict, Stateful};
use kiln_tensor::{Device, Error, Result};

impl Fit<'_, '_> {
    /// Calls a hook of every callback, and hands on what they have reported in it.
    pub(super) fn each(&mut self, hook: impl Fn(&mut dyn Callback, &mut Run<'_>) -> Result<()>) -> Result<()> {
        let Fit { run, callbacks, .. } = self;
        callbacks.iter_mut().try_for_each(|callback| hook(&mut **callback, run))?;
        if run.logged.is_empty() {
            return Ok(());
        }
        let scalars: Vec<Scalar> = std::mem::take(&mut run.logged);
        callbacks.iter_mut().try_for_each(|callback| callback.on_log(run, &scalars))
    }

    /// Gives all callbacks the state of the training, where one of them has asked for it. In the middle of a step there is none to resume
    /// from: then they get it after that step.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        if !self.run.checkpoint_requested || !self.group.is_empty() {
            return Ok(());
        }
        self.run.checkpoint_requested = false;
        if self.run.state.batch > 0 {
            self.run.state.seconds = self.run.epoch_began.elapsed().as_secs_f64();
        }
        let mut state = StateDict::new();
        let Fit { run, callbacks, .. } = self;
        run.state.callbacks = states(callbacks)?;
        let parts = [
            ("model", run.model.state_dict()),
            ("optimizer", run.optimizer.state_dict()?),
            ("state", run.state.state_dict()?),
        ];
        run.state.callbacks.clear();
        for (part, values) in parts {
            for (name, value) in values {
                // What is on a device is copied now: there the next step may write into it.
                let value = if run.device.backend().is_host() { value } else { value.to_device(&Device::cpu())? };
                state.insert(format!("{part}.{name}"), value);
            }
        }
        callbacks.iter_mut().try_for_each(|callback| callback.on_checkpoint(run, &state))
    }
}

impl Fit<'_, '_> {
    /// Tells the callbacks of a failure, and says what went wrong in them too.
    #[cold]
    pub(super) fn failed(&mut self, error: Error) -> Error {
        // The step that failed is not made.
        self.group = Group::default();
        self.run.checkpoint_requested = false;
        let told = self.each(|callback, run| callback.on_failure(run, &error)).and_then(|()| self.checkpoint());
        match told {
            Ok(()) => error,
            Err(second) => {
                let message = format!("{}; and after it: {}", error.message(), second.message());
                Error::new(error.kind(), error.operation(), message).with_source(error)
            }
        }
    }
}

/// What callbacks remember, as `NAME.…`; of a second one with the same name `NAME-2.…`.
fn states(callbacks: &mut [Box<dyn Callback + '_>]) -> Result<StateDict> {
    let mut all = StateDict::new();
    for (name, state) in named(callbacks) {
        all.extend(state.state_dict()?.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
    }
    Ok(all)
}

/// Gives the callbacks what [`states`] has of them.
pub(super) fn resume(callbacks: &mut [Box<dyn Callback + '_>], states: &StateDict) -> Result<()> {
    for (name, callback) in named(callbacks) {
        let own = states.iter().filter_map(|(key, value)| {
            let key = key.strip_prefix(name.as_str())?.strip_prefix('.')?;
            Some((key.to_owned(), value.clone()))
        });
        let own: StateDict = own.collect();
        if !own.is_empty() {
            callback.load_state_dict(&own)?;
        }
    }
    Ok(())
}

/// The callbacks that remember something, by names that differ.
fn named<'c>(callbacks: &'c mut [Box<dyn Callback + '_>]) -> impl Iterator<Item = (String, &'c mut dyn Stateful)> {
    let mut names: Vec<&'static str> = Vec::new();
    callbacks.iter_mut().filter_map(move |callback| {
        let (name, state) = callback.state()?;
        names.push(name);
        let count = names.iter().filter(|other| **other == name).count();
        Some((if count == 1 { name.to_owned() } else { format!("{name}-{count}") }, state))
    })
}
