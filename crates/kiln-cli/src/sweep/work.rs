//! Processes that train what is to be trained, as many at a time as asked for.

use super::folder::Folder;
use super::left_over;
use super::outcome::Outcome;
use super::parameter::Parameter;
use super::plan::Source;
use super::process::{Event, Process, Signal};
use super::search::{End, Job, Search};
use crate::signals::Signals;
use kiln::{Error, ErrorKind, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often it is looked whether a signal has come.
const PAUSE: Duration = Duration::from_millis(100);

/// After so many failures, while no trial has reported an epoch, the sweep ends.
const FAILURES: usize = 3;

/// What the words of a trial's command are made of.
pub(super) struct Words<'a> {
    pub(super) base: &'a Source,
    pub(super) parameters: &'a [Parameter],
    pub(super) device: String,
    pub(super) threads: usize,
    pub(super) data: Option<&'a Path>,
}

/// How the work ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Interrupted,
}

pub(super) struct Work<'a> {
    words: &'a Words<'a>,
    outcome: &'a Outcome<'a>,
    parallel: usize,
    running: BTreeMap<usize, Running>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// Whether trials are being stopped and none is begun.
    stopping: bool,
}

struct Running {
    job: Job,
    process: Process,
}

impl<'a> Work<'a> {
    pub(super) fn new(words: &'a Words<'a>, outcome: &'a Outcome<'a>, parallel: usize) -> Work<'a> {
        let (sender, events) = channel();
        Work { words, outcome, parallel, running: BTreeMap::new(), sender, events, stopping: false }
    }

    /// Trains until nothing is left, or until it is asked to stop; then all trials are saved.
    pub(super) fn run(&mut self, search: &mut Search, folder: &mut Folder, signals: &Signals) -> Result<Ended> {
        let worked = self.work(search, folder, signals);
        if worked.is_err() {
            self.stop();
            while !self.running.is_empty() {
                match self.events.recv() {
                    Ok(Event::Ended { trial, .. }) => drop(self.running.remove(&trial)),
                    Ok(Event::Epoch { .. }) => {}
                    Err(_) => break,
                }
            }
        }
        worked.map(|()| if self.stopping { Ended::Interrupted } else { Ended::Done })
    }

    fn work(&mut self, search: &mut Search, folder: &mut Folder, signals: &Signals) -> Result<()> {
        left_over::end(folder, folder.trials(), signals.stop())?;
        for (place, trial) in search.trials.iter_mut().enumerate() {
            folder.recall(place, trial, self.outcome.metric);
        }
        loop {
            if signals.stop().load(Relaxed) && !self.stopping {
                self.stop();
            }
            if signals.take_save() {
                self.save(folder);
            }
            if !self.stopping
                && self.running.len() < self.parallel
                && let Some(job) = search.next()
            {
                self.start(job, search, folder, signals)?;
                continue;
            }
            if self.running.is_empty() {
                return Ok(());
            }
            match self.events.recv_timeout(PAUSE) {
                Ok(Event::Epoch { trial, line }) => self.epoch(trial, &line, search, folder)?,
                Ok(Event::Ended { trial, code, error }) => self.ended(trial, code, error, search, folder)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.running.values().for_each(|running| running.process.stop());
    }

    /// Asks the trials for a checkpoint. Only a process that has locked its folder is sure to catch the signal; it would end others.
    fn save(&self, folder: &Folder) {
        let locked = self.running.iter().filter(|(trial, _)| folder.holder(**trial).is_some());
        locked.for_each(|(_, running)| running.process.send(Signal::Save));
    }

    fn start(&mut self, job: Job, search: &mut Search, folder: &mut Folder, signals: &Signals) -> Result<()> {
        // A process of a killed sweep may have locked the folder later than it was looked for at the beginning.
        left_over::end(folder, std::iter::once(job.trial), signals.stop())?;
        if signals.stop().load(Relaxed) {
            return Ok(());
        }
        left_over::expect_free(folder, job.trial)?;
        let trial = &mut search.trials[job.trial];
        folder.recall(job.trial, trial, self.outcome.metric);
        if trial.is_settled(job.epochs) {
            // A process that a killed sweep has left has trained it.
            return Ok(());
        }
        let words = self.words.of(job, &trial.choice, folder);
        let process = Process::start(&words, job.trial, &folder.name_of(job.trial), &self.sender)?;
        let id = process.id();
        trial.running = true;
        self.running.insert(job.trial, Running { job, process });
        folder.started(job.trial, id)
    }

    fn epoch(&mut self, trial: usize, line: &Value, search: &mut Search, folder: &mut Folder) -> Result<()> {
        if self.stopping || search.trials[trial].end.is_some() {
            // The epoch in which it was stopped may be a part of one.
            return Ok(());
        }
        let metric = self.outcome.metric;
        let (Some(epoch), Some(value)) = (line["epoch"].as_u64(), line.get(metric)) else {
            let known: Vec<&String> = line.as_object().into_iter().flat_map(|object| object.keys()).collect();
            let known: Vec<&str> =
                known.into_iter().map(String::as_str).filter(|name| !["epoch", "seconds"].contains(name)).collect();
            let message = format!("metric: no epoch reports {metric:?}, only {}", known.join(", "));
            return Err(Error::value("", message));
        };
        // JSON has no NaN.
        let prune = search.report(trial, epoch as usize, value.as_f64().unwrap_or(f64::NAN));
        if prune {
            folder.prune(trial, epoch as usize)?;
            search.trials[trial].end = Some(End::Pruned);
            if let Some(running) = self.running.get(&trial) {
                running.process.stop();
            }
        }
        Ok(())
    }

    fn ended(
        &mut self,
        trial: usize,
        code: Option<i32>,
        error: Option<String>,
        search: &mut Search,
        folder: &mut Folder,
    ) -> Result<()> {
        let Some(Running { job, process }) = self.running.remove(&trial) else { return Ok(()) };
        folder.ended(trial, process.id());
        let of = &mut search.trials[trial];
        of.running = false;
        folder.recall(trial, of, self.outcome.metric);
        match code {
            _ if of.end.is_some() => {}
            Some(0) if of.reached() < job.epochs => of.end = Some(End::Complete),
            Some(0) => {}
            // It was asked to.
            _ if self.stopping => return Ok(()),
            // Another process was there first: before the next attempt it is ended, or refused where it is not of this sweep.
            Some(_) if folder.holder(trial).is_some() => return Ok(()),
            Some(code) => {
                of.end = Some(End::Failed(error.unwrap_or_else(|| format!("it ended with exit code {code}"))))
            }
            None => of.end = Some(End::Failed("its process was killed".to_owned())),
        }
        self.outcome.trial(trial, search, folder);
        match search.all_fail(FAILURES) {
            Some((first, why)) => {
                Err(Error::new(ErrorKind::Value, "", format!("{}: {why}", folder.path_of(first).display())))
            }
            None => Ok(()),
        }
    }
}

impl Words<'_> {
    fn of(&self, job: Job, choice: &[crate::settings::Node], folder: &Folder) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["train".into()];
        let out = folder.path_of(job.trial);
        if folder.has(job.trial) {
            words.extend(["--resume".into(), out.into()]);
        } else {
            match self.base {
                Source::Recipe(recipe) => words.push(recipe.name().into()),
                Source::File => words.extend(["--config".into(), folder.base().into()]),
            }
            for (parameter, value) in self.parameters.iter().zip(choice) {
                words.extend(["--set".into(), format!("{}={}", parameter.path, value.to_toml()).into()]);
            }
            if let Some(data) = self.data {
                words.extend(["--data".into(), data.into()]);
            }
            words.extend(["--out".into(), out.into()]);
        }
        let (epochs, threads) = (job.epochs.to_string(), self.threads.to_string());
        let options = ["--epochs", &epochs, "--threads", &threads, "--device", &self.device, "--json"];
        words.extend(options.map(OsString::from));
        words
    }
}
