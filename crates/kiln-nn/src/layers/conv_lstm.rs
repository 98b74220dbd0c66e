//! Sequences of images.

use super::conv::{Moves, move_settings};
use super::setters::setters;
use super::spatial::{batch_of_one, sample_of};
use super::weights::{Weights, unbuilt, weight_settings};
use crate::value::{Mask, expect_one_document};
use crate::{
    Activation, Carried, Ctx, Describe, Fans, Init, Initializer, Layer, Module, Param, Sequence, Shapes, settings,
};
use kiln_autograd::Var;
use kiln_tensor::{ConvOptions, DType, Error, Padding, PerAxis, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// An LSTM over sequences of images (N, T, C, H, W), whose products are convolutions (Shi et al. 2015; Keras's `ConvLSTM2D` with the
/// channels first):
///
/// i, f, o = σ(x ∗ W + h ∗ R + b), g = tanh(x ∗ W + h ∗ R + b); c′ = f⊙c + i⊙g, h′ = o⊙tanh c′.
///
/// It gives the last state (N, filters, H′, W′), or all of them (N, T, filters, H′, W′). The input's convolution has the layer's
/// stride, dilation and padding; that of the state has stride 1 and keeps its size. `weight` is (4·filters, C, K, K), `recurrent_weight`
/// (4·filters, filters, K, K) and `bias` (4·filters,), with the gates in the order i, f, g, o. The forget gate's bias begins at 1.
///
/// A step that a mask leaves out keeps the states as they are, and its output is the one before.
///
/// ```
/// use kiln_nn::{ConvLstm2d, Sequential};
/// use kiln_tensor::Padding;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(ConvLstm2d::new(8, 3).padding(Padding::Same).return_sequences(true))
///     .push(ConvLstm2d::new(4, 3))
///     .build([5, 1, 12, 12], &kiln_tensor::Device::cpu(), 1)?; // 5 frames of 12 × 12
/// assert_eq!(model.output_shapes()[0], [5, 8, 12, 12]);
/// assert_eq!(model.output_shapes()[1], [4, 10, 10]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub struct ConvLstm2d {
    #[module(flatten)]
    #[serde(flatten)]
    weights: Weights,
    #[serde(skip)]
    recurrent_weight: Option<Param>,
    filters: usize,
    #[module(skip)]
    #[serde(flatten)]
    moves: Moves,
    recurrent_activation: Activation,
    #[module(skip)]
    recurrent_initializer: Initializer,
    unit_forget_bias: bool,
    return_sequences: bool,
    #[serde(default)]
    stateful: bool,
    /// Steps of the sample that it was built for.
    #[serde(skip)]
    steps: usize,
    /// What a stateful layer ended its last batch with, in evaluation and in training.
    #[serde(skip)]
    carried: [Carried; 2],
}

/// What makes a layer with weights.
const WITH_INPUT: &str = "ConvLstm2d::with_input";

/// h and c (N, filters, H′, W′).
type States = (Var, Var);

impl ConvLstm2d {
    /// A layer of so many filters with a kernel of this size, `3` or `[3, 5]`, to be built for its input.
    pub fn new(filters: usize, kernel: impl Into<PerAxis>) -> Self {
        ConvLstm2d {
            weights: Weights { activation: Activation::Tanh, ..Weights::default() },
            recurrent_weight: None,
            filters,
            moves: Moves::new(kernel.into()),
            recurrent_activation: Activation::Sigmoid,
            recurrent_initializer: Initializer::Orthogonal,
            unit_forget_bias: true,
            return_sequences: false,
            stateful: false,
            steps: 0,
            carried: Default::default(),
        }
    }

