//! Recurrent layers: a step is one product and one kernel of cells; of a GRU whose reset gate comes before its product, two of each.
//!
//! Each product is added to what is there already, forward to the input's part of the gates' arguments, backward to the gradient of
//! the state, block by block in the order of the units, as on the CPU.

use super::OnGpu;
use super::dispatch::by_float;
use super::operand::{Operand, sizes};
use super::product::{Matrix, Products};
use crate::gpu::Gpu;
use crate::machine::Machine;
use cuda_std::Geometry;
use gpu_kernels::geometry::by_element;
use gpu_kernels::matmul::ACCUMULATE;
use gpu_kernels::recurrent::{
    Slopes, Step, gru_cell, gru_cell_grad, gru_exchange, gru_renew, gru_reset, gru_reset_grad, lstm_cell,
    lstm_cell_grad, recurrent_rest, simple_cell, simple_cell_grad,
};
use kiln_math::{BinaryOp, RecurrentCell};
use kiln_tensor::{DType, Layout, Out, Ran, Recurrence, RecurrentCall, RecurrentGradCall, Result, Shape, View};
use std::ops::Range;

const RESET_AFTER: RecurrentCell = RecurrentCell::Gru { reset_after: true };
const RESET_BEFORE: RecurrentCell = RecurrentCell::Gru { reset_after: false };

/// One direction of one layer. What is not there has no elements.
struct RecurrentLaunch<'g, M: Machine> {
    gpu: &'g Gpu<M>,
    cell: RecurrentCell,
    reverse: bool,
    dtype: DType,
    steps: usize,
    batch: usize,
    hidden: usize,
    /// Numbers of a step's gates of one sequence.
    gate_width: usize,
    weight: Operand<'g, M>,
    bias: Operand<'g, M>,
    mask: Operand<'g, M>,
    keep: Operand<'g, M>,
    h0: Operand<'g, M>,
    c0: Operand<'g, M>,
    nothing: Operand<'g, M>,
    /// A thread for each unit of each sequence.
    units: Geometry,
}

impl<'g, M: Machine> RecurrentLaunch<'g, M> {
    /// The layer; nothing where its kernels are not for it.
    fn new(gpu: &'g Gpu<M>, call: &Recurrence<'_>, states: &Shape) -> Result<Option<Self>> {
        let (dtype, [steps, batch, hidden]) = (call.weight.dtype, [states[0], states[1], states[2]]);
        let fits = u32::try_from(batch.saturating_mul(hidden)).is_ok();
        if !fits || !matches!(dtype, DType::F32 | DType::F64) {
            return Ok(None);
        }
        Ok(Some(RecurrentLaunch {
            gpu,
            cell: call.cell,
            reverse: call.reverse,
            dtype,
            steps,
            batch,
            hidden,
            gate_width: call.cell.gates() * hidden,
            weight: gpu.rows(&call.weight)?,
            bias: gpu.rows_of(&call.bias)?,
            mask: gpu.rows_of(&call.mask)?,
            keep: gpu.rows_of(&call.keep)?,
            h0: gpu.rows(&call.h0)?,
            c0: gpu.rows_of(&call.c0)?,
            nothing: gpu.absent(),
            units: by_element(batch * hidden),
        }))
    }

    /// The step that comes `i`-th.
    fn step(&self, i: usize) -> usize {
        if self.reverse { self.steps - 1 - i } else { i }
    }

    /// Step `t` of (T, N, width).
    fn slab<'o>(&self, steps: &'o Operand<'_, M>, t: usize, width: usize) -> Operand<'o, M> {
        steps.cut(t * self.batch * width, self.batch * width, self.dtype)
    }

    /// What the step before the `i`-th left, or what was there first.
    fn previous<'o>(&self, steps: &'o Operand<'_, M>, first: &'o Operand<'_, M>, i: usize) -> Operand<'o, M> {
        match i {
            0 => first.cut(0, self.batch * self.hidden, self.dtype),
            _ => self.slab(steps, self.step(i - 1), self.hidden),
        }
    }

    fn is_dropped(&self) -> bool {
        self.keep.elements() > 0
    }

