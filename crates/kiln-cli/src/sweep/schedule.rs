//! Which trials are trained for how many epochs before some of them go on.

use super::plan::Method;

/// Trials of which, after each round, the best go on to the next.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Bracket {
    /// The number of its first trial among all.
    pub(super) first: usize,
    pub(super) rounds: Vec<Round>,
}

/// So many trials, each trained until it has so many epochs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Round {
    pub(super) trials: usize,
    pub(super) epochs: usize,
}

impl Bracket {
    /// Trials that are begun.
    pub(super) fn trials(&self) -> usize {
        self.rounds.first().map_or(0, |round| round.trials)
    }
}

/// The brackets of a method that has so many trials: one round of all of them, or those of Hyperband.
pub(super) fn brackets(method: &Method, epochs: usize, trials: usize) -> Vec<Bracket> {
    match *method {
        Method::Hyperband { eta, .. } => hyperband(epochs, eta),
        Method::Grid | Method::Random { .. } => vec![Bracket { first: 0, rounds: vec![Round { trials, epochs }] }],
    }
}

/// Hyperband (Li et al. 2018, algorithm 1) with R = `epochs` and η = `eta`: for s from ⌊log_η R⌋ down to 0 a bracket of
/// n = ⌈(s_max + 1) / (s + 1) · η^s⌉ trials, whose round i has ⌊n / η^i⌋ of them, trained to R · η^(i − s) epochs (rounded, at least 1).
pub(super) fn hyperband(epochs: usize, eta: usize) -> Vec<Bracket> {
    let power = |exponent: usize| eta.saturating_pow(exponent as u32);
    // In whole numbers: the logarithm of 243 to the base 3 is below 5 in f64.
    let most = (0..).take_while(|&s| power(s) <= epochs).last().unwrap_or(0);
    let mut first = 0;
    let bracket = |s: usize| {
        let begun = ((most + 1) * power(s)).div_ceil(s + 1);
        let round = |i: usize| {
            let part = power(s - i);
            Round { trials: (begun / power(i)).max(1), epochs: ((epochs + part / 2) / part).max(1) }
        };
        let bracket = Bracket { first, rounds: (0..=s).map(round).collect() };
        first += begun;
        bracket
    };
    (0..=most).rev().map(bracket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(epochs: usize, eta: usize) -> Vec<Vec<(usize, usize)>> {
        let of = |bracket: &Bracket| bracket.rounds.iter().map(|round| (round.trials, round.epochs)).collect();
        hyperband(epochs, eta).iter().map(of).collect()
    }

    #[test]
    fn brackets_are_those_of_the_paper() {
        // Li et al. 2018, table 1: R = 81, η = 3.
        assert_eq!(
            rounds(81, 3),
            [
                vec![(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
                vec![(34, 3), (11, 9), (3, 27), (1, 81)],
                vec![(15, 9), (5, 27), (1, 81)],
                vec![(8, 27), (2, 81)],
                vec![(5, 81)],
            ]
        );
        let firsts: Vec<usize> = hyperband(81, 3).iter().map(|bracket| bracket.first).collect();
        assert_eq!(firsts, [0, 81, 115, 130, 138]);
    }

    #[test]
    fn other_budgets_make_whole_epochs() {
        assert_eq!(rounds(1, 3), [vec![(1, 1)]]);
        assert_eq!(rounds(4, 2), [vec![(4, 1), (2, 2), (1, 4)], vec![(3, 2), (1, 4)], vec![(3, 4)]]);
        // 10 / 9 and 10 / 3 epochs.
        assert_eq!(rounds(10, 3), [vec![(9, 1), (3, 3), (1, 10)], vec![(5, 3), (1, 10)], vec![(3, 10)]]);
        assert_eq!(rounds(243, 3).len(), 6);
    }
}
