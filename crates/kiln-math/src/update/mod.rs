//! Update rules of optimizers, by element: each a type with its states, its constants and its formula. Kernels, checks and tests
//! are generated from their list.
//!
//! To add one: its struct with an `impl Rule` in the file of its family, and a line in the list at the end of that file.
//!
//! None can make a denormal number, with which arithmetic is many times slower: second moments of inputs that are never lit
//! decay to them within an epoch, and gradients that vanish square to them. What is below a limit becomes 0, and each quantity
//! has its own: a second moment is a square, so its limit is the type's smallest normal number itself, while first moments and
//! velocities are cut off so far below its root that no step could show them.

mod accumulated;
mod adaptive;
mod average;
mod descent;
mod moments;

pub use accumulated::*;
pub use adaptive::*;
pub use average::*;
pub use descent::*;
pub use moments::*;

use crate::Real;
use core::fmt::Debug;

/// Most states that a rule keeps of an element.
pub const MAX_STATES: usize = 3;

/// Most constants of a rule.
pub const CONSTANTS: usize = 16;

/// The states of an element; those that the rule does not have, or does not keep, are 0.
pub type States<R> = [R; MAX_STATES];

/// What a rule computes with at one step; the unused ones are 0.
pub type Constants<R> = [R; CONSTANTS];

/// What changes from step to step, and from one group of parameters to the other.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Step {
    /// Learning rate.
    pub learning_rate: f64,
    /// λ
    pub weight_decay: f64,
    /// The step's number, from 1.
    pub number: f64,
    /// The smallest normal number of the type that is computed in.
    pub smallest: f64,
}

/// An update rule, with its settings.
pub trait Rule: Copy + PartialEq + Debug + Send + Sync + 'static {
    /// PyTorch's names of the states, at most [`MAX_STATES`].
    const STATES: &'static [&'static str];
    /// So many of the first states are there under any settings.
    const ALWAYS: usize = Self::STATES.len();
    /// Settings that tests go through.
    const EXAMPLES: &'static [Self];

    /// Which states these settings keep.
    fn keeps(&self) -> [bool; MAX_STATES] {
        [true; MAX_STATES]
    }

    /// The constants of a step, in the order in which `element` takes them. They are computed on the host in f64, and rounded once to
    /// the type that kernels compute in.
    fn constants(&self, step: &Step) -> Constants<f64>;

    /// The parameter and the states after a step by the gradient `g`.
    fn element<R: Real>(p: R, g: R, states: States<R>, constants: &Constants<R>) -> (R, States<R>);
}

/// A rule of the list.
pub trait Listed: Rule {
    /// Which one.
    const RULE: UpdateRule;
}

/// Calls `$callback! { {"documentation", Type, method} … }` with every rule.
#[macro_export]
macro_rules! for_each_rule {
    ($callback:path) => {
        $crate::__average_rules! { $callback [] }
    };
}

macro_rules! rules {
    ($({ $doc:literal, $rule:ident, $method:ident })+) => {
        /// An update rule of the list, without its settings.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum UpdateRule { $(#[doc = $doc] $rule),+ }

        $(impl Listed for $rule {
            const RULE: UpdateRule = UpdateRule::$rule;
        })+

        impl UpdateRule {
            /// All of them.
            pub const ALL: &'static [UpdateRule] = &[$(UpdateRule::$rule),+];
            /// The name, that of the type.
            pub const fn name(self) -> &'static str {
                match self { $(UpdateRule::$rule => stringify!($rule)),+ }
            }
            /// The name of its kernels.
            pub const fn kernel(self) -> &'static str {
                match self { $(UpdateRule::$rule => stringify!($method)),+ }
            }
            /// [`Rule::STATES`]
            pub const fn states(self) -> &'static [&'static str] {
                match self { $(UpdateRule::$rule => <$rule as Rule>::STATES),+ }
            }
            /// [`Rule::ALWAYS`]
            pub const fn always(self) -> usize {
                match self { $(UpdateRule::$rule => <$rule as Rule>::ALWAYS),+ }
            }
            /// The number of settings that tests go through.
            pub const fn examples(self) -> usize {
                match self { $(UpdateRule::$rule => <$rule as Rule>::EXAMPLES.len()),+ }
            }
            /// Of the example with this number: which states it keeps, and its constants at a step.
            pub fn example(self, number: usize, step: &Step) -> ([bool; MAX_STATES], Constants<f64>) {
                match self {
                    $(UpdateRule::$rule => {
                        let settings = <$rule as Rule>::EXAMPLES[number];
                        let mut keeps = settings.keeps();
                        keeps[<$rule as Rule>::STATES.len()..].fill(false);
                        (keeps, settings.constants(step))
                    })+
                }
            }
            /// [`Rule::element`]
            #[inline]
            pub fn element<R: Real>(self, p: R, g: R, states: States<R>, constants: &Constants<R>) -> (R, States<R>) {
                match self { $(UpdateRule::$rule => <$rule as Rule>::element(p, g, states, constants)),+ }
            }
        }
    };
}
for_each_rule!(rules);

/// First moments and velocities are at least so many of the smallest normal number, so that what they are multiplied by and
/// divided by (a learning rate, a root) does not make a denormal number of them either.
const ABOVE_SMALLEST: f64 = 1_048_576.0; // 2²⁰

/// 0 where |x| < limit.
#[inline(always)]
fn flush<R: Real>(x: R, limit: R) -> R {
    x.abs().if_less(limit, R::constant(0.0), x)
}

/// These constants, and zeros after them.
fn constants<const N: usize>(given: [f64; N]) -> Constants<f64> {
    const { assert!(N <= CONSTANTS) };
    core::array::from_fn(|i| if i < N { given[i] } else { 0.0 })
}
