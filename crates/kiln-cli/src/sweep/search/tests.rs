//! What is trained next, on searches that are made by hand.

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
