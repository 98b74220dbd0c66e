//! Recurrent layers: a step is one product and one kernel of cells; of a cell whose last product is with a factor, two of each.
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
use gpu_kernels::recurrent::{Step, StepGrad, backward, exchange, forward, recurrent_rest};
use kiln_math::recurrent::Inner;
use kiln_math::{BinaryOp, RecurrentCell};
use kiln_tensor::{DType, Layout, Out, Ran, Recurrence, RecurrentCall, RecurrentGradCall, Result, Shape, View};
use std::ops::Range;

/// One direction of one layer. What is not there has no elements.
struct RecurrentLaunch<'g, M: Machine> {
    gpu: &'g Gpu<M>,
    cell: RecurrentCell,
    kind: Inner,
    reverse: bool,
    dtype: DType,
    steps: usize,
    batch: usize,
    hidden: usize,
    /// Numbers of a step's gates of one sequence.
    gate_width: usize,
    weight: Operand<'g, M>,
    unit_weights: Operand<'g, M>,
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
    fn new(gpu: &'g Gpu<M>, call: &Recurrence<View<'_>>, states: &Shape) -> Result<Option<Self>> {
        let (dtype, [steps, batch, hidden]) = (call.weight.dtype, [states[0], states[1], states[2]]);
        let fits = u32::try_from(batch.saturating_mul(hidden)).is_ok();
        if !fits || !matches!(dtype, DType::F32 | DType::F64) {
            return Ok(None);
        }
        Ok(Some(RecurrentLaunch {
            gpu,
            cell: call.cell,
            kind: call.cell.inner(),
            reverse: call.reverse,
            dtype,
            steps,
            batch,
            hidden,
            gate_width: call.cell.gates() * hidden,
            weight: gpu.rows(&call.weight)?,
            unit_weights: gpu.rows_of(&call.unit_weights)?,
            mask: gpu.rows_of(&call.mask)?,
            keep: gpu.rows_of(&call.keep)?,
            h0: gpu.rows_of(&call.h0)?,
            c0: gpu.rows_of(&call.c0)?,
            nothing: gpu.absent(),
            units: by_element(batch * hidden),
        }))
    }

    /// Gates whose products are one; the last one may follow, with a factor.
    fn joint_gates(&self) -> Range<usize> {
        0..self.cell.gates() - usize::from(self.kind == Inner::Factor)
    }

    fn last_gate(&self) -> Range<usize> {
        self.cell.gates() - 1..self.cell.gates()
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

    /// Exchanges the last gate and what is beside it, of all steps.
    fn exchange(&self, gates: &Operand<'_, M>, inner: &Operand<'_, M>) -> Result<()> {
        by_float!(self.dtype, T => {
            let (gates, inner, hidden) = (gates.write(), inner.write(), self.hidden as u32);
            let exchange = exchange::<T> { gates, inner, hidden, count: self.cell.gates() as u32 };
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
        let (t, [hidden]) = (self.step(i), sizes([self.hidden]));
        let gates = self.slab(&to.gates, t, self.gate_width);
        let (after, inner) = (self.slab(&to.states, t, self.hidden), self.slab(&to.inner, t, self.hidden));
        let (before, mask) =
            (self.previous(&to.states, &self.h0, i), self.mask.cut(t * self.batch, self.batch, DType::Bool));
        self.onto_gates(&gates, if self.is_dropped() { &to.kept } else { &before }, self.joint_gates())?;
        let cell = self.previous(&to.inner, &self.c0, i);
        by_float!(self.dtype, T => {
            let step = Step::<T> {
                gates: gates.write(), after: after.write(), inner: inner.write(), kept: to.kept.write(),
                before: before.read(), inner_before: cell.read(), weights: self.unit_weights.read(),
                keep: self.keep.read(), mask: mask.read(), hidden, before_factor: 0,
            };
            if self.kind == Inner::Factor {
                self.gpu.launched(forward(self.gpu, self.cell, Step { before_factor: 1, ..step }))?;
                self.onto_gates(&gates, &inner, self.last_gate())?;
            }
            self.gpu.launched(forward(self.gpu, self.cell, step))
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
    dproduct: Operand<'g, M>,
    dweights: Operand<'g, M>,
    /// (N, H): those of the first states are where they run from the last step to the first.
    dh: Operand<'g, M>,
    dc: Operand<'g, M>,
    /// (N, H): what comes through a product and is to be multiplied first.
    product: Operand<'g, M>,
}

impl<M: Machine> RecurrentLaunch<'_, M> {
    /// The `i`-th step; `last` where none comes after it.
    fn backward(&self, pass: &Backward<'_, M>, i: usize, last: bool) -> Result<()> {
        let (t, [hidden]) = (self.step(i), sizes([self.hidden]));
        let of_gates = |steps| self.slab(steps, t, self.gate_width);
        let of_units = |steps| self.slab(steps, t, self.hidden);
        let (gates, dgates) = (of_gates(&pass.gates), of_gates(&pass.dgates));
        let (inner, dproduct, dy) = (of_units(&pass.inner), of_units(&pass.dproduct), of_units(&pass.dy));
        let (before, mask) =
            (self.previous(&pass.states, &self.h0, i), self.mask.cut(t * self.batch, self.batch, DType::Bool));
        let cell = self.previous(&pass.inner, &self.c0, i);
        // Of the step after, where `dh` lacks it.
        let product = if last || !self.is_dropped() { &self.nothing } else { &pass.product };
        by_float!(self.dtype, T => {
            let step = StepGrad::<T> {
                dgates: dgates.write(), dproduct: dproduct.write(), dh: pass.dh.write(), dc: pass.dc.write(),
                dweights: pass.dweights.write(), gates: gates.read(), before: before.read(), inner_before: cell.read(),
                inner: inner.read(), weights: self.unit_weights.read(), dy: dy.read(), product: product.read(),
                keep: self.keep.read(), mask: mask.read(), hidden, before_factor: 0,
            };
            self.gpu.launched(backward(self.gpu, self.cell, step))?;
            if self.kind == Inner::Factor {
                self.through_weight([&pass.product, &dgates], self.last_gate(), 0)?;
                let step = StepGrad { product: pass.product.read(), before_factor: 1, ..step };
                self.gpu.launched(backward(self.gpu, self.cell, step))?;
            }
            Ok(())
        })?;
        let (to, flags) = if self.is_dropped() { (&pass.product, 0) } else { (&pass.dh, ACCUMULATE) };
        self.through_weight([to, &dgates], self.joint_gates(), flags)
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
            if let Some(h0) = &self.layer.h0 {
                gpu.binary_elements(BinaryOp::Mul, &to, h0, keep)?;
            }
        }
        let (gates, states, inner) =
            (gpu.target(&self.gates), gpu.target(&self.states), gpu.target_of(self.inner.as_ref()));
        let to = Forward { gates, states, inner, kept };
        if let (Inner::Product, Some(inner)) = (layer.kind, &self.inner) {
            // The last gate's product, apart from the input's part, begins at 0.
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
        if let Some(weights) = &self.dunit_weights {
            gpu.fill_elements(weights, 0.0)?;
        }
        if layer.steps == 0 {
            return Ok(Ran::Done);
        }
        let apart = layer.is_dropped() || layer.kind == Inner::Factor;
        let pass = Backward {
            gates: gpu.rows(&self.gates)?,
            states: gpu.rows(&self.states)?,
            inner: gpu.rows_of(&self.inner)?,
            dy: gpu.rows_of(&self.states_grad)?,
            dgates: gpu.target(&self.dgates),
            dproduct: gpu.target_of(self.dproduct.as_ref()),
            dweights: gpu.target_of(self.dunit_weights.as_ref()),
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
        if layer.kind == Inner::Product {
            layer.exchange(&pass.dgates, &pass.dproduct)?;
        }
        Ok(Ran::Done)
    }
}
