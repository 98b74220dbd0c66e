//! Optimizer steps. What changes every step lies in device memory: `step` is (learning rate, number of the step from 1).

use crate::number::GpuFloat;
use crate::place::THREADS;
use cuda_std::*;
use kiln_math::update;

/// Tensors that one launch updates at most.
pub const SLOTS: usize = 16;

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

parameters! {
    /// A tensor that is updated, with its gradient and its states; a state that the rule does not have is empty.
    pub struct Slot<T: DeviceCopy> {
        parameter: GlobalMut<T>,
        gradient: Global<T>,
        states: [GlobalMut<T>; 2],
        /// The number of its first block in the grid; the blocks of the next slot come after its own.
        first_block: u64,
    }
}

impl<T: GpuFloat> Slot<T> {
    /// The slot of the thread's block.
    #[inline(always)]
    fn of_thread(slots: &[Self; SLOTS]) -> Self {
        let (block, mut own) = (u64::from(block_idx_x()), slots[0]);
        // Not by an index that varies, which would put the slots into local memory.
        for slot in slots {
            if slot.first_block <= block {
                own = *slot;
            }
        }
        own
    }

    /// The thread's elements, neighbors of which are other threads'.
    #[inline(always)]
    fn each(&self, mut update: impl FnMut(usize)) {
        let block = block_idx_x() as usize - self.first_block as usize;
        let first = block * EACH * THREADS as usize + thread_idx_x() as usize;
        for n in 0..EACH {
            let i = first + n * THREADS as usize;
            if i < self.parameter.len() {
                update(i);
            }
        }
    }
}

parameters! {
    /// The constants of Adam, or of AdamW where `decoupled` is not 0.
    pub struct AdamSettings { beta1: f64, beta2: f64, epsilon: f64, weight_decay: f64, decoupled: u32 }
}

parameters! {
    /// The constants of stochastic gradient descent.
    pub struct SgdSettings { momentum: f64, dampening: f64, weight_decay: f64, nesterov: u32 }
}

kernels! {
    /// Adam or AdamW, whose states are the moments m and v.
    #[max_threads = THREADS]
    pub fn adam<T: GpuFloat>(slots: [Slot<T>; SLOTS], step: Global<f64>, settings: AdamSettings) for [f32, f64] {
        let slot = Slot::of_thread(&slots);
        let Slot { parameter, gradient, states: [m, v], .. } = slot;
        let (learning_rate, number) = (step.get(0), step.get(1));
        let AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled } = settings;
        let settings = update::AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled: decoupled != 0 };
        let constants = settings.at(learning_rate, number, T::LEAST).map(T::constant);
        slot.each(|i| {
            let (np, nm, nv) = update::adam(parameter.get(i), gradient.get(i), m.get(i), v.get(i), &constants);
            parameter.set(i, np);
            m.set(i, nm);
            v.set(i, nv);
        });
    }

    /// Stochastic gradient descent, whose first state is the velocity, where there is momentum.
    #[max_threads = THREADS]
    pub fn sgd<T: GpuFloat>(slots: [Slot<T>; SLOTS], step: Global<f64>, settings: SgdSettings) for [f32, f64] {
        let slot = Slot::of_thread(&slots);
        let Slot { parameter, gradient, states: [v, _], .. } = slot;
        let (learning_rate, number) = (step.get(0), step.get(1));
        let SgdSettings { momentum, dampening, weight_decay, nesterov } = settings;
        let settings = update::SgdSettings { momentum, dampening, weight_decay, nesterov: nesterov != 0 };
        let constants = settings.at(learning_rate, number, T::LEAST).map(T::constant);
        slot.each(|i| {
            let velocity = if v.is_empty() { T::ZERO } else { v.get(i) };
            let (np, nv) = update::sgd(parameter.get(i), gradient.get(i), velocity, &constants);
            parameter.set(i, np);
            if !v.is_empty() {
                v.set(i, nv);
            }
        });
    }
}
