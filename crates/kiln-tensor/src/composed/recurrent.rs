//! Recurrent layers step by step.

use super::Scratch;
use super::part::Part;
use crate::{
    Backend, Epilogue, Out, Recurrence, RecurrenceGrad, RecurrenceGradOut, RecurrenceOut, Result, Shape, View,
};
use kiln_math::{BinaryOp, RecurrentCell, UnaryOp};

/// One direction of one layer, and the operations on a step's (N, H) numbers.
struct Layer<'b, 'c, B: Backend + ?Sized> {
    backend: &'b B,
    call: Recurrence<'c>,
    weight: Part,
    steps: usize,
    hidden: usize,
    /// (N, H)
    shape: Shape,
}

impl<'b, 'c, B: Backend + ?Sized> Layer<'b, 'c, B> {
    fn new(backend: &'b B, call: Recurrence<'c>, states: &Shape) -> Result<Self> {
        let shape = Shape::new(&states[1..])?;
        Ok(Layer { backend, call, weight: Part::of(call.weight), steps: states[0], hidden: states[2], shape })
    }

    /// The step that comes `i`-th.
    fn at(&self, i: usize) -> usize {
        if self.call.reverse { self.steps - 1 - i } else { i }
    }

    fn room(&self, gates: usize) -> Result<Scratch<'b, B>> {
        let shape = self.shape.with_size(1, gates * self.hidden)?;
        Scratch::new(self.backend, shape, self.call.weight.dtype)
    }

    fn zeros(&self) -> Result<Scratch<'b, B>> {
        let zeros = self.room(1)?;
        self.backend.fill(zeros.out(), 0.0)?;
        Ok(zeros)
    }

    fn unary(&self, op: UnaryOp, x: View<'_>) -> Result<Scratch<'b, B>> {
        let y = self.room(1)?;
        self.backend.unary(op.into(), y.out(), x)?;
        Ok(y)
    }

    fn binary(&self, op: BinaryOp, a: View<'_>, b: View<'_>) -> Result<Scratch<'b, B>> {
        let y = self.room(1)?;
        self.backend.binary(op, y.out(), a, b)?;
        Ok(y)
    }

    fn add(&self, a: View<'_>, b: View<'_>) -> Result<Scratch<'b, B>> {
        self.binary(BinaryOp::Add, a, b)
    }

    fn mul(&self, a: View<'_>, b: View<'_>) -> Result<Scratch<'b, B>> {
        self.binary(BinaryOp::Mul, a, b)
    }

    /// dy times the slope of `op`, which its value `y` tells.
    fn through(&self, op: UnaryOp, y: View<'_>, dy: View<'_>) -> Result<Scratch<'b, B>> {
        let dx = self.room(1)?;
        self.backend.unary_grad(op.into(), dx.out(), y, y, dy)?;
        Ok(dx)
    }

    /// x ⊙ keep, or x.
    fn kept(&self, x: View<'_>) -> Result<Scratch<'b, B>> {
        match self.call.keep {
            Some(keep) => self.mul(x, keep),
            None => {
                let copy = self.room(1)?;
                self.backend.copy(copy.view(), x)?;
                Ok(copy)
            }
        }
    }

    /// mask ? new : old at step `t`; all new without a mask.
    fn choose(&self, out: Out<'_>, t: usize, new: View<'_>, old: View<'_>) -> Result<()> {
        match self.call.mask {
            Some(mask) => {
                let mask = Part::of(mask).step(t)?.over(&self.shape)?;
                self.backend.select(out, mask.view(), new, old)
            }
            None => self.backend.copy(Part::of_out(out)?.view(), new),
        }
    }

    /// Rows `gates` of the weight.
    fn weight(&self, first: usize, count: usize) -> Result<Part> {
        self.weight.cut(0, first * self.hidden, count * self.hidden)
    }

    /// Gates of a step.
    fn gate(&self, gates: &Part, first: usize, count: usize) -> Result<Part> {
        gates.cut(1, first * self.hidden, count * self.hidden)
    }

    /// The arguments of `count` gates from `first` on: what the input gave, and h · Wᵀ.
    fn arguments(&self, gates: &Part, h: View<'_>, first: usize, count: usize) -> Result<Scratch<'b, B>> {
        let sum = self.room(count)?;
        self.backend.copy(sum.view(), self.gate(gates, first, count)?.view())?;
        let epilogue = Epilogue { accumulate: true, ..Epilogue::default() };
        self.backend.matmul(sum.out(), h, self.weight(first, count)?.t().view(), epilogue)?;
        Ok(sum)
    }

    /// Gate `at` of arguments, activated, also into its place.
    fn activate(&self, op: UnaryOp, arguments: &Scratch<'b, B>, at: usize, gate: &Part) -> Result<Scratch<'b, B>> {
        let y = self.unary(op, self.gate(&Part::of(arguments.view()), at, 1)?.view())?;
        self.backend.copy(gate.view(), y.view())?;
        Ok(y)
    }

    /// h′ = n + z ⊙ (h − n)
    fn mix(&self, z: View<'_>, n: View<'_>, h: View<'_>) -> Result<Scratch<'b, B>> {
        let difference = self.binary(BinaryOp::Sub, h, n)?;
        let part = self.mul(z, difference.view())?;
        self.add(n, part.view())
    }

    /// One step: the new state, before any mask. An LSTM's cell state goes to its place.
    fn forward(&self, gates: &Part, h: View<'_>, inner: Option<Part>, c: Option<View<'_>>) -> Result<Scratch<'b, B>> {
        let kept = self.kept(h)?;
        let gate = |at: usize| self.gate(gates, at, 1);
        match (self.call.cell, inner) {
            (RecurrentCell::Lstm, Some(inner)) => {
                let sum = self.arguments(gates, kept.view(), 0, 4)?;
                let i = self.activate(UnaryOp::Sigmoid, &sum, 0, &gate(0)?)?;
                let f = self.activate(UnaryOp::Sigmoid, &sum, 1, &gate(1)?)?;
                let g = self.activate(UnaryOp::Tanh, &sum, 2, &gate(2)?)?;
                let o = self.activate(UnaryOp::Sigmoid, &sum, 3, &gate(3)?)?;
                let written = self.mul(i.view(), g.view())?;
                let remembered = self.mul(f.view(), c.unwrap_or(h))?;
                self.backend.binary(BinaryOp::Add, inner.out(), remembered.view(), written.view())?;
                let shown = self.unary(UnaryOp::Tanh, inner.view())?;
                self.mul(o.view(), shown.view())
            }
            (RecurrentCell::Gru { reset_after }, Some(inner)) => {
                let sum = self.arguments(gates, kept.view(), 0, 2)?;
                let r = self.activate(UnaryOp::Sigmoid, &sum, 0, &gate(0)?)?;
                let z = self.activate(UnaryOp::Sigmoid, &sum, 1, &gate(1)?)?;
                let sum = if reset_after {
                    let epilogue = Epilogue { bias: self.call.bias, ..Epilogue::default() };
                    self.backend.matmul(inner.out(), kept.view(), self.weight(2, 1)?.t().view(), epilogue)?;
                    let reset = self.mul(r.view(), inner.view())?;
                    self.add(gate(2)?.view(), reset.view())?
                } else {
                    self.backend.binary(BinaryOp::Mul, inner.out(), r.view(), kept.view())?;
                    self.arguments(gates, inner.view(), 2, 1)?
                };
                let n = self.activate(UnaryOp::Tanh, &sum, 0, &gate(2)?)?;
                self.mix(z.view(), n.view(), h)
            }
            (cell, _) => {
                let sum = self.arguments(gates, kept.view(), 0, 1)?;
                self.activate(simple(cell), &sum, 0, &gate(0)?)
            }
        }
    }

    /// The gradients of one step from those of its state (`dh`) and of an LSTM's cell state (`dc`, which becomes that of the
    /// one before): the gates' arguments' go to `dgates` and `dinner`; gives the state before's, but for what comes through
    /// the recurrent product, where there is such a part.
    fn backward(
        &self,
        step: &Backward<'_>,
        dh: View<'_>,
        dc: Option<&Scratch<'b, B>>,
    ) -> Result<Option<Scratch<'b, B>>> {
        let gate = |at: usize| self.gate(&step.gates, at, 1);
        let put = |at: usize, gradient: View<'_>| -> Result<()> {
            let masked = self.room(1)?;
            self.choose(masked.out(), step.t, gradient, self.zeros()?.view())?;
            self.backend.copy(self.gate(&step.dgates, at, 1)?.view(), masked.view())
        };
        match (self.call.cell, step.inner, dc) {
            (RecurrentCell::Lstm, Some(after), Some(dc)) => {
                let [i, f, g, o] = [gate(0)?, gate(1)?, gate(2)?, gate(3)?];
                let shown = self.unary(UnaryOp::Tanh, after.view())?;
                let through = self.mul(dh, o.view())?;
                let through = self.through(UnaryOp::Tanh, shown.view(), through.view())?;
                let whole = self.add(dc.view(), through.view())?;
                let product = |a: View<'_>, b: View<'_>, op: UnaryOp, y: &Part, at: usize| -> Result<()> {
                    let slope = self.mul(a, b)?;
                    put(at, self.through(op, y.view(), slope.view())?.view())
                };
                product(whole.view(), g.view(), UnaryOp::Sigmoid, &i, 0)?;
                product(whole.view(), step.c.unwrap_or(dh), UnaryOp::Sigmoid, &f, 1)?;
                product(whole.view(), i.view(), UnaryOp::Tanh, &g, 2)?;
                product(dh, shown.view(), UnaryOp::Sigmoid, &o, 3)?;
                let before = self.mul(whole.view(), f.view())?;
                self.choose(dc.out(), step.t, before.view(), dc.view())?;
                Ok(None)
            }
            (RecurrentCell::Gru { reset_after }, Some(inner), _) => {
                let [r, z, n] = [gate(0)?, gate(1)?, gate(2)?];
                let difference = self.binary(BinaryOp::Sub, step.h, n.view())?;
                let slope = self.mul(dh, difference.view())?;
                put(1, self.through(UnaryOp::Sigmoid, z.view(), slope.view())?.view())?;
                let direct = self.mul(dh, z.view())?;
                let slope = self.binary(BinaryOp::Sub, dh, direct.view())?;
                let dn = self.through(UnaryOp::Tanh, n.view(), slope.view())?;
                put(2, dn.view())?;
                // What r was multiplied by, and the gradient of the product.
                let (x, dy) = if reset_after {
                    (inner, dn)
                } else {
                    let product = self.room(1)?;
                    let weight = self.weight(2, 1)?;
                    self.backend.matmul(product.out(), dn.view(), weight.view(), Epilogue::default())?;
                    (Part::of(step.h), self.kept(product.view())?)
                };
                let slope = self.mul(dy.view(), x.view())?;
                put(0, self.through(UnaryOp::Sigmoid, r.view(), slope.view())?.view())?;
                let through = self.mul(dy.view(), r.view())?;
                if reset_after {
                    if let Some(dinner) = step.dinner {
                        self.choose(dinner.out(), step.t, through.view(), self.zeros()?.view())?;
                    }
                    return Ok(Some(direct));
                }
                self.add(direct.view(), through.view()).map(Some)
            }
            (cell, ..) => {
                put(0, self.through(simple(cell), gate(0)?.view(), dh)?.view())?;
                Ok(None)
            }
        }
    }

    /// What comes through the recurrent product of a step from its gates' gradients.
    fn through_product(&self, dgates: &Part, dinner: Option<Part>) -> Result<Scratch<'b, B>> {
        let product = self.room(1)?;
        let direct = if matches!(self.call.cell, RecurrentCell::Gru { .. }) { 2 } else { self.call.cell.gates() };
        let gates = self.gate(dgates, 0, direct)?;
        self.backend.matmul(product.out(), gates.view(), self.weight(0, direct)?.view(), Epilogue::default())?;
        if let Some(dinner) = dinner {
            let epilogue = Epilogue { accumulate: true, ..Epilogue::default() };
            self.backend.matmul(product.out(), dinner.view(), self.weight(2, 1)?.view(), epilogue)?;
        }
        self.kept(product.view())
    }
}

