//! Optimizer steps: one pass, in one parallel region, over all of a model's tensors.

use crate::operand::Number;
use crate::{Isa, Kernel, Simd, team};
use kiln_math::update::{Adam, Sgd, adam, sgd};

/// A tensor of a step: parameter, gradient and the rule's states, of equal lengths.
#[derive(Debug)]
pub struct Slot<'a, T> {
    /// Read and written.
    pub parameter: &'a mut [T],
    /// Read.
    pub gradient: &'a [T],
    /// Velocity, or first moment; empty where the rule has none.
    pub first: &'a mut [T],
    /// Second moment; empty where the rule has none.
    pub second: &'a mut [T],
}

/// Most elements of a task: few enough to share out a large tensor evenly.
const TASK: usize = 1 << 16;
/// A task begins at a multiple of this in its tensor: whole groups, whole cache lines.
const GRAIN: usize = 1 << 8;
/// Below this many elements in all, one thread is quicker.
const PARALLEL: usize = 1 << 14;

/// A slot's pointers, for tasks that take disjoint parts.
#[derive(Clone, Copy)]
struct Raw<T> {
    parameter: *mut T,
    gradient: *const T,
    first: *mut T,
    second: *mut T,
    has_first: bool,
    length: usize,
}

impl<T> Raw<T> {
    fn of(slot: &mut Slot<'_, T>) -> Self {
        Raw {
            parameter: slot.parameter.as_mut_ptr(),
            gradient: slot.gradient.as_ptr(),
            first: slot.first.as_mut_ptr(),
            second: slot.second.as_mut_ptr(),
            has_first: slot.first.len() == slot.parameter.len(),
            length: slot.parameter.len(),
        }
    }

    /// `length` elements from `start` on.
    ///
    /// # Safety
    /// They lie within the slot.
    unsafe fn part(self, start: usize, length: usize) -> Self {
        // SAFETY: within the slot's slices; those that are empty are never read, and stay where they are.
        unsafe {
            Raw {
                parameter: self.parameter.add(start),
                gradient: self.gradient.add(start),
                first: if self.has_first { self.first.add(start) } else { self.first },
                second: self.second.wrapping_add(start),
                length,
                ..self
            }
        }
    }
}

/// A rule over parts of equal length, as a kernel.
trait Rule<T: Number>: Sync {
    fn apply<S: Simd>(&self, part: Raw<T>);
}

/// A rule over a part of a slot, as a kernel.
struct Run<'a, T, R>(&'a R, Raw<T>);

impl<T: Number, R: Rule<T>> Kernel for Run<'_, T, R> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        self.0.apply::<S>(self.1);
    }
}

/// The slots, and where each begins in the sequence of all elements (each slot's length rounded up to whole grains).
struct Slots<T>(Vec<(usize, Raw<T>)>);
// SAFETY: each task takes its own part of each slot; see `steps`.
unsafe impl<T: Send + Sync> Sync for Slots<T> {}

