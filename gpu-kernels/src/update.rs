//! Optimizer steps, generated from kiln-math's list of rules: a kernel of each rule for f32, for f64, and for types that differ.
//!
//! What changes every step lies in device memory: the constants, which the host has computed, and whether the step is made.

use crate::number::GpuFloat;
use crate::place::THREADS;
use cuda_std::*;
use half::{bf16, f16};
use kiln_math::update::{CONSTANTS, Constants, MAX_STATES, Rule, States};

/// Elements of a thread, which share what does not depend on them: the slot, and the constants of the step.
const EACH: usize = 4;

/// The blocks of a tensor of so many elements.
#[cfg(not(target_arch = "nvptx64"))]
pub fn blocks(elements: usize) -> usize {
    elements.div_ceil(EACH * THREADS as usize)
}

/// So many blocks.
#[cfg(not(target_arch = "nvptx64"))]
pub fn by_block(blocks: usize) -> Geometry {
    Geometry::cover(blocks.saturating_mul(THREADS as usize), THREADS)
}

/// Elements of a mixed step are f32.
pub const F32: u32 = 0;
/// Elements of a mixed step are f16.
pub const F16: u32 = 1;
/// Elements of a mixed step are bf16.
pub const BF16: u32 = 2;

parameters! {
    /// A tensor that is updated, with its gradient and its states; a state that is not kept is empty. The tensors of a step are a
    /// table in device memory.
    ///
    /// In a mixed step all are given as `u16`, of which an f32 is two.
    pub struct Slot<T: DeviceCopy> {
        parameter: GlobalMut<T>,
        gradient: Global<T>,
        states: [GlobalMut<T>; MAX_STATES],
        /// In a mixed step the kinds of parameter, gradient and states, 4 bits each.
        kinds: u32,
        /// Which row of the constants is its.
        row: u32,
    }
}

parameters! {
    /// A step over all of its tensors.
    pub struct Step<T: DeviceCopy, C: DeviceCopy> {
        slots: Table<Slot<T>>,
        /// For each slot the number of its first block in the grid; the blocks of the next slot come after its own.
        first_blocks: Global<u32>,
        /// Rows of [`CONSTANTS`].
        constants: Global<C>,
        /// Where it is given and 0, nothing is written.
        apply: Global<u8>,
    }
}

impl<T: DeviceCopy, C: DeviceCopy> Step<T, C> {
    /// Whether the step is made.
    #[inline(always)]
    fn applies(&self) -> bool {
        self.apply.is_empty() || self.apply.get(0) != 0
    }

    /// The slot of the thread's block, and which of the slot's blocks that is.
    #[inline(always)]
    fn of_thread(&self) -> (Slot<T>, usize) {
        let block = block_idx_x();
        // The last slot that begins here or before: one without elements has no block, so it is never that.
        let (mut slot, mut end) = (0, self.first_blocks.len());
        while end - slot > 1 {
            let middle = (slot + end) / 2;
            if self.first_blocks.get(middle) <= block {
                slot = middle;
            } else {
                end = middle;
            }
        }
        (self.slots.get(slot), (block - self.first_blocks.get(slot)) as usize)
    }

    /// The constants of a slot.
    #[inline(always)]
    fn constants(&self, slot: &Slot<T>) -> Constants<C> {
        let first = slot.row as usize * CONSTANTS;
        core::array::from_fn(|i| self.constants.get(first + i))
    }
}

impl<T: DeviceCopy> Slot<T> {
    /// The thread's elements of so many, neighbors of which are other threads', where this is the slot's block `block`.
    #[inline(always)]
    fn each(&self, block: usize, elements: usize, mut step: impl FnMut(usize)) {
        let first = block * EACH * THREADS as usize + thread_idx_x() as usize;
        for n in 0..EACH {
            let i = first + n * THREADS as usize;
            if i < elements {
                step(i);
            }
        }
    }

    /// Whether state `at` is kept; of a rule that always does, this is a constant.
    #[inline(always)]
    fn keeps<R: Rule>(&self, at: usize) -> bool {
        at < R::ALWAYS || at < R::STATES.len() && !self.states[at].is_empty()
    }

    /// The states that `read` gives, 0 where they are not kept.
    #[inline(always)]
    fn states<R: Rule, C: GpuFloat>(&self, read: impl Fn(usize) -> C) -> States<C> {
        core::array::from_fn(|at| if self.keeps::<R>(at) { read(at) } else { C::ZERO })
    }
}

impl Slot<u16> {
    /// Of what kind a tensor is: the parameter (0), the gradient (1), or a state (from 2).
    #[inline(always)]
    fn kind(&self, tensor: usize) -> u32 {
        (self.kinds >> (4 * tensor)) & 0xf
    }
}