/// What the gradients of a step are made of.
struct Backward<'a> {
    t: usize,
    gates: Part,
    /// The state and the cell state before.
    h: View<'a>,
    c: Option<View<'a>>,
    inner: Option<Part>,
    dgates: Part,
    dinner: Option<Part>,
}

fn simple(cell: RecurrentCell) -> UnaryOp {
    if cell == RecurrentCell::Relu { UnaryOp::Relu } else { UnaryOp::Tanh }
}

/// See [`Backend::recurrent`].
pub fn recurrent<B: Backend + ?Sized>(backend: &B, call: Recurrence<'_>, out: RecurrenceOut<'_>) -> Result<()> {
    if out.states.elements() == 0 {
        return Ok(());
    }
    let layer = Layer::new(backend, call, out.states.shape)?;
    let (gates, states) = (Part::of_out(out.gates)?, Part::of_out(out.states)?);
    let inner = out.inner.map(Part::of_out).transpose()?;
    let (mut h, mut c) = (Part::of(call.h0), call.c0.map(Part::of));
    for i in 0..layer.steps {
        let t = layer.at(i);
        let inner = inner.map(|inner| inner.step(t)).transpose()?;
        let after = states.step(t)?;
        let new = layer.forward(&gates.step(t)?, h.view(), inner, c.as_ref().map(Part::view))?;
        layer.choose(after.out(), t, new.view(), h.view())?;
        if let (Some(before), Some(inner)) = (c, inner) {
            if call.mask.is_some() {
                layer.choose(inner.out(), t, inner.view(), before.view())?;
            }
            c = Some(inner);
        }
        h = after;
    }
    Ok(())
}

