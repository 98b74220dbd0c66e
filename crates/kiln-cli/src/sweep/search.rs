//! What is to be trained next: the trials with what they have reported, and the rules of the method.

use super::plan::Pruning;
use super::schedule::Bracket;
use super::trials::Choice;
use crate::log::best;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Settings that are tried, and what came of it so far.
pub(super) struct Trial {
    pub(super) choice: Choice,
    /// The metric after each epoch; NaN where it was not finite.
    pub(super) values: BTreeMap<usize, f64>,
    pub(super) running: bool,
    pub(super) end: Option<End>,
}

/// Why a trial is trained no further.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum End {
    /// A callback of the settings has ended it.
    Complete,
    Pruned,
    Diverged,
    /// With the sentence of its process.
    Failed(String),
}

/// A trial that is to be trained until it has so many epochs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Job {
    pub(super) trial: usize,
    pub(super) epochs: usize,
}

pub(super) struct Search {
    pub(super) trials: Vec<Trial>,
    pub(super) brackets: Vec<Bracket>,
    pub(super) larger_is_better: bool,
    /// The most that a trial is trained.
    pub(super) epochs: usize,
    pub(super) pruning: Option<Pruning>,
}

impl Trial {
    pub(super) fn new(choice: Choice) -> Trial {
        Trial { choice, values: BTreeMap::new(), running: false, end: None }
    }

    /// Epochs that it has.
    pub(super) fn reached(&self) -> usize {
        self.values.keys().next_back().copied().unwrap_or(0)
    }

    /// Whether it is not to be trained up to so many epochs.
    pub(super) fn is_settled(&self, epochs: usize) -> bool {
        self.end.is_some() || self.reached() >= epochs
    }
}

impl Search {
    /// A trial is told by its best value up to an epoch, which is the first of those with it.
    pub(super) fn best(&self, trial: usize, epochs: usize) -> Option<(usize, f64)> {
        let values = self.trials[trial].values.range(..=epochs);
        let points: Vec<(f64, f64)> = values.map(|(&epoch, &value)| (epoch as f64, value)).collect();
        best(&points, self.larger_is_better).map(|(epoch, value)| (epoch as usize, value))
    }

    /// The better value first.
    pub(super) fn order(&self, a: f64, b: f64) -> Ordering {
        if self.larger_is_better { b.total_cmp(&a) } else { a.total_cmp(&b) }
    }

    /// What can be trained now; none where nothing is left, or all that is left waits for what is running.
    pub(super) fn next(&self) -> Option<Job> {
        self.brackets.iter().find_map(|bracket| self.next_of(bracket))
    }

    fn next_of(&self, bracket: &Bracket) -> Option<Job> {
        let mut going: Vec<usize> = (bracket.first..bracket.first + bracket.trials()).collect();
        let mut before = None;
        for round in &bracket.rounds {
            if let Some(epochs) = before {
                going = self.promoted(&going, epochs, round.trials);
            }
            let open: Vec<usize> =
                going.iter().copied().filter(|&trial| !self.trials[trial].is_settled(round.epochs)).collect();
            if !open.is_empty() {
                let free = open.into_iter().find(|&trial| !self.trials[trial].running);
                return free.map(|trial| Job { trial, epochs: round.epochs });
            }
            before = Some(round.epochs);
        }
        None
    }

    /// Those that go on to the next round.
    fn promoted(&self, going: &[usize], epochs: usize, count: usize) -> Vec<usize> {
        let goes_on = |trial: &usize| matches!(self.trials[*trial].end, None | Some(End::Complete));
        let told = going.iter().filter(|trial| goes_on(trial));
        let mut told: Vec<(usize, f64)> = told.filter_map(|&i| Some((i, self.best(i, epochs)?.1))).collect();
        // Of equal ones the earlier trial.
        told.sort_by(|a, b| self.order(a.1, b.1).then(a.0.cmp(&b.0)));
        told.truncate(count);
        told.into_iter().map(|(trial, _)| trial).collect()
    }

    /// Takes down what a trial has reported after an epoch; whether it is to be stopped.
    pub(super) fn report(&mut self, trial: usize, epoch: usize, value: f64) -> bool {
        self.trials[trial].values.insert(epoch, value);
        self.is_pruned(trial, epoch)
    }

    /// Whether a trial is worse than the median of the others at this epoch.
    fn is_pruned(&self, trial: usize, epoch: usize) -> bool {
        let Some(pruning) = &self.pruning else { return false };
        if epoch <= pruning.warmup || epoch >= self.epochs {
            return false;
        }
        let others = (0..self.trials.len()).filter(|&other| other != trial && self.trials[other].reached() >= epoch);
        let mut others: Vec<f64> = others.filter_map(|other| Some(self.best(other, epoch)?.1)).collect();
        if others.len() < pruning.trials {
            return false;
        }
        others.sort_by(f64::total_cmp);
        let median = (others[(others.len() - 1) / 2] + others[others.len() / 2]) / 2.0;
        self.best(trial, epoch).is_none_or(|(_, value)| self.order(value, median) == Ordering::Greater)
    }

    /// The trials that have failed, with the sentences of their processes.
    pub(super) fn failures(&self) -> impl Iterator<Item = (usize, &str)> {
        self.trials.iter().enumerate().filter_map(|(place, trial)| match &trial.end {
            Some(End::Failed(why)) => Some((place, why.as_str())),
            _ => None,
        })
    }

    /// The first failure where so many trials have failed and none has reported anything: what is wrong with them is likely wrong with all.
    pub(super) fn all_fail(&self, count: usize) -> Option<(usize, &str)> {
        let none_reports = self.trials.iter().all(|trial| trial.values.is_empty());
        let many = self.failures().count() >= count.min(self.trials.len());
        self.failures().next().filter(|_| none_reports && many)
    }
}

#[cfg(test)]
mod tests;
