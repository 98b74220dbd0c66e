//! Recurrent layers over sequences.

mod composed;

pub use composed::{RecurrentSteps, composed};

use super::{Tensor, check_pair};
use crate::{Call, DType, Error, ErrorKind, Out, Ran, RecurrentCell, Result, Shape, View, unsupported_dtype};

/// One direction of one recurrent layer: T steps of N sequences, H units. All views are row-major, of one float type.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<'a> {
    /// The cell, of G gates.
    pub cell: RecurrentCell,
    /// Whether the last step comes first.
    pub reverse: bool,
    /// (G·H, H): what the state before is multiplied by.
    pub weight: View<'a>,
    /// (H,): of a GRU whose reset gate comes after, what is added to the third product before the gate.
    pub bias: Option<View<'a>>,
    /// bool (T, N): where false, the step leaves the sequence's state as it was.
    pub mask: Option<View<'a>>,
    /// (N, H): what states are multiplied by on their way into the recurrent product, at every step the same (dropout).
    pub keep: Option<View<'a>>,
    /// (N, H): the state before the first step.
    pub h0: View<'a>,
    /// (N, H): an LSTM's cell state before the first step.
    pub c0: Option<View<'a>>,
}

/// All steps of one direction of a recurrent layer.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentCall<'a> {
    /// The layer.
    pub layer: Recurrence<'a>,
    /// (T, N, G·H): holds the input's part of each gate's argument, biases included; becomes the gates.
    pub gates: Out<'a>,
    /// (T, N, H): becomes the state after each step.
    pub states: Out<'a>,
    /// (T, N, H), of cells that have it: an LSTM's cell states; of a GRU W·h + b where the reset gate comes after, the r⊙h
    /// that is multiplied where it comes before.
    pub inner: Option<Out<'a>>,
}

/// The gradients of [`RecurrentCall`], but for those of weight and bias, which are products of these with the states.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentGradCall<'a> {
    /// The layer.
    pub layer: Recurrence<'a>,
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
    /// (N, H): the gradient of an LSTM's last cell state.
    pub cell_grad: Option<View<'a>>,
    /// (T, N, G·H): becomes that of the gates' arguments.
    pub dgates: Out<'a>,
    /// (T, N, H): becomes that of W·h + b of a GRU whose reset gate comes after.
    pub dinner: Option<Out<'a>>,
    /// (N, H): becomes that of the state before the first step.
    pub dh0: Out<'a>,
    /// (N, H): becomes that of an LSTM's cell state before the first step.
    pub dc0: Option<Out<'a>>,
}

/// One direction of a recurrent layer, over tensors or what else composed forms compute with.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentOptions<'a, T = Tensor> {
    /// The cell.
    pub cell: RecurrentCell,
    /// Whether the last step comes first.
    pub reverse: bool,
    /// (H,): of a GRU whose reset gate comes after, what is added to the third product before the gate.
    pub bias: Option<&'a T>,
    /// bool (T, N): where false, the step leaves the sequence's state as it was; [`Tensor::mask_of_lengths`].
    pub mask: Option<&'a Tensor>,
    /// (N, H): what states are multiplied by on their way into the recurrent product, at every step the same (dropout).
    pub keep: Option<&'a Tensor>,
    /// (N, H): the state before the first step, 0 unless given.
    pub h0: Option<&'a T>,
    /// (N, H): an LSTM's cell state before the first step, 0 unless given.
    pub c0: Option<&'a T>,
}

impl<T> RecurrentOptions<'_, T> {
    /// A cell that begins at 0, without anything else.
    pub const fn new(cell: RecurrentCell) -> Self {
        RecurrentOptions { cell, reverse: false, bias: None, mask: None, keep: None, h0: None, c0: None }
    }
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
    /// (T, N, H): an LSTM's cell states; of a GRU what its third product was combined with, where a kernel ran.
    pub inner: Option<Tensor>,
}

/// Gradients of a recurrent layer's steps.
#[derive(Clone, Debug)]
pub struct RecurrentGradients {
    /// (T, N, G·H): of the gates' arguments.
    pub gates: Tensor,
    /// (T, N, H): of W·h + b of a GRU whose reset gate comes after.
    pub inner: Option<Tensor>,
    /// (N, H): of the state before the first step.
    pub h0: Tensor,
    /// (N, H): of an LSTM's cell state before the first step.
    pub c0: Option<Tensor>,
}

