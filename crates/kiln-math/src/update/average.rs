//! The rule of running averages.

use super::{Constants, Rule, States, Step, constants, flush};
use crate::Real;

/// A running average: p ← own · p + share · g, where g is what is averaged over, such as the moments of a batch. No optimizer is made
/// of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Average {
    /// How much of the average stays.
    pub own: f64,
    /// The weight of what comes in.
    pub share: f64,
}

impl Rule for Average {
    const STATES: &'static [&'static str] = &[];
    const EXAMPLES: &'static [Self] = &[Average { own: 0.9, share: 0.1 }, Average { own: 0.75, share: 0.375 }];

    fn constants(&self, step: &Step) -> Constants<f64> {
        constants([self.own, self.share, step.smallest, self.own - 1.0])
    }

    #[inline(always)]
    fn element<R: Real>(p: R, g: R, states: States<R>, constants: &Constants<R>) -> (R, States<R>) {
        let [own, share, smallest, drift, ..] = *constants;
        let sum = own * p + share * g;
        // Near 1, own is rounded by too much of what it lacks: its distance from 1 is not.
        let moved = p + (share * g + drift * p);
        (flush(drift.if_less(R::constant(-0.5), sum, moved), smallest), states)
    }
}

/// The list of this family, after the entries before it.
#[doc(hidden)]
#[macro_export]
macro_rules! __average_rules {
    ($callback:path [$($before:tt)*]) => {
        $crate::__descent_rules! { $callback [
            $($before)*
            { "A running average.", Average, average }
        ] }
    };
}
