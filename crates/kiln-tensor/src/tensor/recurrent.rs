//! Recurrent layers over sequences.

mod composed;

pub use composed::{RecurrentSteps, composed};

use super::{Tensor, check_device, check_pair};
use crate::{Call, DType, Error, ErrorKind, Out, Ran, RecurrentCell, Result, Shape, View, unsupported_dtype};
use kiln_math::recurrent::Inner;

/// One direction of one recurrent layer: T steps of N sequences, H units, a cell of G gates. Its operands are tensors or Vars
/// (`Recurrence<&Tensor>`, `Recurrence<&Var, &Tensor>`); a backend is given row-major views of one float type, with `h0`, with
/// `c0` where the cell has a second state, and with `unit_weights` where it has any.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<T, M = T> {
    /// The cell.
    pub cell: RecurrentCell,
    /// Whether the last step comes first.
    pub reverse: bool,
    /// (G·H, H): what the state before is multiplied by.
    pub weight: T,
    /// (W·H,), of a cell with W [weights of each unit](RecurrentCell::unit_weights) that belong to no product: a GRU's bias inside
    /// the reset gate. 0 unless given.
    pub unit_weights: Option<T>,
    /// bool (T, N): where false, the step leaves the sequence's state as it was ([`Tensor::mask_of_lengths`]). The gates'
    /// arguments there must be finite: of inputs that are not, choose zeros before the product, as the layers do.
    pub mask: Option<M>,
    /// (N, H): what states are multiplied by on their way into the recurrent product, at every step the same (dropout).
    pub keep: Option<M>,
    /// (N, H): the state before the first step, 0 unless given.
    pub h0: Option<T>,
    /// (N, H): the second state before the first step (an LSTM's cell state), 0 unless given.
    pub c0: Option<T>,
}

impl<T, M> Recurrence<T, M> {
    /// A layer that begins at 0, without anything else.
    pub const fn new(cell: RecurrentCell, weight: T) -> Self {
        Recurrence { cell, reverse: false, weight, unit_weights: None, mask: None, keep: None, h0: None, c0: None }
    }

    /// The same layer with references to its operands.
    pub fn as_ref(&self) -> Recurrence<&T, &M> {
        let &Recurrence { cell, reverse, .. } = self;
        Recurrence {
            cell,
            reverse,
            weight: &self.weight,
            unit_weights: self.unit_weights.as_ref(),
            mask: self.mask.as_ref(),
            keep: self.keep.as_ref(),
            h0: self.h0.as_ref(),
            c0: self.c0.as_ref(),
        }
    }

    /// The same layer over other operands.
    ///
    /// # Errors
    /// Those of the functions.
    pub fn try_map<U, V>(
        self,
        mut operand: impl FnMut(T) -> Result<U>,
        mut constant: impl FnMut(M) -> Result<V>,
    ) -> Result<Recurrence<U, V>> {
        Ok(Recurrence {
            cell: self.cell,
            reverse: self.reverse,
            weight: operand(self.weight)?,
            unit_weights: self.unit_weights.map(&mut operand).transpose()?,
            mask: self.mask.map(&mut constant).transpose()?,
            keep: self.keep.map(&mut constant).transpose()?,
            h0: self.h0.map(&mut operand).transpose()?,
            c0: self.c0.map(&mut operand).transpose()?,
        })
    }
}

/// All steps of one direction of a recurrent layer.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentCall<'a> {
    /// The layer.
    pub layer: Recurrence<View<'a>>,
    /// (T, N, G·H): holds the input's part of each gate's argument, biases included; becomes the gates.
    pub gates: Out<'a>,
    /// (T, N, H): becomes the state after each step.
    pub states: Out<'a>,
    /// (T, N, H), of cells that have it: becomes what [`RecurrentCell::inner`] names.
    pub inner: Option<Out<'a>>,
}

/// The gradients of [`RecurrentCall`], but for that of the weight, which is a product of these with the states.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentGradCall<'a> {
    /// The layer.
    pub layer: Recurrence<View<'a>>,
    /// (T, N, G·H): the gates.
    pub gates: View<'a>,
    /// (T, N, H): the states.
    pub states: View<'a>,
    /// (T, N, H): [`RecurrentCall::inner`].
    pub inner: Option<View<'a>>,
    /// (T, N, H): the gradient of the states.
    pub states_grad: Option<View<'a>>,
    /// (N, H): the gradient of the last state, beside that.
    pub last_grad: Option<View<'a>>,
    /// (N, H): the gradient of the last second state.
    pub cell_grad: Option<View<'a>>,
    /// (T, N, G·H): becomes that of the gates' arguments.
    pub dgates: Out<'a>,
    /// (T, N, H): becomes that of the last gate's product, of a cell that keeps it apart ([`Inner::Product`]).
    pub dproduct: Option<Out<'a>>,
    /// (N, H): becomes that of the state before the first step.
    pub dh0: Out<'a>,
    /// (N, H): becomes that of the second state before the first step.
    pub dc0: Option<Out<'a>>,
    /// (W, N, H): becomes that of the units' own weights, by each sequence.
    pub dunit_weights: Option<Out<'a>>,
}