/// See [`Backend::recurrent_grad`].
pub fn recurrent_grad<B: Backend + ?Sized>(
    backend: &B,
    call: Recurrence<'_>,
    saved: RecurrenceGrad<'_>,
    out: RecurrenceGradOut<'_>,
) -> Result<()> {
    let layer = Layer::new(backend, call, saved.states.layout.shape())?;
    let start = |gradient: Option<View<'_>>| -> Result<Scratch<'_, B>> {
        let room = layer.room(1)?;
        match gradient {
            Some(gradient) => backend.copy(room.view(), gradient).map(|()| room),
            None => layer.zeros(),
        }
    };
    let mut dh = start(saved.last_grad)?;
    let dc = start(saved.cell_grad)?;
    let (states, inner) = (Part::of(saved.states), saved.inner.map(Part::of));
    let (dgates, dinner) = (Part::of_out(out.gates)?, out.inner.map(Part::of_out).transpose()?);
    let steps = if states.view().layout.shape().elements() == 0 { 0 } else { layer.steps };
    for i in (0..steps).rev() {
        let t = layer.at(i);
        if let Some(dy) = saved.states_grad {
            dh = layer.add(dh.view(), Part::of(dy).step(t)?.view())?;
        }
        let before = if i == 0 { Part::of(call.h0) } else { states.step(layer.at(i - 1))? };
        let cell_before = match (call.c0, inner) {
            (Some(c0), _) if i == 0 => Some(Part::of(c0)),
            (Some(_), Some(inner)) => Some(inner.step(layer.at(i - 1))?),
            _ => None,
        };
        let step = Backward {
            t,
            gates: Part::of(saved.gates).step(t)?,
            h: before.view(),
            c: cell_before.as_ref().map(Part::view),
            inner: inner.map(|inner| inner.step(t)).transpose()?,
            dgates: dgates.step(t)?,
            dinner: dinner.map(|dinner| dinner.step(t)).transpose()?,
        };
        let direct = layer.backward(&step, dh.view(), Some(&dc))?;
        let product = layer.through_product(&step.dgates, step.dinner)?;
        let new = match &direct {
            Some(direct) => layer.add(direct.view(), product.view())?,
            None => product,
        };
        let next = layer.room(1)?;
        layer.choose(next.out(), t, new.view(), dh.view())?;
        dh = next;
    }
    backend.copy(Part::of_out(out.h0)?.view(), dh.view())?;
    match out.c0 {
        Some(c0) => backend.copy(Part::of_out(c0)?.view(), dc.view()),
        None => Ok(()),
    }
}
