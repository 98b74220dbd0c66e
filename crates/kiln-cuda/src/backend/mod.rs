//! The backend: every primitive as launches of gpu-kernels, on any [`Machine`].
//!
//! Kernels take row-major operands of f32, f64 and integers. Others are laid out first ([`operand`]): strided ones are copied,
//! half types computed in f32.

mod conv;
mod convert;
mod dispatch;
mod elementwise;
mod gather;
mod memory;
mod normalize;
mod operand;
mod pool;
mod product;
mod random;
mod recurrent;
mod reduce;
mod softmax;
mod update;

use crate::machine::{Failure, Machine};
use cuda_std::{Launch, LaunchError, Launcher};
use kiln_math::BinaryOp;
use kiln_tensor::{
    ArgReduceOp, Backend, Buffer, CompareOp, Convolution, Distribution, Epilogue, Error, ErrorKind, MemoryStats,
    Normalization, Out, Recurrence, RecurrenceGrad, RecurrenceGradOut, RecurrenceOut, ReduceOp, Result, SoftmaxKind,
    UnaryCall, UpdateRule, UpdateSlot, View, Window,
};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Launches whose names a fault is reported with.
const RECENT: usize = 8;

/// A GPU as a [`Backend`].
pub(crate) struct Gpu<M> {
    machine: M,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Names of the last launches, the newest last.
    recent: VecDeque<&'static str>,
    /// The fault that ended this device's work.
    fault: Option<String>,
    memory: MemoryStats,
}

impl<M: Machine> Gpu<M> {
    pub(crate) fn new(machine: M) -> Self {
        Gpu { machine, state: Mutex::default() }
    }

    #[cfg(feature = "sim")]
    pub(crate) fn machine(&self) -> &M {
        &self.machine
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error where the device has had a fault.
    fn sound(&self) -> Result<()> {
        match &self.state().fault {
            None => Ok(()),
            Some(fault) => Err(Error::new(ErrorKind::Fault, "", format!("{}: {fault}", self.machine.name()))),
        }
    }

    /// Takes down the first fault, with the launches before it.
    fn fault(&self, what: &str) {
        let mut state = self.state();
        if state.fault.is_none() {
            let recent: Vec<&str> = state.recent.iter().copied().collect();
            let after =
                if recent.is_empty() { String::new() } else { format!("; the last launches: {}", recent.join(", ")) };
            state.fault = Some(format!("{what}{after}; the device does nothing more in this process"));
        }
    }

    /// What became of a call that waits for the device: its own failure, or a fault from before.
    fn waited(&self, outcome: std::result::Result<(), Failure>) -> Result<()> {
        match outcome {
            Ok(()) => {}
            Err(failure @ Failure::Memory { .. }) => {
                return Err(Error::new(ErrorKind::Memory, "", failure.to_string()));
            }
            Err(Failure::Fault(error)) => self.fault(&error.to_string()),
        }
        self.sound()
    }

    /// What became of a launch: a refusal is an error at once, a fault surfaces at the next synchronisation.
    fn launched(&self, outcome: std::result::Result<(), LaunchError>) -> Result<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(error @ LaunchError::Refused { .. }) => Err(Error::new(ErrorKind::Unsupported, "", error.to_string())),
            Err(error) => {
                self.fault(&error.to_string());
                Ok(())
            }
        }
    }
}

impl<M: Machine> Launcher for Gpu<M> {
    fn launch(&self, launch: &Launch<'_>) -> std::result::Result<(), LaunchError> {
        let mut state = self.state();
        if state.fault.is_some() {
            return Ok(()); // reported by the next call that waits
        }
        if state.recent.len() == RECENT {
            state.recent.pop_front();
        }
        state.recent.push_back(launch.kernel().name());
        drop(state);
        self.machine.launch(launch)
    }
}

impl<M: Machine> Backend for Gpu<M> {
    fn name(&self) -> &str {
        self.machine.name()
    }

    fn alloc(&self, bytes: usize) -> Result<Buffer> {
        self.alloc_memory(bytes)
    }
    fn alloc_zeroed(&self, bytes: usize) -> Result<Buffer> {
        let buffer = self.alloc_memory(bytes)?;
        if let Err(error) = self.waited(self.machine.zero(buffer.address as u64, buffer.bytes)) {
            self.free_memory(buffer);
            return Err(error);
        }
        Ok(buffer)
    }
    fn free(&self, buffer: Buffer) {
        self.free_memory(buffer);
    }
    fn upload(&self, to: Buffer, offset: usize, from: &[u8]) -> Result<()> {
        self.sound()?;
        self.waited(self.machine.upload((to.address + offset) as u64, from))
    }
    fn download(&self, to: &mut [u8], from: Buffer, offset: usize) -> Result<()> {
        self.sound()?;
        self.waited(self.machine.download(to, (from.address + offset) as u64))
    }
    fn synchronize(&self) -> Result<()> {
        self.sound()?;
        self.waited(self.machine.synchronize())
    }
    fn memory(&self) -> MemoryStats {
        MemoryStats { cached: self.machine.kept(), ..self.state().memory }
    }
    fn trim(&self) {
        self.machine.trim();
    }