/// What a recurrent layer's steps have left.
#[derive(Clone, Debug)]
pub struct RecurrentStates {
    /// The cell.
    pub cell: RecurrentCell,
    /// (T, N, G·H): the gates, in PyTorch's order; none where the device has no kernel and the steps were composed.
    pub gates: Option<Tensor>,
    /// (T, N, G·H): the input's part of the gates' arguments, where the steps were composed.
    pub input: Option<Tensor>,
    /// (T, N, H): the state after each step.
    pub states: Tensor,
    /// (T, N, H): the second states; where a kernel ran also what else [`RecurrentCell::inner`] names.
    pub inner: Option<Tensor>,
}

/// Gradients of a recurrent layer's steps.
#[derive(Clone, Debug)]
pub struct RecurrentGradients {
    /// (T, N, G·H): of the gates' arguments.
    pub gates: Tensor,
    /// (T, N, H): of the last gate's product, of a cell that keeps it apart.
    pub product: Option<Tensor>,
    /// (N, H): of the state before the first step.
    pub h0: Tensor,
    /// (N, H): of the second state before the first step.
    pub c0: Option<Tensor>,
    /// (W·H,): of the units' own weights.
    pub unit_weights: Option<Tensor>,
}

/// The sizes of a layer's run.
struct Sizes {
    steps: usize,
    batch: usize,
    hidden: usize,
}

/// Whether `found` is `expected`; the error says what it is, for what, and of which shape it should be.
fn expect_shape(what: &str, found: &Tensor, expected: &[usize], why: &str) -> Result<()> {
    if found.dims() == expected {
        return Ok(());
    }
    Err(Error::shape(
        "recurrent",
        format!("{what} has shape {}, expected {}{why}", found.shape(), Shape::new(expected)?),
    ))
}

impl Sizes {
    /// Those of the gates' arguments, held against the weight.
    fn of(gates: &Tensor, weight: &Tensor, cell: RecurrentCell) -> Result<Self> {
        check_pair("recurrent", gates, weight)?;
        if !matches!(gates.dtype, DType::F32 | DType::F64) {
            return Err(unsupported_dtype("recurrent", gates.dtype, "f32 or f64"));
        }
        let count = cell.gates();
        match (gates.dims(), weight.dims()) {
            (&[steps, batch, width], &[rows, hidden]) if width == count * hidden && rows == width => {
                Ok(Sizes { steps, batch, hidden })
            }
            _ => Err(Error::shape(
                "recurrent",
                format!(
                    "the gates of a cell with {count} take (steps, batch, {count}·hidden) and weights ({count}·hidden, hidden), \
                     got {} and {}",
                    gates.shape(),
                    weight.shape()
                ),
            )),
        }
    }

    /// An operand of this shape as a backend takes it, or zeros in its place.
    fn operand(&self, what: &str, given: Option<&Tensor>, expected: &[usize], like: &Tensor) -> Result<Tensor> {
        let &Sizes { batch, hidden, .. } = self;
        let Some(given) = given else { return Tensor::zeros(Shape::new(expected)?, like.dtype, like.device()) };
        check_pair("recurrent", like, given)?;
        let why = match expected {
            [_, _] => format!(" for a batch of {batch} sequences and {hidden} units"),
            _ => String::new(),
        };
        expect_shape(what, given, expected, &why)?;
        given.contiguous()
    }

    /// The layer's operands as a backend takes them: row-major, zeros made where none are given.
    fn operands(&self, layer: &Recurrence<&Tensor>) -> Result<Recurrence<Tensor>> {
        let &Sizes { steps, batch, hidden } = self;
        let &Recurrence { cell, reverse, weight, unit_weights, mask, keep, h0, c0 } = layer;
        let (has_cell, own) = (cell.has_cell_state(), cell.unit_weights() * hidden);
        let given = [("a cell state", c0, has_cell), ("weights of each unit", unit_weights, cell.unit_weights() > 0)];
        if let Some((what, ..)) = given.iter().find(|(_, given, has)| given.is_some() && !has) {
            let message = format!("{what} given, which the cell `{}` does not have", cell.name());
            return Err(Error::value("recurrent", message));
        }
        if let Some(mask) = mask {
            if mask.dtype != DType::Bool {
                return Err(unsupported_dtype("recurrent", mask.dtype, "a mask of bool"));
            }
            check_device("recurrent", weight, mask)?;
            expect_shape("the mask", mask, &[steps, batch], " (steps, batch), true where a step counts")?;
        }
        let state = [batch, hidden];
        let first = |what: &str, given: Option<&Tensor>| self.operand(what, given, &state, weight);
        Ok(Recurrence {
            cell,
            reverse,
            weight: weight.contiguous()?,
            unit_weights: (own > 0)
                .then(|| self.operand("weights of each unit", unit_weights, &[own], weight))
                .transpose()?,
            mask: mask.map(Tensor::contiguous).transpose()?,
            keep: keep.map(|keep| first("the recurrent dropout's factor", Some(keep))).transpose()?,
            h0: Some(first("the initial state", h0)?),
            c0: has_cell.then(|| first("the initial cell state", c0)).transpose()?,
        })
    }
}

