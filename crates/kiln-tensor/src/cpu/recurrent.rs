//! Recurrent layers.

use super::CpuBackend;
use super::memory::{slice, slice_mut};
use crate::composed::Scratch;
use crate::{DType, Recurrence, RecurrenceGrad, RecurrenceGradOut, RecurrenceOut, Result, Shape, View};
use kiln_cpu::gemm::{Element, Number as Multiplied};
use kiln_cpu::operand::Number;
use kiln_cpu::recurrent::{self, Gradients, Incoming, Sequence};

/// The call in the kernels' terms.
///
/// # Safety
/// Its views are of T's dtype.
unsafe fn sequence<'a, T: Number>(call: &Recurrence<'a>, states: &Shape) -> Sequence<'a, T> {
    // SAFETY: as the caller promises; row-major, which was checked above the trait.
    let read = |view: &View<'a>| unsafe { slice::<T>(view) };
    Sequence {
        cell: call.cell,
        steps: states[0],
        batch: states[1],
        hidden: states[2],
        reverse: call.reverse,
        weight: read(&call.weight),
        bias: call.bias.as_ref().map(read),
        // SAFETY: a mask is bool, row-major.
        mask: call.mask.as_ref().map(|mask| unsafe { slice::<bool>(mask) }),
        keep: call.keep.as_ref().map(read),
        h0: read(&call.h0),
        c0: call.c0.as_ref().map_or(&[], read),
    }
}

/// Room for the kernels to work in.
fn workspace(backend: &CpuBackend, dtype: DType, elements: usize) -> Result<Scratch<'_, CpuBackend>> {
    Scratch::new(backend, Shape::new(&[elements])?, dtype)
}

pub(super) fn forward<T: Number + Multiplied + Element<Number = T>>(
    backend: &CpuBackend,
    call: &Recurrence<'_>,
    out: &RecurrenceOut<'_>,
) -> Result<()> {
    let (isa, dtype) = (backend.isa, out.states.dtype);
    // SAFETY: of the dtype dispatched on, row-major; outputs and workspace are apart from all operands.
    unsafe {
        let s = sequence::<T>(call, out.states.shape);
        let workspace = workspace(backend, dtype, recurrent::forward_workspace(isa, &s))?;
        let inner = out.inner.as_ref().map_or(&mut [][..], |inner| slice_mut(inner));
        let (gates, states) = (slice_mut(&out.gates), slice_mut(&out.states));
        recurrent::forward(isa, &s, gates, states, inner, slice_mut(&workspace.out()));
    }
    Ok(())
}

pub(super) fn backward<T: Number + Multiplied + Element<Number = T>>(
    backend: &CpuBackend,
    call: &Recurrence<'_>,
    saved: &RecurrenceGrad<'_>,
    out: &RecurrenceGradOut<'_>,
) -> Result<()> {
    let (isa, dtype) = (backend.isa, out.h0.dtype);
    // SAFETY: as in `forward`.
    unsafe {
        let s = sequence::<T>(call, saved.states.layout.shape());
        let workspace = workspace(backend, dtype, recurrent::backward_workspace(isa, &s))?;
        let incoming = Incoming {
            gates: slice(&saved.gates),
            states: slice(&saved.states),
            inner: saved.inner.as_ref().map_or(&[], |view| slice(view)),
            states_grad: saved.states_grad.as_ref().map(|view| slice(view)),
            last_grad: saved.last_grad.as_ref().map(|view| slice(view)),
            cell_grad: saved.cell_grad.as_ref().map(|view| slice(view)),
        };
        let out = Gradients {
            gates: slice_mut(&out.gates),
            inner: out.inner.as_ref().map_or(&mut [], |inner| slice_mut(inner)),
            h0: slice_mut(&out.h0),
            c0: out.c0.as_ref().map_or(&mut [], |c0| slice_mut(c0)),
        };
        recurrent::backward(isa, &s, &incoming, out, slice_mut(&workspace.out()));
    }
    Ok(())
}