    fn fill(&self, out: Out<'_>, value: f64) -> Result<()> {
        self.fill_elements(&out, value)
    }
    fn copy(&self, out: View<'_>, x: View<'_>) -> Result<()> {
        self.copy_elements(&out, &x)
    }
    fn unary(&self, call: UnaryCall, out: Out<'_>, x: View<'_>) -> Result<()> {
        self.unary_elements(call, &out, &x)
    }
    fn unary_grad(&self, call: UnaryCall, out: Out<'_>, x: View<'_>, y: View<'_>, dy: View<'_>) -> Result<()> {
        self.unary_gradients(call, &out, [&x, &y, &dy])
    }
    fn binary(&self, op: BinaryOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        self.binary_elements(op, &out, &a, &b)
    }
    fn compare(&self, op: CompareOp, out: Out<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        self.compare_elements(op, &out, &a, &b)
    }
    fn select(&self, out: Out<'_>, condition: View<'_>, a: View<'_>, b: View<'_>) -> Result<()> {
        self.select_elements(&out, &condition, &a, &b)
    }

    fn reduce(&self, op: ReduceOp, out: Out<'_>, x: View<'_>, axes: &[usize]) -> Result<()> {
        self.reduce_axes(op, &out, &x, axes)
    }
    fn arg_reduce(&self, op: ArgReduceOp, out: Out<'_>, x: View<'_>, axis: usize) -> Result<()> {
        self.extremum_positions(op, &out, &x, axis)
    }

    fn matmul(&self, out: Out<'_>, a: View<'_>, b: View<'_>, epilogue: Epilogue<'_>) -> Result<()> {
        self.product(&out, &a, &b, &epilogue)
    }

    fn gather(&self, out: Out<'_>, x: View<'_>, index: View<'_>, axis: usize) -> Result<()> {
        self.gather_along(&out, &x, &index, axis)
    }
    fn scatter_add(&self, out: Out<'_>, y: View<'_>, index: View<'_>, axis: usize) -> Result<()> {
        self.scatter_along(&out, &y, &index, axis)
    }

    fn random(&self, distribution: Distribution, out: Out<'_>, stream: View<'_>) -> Result<()> {
        self.draw(distribution, &out, &stream)
    }
    fn softmax(&self, kind: SoftmaxKind, out: Out<'_>, x: View<'_>) -> Result<()> {
        self.softmax_rows(kind, &out, &x)
    }
    fn softmax_grad(&self, kind: SoftmaxKind, out: Out<'_>, y: View<'_>, dy: View<'_>) -> Result<()> {
        self.softmax_gradients(kind, &out, &y, &dy)
    }
    fn cross_entropy(&self, out: Out<'_>, logits: View<'_>, target: View<'_>) -> Result<()> {
        self.losses(out, logits, target)
    }
    fn cross_entropy_grad(&self, out: Out<'_>, logits: View<'_>, target: View<'_>, dy: View<'_>) -> Result<()> {
        self.loss_gradients(out, logits, target, dy)
    }

    fn conv(
        &self,
        conv: &Convolution,
        out: Out<'_>,
        x: View<'_>,
        weight: View<'_>,
        epilogue: Epilogue<'_>,
    ) -> Result<()> {
        self.convolution(conv, &out, &x, &weight, &epilogue)
    }
    fn conv_grad_input(&self, conv: &Convolution, out: Out<'_>, dy: View<'_>, weight: View<'_>) -> Result<()> {
        self.input_gradients(conv, &out, &dy, &weight)
    }
    fn conv_grad_weight(&self, conv: &Convolution, out: Out<'_>, x: View<'_>, dy: View<'_>) -> Result<()> {
        self.weight_gradients(conv, &out, &x, &dy)
    }
    fn max_pool(&self, window: &Window, out: Out<'_>, taps: Option<Out<'_>>, x: View<'_>) -> Result<()> {
        self.maxima(window, &out, taps.as_ref(), &x)
    }
    fn max_pool_grad(&self, window: &Window, out: Out<'_>, dy: View<'_>, taps: View<'_>) -> Result<()> {
        self.maxima_gradients(window, &out, &dy, &taps)
    }
    fn moments(&self, out: Out<'_>, x: View<'_>) -> Result<()> {
        self.channel_moments(out, x)
    }
    fn normalize(
        &self,
        form: &Normalization,
        out: Out<'_>,
        x: View<'_>,
        moments: View<'_>,
        affine: [Option<View<'_>>; 2],
    ) -> Result<()> {
        self.normalized(form, &out, &x, &moments, affine)
    }
    fn normalize_grad(
        &self,
        form: &Normalization,
        dx: Out<'_>,
        affine: Out<'_>,
        x: View<'_>,
        y: View<'_>,
        dy: View<'_>,
        moments: View<'_>,
        weight: Option<View<'_>>,
    ) -> Result<()> {
        self.normalized_gradients(form, dx, affine, [x, y, dy], moments, weight)
    }
    fn recurrent(&self, call: Recurrence<'_>, out: RecurrenceOut<'_>) -> Result<()> {
        self.recurrent_steps(call, out)
    }
    fn recurrent_grad(
        &self,
        call: Recurrence<'_>,
        saved: RecurrenceGrad<'_>,
        out: RecurrenceGradOut<'_>,
    ) -> Result<()> {
        self.recurrent_gradients(call, saved, out)
    }

    fn update(&self, rule: UpdateRule, step: View<'_>, slots: &[UpdateSlot]) -> Result<()> {
        slots.iter().try_for_each(|slot| self.update_slot(rule, &step, slot))
    }
}
