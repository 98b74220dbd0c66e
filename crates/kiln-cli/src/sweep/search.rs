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
mod tests {
    use super::super::schedule::{Round, hyperband};
    use super::*;

    fn search(brackets: Vec<Bracket>, epochs: usize) -> Search {
        let count = brackets.iter().map(Bracket::trials).sum();
        let trials = (0..count).map(|_| Trial::new(Vec::new())).collect();
        Search { trials, brackets, larger_is_better: true, epochs, pruning: None }
    }

    fn all(trials: usize, epochs: usize) -> Search {
        search(vec![Bracket { first: 0, rounds: vec![Round { trials, epochs }] }], epochs)
    }

    /// Trains one job after the other, of which the trial's number says how good it becomes; gives the jobs.
    fn trained(search: &mut Search, parallel: usize, value: impl Fn(usize) -> f64) -> Vec<Job> {
        let (mut jobs, mut running) = (Vec::new(), Vec::new());
        loop {
            while running.len() < parallel
                && let Some(job) = search.next()
            {
                search.trials[job.trial].running = true;
                running.push(job);
            }
            // The one that began last ends first.
            let Some(job) = running.pop() else { return jobs };
            for epoch in search.trials[job.trial].reached() + 1..=job.epochs {
                assert!(!search.report(job.trial, epoch, value(job.trial)));
            }
            search.trials[job.trial].running = false;
            jobs.push(job);
        }
    }

    #[test]
    fn the_best_of_each_round_go_on_whatever_runs_beside_them() {
        let value = |trial: usize| ((trial * 7919) % 101) as f64;
        let mut one = search(hyperband(9, 3), 9);
        let jobs = trained(&mut one, 1, value);
        let counts = |jobs: &[Job], epochs| jobs.iter().filter(|job| job.epochs == epochs).count();
        // 9 trials of one epoch; 3 of them and 5 new ones to 3; 1, 1 and 3 to 9.
        assert_eq!((counts(&jobs, 1), counts(&jobs, 3), counts(&jobs, 9)), (9, 8, 5));
        let best = (0..9).max_by(|&a, &b| value(a).total_cmp(&value(b))).unwrap();
        assert_eq!(one.trials[best].reached(), 9);
        for parallel in [2, 5, 40] {
            let mut other = search(hyperband(9, 3), 9);
            trained(&mut other, parallel, value);
            let reached = |search: &Search| search.trials.iter().map(Trial::reached).collect::<Vec<_>>();
            assert_eq!(reached(&one), reached(&other));
        }
    }

    #[test]
    fn trials_that_end_early_or_fail_leave_their_places_to_others() {
        let mut search = search(hyperband(3, 3), 3);
        // 3 trials of one epoch, of which one goes on; 2 of three.
        search.report(0, 1, 0.9);
        search.trials[0].end = Some(End::Diverged);
        search.trials[1].end = Some(End::Failed("no memory".to_owned()));
        search.report(2, 1, 0.1);
        assert_eq!(search.next(), Some(Job { trial: 2, epochs: 3 }));
        search.trials[2].end = Some(End::Complete);
        assert_eq!(search.next(), Some(Job { trial: 3, epochs: 3 }));
    }

    #[test]
    fn a_trial_is_pruned_that_is_worse_than_the_median() {
        let mut search = all(6, 10);
        search.pruning = Some(Pruning { warmup: 1, trials: 3 });
        for (trial, value) in [0.5, 0.6, 0.7].into_iter().enumerate() {
            for epoch in 1..=4 {
                // Too few others, or better than some of them.
                assert!(!search.report(trial, epoch, value));
            }
        }
        // In the warm-up, then below 0.6.
        assert!(!search.report(3, 1, 0.1));
        assert!(search.report(3, 2, 0.59));
        // The best value so far counts; at the median one goes on.
        assert!(!search.report(4, 2, 0.9) && !search.report(4, 3, 0.1));
        assert!(!search.report(5, 2, 0.6));
        assert!(search.report(5, 3, f64::NAN));
        // Nobody else has got so far.
        assert!(!search.report(4, 5, 0.0));
    }

    #[test]
    fn smaller_may_be_better() {
        let mut search = all(5, 10);
        (search.larger_is_better, search.pruning) = (false, Some(Pruning { warmup: 0, trials: 3 }));
        for trial in 0..3 {
            search.report(trial, 1, trial as f64);
        }
        assert!(search.report(3, 1, 1.5) && !search.report(4, 1, 0.5));
        assert_eq!((search.best(0, 9), search.order(1.0, 2.0)), (Some((1, 0.0)), Ordering::Less));
    }

    #[test]
    fn failures_of_all_are_told_apart_from_failures_of_some() {
        let mut search = all(9, 2);
        for trial in 0..3 {
            assert!(search.all_fail(3).is_none());
            search.trials[trial].end = Some(End::Failed(format!("why {trial}")));
        }
        assert_eq!(search.all_fail(3), Some((0, "why 0")));
        search.report(4, 1, 0.0);
        assert!(search.all_fail(3).is_none());
    }
}