    fn temporary(&self) -> Result<Operand<'g, M>> {
        self.gpu.temporary(self.batch * self.hidden, self.dtype)
    }

    /// (N, H), or zeros.
    fn fill(&self, to: &Out<'_>, from: Option<&View<'_>>) -> Result<()> {
        match from {
            Some(from) => self.gpu.copy_strided(&self.gpu.target(to), &Layout::contiguous(*to.shape), from),
            None => self.gpu.fill_elements(to, 0.0),
        }
    }

    /// Exchanges a GRU's third gate and what is beside it, of all steps.
    fn exchange(&self, gates: &Operand<'_, M>, inner: &Operand<'_, M>) -> Result<()> {
        by_float!(self.dtype, T => {
            let (gates, inner, hidden) = (gates.write(), inner.write(), self.hidden as u32);
            let exchange = gru_exchange::<T> { gates, inner, hidden };
            self.gpu.run(exchange, by_element(inner.len()))
        })
    }

    /// `gates` += x (N, H) · Wᵀ, for some of a step's gates.
    fn onto_gates(&self, gates: &Operand<'_, M>, x: &Operand<'_, M>, which: Range<usize>) -> Result<()> {
        let (hidden, first) = (self.hidden, which.start * self.hidden);
        let y = Matrix::rows(gates, first, self.gate_width);
        let transposed = Matrix::rows(&self.weight, first * hidden, 1);
        let weight = Matrix { column: hidden as i64, ..transposed };
        let sizes = [self.batch, which.len() * hidden, hidden];
        self.product(sizes, [y, Matrix::rows(x, 0, hidden), weight], ACCUMULATE)
    }

    /// y (N, H) = dgates · W, over some of a step's gates, or += where `flags` say so.
    fn through_weight(&self, [y, dgates]: [&Operand<'_, M>; 2], which: Range<usize>, flags: u32) -> Result<()> {
        let (hidden, first) = (self.hidden, which.start * self.hidden);
        let slopes = Matrix::rows(dgates, first, self.gate_width);
        let weight = Matrix::rows(&self.weight, first * hidden, hidden);
        let sizes = [self.batch, hidden, which.len() * hidden];
        self.product(sizes, [Matrix::rows(y, 0, hidden), slopes, weight], flags)
    }

    fn product(&self, sizes: [usize; 3], [y, a, b]: [Matrix<'_, '_, M>; 3], flags: u32) -> Result<()> {
        let bias = Matrix::rows(&self.nothing, 0, 0);
        self.gpu.products(self.dtype, &Products { sizes, batch: [1; 4], y, factors: [a, b], bias, flags })
    }
}

/// What the forward pass writes: see [`RecurrenceOut`].
struct Forward<'g, M: Machine> {
    gates: Operand<'g, M>,
    states: Operand<'g, M>,
    inner: Operand<'g, M>,
    /// (N, H): states times `keep`.
    kept: Operand<'g, M>,
}

impl<M: Machine> RecurrentLaunch<'_, M> {
    /// The `i`-th step.
    fn forward(&self, to: &Forward<'_, M>, i: usize) -> Result<()> {
        let (t, shape, [hidden]) = (self.step(i), self.units, sizes([self.hidden]));
        let gates = self.slab(&to.gates, t, self.gate_width);
        let (after, inner) = (self.slab(&to.states, t, self.hidden), self.slab(&to.inner, t, self.hidden));
        let (before, mask) =
            (self.previous(&to.states, &self.h0, i), self.mask.cut(t * self.batch, self.batch, DType::Bool));
        let factor = if self.is_dropped() { &to.kept } else { &before };
        let met = if self.cell == RESET_BEFORE { 2 } else { self.cell.gates() };
        self.onto_gates(&gates, factor, 0..met)?;
        let (cell, relu) = (self.previous(&to.inner, &self.c0, i), u32::from(self.cell == RecurrentCell::Relu));
        by_float!(self.dtype, T => {
            let step = Step::<T> {
                gates: gates.write(), after: after.write(), inner: inner.write(), kept: to.kept.write(),
                before: before.read(), inner_before: cell.read(), bias: self.bias.read(), keep: self.keep.read(),
                mask: mask.read(), hidden, relu,
            };
            match self.cell {
                RecurrentCell::Tanh | RecurrentCell::Relu => self.gpu.run(simple_cell { step }, shape),
                RecurrentCell::Lstm => self.gpu.run(lstm_cell { step }, shape),
                RESET_AFTER => self.gpu.run(gru_cell { step }, shape),
                RESET_BEFORE => {
                    self.gpu.run(gru_reset { step }, shape)?;
                    self.onto_gates(&gates, &inner, 2..3)?;
                    self.gpu.run(gru_renew { step }, shape)
                }
            }
        })
    }
}

/// What the forward pass left, and the gradients on their way: see [`RecurrenceGrad`] and [`RecurrenceGradOut`].
struct Backward<'g, M: Machine> {
    gates: Operand<'g, M>,
    states: Operand<'g, M>,
    inner: Operand<'g, M>,
    dy: Operand<'g, M>,
    dgates: Operand<'g, M>,
    dinner: Operand<'g, M>,
    /// (N, H): those of the first states are where they run from the last step to the first.
    dh: Operand<'g, M>,
    dc: Operand<'g, M>,
    /// (N, H): what comes through a product and is to be multiplied first.
    product: Operand<'g, M>,
}