/// The sizes of a layer's run.
struct Sizes {
    steps: usize,
    batch: usize,
    hidden: usize,
}

/// Operands as a backend takes them: row-major, first states made where none are given.
struct Operands {
    weight: Tensor,
    bias: Option<Tensor>,
    mask: Option<Tensor>,
    keep: Option<Tensor>,
    h0: Tensor,
    c0: Option<Tensor>,
}

impl Operands {
    fn layer(&self, options: &RecurrentOptions<'_>) -> Recurrence<'_> {
        Recurrence {
            cell: options.cell,
            reverse: options.reverse,
            weight: self.weight.view(),
            bias: self.bias.as_ref().map(Tensor::view),
            mask: self.mask.as_ref().map(Tensor::view),
            keep: self.keep.as_ref().map(Tensor::view),
            h0: self.h0.view(),
            c0: self.c0.as_ref().map(Tensor::view),
        }
    }
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

    /// A first state, or zeros in its place.
    fn first(&self, what: &str, given: Option<&Tensor>, like: &Tensor) -> Result<Tensor> {
        let &Sizes { batch, hidden, .. } = self;
        let Some(state) = given else { return Tensor::zeros([batch, hidden], like.dtype, like.device()) };
        check_pair("recurrent", like, state)?;
        expect_shape(what, state, &[batch, hidden], &format!(" for a batch of {batch} sequences and {hidden} units"))?;
        state.contiguous()
    }

    fn operands(&self, weight: &Tensor, options: &RecurrentOptions<'_>) -> Result<Operands> {
        let &Sizes { steps, batch, hidden } = self;
        let has_cell = options.cell.has_cell_state();
        if options.c0.is_some() && !has_cell {
            return Err(Error::value("recurrent", "a cell state is given, which only an LSTM has"));
        }
        let optional = |what: &str, given: Option<&Tensor>, expected: &[usize]| -> Result<Option<Tensor>> {
            let Some(given) = given else { return Ok(None) };
            check_pair("recurrent", weight, given)?;
            expect_shape(what, given, expected, "")?;
            given.contiguous().map(Some)
        };
        let mask = match options.mask {
            None => None,
            Some(mask) if mask.dtype != DType::Bool => {
                return Err(unsupported_dtype("recurrent", mask.dtype, "a mask of bool"));
            }
            Some(mask) => {
                super::check_device("recurrent", weight, mask)?;
                expect_shape("the mask", mask, &[steps, batch], " (steps, batch), true where a step counts")?;
                Some(mask.contiguous()?)
            }
        };
        Ok(Operands {
            weight: weight.contiguous()?,
            bias: optional("the recurrent bias", options.bias, &[hidden])?,
            mask,
            keep: optional("the recurrent dropout's factor", options.keep, &[batch, hidden])?,
            h0: self.first("the initial state", options.h0, weight)?,
            c0: has_cell.then(|| self.first("the initial cell state", options.c0, weight)).transpose()?,
        })
    }
}

impl Tensor {
    /// All steps of one direction of a recurrent layer, from the input's part of every gate's argument, biases included:
    /// (T, N, G·H), of G gates and H units; and the weights (G·H, H) of the state before, both as in PyTorch. Formulas:
    /// [`kiln_math::recurrent`].
    ///
    /// This tensor's memory becomes the gates', where nobody shares it.
    ///
    /// ```
    /// use kiln_tensor::{DType, Device, RecurrentCell, RecurrentOptions, Tensor};
    /// let cpu = Device::cpu();
    /// let input = Tensor::ones([3, 2, 4 * 5], DType::F32, &cpu)?; // 3 steps of 2 sequences, 5 units
    /// let weight = Tensor::zeros([4 * 5, 5], DType::F32, &cpu)?;
    /// let after = input.recurrent(&weight, &RecurrentOptions::new(RecurrentCell::Lstm))?;
    /// assert_eq!(after.states.dims(), [3, 2, 5]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Shapes that do not fit, named with what was expected; dtypes other than f32 and f64, or that differ; devices that
    /// differ.
    pub fn recurrent(self, weight: &Tensor, options: &RecurrentOptions<'_>) -> Result<RecurrentStates> {
        let sizes = Sizes::of(&self, weight, options.cell)?;
        let operands = sizes.operands(weight, options)?;
        let mut gates = self;
        gates.own()?;
        let shape = Shape::new(&[sizes.steps, sizes.batch, sizes.hidden])?;
        let states = Tensor::output(&shape, gates.dtype, gates.device())?;
        let inner =
            options.cell.has_inner().then(|| Tensor::output(&shape, gates.dtype, gates.device())).transpose()?;
        let call = RecurrentCall {
            layer: operands.layer(options),
            gates: gates.out(),
            states: states.out(),
            inner: inner.as_ref().map(Tensor::out),
        };
        if gates.device().run(&Call::Recurrent(call))? == Ran::NotHere {
            let RecurrentSteps { states, cells } = composed(&gates, weight, options)?;
            return Ok(RecurrentStates { cell: options.cell, gates: None, input: Some(gates), states, inner: cells });
        }
        Ok(RecurrentStates { cell: options.cell, gates: Some(gates), input: None, states, inner })
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

    /// The gradients of the gates' arguments and of the first states, from those of the states (T, N, H), of the last
    /// state (N, H), and of the last cell state (N, H); each may be missing. Weight and options are those of
    /// [`Tensor::recurrent`]. `None` where the device has no kernel for them: then they are derivatives of
    /// [`crate::composed::recurrent`].
    ///
    /// # Errors
    /// Gradients of other shapes than what they are of.
    pub fn grad(
        &self,
        weight: &Tensor,
        options: &RecurrentOptions<'_>,
        states: Option<&Tensor>,
        last: Option<&Tensor>,
        cell: Option<&Tensor>,
    ) -> Result<Option<RecurrentGradients>> {
        let Some(gates) = &self.gates else { return Ok(None) };
        let sizes = Sizes::of(gates, weight, options.cell)?;
        let operands = sizes.operands(weight, options)?;
        let first = [sizes.batch, sizes.hidden];
        let incoming = |what: &str, given: Option<&Tensor>, expected: &[usize]| -> Result<Option<Tensor>> {
            let Some(given) = given else { return Ok(None) };
            check_pair("recurrent_grad", weight, given)?;
            expect_shape(what, given, expected, "")?;
            given.contiguous().map(Some)
        };
        // The fields are public: what stands there may be of another run.
        let every_step = [sizes.steps, sizes.batch, sizes.hidden];
        let kept_states = incoming("the states", Some(&self.states), &every_step)?;
        let kept_inner = incoming("the inner states", self.inner.as_ref(), &every_step)?;
        let (Some(kept_states), true) = (kept_states, kept_inner.is_some() == options.cell.has_inner()) else {
            return Err(Error::value("recurrent_grad", "these are the states of another kind of cell"));
        };
        let gates = &gates.contiguous()?;
        let states_grad = incoming("the gradient of the states", states, &every_step)?;
        let last_grad = incoming("the gradient of the last state", last, &first)?;
        let cell_grad = incoming("the gradient of the cell state", cell, &first)?;
        let output = |shape: &Shape| Tensor::output(shape, weight.dtype, weight.device());
        let first = Shape::new(&first)?;
        let apart = options.cell == RecurrentCell::Gru { reset_after: true };
        let gradients = RecurrentGradients {
            gates: output(gates.shape())?,
            inner: apart.then(|| output(self.states.shape())).transpose()?,
            h0: output(&first)?,
            c0: options.cell.has_cell_state().then(|| output(&first)).transpose()?,
        };
        let call = RecurrentGradCall {
            layer: operands.layer(options),
            gates: gates.view(),
            states: kept_states.view(),
            inner: kept_inner.as_ref().map(Tensor::view),
            states_grad: states_grad.as_ref().map(Tensor::view),
            last_grad: last_grad.as_ref().map(Tensor::view),
            cell_grad: cell_grad.as_ref().map(Tensor::view),
            dgates: gradients.gates.out(),
            dinner: gradients.inner.as_ref().map(Tensor::out),
            dh0: gradients.h0.out(),
            dc0: gradients.c0.as_ref().map(Tensor::out),
        };
        let ran = weight.device().run(&Call::RecurrentGrad(call))?;
        Ok((ran == Ran::Done).then_some(gradients))
    }
}

/// What the last step of (T, …) left.
fn last(steps: &Tensor, reverse: bool) -> Result<Option<Tensor>> {
    match steps.dims()[0] {
        0 => Ok(None),
        count => steps.index(0, if reverse { 0 } else { count - 1 }).map(Some),
    }
}