/// An element of this kind.
#[inline(always)]
fn wide(kind: u32, i: usize, half: impl Fn(usize) -> u16) -> f32 {
    match kind {
        F16 => f16::from_bits(half(i)).to_f32(),
        BF16 => bf16::from_bits(half(i)).to_f32(),
        _ => f32::from_bits(u32::from(half(2 * i)) | u32::from(half(2 * i + 1)) << 16),
    }
}

/// Writes an element of this kind, rounded.
#[inline(always)]
fn narrow(to: GlobalMut<u16>, kind: u32, i: usize, value: f32) {
    match kind {
        F16 => to.set(i, f16::from_f32(value).to_bits()),
        BF16 => to.set(i, bf16::from_f32(value).to_bits()),
        _ => {
            to.set(2 * i, value.to_bits() as u16);
            to.set(2 * i + 1, (value.to_bits() >> 16) as u16);
        }
    }
}

macro_rules! rules {
    ($({ $doc:literal, $rule:ident, $method:ident })+) => {
        $(#[doc = $doc] pub mod $method {
            use super::*;
            use kiln_math::update::$rule;

            kernels! {
                /// One step over all tensors.
                #[name = stringify!($method)]
                #[max_threads = THREADS]
                pub fn update<T: GpuFloat>(step: Step<T, T>) for [f32, f64] {
                    let (slot, block) = step.of_thread();
                    let Slot { parameter, gradient, states, .. } = slot;
                    if step.applies() {
                        let constants = step.constants(&slot);
                        slot.each(block, parameter.len(), |i| {
                            let given = slot.states::<$rule, T>(|at| states[at].get(i));
                            let (p, after) = $rule::element(parameter.get(i), gradient.get(i), given, &constants);
                            parameter.set(i, p);
                            for at in 0..MAX_STATES {
                                if slot.keeps::<$rule>(at) {
                                    states[at].set(i, after[at]);
                                }
                            }
                        });
                    }
                }

                /// The same, where parameter, gradient and states may be of different types: f32, f16 or bf16.
                #[name = concat!(stringify!($method), "_mixed")]
                #[max_threads = THREADS]
                pub fn mixed(step: Step<u16, f32>) {
                    let (slot, block) = step.of_thread();
                    let Slot { parameter, gradient, states, .. } = slot;
                    if step.applies() {
                        let constants = step.constants(&slot);
                        let halves = if slot.kind(0) == F32 { 2 } else { 1 };
                        slot.each(block, parameter.len() / halves, |i| {
                            let given = slot.states::<$rule, f32>(|at| wide(slot.kind(2 + at), i, |i| states[at].get(i)));
                            let p = wide(slot.kind(0), i, |i| parameter.get(i));
                            let g = wide(slot.kind(1), i, |i| gradient.get(i));
                            let (p, after) = $rule::element(p, g, given, &constants);
                            narrow(parameter, slot.kind(0), i, p);
                            for at in 0..MAX_STATES {
                                if slot.keeps::<$rule>(at) {
                                    narrow(states[at], slot.kind(2 + at), i, after[at]);
                                }
                            }
                        });
                    }
                }
            }
        })+

        #[cfg(not(target_arch = "nvptx64"))]
        mod host {
            use super::*;
            use kiln_math::UpdateRule;

            /// The entries of each rule's kernel.
            pub const KERNELS: &[Families] = &[$($method::KERNELS),+];

            /// Launches one step of a rule over slots that have so many blocks, in one type.
            ///
            /// # Errors
            /// The launcher's.
            pub fn launch<T: GpuFloat>(
                launcher: &dyn Launcher,
                rule: UpdateRule,
                step: Step<T, T>,
                blocks: usize,
            ) -> Result<(), LaunchError>
            where
                $($method::update<T>: Kernel),+
            {
                match rule {
                    $(UpdateRule::$rule => $method::update { step }.launch(launcher, by_block(blocks)),)+
                }
            }

            /// Launches one step of a rule over slots that have so many blocks, in types that may differ.
            ///
            /// # Errors
            /// The launcher's.
            pub fn launch_mixed(
                launcher: &dyn Launcher,
                rule: UpdateRule,
                step: Step<u16, f32>,
                blocks: usize,
            ) -> Result<(), LaunchError> {
                match rule {
                    $(UpdateRule::$rule => $method::mixed { step }.launch(launcher, by_block(blocks)),)+
                }
            }
        }
        #[cfg(not(target_arch = "nvptx64"))]
        pub use host::{KERNELS, launch, launch_mixed};
    };
}
kiln_math::for_each_rule!(rules);
