//! How the threads share a sequence's steps.

use crate::gemm::worth_a_region;
use crate::team;
use std::ops::Range;

/// Weights up to this size stay in a core's second-level cache beside what a step reads and writes.
const CACHED: usize = 640 << 10;
/// Sequences that a thread should have at least: fewer do not fill the rows of a tile.
const FEWEST: usize = 8;

/// A cut into parts that are worked on at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Each part is some sequences, all steps: no part needs another's results.
    Sequences(usize),
    /// Each part is some units of all sequences. The parts meet after each step.
    Units(usize),
}

/// The work that is cut up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) hidden: usize,
    /// Multiplications of one sequence's step.
    pub(super) products: usize,
    /// Bytes of the packed weights.
    pub(super) weights: usize,
    /// Units are cut at multiples of this.
    pub(super) panel: usize,
}

impl Work {
    fn panels(&self) -> usize {
        self.hidden.div_ceil(self.panel)
    }

    /// The cut that suits this work here.
    pub(super) fn share(&self) -> Share {
        let threads = team::threads();
        let step = self.products.saturating_mul(self.batch);
        if threads == 1 || !worth_a_region(step.saturating_mul(self.steps)) {
            return Share::Sequences(1);
        }
        if self.weights <= CACHED && self.batch >= FEWEST * threads {
            return Share::Sequences(threads);
        }
        if self.panels() >= threads && worth_a_region(step) {
            return Share::Units(threads);
        }
        Share::Sequences(threads.min(self.batch / 2).max(1))
    }

    /// The units of part `i` of `parts`.
    pub(super) fn units(&self, i: usize, parts: usize) -> Range<usize> {
        let bound = |i: usize| (i * self.panels() / parts * self.panel).min(self.hidden);
        bound(i)..bound(i + 1)
    }

    /// Runs `f` once for all units, in parts where the steps are to be run so too.
    pub(super) fn by_units(&self, share: Share, f: impl Fn(Range<usize>) + Sync) {
        let parts = if share == Share::Sequences(1) { 1 } else { team::threads() };
        team::parallel(parts, |i| f(self.units(i, parts)));
    }

    /// Runs `f(step, phase, sequences, units)` for steps 0, 1, … and the phases of each. A phase may read what all of the one
    /// before has written.
    pub(super) fn run(&self, share: Share, phases: usize, f: impl Fn(usize, usize, Range<usize>, Range<usize>) + Sync) {
        match share {
            Share::Sequences(parts) => team::parallel(parts, |i| {
                let sequences = i * self.batch / parts..(i + 1) * self.batch / parts;
                for step in 0..self.steps {
                    (0..phases).for_each(|phase| f(step, phase, sequences.clone(), 0..self.hidden));
                }
            }),
            Share::Units(parts) => {
                for step in 0..self.steps {
                    for phase in 0..phases {
                        team::parallel(parts, |i| f(step, phase, 0..self.batch, self.units(i, parts)));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_whole() {
        for hidden in [1, 63, 64, 65, 200, 512] {
            let work = Work { steps: 1, batch: 5, hidden, products: 1, weights: 1, panel: 64 };
            for parts in 1..5 {
                let mut end = 0;
                for i in 0..parts {
                    let units = work.units(i, parts);
                    assert_eq!(units.start, end);
                    assert!(units.start.is_multiple_of(64) || units.is_empty());
                    end = units.end;
                }
                assert_eq!(end, hidden);
            }
        }
    }

    #[test]
    fn a_phase_sees_the_one_before() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let work = Work { steps: 3, batch: 4, hidden: 130, products: 1, weights: 1, panel: 64 };
        for share in [Share::Sequences(1), Share::Sequences(3), Share::Units(2)] {
            let seen = AtomicUsize::new(0);
            work.run(share, 2, |step, phase, sequences, units| {
                seen.fetch_add(sequences.len() * units.len() * (1 + step * 2 + phase), Ordering::Relaxed);
            });
            assert_eq!(seen.into_inner(), 4 * 130 * 21, "{share:?}");
        }
    }
}