/// Applies a rule to all slots, in one region.
fn steps<T: Number, R: Rule<T>>(isa: Isa, slots: &mut [Slot<'_, T>], rule: &R) {
    let mut total = 0;
    let entries = slots.iter_mut().map(|slot| {
        let begin = total;
        total += slot.parameter.len().next_multiple_of(GRAIN);
        (begin, Raw::of(slot))
    });
    let entries = Slots(entries.collect());
    let threads = if total < PARALLEL { 1 } else { team::threads() };
    // Equal parts, the same ones for the same thread step after step: states stay in that core's cache.
    let tasks = if threads == 1 { 1 } else { threads * total.div_ceil(threads * TASK) };
    let size = total.div_ceil(tasks).next_multiple_of(GRAIN);
    team::parallel(tasks, |task| {
        let entries = &entries;
        let (low, high) = (task * size, ((task + 1) * size).min(total));
        let first = entries.0.partition_point(|&(begin, _)| begin <= low).saturating_sub(1);
        for &(begin, raw) in entries.0[first..].iter().take_while(|(begin, _)| *begin < high) {
            let start = low.saturating_sub(begin).min(raw.length);
            let end = (high - begin).min(raw.length);
            // SAFETY: tasks take disjoint ranges of the sequence of all elements, so of each slot, within its length.
            isa.run(Run(rule, unsafe { raw.part(start, end - start) }));
        }
    });
}

/// Elements computed together.
const GROUP: usize = 32;
/// How far ahead parameters are asked for, in elements.
const AHEAD: usize = 1024;

/// Asks for the lines of a group of parameters, to be written.
///
/// Where the forward pass has left them shared between the cores that read them, stores would otherwise wait for one line
/// after the other.
#[inline(always)]
fn prefetch_for_writing<T>(first: *const T) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..GROUP * size_of::<T>()).step_by(64) {
        // SAFETY: a prefetch has no effect but on caches, whatever the address; processors without this one take it for a
        // no-operation. (The intrinsic becomes a prefetch for reading unless a feature that has no name in Rust is enabled.)
        unsafe {
            std::arch::asm!(
                "prefetchw byte ptr [{line}]",
                line = in(reg) first.cast::<u8>().wrapping_add(line),
                options(nostack, preserves_flags)
            );
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = first;
}

struct AdamRule<T>(Adam<T>);

impl<T: Number> Rule<T> for AdamRule<T> {
    #[inline(always)]
    fn apply<S: Simd>(&self, part: Raw<T>) {
        let h = self.0.map(|c| c.enter::<S>());
        // SAFETY: the slot's slices are of this length and do not overlap.
        let (p, g, m, v) = unsafe {
            (
                std::slice::from_raw_parts_mut(part.parameter, part.length),
                std::slice::from_raw_parts(part.gradient, part.length),
                std::slice::from_raw_parts_mut(part.first, part.length),
                std::slice::from_raw_parts_mut(part.second, part.length),
            )
        };
        let one = |p: &mut T, g: T, m: &mut T, v: &mut T| {
            let (np, nm, nv) = adam(p.enter::<S>(), g.enter::<S>(), m.enter::<S>(), v.enter::<S>(), &h);
            (*p, *m, *v) = (T::leave::<S>(np), T::leave::<S>(nm), T::leave::<S>(nv));
        };
        let whole = part.length / GROUP * GROUP;
        let groups = p[..whole].chunks_exact_mut(GROUP).zip(g[..whole].chunks_exact(GROUP));
        let states = m[..whole].chunks_exact_mut(GROUP).zip(v[..whole].chunks_exact_mut(GROUP));
        for ((p, g), (m, v)) in groups.zip(states) {
            prefetch_for_writing(p.as_ptr().wrapping_add(AHEAD));
            for i in 0..GROUP {
                one(&mut p[i], g[i], &mut m[i], &mut v[i]);
            }
        }
        for i in whole..part.length {
            one(&mut p[i], g[i], &mut m[i], &mut v[i]);
        }
    }
}

struct SgdRule<T>(Sgd<T>);

impl<T: Number> Rule<T> for SgdRule<T> {
    #[inline(always)]
    fn apply<S: Simd>(&self, part: Raw<T>) {
        let h = self.0.map(|c| c.enter::<S>());
        for i in 0..part.length {
            // SAFETY: the slot's slices are of this length; `first` too, where there is one.
            unsafe {
                let velocity = if part.has_first { *part.first.add(i) } else { T::default() };
                let p = part.parameter.add(i);
                let (np, nv) = sgd((*p).enter::<S>(), (*part.gradient.add(i)).enter::<S>(), velocity.enter::<S>(), &h);
                *p = T::leave::<S>(np);
                if part.has_first {
                    *part.first.add(i) = T::leave::<S>(nv);
                }
            }
        }
    }
}

/// One step of Adam or AdamW over all slots, each with both states; the constants are those for T.
///
/// # Panics
/// A gradient or a state of another length than its parameter.
pub fn adam_step<T: Number>(isa: Isa, slots: &mut [Slot<'_, T>], constants: Adam<f64>) {
    for slot in slots.iter() {
        let lengths = [slot.gradient.len(), slot.first.len(), slot.second.len()];
        let length = slot.parameter.len();
        assert!(
            lengths == [length; 3],
            "adam_step: gradient, first and second state of {lengths:?} elements, expected {length} as the parameter has"
        );
    }
    steps(isa, slots, &AdamRule(constants.map(T::from_f64)));
}

/// One step of SGD over all slots; with momentum each has its velocity as first state, without it is empty. The constants are
/// those for T.
///
/// # Panics
/// A gradient or a velocity of another length than its parameter.
pub fn sgd_step<T: Number>(isa: Isa, slots: &mut [Slot<'_, T>], constants: Sgd<f64>) {
    for slot in slots.iter() {
        let lengths = [slot.gradient.len(), slot.first.len()];
        let length = slot.parameter.len();
        assert!(
            lengths == [length; 2] || lengths == [length, 0],
            "sgd_step: gradient and velocity of {lengths:?} elements, expected {length} as the parameter has"
        );
    }
    steps(isa, slots, &SgdRule(constants.map(T::from_f64)));
}