    /// The same layer, built for inputs of so many channels.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn with_input(mut self, channels: usize, init: &mut Init) -> Result<Self> {
        self.make(&Shape::new(&[channels])?, init)?;
        Ok(self)
    }

    move_settings!();

    setters! {
        /// Applied to the gates i, f and o. By default the sigmoid.
        fn recurrent_activation(self, activation: Activation) { self.recurrent_activation = activation }

        /// First values of the state's weight.
        fn recurrent_initializer(self, initializer: Initializer) { self.recurrent_initializer = initializer }

        /// Whether the forget gate's bias begins 1 higher, as by default.
        fn unit_forget_bias(self, unit: bool) { self.unit_forget_bias = unit }

        /// Whether the output is the state after every step, or after the last, as by default.
        fn return_sequences(self, all: bool) { self.return_sequences = all }

        /// Whether each batch begins with the states that the one before ended with, without gradients flowing back. Training and
        /// evaluation each carry states of their own; [`Layer::reset_states`] forgets them, which `fit` does before each pass.
        fn stateful(self, stateful: bool) { self.stateful = stateful }
    }

    weight_settings!("(4·filters, C, K, K)", "(4·filters,)");

    /// The weight of the state (4·filters, filters, K, K), once built.
    pub fn recurrent_weight(&self) -> Option<&Param> {
        self.recurrent_weight.as_ref()
    }

    /// Makes the weights for frames whose first axis counts channels.
    fn make(&mut self, frame: &Shape, init: &mut Init) -> Result<()> {
        let (filters, rows) = (self.filters, self.filters.saturating_mul(4));
        let is_new = self.weights.weight.is_none();
        self.moves.make::<2>(&mut self.weights, rows, 1, false, frame, init)?;
        if !is_new {
            return Ok(());
        }
        let kernel = &self.weights.built("")?.value().dims()[2..];
        let taps: usize = kernel.iter().product();
        let fans = Fans { input: taps * filters, output: taps * rows };
        let shape = [&[rows, filters], kernel].concat();
        self.recurrent_weight = Some(init.param("recurrent_weight", &shape, fans, self.recurrent_initializer)?);
        if let Some(bias) = self.weights.bias.as_mut().filter(|_| self.unit_forget_bias && !init.makes_placeholders()) {
            let ones = Tensor::ones([filters], bias.value().dtype(), bias.value().device())?;
            let forget = bias.value().slice(0, filters..2 * filters)?.add(&ones)?;
            bias.value_mut().slice_assign(0, filters..2 * filters, &forget)?;
        }
        Ok(())
    }

    /// The input's part of the gates at each step, (T, N, 4·filters, H′, W′). What does not count is 0: it may be NaN.
    fn of_input(&self, x: &Var, mask: Option<&Tensor>, ctx: &Ctx) -> Result<Var> {
        let weight = self.weights.built(WITH_INPUT)?;
        let (w, bias) = self.weights.vars(weight, ctx);
        let &[n, t, c, height, width] = x.dims() else { return Err(not_frames(x.dims().get(1..).unwrap_or(&[]))) };
        if t == 0 {
            return Err(Error::shape("conv_lstm", "sequences of 0 steps: at least 1 is needed"));
        }
        let zeroed = match mask {
            Some(mask) => {
                let zero = Var::constant(Tensor::zeros((), x.dtype(), x.device())?);
                &Var::select(&mask.reshape([n, t, 1, 1, 1])?, x, &zero)?
            }
            None => x,
        };
        let frames = zeroed.transpose(0, 1)?.reshape([t * n, c, height, width])?;
        let z = frames.conv(&w, bias.as_ref(), &self.moves.options(1), None)?;
        z.reshape(Shape::new(&[&[t, n], &z.dims()[1..]].concat())?)
    }

    /// The states after a step, of the input's part of its gates.
    fn step(&self, mut z: Var, before: Option<&States>, recurrent: &Var) -> Result<States> {
        if let Some((h, _)) = before {
            let same = ConvOptions::new().padding(Padding::Same);
            z = z.add(&h.conv(recurrent, None, &same, None)?)?;
        }
        let gate = |at: usize, activation: Activation| {
            activation.apply(&z.slice(1, at * self.filters..(at + 1) * self.filters)?)
        };
        let (activation, recurrent) = (self.weights.activation, self.recurrent_activation);
        let mut c = gate(0, recurrent)?.mul(&gate(2, activation)?)?;
        if let Some((_, before)) = before {
            c = gate(1, recurrent)?.mul(before)?.add(&c)?;
        }
        Ok((gate(3, recurrent)?.mul(&activation.apply(&c)?)?, c))
    }

    /// The output, and the states after the last step.
    fn run(&self, x: &Var, mask: Option<&Tensor>, first: Option<States>, ctx: &Ctx) -> Result<(Var, States)> {
        if let Some(mask) = mask.filter(|mask| mask.dtype() != DType::Bool || Some(mask.dims()) != x.dims().get(..2)) {
            let message = format!("the mask is {} {}, expected bool (batch, steps) of {}", mask.dtype(), mask.shape(), x.shape());
            return Err(Error::shape("conv_lstm", message));
        }
        let z = self.of_input(x, mask, ctx)?;
        let recurrent = self.recurrent_weight.as_ref().ok_or_else(|| unbuilt(WITH_INPUT))?;
        let weight = recurrent.var(ctx);
        let (mut states, mut all) = (first, Vec::new());
        for at in 0..z.dims()[0] {
            let mut next = self.step(z.slice(0, at..at + 1)?.squeeze(0)?, states.as_ref(), &weight)?;
            if let Some(mask) = mask {
                next = kept(next, states.as_ref(), &mask.slice(1, at..at + 1)?)?;
            }
            if self.return_sequences {
                all.push(next.0.clone());
            }
            states = Some(next);
        }
        let states = states.ok_or_else(|| Error::shape("conv_lstm", "sequences of 0 steps: at least 1 is needed"))?;
        let y = if self.return_sequences { Var::stack(&all.iter().collect::<Vec<_>>(), 1)? } else { states.0.clone() };
        self.weights.penalize(self.weights.built("")?, &y, ctx);
        Ok((y, states))
    }

    /// The shape of the states for a batch.
    fn state_shape(&self, x: &Var) -> Result<Shape> {
        let &[n, _, c, height, width] = x.dims() else { return Err(not_frames(x.dims().get(1..).unwrap_or(&[]))) };
        let weight = self.weights.built(WITH_INPUT)?.value().shape();
        let gates = self.moves.options(1).output_shape(&Shape::new(&[n, c, height, width])?, weight)?;
        Shape::new(&[&[n, self.filters], &gates[2..]].concat())
    }

    /// As [`ConvLstm2d::run`], from where the batch before ended.
    fn carry(&self, x: &Var, mask: Option<&Tensor>, ctx: &Ctx) -> Result<Var> {
        let carried = ctx.carried(&self.carried[usize::from(ctx.is_training())]);
        // A batch of another size, of images of another size, or elsewhere begins anew: the last of an epoch may be smaller.
        let state = self.state_shape(x)?;
        let first = <[Tensor; 2]>::try_from(carried.get())
            .ok()
            .filter(|[h, _]| *h.shape() == state && h.device() == x.device() && h.dtype() == x.dtype());
        let (y, (h, c)) = self.run(x, mask, first.map(|[h, c]| (Var::constant(h), Var::constant(c))), ctx)?;
        carried.set(vec![h.into_tensor(), c.into_tensor()]);
        Ok(y)
    }
}

