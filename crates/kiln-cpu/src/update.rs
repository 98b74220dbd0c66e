//! Optimizer steps: one pass, in one parallel region, over all of a model's tensors.

mod floats;
mod run;

pub use floats::{Floats, FloatsMut};

use crate::operand::Number;
use crate::{Isa, team};
use floats::{Kind, Raw};
use kiln_math::UpdateRule;
use kiln_math::update::{CONSTANTS, Constants, MAX_STATES};
use run::Run;
use std::marker::PhantomData;

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

/// Most rows of constants.
pub const MAX_ROWS: usize = 1 << 16;

/// Most elements of a task: few enough to share out a large tensor evenly.
const TASK: usize = 1 << 16;
/// A task begins at a multiple of this in its tensor: whole groups, whole cache lines.
const GRAIN: usize = 1 << 8;
/// Below this many elements in all, one thread is quicker.
const PARALLEL: usize = 1 << 14;

/// Some of a slot's elements, for tasks that take disjoint parts. With its place in the sequence of all elements it is one cache line, as
/// one thread makes the parts that others read.
#[derive(Clone, Copy)]
struct Part {
    /// Of parameter, gradient and states; null where a state is not there.
    addresses: [*mut u8; TENSORS],
    length: usize,
    row: u16,
    kinds: [Kind; TENSORS],
    /// How many states there are, where they are the first ones and all tensors are of the type that is computed in; else [`MIXED`].
    plain: u8,
}

/// Tensors that belong to a parameter, with itself.
const TENSORS: usize = 2 + MAX_STATES;
/// Of a part that passes through blocks.
const MIXED: u8 = u8::MAX;

impl Part {
    /// All of a slot.
    #[inline]
    fn whole(slot: &mut Slot<'_>) -> Self {
        let (parameter, gradient) = (slot.parameter.raw(), slot.gradient.raw());
        let mut part = Part {
            addresses: [std::ptr::null_mut(); TENSORS],
            length: slot.parameter.len(),
            row: slot.row as u16,
            kinds: [parameter.kind; TENSORS],
            plain: 0,
        };
        (part.addresses[0], part.addresses[1], part.kinds[1]) = (parameter.address, gradient.address, gradient.kind);
        let mut plain = gradient.kind == parameter.kind && matches!(parameter.kind, Kind::F32 | Kind::F64);
        for (at, state) in slot.states.iter_mut().enumerate() {
            let Some(state) = state.as_mut().map(FloatsMut::raw) else { continue };
            (part.addresses[2 + at], part.kinds[2 + at]) = (state.address, state.kind);
            plain &= state.kind == parameter.kind && usize::from(part.plain) == at;
            part.plain += 1;
        }
        if !plain {
            part.plain = MIXED;
        }
        part
    }

    /// `length` elements from `start` on, which lie within this part.
    #[inline]
    fn cut(&self, start: usize, length: usize) -> Self {
        let mut part = Part { length, ..*self };
        if start > 0 {
            for (address, kind) in part.addresses.iter_mut().zip(part.kinds).filter(|(address, _)| !address.is_null()) {
                *address = address.wrapping_add(start * kind.bytes());
            }
        }
        part
    }

    /// The parameter (0), the gradient (1) or a state (from 2), where it is there.
    #[inline]
    fn raw(&self, tensor: usize) -> Option<Raw> {
        let address = self.addresses[tensor];
        (!address.is_null()).then_some(Raw { address, kind: self.kinds[tensor] })
    }
}

/// A part, and where it begins in the sequence of all elements (each slot's length rounded up to whole grains).
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Placed {
    begin: usize,
    part: Part,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Placed>() == 64);

/// A step: its slots are added one by one, then it is made.
pub struct Step<'a, T> {
    rows: Vec<Constants<T>>,
    parts: Vec<Placed>,
    total: usize,
    slots: PhantomData<Slot<'a>>,
}

/// What tasks share of a step.
struct Shared<'s, T> {
    rows: &'s [Constants<T>],
    parts: &'s [Placed],
}
// SAFETY: each task takes its own elements of each slot; see `Step::run`.
unsafe impl<T: Sync> Sync for Shared<'_, T> {}

impl<'a, T: Number> Step<'a, T> {
    /// A step of so many slots. `constants` are rows of [`CONSTANTS`] numbers, in the type that is computed in: f64 where all of a slot is
    /// f64, f32 where each of its tensors is f32, f16 or bf16; a row for each of the slots' `row`s, at most [`MAX_ROWS`].
    ///
    /// # Panics
    /// More rows.
    pub fn new(constants: &[T], slots: usize) -> Self {
        let rows: Vec<Constants<T>> = constants.chunks_exact(CONSTANTS).filter_map(|row| row.try_into().ok()).collect();
        assert!(rows.len() <= MAX_ROWS, "update: {} rows of constants, at most {MAX_ROWS}", rows.len());
        Step { rows, parts: Vec::with_capacity(slots), total: 0, slots: PhantomData }
    }

    /// Adds a slot.
    ///
    /// # Panics
    /// A gradient or a state of another length than its parameter, a type that is not computed in T, a row that is not there.
    #[inline]
    pub fn push(&mut self, mut slot: Slot<'a>) {
        check::<T>(&slot, self.rows.len());
        let begin = self.total;
        self.total += slot.parameter.len().next_multiple_of(GRAIN);
        self.parts.push(Placed { begin, part: Part::whole(&mut slot) });
    }

    /// Makes the step by this rule.
    pub fn run(self, isa: Isa, rule: UpdateRule) {
        let (shared, total) = (Shared { rows: &self.rows, parts: &self.parts }, self.total);
        let threads = if total < PARALLEL { 1 } else { team::threads() };
        // Equal parts, the same ones for the same thread step after step: states stay in that core's cache.
        let tasks = if threads == 1 { 1 } else { threads * total.div_ceil(threads * TASK) };
        let size = total.div_ceil(tasks).next_multiple_of(GRAIN);
        team::parallel(tasks, |task| {
            let Shared { rows, parts } = &shared;
            let (low, high) = (task * size, ((task + 1) * size).min(total));
            let first = parts.partition_point(|placed| placed.begin <= low).saturating_sub(1);
            for Placed { begin, part } in parts[first..].iter().take_while(|placed| placed.begin < high) {
                let start = low.saturating_sub(*begin).min(part.length);
                let end = (high - begin).min(part.length);
                // SAFETY: tasks take disjoint ranges of the sequence of all elements, so of each slot, within its length, which all
                // of its tensors have; the slots are borrowed for as long as the step lives.
                unsafe { run(isa, rule, &part.cut(start, end - start), &rows[usize::from(part.row)]) };
            }
        });
    }
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
