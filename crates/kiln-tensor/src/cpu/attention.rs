//! Attention, in f32 and the half types.

use super::CpuBackend;
use super::calls::OnCpu;
use super::memory::{first_mut, slice, slice_mut};
use super::random::draw;
use crate::{Attention, AttentionCall, AttentionGradCall, DType, HeadOrder, Out, Ran, Result, View, unsupported_dtype};
use half::{bf16, f16};
use kiln_cpu::attention::{
    Dropout, Form, Gradients, Mask, Offsets, Operand, OperandMut, Operands, Saved, backward, forward,
};

/// Rows of a view, whose last axis is adjacent.
fn operand<T>(view: &View<'_>) -> Operand<T> {
    Operand {
        first: first_mut::<T>(view).cast_const(),
        strides: std::array::from_fn(|axis| view.layout.strides()[axis]),
    }
}

/// Rows of an output.
fn target<T>(out: &Out<'_>, order: HeadOrder) -> OperandMut<T> {
    let first = (out.buffer.address as *mut T).wrapping_add(out.offset);
    let size = |axis: usize| out.shape[axis] as isize;
    let (whole, row) = (size(1) * size(2) * size(3), size(3));
    let strides = match order {
        HeadOrder::HeadsFirst => [whole, size(2) * row, row],
        HeadOrder::RowsFirst => [whole, row, size(2) * row],
    };
    OperandMut { first, strides }
}

/// The call in the kernels' terms.
fn form<'a>(of: &Attention<'a>, slopes: Option<&'a [f32]>) -> Form<'a> {
    let size = |view: &View<'_>, axis: usize| view.layout.shape()[axis];
    Form {
        batch: size(&of.query, 0),
        heads: size(&of.query, 1),
        key_heads: size(&of.key, 1),
        queries: size(&of.query, 2),
        keys: size(&of.key, 2),
        width: size(&of.query, 3),
        value_width: size(&of.value, 3),
        scale: of.scale as f32,
        causal: of.reach.causal,
        window: of.reach.window,
        slopes,
        packed: of.reach.packed.map(|packed| Offsets { queries: &packed.queries, keys: &packed.keys }),
    }
}

fn slopes(of: &Attention<'_>) -> Option<Vec<f32>> {
    of.slopes.map(|slopes| slopes.iter().map(|&slope| slope as f32).collect())
}

/// # Safety
/// The dropout's stream is i64 (2,), contiguous.
unsafe fn operands<T>(of: &Attention<'_>) -> Operands<T> {
    let mask = of.mask.as_ref().map_or(Mask::None, |view| {
        // A mask of padding is known by its stride of 0 along the queries, also where there is one query.
        let stride = |axis| if view.layout.shape()[axis] == 1 { 0 } else { view.layout.strides()[axis] };
        let strides = std::array::from_fn(stride);
        match view.dtype {
            DType::Bool => Mask::Seen(first_mut::<u8>(view).cast_const(), strides),
            _ => Mask::Added(first_mut::<f32>(view).cast_const(), strides),
        }
    });
    // SAFETY: the caller's promise.
    let dropout = of.dropout.as_ref().map(|(rate, stream)| Dropout { draw: unsafe { draw(stream) }, rate: *rate });
    Operands { query: operand(&of.query), key: operand(&of.key), value: operand(&of.value), mask, dropout }
}

/// Of the types that the kernels are for.
macro_rules! singles {
    ($dtype:expr, $T:ident => $body:expr) => {
        dispatch!($dtype, "attention", "f32, f16 or bf16", [F32 f32, F16 f16, BF16 bf16], $T => $body)
    };
}

impl OnCpu for AttentionCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        if self.out.dtype == DType::F64 {
            return Ok(Ran::NotHere);
        }
        let slopes = slopes(&self.operands);
        let form = form(&self.operands, slopes.as_deref());
        // SAFETY: operands and output are of the dtype dispatched on, a mask is of bool or f32 and a stream i64 (2,), and the sums are
        // f32; the outputs are apart from all operands and from each other: the caller's promise.
        singles!(self.out.dtype, T => unsafe {
            let operands = operands::<T>(&self.operands);
            forward(cpu.isa, &form, &operands, &target(&self.out, self.order), slice_mut(&self.log_sum));
        });
        Ok(Ran::Done)
    }
}

impl OnCpu for AttentionGradCall<'_> {
    unsafe fn run(&self, cpu: &CpuBackend) -> Result<Ran> {
        if self.dquery.dtype == DType::F64 {
            return Ok(Ran::NotHere);
        }
        let slopes = slopes(&self.operands);
        let form = form(&self.operands, slopes.as_deref());
        // SAFETY: as for `AttentionCall`.
        singles!(self.dquery.dtype, T => unsafe {
            let operands = operands::<T>(&self.operands);
            let saved = Saved::<T> { out: operand(&self.out), lse: slice(&self.log_sum), out_grad: operand(&self.dy) };
            let [query, key, value] = self.orders;
            let gradients = Gradients::<T> {
                query: target(&self.dquery, query),
                key: target(&self.dkey, key),
                value: target(&self.dvalue, value),
            };
            backward(cpu.isa, &form, &operands, &saved, &gradients);
        });
        Ok(Ran::Done)
    }
}