/// The new states where the step counts, (N, 1), else those before, which are 0 at the beginning.
fn kept((h, c): States, before: Option<&States>, counts: &Tensor) -> Result<States> {
    let counts = counts.reshape([counts.dims()[0], 1, 1, 1])?;
    let zero = Var::constant(Tensor::zeros((), h.dtype(), h.device())?);
    let (old_h, old_c) = before.map_or((&zero, &zero), |(h, c)| (h, c));
    Ok((Var::select(&counts, &h, old_h)?, Var::select(&counts, &c, old_c)?))
}

#[cold]
fn not_frames(sample: &[usize]) -> Error {
    let message = format!("samples of shape (steps, C, H, W) are expected, got {sample:?}");
    Error::shape("conv_lstm", message)
}

impl Layer for ConvLstm2d {
    type Input = Sequence;
    type Output = Sequence;

    fn forward(&self, Sequence { values: x, mask }: Sequence, ctx: &Ctx) -> Result<Sequence> {
        expect_one_document("conv_lstm", mask.as_ref())?;
        let steps: Option<&Tensor> = mask.as_deref();
        let values = if self.stateful || ctx.mode().carrying { self.carry(&x, steps, ctx)? } else { self.run(&x, steps, None, ctx)?.0 };
        let mask: Option<Mask> = mask.filter(|_| self.return_sequences);
        Ok(Sequence { values, mask })
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let &[steps, c, height, width] = input.dims() else { return Err(not_frames(input)) };
        let frame = Shape::new(&[c, height, width])?;
        self.make(&frame, init)?;
        self.steps = steps;
        let weight = self.weights.built("")?.value().shape();
        let gates = sample_of(&self.moves.options(1).output_shape(&batch_of_one(&frame)?, weight)?)?;
        let leading = [steps, self.filters];
        Shape::new(&[&leading[usize::from(!self.return_sequences)..], &gates[1..]].concat())
    }

    fn reset_states(&self) {
        self.carried.iter().for_each(Carried::clear);
    }
}

impl Describe for ConvLstm2d {
    fn config(&self) -> Option<Json> {
        settings(self)
    }
    /// Both convolutions at every step.
    fn flops(&self, output: &Shapes) -> u64 {
        let positions: usize = output.one().map_or(0, |y| y.iter().rev().take(2).product());
        let weights = [self.weight(), self.recurrent_weight()].into_iter().flatten();
        let products: u64 = weights.map(|weight| weight.value().elements() as u64).sum();
        2 * (self.steps.max(1) * positions) as u64 * products
    }
}