/// What a backend reads.
fn views(operands: &Recurrence<Tensor>) -> Result<Recurrence<View<'_>>> {
    operands.as_ref().try_map(|tensor| Ok(tensor.view()), |tensor| Ok(tensor.view()))
}

impl Tensor {
    /// All steps of one direction of a recurrent layer, from the input's part of every gate's argument, biases included:
    /// (T, N, G·H), of G gates and H units, both as in PyTorch. Formulas: [`kiln_math::recurrent`].
    ///
    /// This tensor's memory becomes the gates', where nobody shares it.
    ///
    /// ```
    /// use kiln_tensor::{DType, Device, Recurrence, RecurrentCell, Tensor};
    /// let cpu = Device::cpu();
    /// let input = Tensor::ones([3, 2, 4 * 5], DType::F32, &cpu)?; // 3 steps of 2 sequences, 5 units
    /// let weight = Tensor::zeros([4 * 5, 5], DType::F32, &cpu)?;
    /// let after = input.recurrent(&Recurrence::new(RecurrentCell::Lstm, &weight))?;
    /// assert_eq!(after.states.dims(), [3, 2, 5]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Shapes that do not fit, named with what was expected; operands that the cell does not have; dtypes other than f32 and
    /// f64, or that differ; devices that differ.
    pub fn recurrent(self, layer: &Recurrence<&Tensor>) -> Result<RecurrentStates> {
        let cell = layer.cell;
        let sizes = Sizes::of(&self, layer.weight, cell)?;
        let operands = sizes.operands(layer)?;
        let mut gates = self;
        gates.own()?;
        let shape = Shape::new(&[sizes.steps, sizes.batch, sizes.hidden])?;
        let states = Tensor::output(&shape, gates.dtype, gates.device())?;
        let has_inner = cell.inner() != Inner::Nothing;
        let inner = has_inner.then(|| Tensor::output(&shape, gates.dtype, gates.device())).transpose()?;
        let call = RecurrentCall {
            layer: views(&operands)?,
            gates: gates.out(),
            states: states.out(),
            inner: inner.as_ref().map(Tensor::out),
        };
        if gates.device().run(&Call::Recurrent(call))? == Ran::NotHere {
            let RecurrentSteps { states, cells } = composed(&gates, &operands.as_ref())?;
            return Ok(RecurrentStates { cell, gates: None, input: Some(gates), states, inner: cells });
        }
        Ok(RecurrentStates { cell, gates: Some(gates), input: None, states, inner })
    }

    /// bool (steps, n): whether sequence n of this length, i64 (n,), has that step.
    ///
    /// # Errors
    /// A length below 1 or above `steps`, with the sequence it is of; lengths that are not i64 (n,).
    pub fn mask_of_lengths(&self, steps: usize) -> Result<Tensor> {
        if self.dtype != DType::I64 || self.rank() != 1 {
            return Err(Error::shape(
                "mask_of_lengths",
                format!("lengths are i64 of shape (sequences,), got {} {}", self.dtype, self.shape()),
            ));
        }
        let lengths = self.to_vec::<i64>()?;
        let outside = |&(_, &length): &(usize, &i64)| length < 1 || length as u64 > steps as u64;
        if let Some((sequence, length)) = lengths.iter().enumerate().find(outside) {
            return Err(Error::new(
                ErrorKind::Index,
                "mask_of_lengths",
                format!("sequence {sequence} has length {length}, expected 1 to {steps}, the steps of the input"),
            ));
        }
        let mask = Tensor::write_with([steps, lengths.len()], self.device(), |mask: &mut [u8]| {
            for (t, row) in mask.chunks_exact_mut(lengths.len().max(1)).enumerate() {
                row.iter_mut().zip(&lengths).for_each(|(to, &length)| *to = u8::from(t < length as usize));
            }
            Ok(())
        })?;
        mask.to_dtype(DType::Bool)
    }
}

