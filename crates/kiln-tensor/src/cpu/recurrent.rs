//! Recurrent layers.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{slice, slice_mut};
use super::scratch::Scratch;
use crate::{DType, Ran, Recurrence, RecurrentCall, RecurrentGradCall, Result, Shape, View, unsupported_dtype};
use kiln_cpu::operand::Number;
use kiln_cpu::recurrent::{self, Gradients, Incoming, Sequence};

/// The call in the kernels' terms.
///
/// # Safety
/// Its views are of T's dtype.
unsafe fn sequence<'a, T: Number>(call: &Recurrence<View<'a>>, states: &Shape) -> Sequence<'a, T> {
    // SAFETY: as the caller promises; row-major, which was checked above the trait.
    let read = |view: &View<'a>| unsafe { slice::<T>(view) };
    Sequence {
        cell: call.cell,
        steps: states[0],
        batch: states[1],
        hidden: states[2],
        reverse: call.reverse,
        weight: read(&call.weight),
        unit_weights: call.unit_weights.as_ref().map_or(&[], read),
        // SAFETY: a mask is bool, row-major.
        mask: call.mask.as_ref().map(|mask| unsafe { slice::<bool>(mask) }),
        keep: call.keep.as_ref().map(read),
        h0: call.h0.as_ref().map_or(&[], read),
        c0: call.c0.as_ref().map_or(&[], read),
    }
}

/// Room for the kernels to work in.
fn workspace(backend: &CpuBackend, dtype: DType, elements: usize) -> Result<Scratch<'_>> {
    Scratch::new(backend, Shape::new(&[elements])?, dtype)
}

impl OnCpu for RecurrentCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let (isa, dtype) = (cpu.isa, self.states.dtype);
        // SAFETY: of the dtype dispatched on, row-major; outputs and workspace are apart from all operands.
        numbers!(dtype, "recurrent", T => unsafe {
            let s = sequence::<T>(&self.layer, self.states.shape);
            let workspace = workspace(cpu, dtype, recurrent::forward_workspace(isa, &s))?;
            let inner = self.inner.as_ref().map_or(&mut [][..], |inner| slice_mut(inner));
            let (gates, states) = (slice_mut(&self.gates), slice_mut(&self.states));
            recurrent::forward(isa, &s, gates, states, inner, slice_mut(&workspace.out()));
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for RecurrentGradCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        let (isa, dtype) = (cpu.isa, self.dh0.dtype);
        // SAFETY: as for `RecurrentCall`.
        numbers!(dtype, "recurrent_grad", T => unsafe {
            let s = sequence::<T>(&self.layer, self.states.layout.shape());
            let workspace = workspace(cpu, dtype, recurrent::backward_workspace(isa, &s))?;
            let incoming = Incoming {
                gates: slice(&self.gates),
                states: slice(&self.states),
                inner: self.inner.as_ref().map_or(&[], |view| slice(view)),
                states_grad: self.states_grad.as_ref().map(|view| slice(view)),
                last_grad: self.last_grad.as_ref().map(|view| slice(view)),
                cell_grad: self.cell_grad.as_ref().map(|view| slice(view)),
            };
            let out = Gradients {
                gates: slice_mut(&self.dgates),
                product: self.dproduct.as_ref().map_or(&mut [], |product| slice_mut(product)),
                h0: slice_mut(&self.dh0),
                c0: self.dc0.as_ref().map_or(&mut [], |c0| slice_mut(c0)),
                unit_weights: self.dunit_weights.as_ref().map_or(&mut [], |weights| slice_mut(weights)),
            };
            recurrent::backward(isa, &s, &incoming, out, slice_mut(&workspace.out()));
        });
        Ok(Ran::Done)
    }
}
