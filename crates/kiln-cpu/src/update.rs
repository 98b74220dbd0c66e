//! Optimizer steps: one pass, in one parallel region, over all of a model's tensors.

mod floats;
mod run;

pub use floats::{Floats, FloatsMut};

use crate::operand::Number;
use crate::{Isa, team};
use floats::Raw;
use kiln_math::UpdateRule;
use kiln_math::update::{CONSTANTS, Constants, MAX_STATES};
use run::Run;

/// A tensor of a step: parameter, gradient and the rule's states, of equal lengths.
#[derive(Debug)]
pub struct Slot<'a> {
    /// Read and written.
    pub parameter: FloatsMut<'a>,
    /// Read.
    pub gradient: Floats<'a>,
    /// Read and written. One that is not there is 0.
    pub states: [Option<FloatsMut<'a>>; MAX_STATES],
    /// Which constants are its.
    pub row: usize,
}

/// Most elements of a task: few enough to share out a large tensor evenly.
const TASK: usize = 1 << 16;
/// A task begins at a multiple of this in its tensor: whole groups, whole cache lines.
const GRAIN: usize = 1 << 8;
/// Below this many elements in all, one thread is quicker.
const PARALLEL: usize = 1 << 14;

/// Some of a slot's elements, for tasks that take disjoint parts.
#[derive(Clone, Copy)]
struct Part {
    parameter: Raw,
    gradient: Raw,
    states: [Option<Raw>; MAX_STATES],
    length: usize,
    row: usize,
}

impl Part {
    /// All of a slot.
    #[inline]
    fn whole(slot: &mut Slot<'_>) -> Self {
        Part {
            parameter: slot.parameter.raw(),
            gradient: slot.gradient.raw(),
            states: slot.states.each_mut().map(|state| state.as_mut().map(FloatsMut::raw)),
            length: slot.parameter.len(),
            row: slot.row,
        }
    }

    /// `length` elements from `start` on, which lie within this part.
    #[inline]
    fn cut(&self, start: usize, length: usize) -> Self {
        Part {
            parameter: self.parameter.from(start),
            gradient: self.gradient.from(start),
            states: self.states.map(|state| state.map(|state| state.from(start))),
            length,
            row: self.row,
        }
    }
}

/// The slots, and where each begins in the sequence of all elements (each slot's length rounded up to whole grains).
struct Parts(Vec<(usize, Part)>);
// SAFETY: each task takes its own elements of each slot; see `step`.
unsafe impl Sync for Parts {}

/// One step of `rule` over all slots. `constants` are the rows of [`CONSTANTS`] numbers of a step, in the type that is computed in:
/// f64 where all of a slot is f64, f32 where each of its tensors is f32, f16 or bf16; a row for each of the slots' `row`s.
///
/// # Panics
/// A gradient or a state of another length than its parameter, a type that is not computed in T, a row that is not there.
pub fn step<T: Number>(isa: Isa, rule: UpdateRule, slots: &mut [Slot<'_>], constants: &[T]) {
    let rows: Vec<Constants<T>> = constants.chunks_exact(CONSTANTS).filter_map(|row| row.try_into().ok()).collect();
    let mut total = 0;
    let parts = slots.iter_mut().map(|slot| {
        check::<T>(slot, rows.len());
        let begin = total;
        total += slot.parameter.len().next_multiple_of(GRAIN);
        (begin, Part::whole(slot))
    });
    let parts = Parts(parts.collect());
    let threads = if total < PARALLEL { 1 } else { team::threads() };
    // Equal parts, the same ones for the same thread step after step: states stay in that core's cache.
    let tasks = if threads == 1 { 1 } else { threads * total.div_ceil(threads * TASK) };
    let size = total.div_ceil(tasks).next_multiple_of(GRAIN);
    team::parallel(tasks, |task| {
        let parts = &parts;
        let (low, high) = (task * size, ((task + 1) * size).min(total));
        let first = parts.0.partition_point(|&(begin, _)| begin <= low).saturating_sub(1);
        for (begin, part) in parts.0[first..].iter().take_while(|(begin, _)| *begin < high) {
            let start = low.saturating_sub(*begin).min(part.length);
            let end = (high - begin).min(part.length);
            // SAFETY: tasks take disjoint ranges of the sequence of all elements, so of each slot, within its length, which all
            // of its tensors have.
            unsafe { run(isa, rule, &part.cut(start, end - start), &rows[part.row]) };
        }
    });
}

#[inline]
fn check<T: Number>(slot: &Slot<'_>, rows: usize) {
    let length = slot.parameter.len();
    let others = slot.states.iter().flatten().map(|state| (state.len(), state.computed_in::<T>()));
    for (found, right) in others.chain([(slot.gradient.len(), slot.gradient.computed_in::<T>())]) {
        assert!(
            found == length,
            "update: a gradient or state of {found} elements, expected {length} as the parameter has"
        );
        assert!(
            right && slot.parameter.computed_in::<T>(),
            "update: a tensor that is not computed in the constants' type"
        );
    }
    assert!(slot.row < rows, "update: row {} of the constants, there are {rows}", slot.row);
}

macro_rules! dispatch {
    ($({ $doc:literal, $rule:ident, $method:ident })+) => {
        /// One step over a part.
        ///
        /// # Safety
        /// The part's tensors have its length, and nobody else reads or writes its parameter and states.
        unsafe fn run<T: Number>(isa: Isa, rule: UpdateRule, part: &Part, constants: &Constants<T>) {
            match rule {
                $(UpdateRule::$rule => {
                    // SAFETY: the caller's promise.
                    isa.run(unsafe { Run::<kiln_math::update::$rule, T>::new(part, constants) });
                })+
            }
        }
    };
}
kiln_math::for_each_rule!(dispatch);