impl RecurrentStates {
    /// The state after the last step, (N, H); `None` where there are 0 steps.
    ///
    /// # Errors
    /// Those of a view.
    pub fn last(&self, reverse: bool) -> Result<Option<Tensor>> {
        last(&self.states, reverse)
    }

    /// An LSTM's cell state after the last step, (N, H); `None` of another cell, or where there are 0 steps.
    ///
    /// # Errors
    /// Those of a view.
    pub fn last_cell(&self, reverse: bool) -> Result<Option<Tensor>> {
        let cells = self.inner.as_ref().filter(|_| self.cell.has_cell_state());
        cells.map_or(Ok(None), |cells| last(cells, reverse))
    }

    /// The gradients of the gates' arguments, the first states and the units' own weights, from those of the states (T, N, H), of
    /// the last state (N, H), and of the last second state (N, H); each may be missing. The layer is that of
    /// [`Tensor::recurrent`]. `None` where the device has no kernel for them: then they are derivatives of
    /// [`crate::composed::recurrent`].
    ///
    /// # Errors
    /// Gradients of other shapes than what they are of.
    pub fn grad(
        &self,
        layer: &Recurrence<&Tensor>,
        states: Option<&Tensor>,
        last: Option<&Tensor>,
        cell: Option<&Tensor>,
    ) -> Result<Option<RecurrentGradients>> {
        let Some(gates) = &self.gates else { return Ok(None) };
        let (weight, kind) = (layer.weight, layer.cell.inner());
        let sizes = Sizes::of(gates, weight, layer.cell)?;
        let operands = sizes.operands(layer)?;
        let incoming = |what: &str, given: Option<&Tensor>, expected: &[usize]| -> Result<Option<Tensor>> {
            let Some(given) = given else { return Ok(None) };
            check_pair("recurrent_grad", weight, given)?;
            expect_shape(what, given, expected, "")?;
            given.contiguous().map(Some)
        };
        // The fields are public: what stands there may be of another run.
        let (first, every_step) = ([sizes.batch, sizes.hidden], [sizes.steps, sizes.batch, sizes.hidden]);
        let kept_states = incoming("the states", Some(&self.states), &every_step)?;
        let kept_inner = incoming("the inner states", self.inner.as_ref(), &every_step)?;
        let (Some(kept_states), true) = (kept_states, kept_inner.is_some() == (kind != Inner::Nothing)) else {
            return Err(Error::value("recurrent_grad", "these are the states of another kind of cell"));
        };
        let gates = &gates.contiguous()?;
        let states_grad = incoming("the gradient of the states", states, &every_step)?;
        let last_grad = incoming("the gradient of the last state", last, &first)?;
        let cell_grad = incoming("the gradient of the cell state", cell, &first)?;
        let output = |dims: &[usize]| Tensor::output(&Shape::new(dims)?, weight.dtype, weight.device());
        let (dgates, dh0) = (output(gates.dims())?, output(&first)?);
        let dproduct = (kind == Inner::Product).then(|| output(&every_step)).transpose()?;
        let dc0 = (kind == Inner::State).then(|| output(&first)).transpose()?;
        let own = layer.cell.unit_weights();
        let down = (own > 0).then(|| output(&[own, sizes.batch, sizes.hidden])).transpose()?;
        let call = RecurrentGradCall {
            layer: views(&operands)?,
            gates: gates.view(),
            states: kept_states.view(),
            inner: kept_inner.as_ref().map(Tensor::view),
            states_grad: states_grad.as_ref().map(Tensor::view),
            last_grad: last_grad.as_ref().map(Tensor::view),
            cell_grad: cell_grad.as_ref().map(Tensor::view),
            dgates: dgates.out(),
            dproduct: dproduct.as_ref().map(Tensor::out),
            dh0: dh0.out(),
            dc0: dc0.as_ref().map(Tensor::out),
            dunit_weights: down.as_ref().map(Tensor::out),
        };
        if weight.device().run(&Call::RecurrentGrad(call))? == Ran::NotHere {
            return Ok(None);
        }
        let sum = |down: Tensor| down.sum(1)?.reshape([own * sizes.hidden]);
        let unit_weights = down.map(sum).transpose()?;
        Ok(Some(RecurrentGradients { gates: dgates, product: dproduct, h0: dh0, c0: dc0, unit_weights }))
    }
}

/// What the last step of (T, …) left.
fn last(steps: &Tensor, reverse: bool) -> Result<Option<Tensor>> {
    match steps.dims()[0] {
        0 => Ok(None),
        count => steps.index(0, if reverse { 0 } else { count - 1 }).map(Some),
    }
}
