//! A rule over elements, as a kernel.

use super::Part;
use crate::operand::{BLOCK, Number};
use crate::{Kernel, Simd};
use kiln_math::update::{Constants, MAX_STATES, Rule};
use std::marker::PhantomData;

/// Elements computed together.
const GROUP: usize = 32;
/// Elements of what is left after whole groups that are computed together.
const VECTOR: usize = 8;
/// How far ahead parameters are asked for, in elements.
const AHEAD: usize = 1024;

/// One step of a rule over a part.
pub(super) struct Run<'a, R, T> {
    part: &'a Part,
    constants: &'a Constants<T>,
    rule: PhantomData<R>,
}

impl<'a, R, T> Run<'a, R, T> {
    /// # Safety
    /// The part's tensors have its length and are computed in T, and nobody else reads or writes its parameter and states.
    pub(super) unsafe fn new(part: &'a Part, constants: &'a Constants<T>) -> Self {
        Run { part, constants, rule: PhantomData }
    }
}

impl<R: Rule, T: Number> Kernel for Run<'_, R, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let constants = self.constants.map(T::enter::<S>);
        let states = usize::from(self.part.plain);
        // SAFETY: the promise made to `new`; the states that each of them takes are there.
        unsafe {
            if states == R::STATES.len() {
                in_memory::<S, R, T, true>(self.part, &constants);
            } else if const { R::ALWAYS < R::STATES.len() } && states == R::ALWAYS {
                in_memory::<S, R, T, false>(self.part, &constants);
            } else {
                in_blocks::<S, R, T>(self.part, &constants);
            }
        }
    }
}

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

/// The states that the rule has, all of them or those that are always there.
const fn states<R: Rule>(all: bool) -> usize {
    if all { R::STATES.len() } else { R::ALWAYS }
}

/// Where a part's elements of type T lie. The address of a state that is not taken is never used.
#[derive(Clone, Copy)]
struct Addresses<T> {
    parameter: *mut T,
    gradient: *const T,
    states: [*mut T; MAX_STATES],
}

/// A step of elements of type T where they lie.
///
/// # Safety
/// As for [`Run::new`]; all tensors are of type T, and the states that are taken are there.
#[inline(always)]
unsafe fn in_memory<S: Simd, R: Rule, T: Number, const ALL: bool>(part: &Part, constants: &Constants<T::In<S>>) {
    let [parameter, gradient, kept @ ..] = part.addresses.map(|address| address.cast::<T>());
    let addresses = Addresses { parameter, gradient: gradient.cast_const(), states: kept };
    let whole = part.length / GROUP * GROUP;
    for start in (0..whole).step_by(GROUP) {
        // With less to compute, memory is what is waited for, and more requests only get into its way.
        if states::<R>(ALL) > 1 {
            prefetch_for_writing(addresses.parameter.wrapping_add(start + AHEAD));
        }
        // SAFETY: within the part.
        unsafe { group::<S, R, T, ALL>(addresses, start, GROUP, constants) };
    }
    let vectors = part.length / VECTOR * VECTOR;
    for start in (whole..vectors).step_by(VECTOR) {
        // SAFETY: within the part.
        unsafe { group::<S, R, T, ALL>(addresses, start, VECTOR, constants) };
    }
    for start in vectors..part.length {
        // SAFETY: within the part.
        unsafe { group::<S, R, T, ALL>(addresses, start, 1, constants) };
    }
}

/// # Safety
/// As for [`in_memory`], whose elements these are.
#[inline(always)]
unsafe fn group<S: Simd, R: Rule, T: Number, const ALL: bool>(
    addresses: Addresses<T>,
    start: usize,
    count: usize,
    constants: &Constants<T::In<S>>,
) {
    // SAFETY: within the part, whose tensors do not overlap; the states that are taken are there.
    unsafe {
        let p = std::slice::from_raw_parts_mut(addresses.parameter.add(start), count);
        let g = std::slice::from_raw_parts(addresses.gradient.add(start), count);
        let [a, b, c] = std::array::from_fn(|at| -> &mut [T] {
            if at < states::<R>(ALL) {
                std::slice::from_raw_parts_mut(addresses.states[at].add(start), count)
            } else {
                &mut []
            }
        });
        elements::<S, R, T, ALL>(p, g, a, b, c, constants);
    }
}

/// A step of elements of other types than T, or where a state is missing, which is 0: in blocks on the stack.
///
/// # Safety
/// As for [`Run::new`].
#[inline(always)]
unsafe fn in_blocks<S: Simd, R: Rule, T: Number>(part: &Part, constants: &Constants<T::In<S>>) {
    let (mut p, mut g, mut s) = ([T::default(); BLOCK], [T::default(); BLOCK], [[T::default(); BLOCK]; MAX_STATES]);
    for start in (0..part.length).step_by(BLOCK) {
        let count = BLOCK.min(part.length - start);
        let (p, g) = (&mut p[..count], &mut g[..count]);
        let [a, b, c] = s.each_mut().map(|state| &mut state[..count]);
        // SAFETY: within the part.
        unsafe {
            for (tensor, to) in [&mut *p, &mut *g, &mut *a, &mut *b, &mut *c].into_iter().enumerate() {
                match part.raw(tensor) {
                    Some(raw) => raw.from(start).load(to),
                    None => to.fill(T::default()),
                }
            }
            elements::<S, R, T, true>(&mut *p, g, &mut *a, &mut *b, &mut *c, constants);
            for (tensor, from) in [(0, p), (2, a), (3, b), (4, c)] {
                if let Some(raw) = part.raw(tensor) {
                    raw.from(start).store(from);
                }
            }
        }
    }
}

/// A step of elements, of as many as `p` and `g` have; the states that are taken have as many too. (Each is an argument of its own:
/// so the compiler knows that they do not overlap.)
#[inline(always)]
fn elements<S: Simd, R: Rule, T: Number, const ALL: bool>(
    p: &mut [T],
    g: &[T],
    a: &mut [T],
    b: &mut [T],
    c: &mut [T],
    constants: &Constants<T::In<S>>,
) {
    let count = states::<R>(ALL);
    for i in 0..p.len().min(g.len()) {
        let given = [read::<S, T>(a, i, count > 0), read::<S, T>(b, i, count > 1), read::<S, T>(c, i, count > 2)];
        let (np, [na, nb, nc]) = R::element(p[i].enter::<S>(), g[i].enter::<S>(), given, constants);
        p[i] = T::leave::<S>(np);
        write::<S, T>(a, i, count > 0, na);
        write::<S, T>(b, i, count > 1, nb);
        write::<S, T>(c, i, count > 2, nc);
    }
}

#[inline(always)]
fn read<S: Simd, T: Number>(state: &[T], i: usize, taken: bool) -> T::In<S> {
    if taken { state[i].enter::<S>() } else { T::default().enter::<S>() }
}

#[inline(always)]
fn write<S: Simd, T: Number>(state: &mut [T], i: usize, taken: bool, value: T::In<S>) {
    if taken {
        state[i] = T::leave::<S>(value);
    }
}