impl<M: Machine> RecurrentLaunch<'_, M> {
    /// The `i`-th step; `last` where none comes after it.
    fn backward(&self, pass: &Backward<'_, M>, i: usize, last: bool) -> Result<()> {
        let (t, shape, [hidden]) = (self.step(i), self.units, sizes([self.hidden]));
        let of_gates = |steps| self.slab(steps, t, self.gate_width);
        let of_units = |steps| self.slab(steps, t, self.hidden);
        let (gates, dgates) = (of_gates(&pass.gates), of_gates(&pass.dgates));
        let (inner, dinner, dy) = (of_units(&pass.inner), of_units(&pass.dinner), of_units(&pass.dy));
        let (before, mask) =
            (self.previous(&pass.states, &self.h0, i), self.mask.cut(t * self.batch, self.batch, DType::Bool));
        let (cell, relu) = (self.previous(&pass.inner, &self.c0, i), u32::from(self.cell == RecurrentCell::Relu));
        let dh = &pass.dh;
        // Of the step after, where `dh` lacks it.
        let product = if last || !self.is_dropped() { &self.nothing } else { &pass.product };
        by_float!(self.dtype, T => {
            let slopes = Slopes::<T> {
                dgates: dgates.write(), dinner: dinner.write(), dh: dh.write(), dc: pass.dc.write(),
                gates: gates.read(), before: before.read(), inner_before: cell.read(), inner: inner.read(),
                dy: dy.read(), product: product.read(), keep: self.keep.read(), mask: mask.read(), hidden, relu,
            };
            match self.cell {
                RecurrentCell::Tanh | RecurrentCell::Relu => self.gpu.run(simple_cell_grad { slopes }, shape),
                RecurrentCell::Lstm => self.gpu.run(lstm_cell_grad { slopes }, shape),
                RecurrentCell::Gru { .. } => self.gpu.run(gru_cell_grad { slopes }, shape),
            }?;
            if self.cell == RESET_BEFORE {
                self.through_weight([&pass.product, &dgates], 2..3, 0)?;
                let slopes = Slopes { product: pass.product.read(), ..slopes };
                self.gpu.run(gru_reset_grad { slopes }, shape)?;
            }
            Ok(())
        })?;
        let met = if self.cell == RESET_BEFORE { 2 } else { self.cell.gates() };
        let (to, flags) = if self.is_dropped() { (&pass.product, 0) } else { (dh, ACCUMULATE) };
        self.through_weight([to, &dgates], 0..met, flags)
    }
}

impl OnGpu for RecurrentCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        if self.states.elements() == 0 {
            return Ok(Ran::Done);
        }
        let Some(layer) = RecurrentLaunch::new(gpu, &self.layer, self.states.shape)? else { return Ok(Ran::NotHere) };
        let kept = if layer.is_dropped() { layer.temporary()? } else { gpu.absent() };
        if let Some(keep) = &self.layer.keep {
            let (buffer, dtype) = (kept.buffer(layer.dtype), layer.dtype);
            let to = Out { buffer, offset: 0, shape: keep.layout.shape(), dtype };
            gpu.binary_elements(BinaryOp::Mul, &to, &self.layer.h0, keep)?;
        }
        let (gates, states, inner) =
            (gpu.target(&self.gates), gpu.target(&self.states), gpu.target_of(self.inner.as_ref()));
        let to = Forward { gates, states, inner, kept };
        if let (RESET_AFTER, Some(inner)) = (layer.cell, &self.inner) {
            // The product of n's weight, apart from the input's part, begins at 0.
            gpu.fill_elements(inner, 0.0)?;
            layer.exchange(&to.gates, &to.inner)?;
        }
        (0..layer.steps).try_for_each(|i| layer.forward(&to, i))?;
        Ok(Ran::Done)
    }
}

impl OnGpu for RecurrentGradCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        if self.dh0.elements() == 0 {
            return Ok(Ran::Done);
        }
        let Some(layer) = RecurrentLaunch::new(gpu, &self.layer, self.states.layout.shape())? else {
            return Ok(Ran::NotHere);
        };
        layer.fill(&self.dh0, self.last_grad.as_ref())?;
        if let Some(c0) = &self.dc0 {
            layer.fill(c0, self.cell_grad.as_ref())?;
        }
        if layer.steps == 0 {
            return Ok(Ran::Done);
        }
        let apart = layer.is_dropped() || layer.cell == RESET_BEFORE;
        let pass = Backward {
            gates: gpu.rows(&self.gates)?,
            states: gpu.rows(&self.states)?,
            inner: gpu.rows_of(&self.inner)?,
            dy: gpu.rows_of(&self.states_grad)?,
            dgates: gpu.target(&self.dgates),
            dinner: gpu.target_of(self.dinner.as_ref()),
            dh: gpu.target(&self.dh0),
            dc: gpu.target_of(self.dc0.as_ref()),
            product: if apart { layer.temporary()? } else { gpu.absent() },
        };
        for i in (0..layer.steps).rev() {
            layer.backward(&pass, i, i + 1 == layer.steps)?;
        }
        if layer.is_dropped() {
            // What came through the first step's product is a part of the first state's gradient.
            by_float!(layer.dtype, T => {
                let (dh, product, keep) = (pass.dh.write(), pass.product.read(), layer.keep.read());
                gpu.run(recurrent_rest::<T> { dh, product, keep }, layer.units)
            })?;
        }
        if layer.cell == RESET_AFTER {
            layer.exchange(&pass.dgates, &pass.dinner)?;
        }
        Ok(Ran::Done)
    }
}
