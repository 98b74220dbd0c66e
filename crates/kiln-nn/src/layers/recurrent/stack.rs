//! Recurrent layers one over the other, in one direction or both.

use super::composed::{Composed, Ran};
use super::direction::{Direction, Run};
use super::settings::{Merge, Settings};
use crate::layers::masked::zeroed;
use crate::value::expect_one_document;
use super::state::{RecurrentState, SequenceInputs, of_layer};
use crate::{Carried, Ctx, Init, Module, Sequence, Visitor, VisitorMut};
use kiln_autograd::{RecurrentOutput, Var};
use kiln_math::Purpose;
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// What all recurrent layers are: settings, and the weights once built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stack {
    #[serde(flatten)]
    pub(super) settings: Settings,
    /// Of each layer the forward direction, then the reverse one where there is one.
    #[serde(skip)]
    pub(super) directions: Vec<Direction>,
    /// Steps of the sample that it was built for.
    #[serde(skip)]
    steps: usize,
    /// What a stateful layer ended its last batch with, in evaluation and in training.
    #[serde(skip)]
    carried: [Carried; 2],
}

/// What all directions see of one run.
struct Pass<'a> {
    state: Option<&'a RecurrentState>,
    /// Which steps count, bool (T, N).
    mask: Option<Tensor>,
    /// Whether the states after the last step are wanted.
    states: bool,
    ctx: &'a Ctx,
}

/// h of one direction of one layer, and c of an LSTM.
type States = (Var, Option<Var>);

impl Stack {
    pub(super) fn new(settings: Settings) -> Self {
        Stack { settings, directions: Vec::new(), steps: 0, carried: Default::default() }
    }

    /// PyTorch's suffix of the direction at `index`.
    fn suffix(&self, index: usize) -> String {
        let directions = self.settings.directions();
        format!("_l{}{}", index / directions, if index % directions == 1 { "_reverse" } else { "" })
    }

    /// Features that the layer was built for.
    pub(super) fn inputs(&self) -> Option<usize> {
        self.directions.first().map(|direction| direction.weight_ih.value().dims()[1])
    }

    /// Makes the weights for samples of (steps, features), or (steps, features) in the other order where time is first:
    /// there the batch axis lies between them, and a sample's shape is the same.
    pub(super) fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        self.settings.check()?;
        let &[steps, features] = input.dims() else {
            let message = format!(
                "samples of shape (steps, features) are expected, got {input}; an Embedding makes features of tokens"
            );
            return Err(Error::shape("build", message));
        };
        match self.inputs() {
            Some(inputs) if inputs != features => {
                let message =
                    format!("this layer is already built, for {inputs} features; samples of {input} do not fit it");
                return Err(Error::new(ErrorKind::Build, "build", message));
            }
            Some(_) => {}
            None if features == 0 => return Err(Error::value("build", "samples of 0 features: at least 1 is needed")),
            None => {
                for index in 0..self.settings.layers * self.settings.directions() {
                    let inputs = if index < self.settings.directions() { features } else { self.settings.width() };
                    let suffix = self.suffix(index);
                    self.directions.push(Direction::new(&self.settings, inputs, &suffix, init)?);
                }
            }
        }
        self.steps = steps;
        let width = self.settings.width();
        if self.settings.return_sequences { Shape::new(&[steps, width]) } else { Shape::new(&[width]) }
    }

    /// Products of all weights at every step.
    pub(super) fn flops(&self) -> u64 {
        let own = |direction: &Direction| direction.composed.as_ref().map_or(0, Composed::product);
        let weights = self.directions.iter().map(|direction| {
            direction.weight_ih.value().elements() + direction.weight_hh.value().elements() + own(direction)
        });
        2 * self.steps.max(1) as u64 * weights.sum::<usize>() as u64
    }

    /// x with time first, (T, N, features), checked against the weights.
    fn time_first(&self, x: &Var) -> Result<Var> {
        let Some(inputs) = self.inputs() else { return Err(unbuilt()) };
        let (made, set) = (self.directions.len(), self.settings.layers.saturating_mul(self.settings.directions()));
        if made != set {
            let message = format!(
                "weights are made for {made} layers and directions, and {set} are set: `layers` and `bidirectional` come \
                 before the weights, as in `new(units).layers(2).with_input(inputs, init)`"
            );
            return Err(Error::new(ErrorKind::Build, "forward", message));
        }
        let axes = if self.settings.batch_first { "(batch, steps" } else { "(steps, batch" };
        if x.shape().rank() != 3 || x.dims()[2] != inputs {
            let message = format!("expected {axes}, {inputs}) for weights of {inputs} features, got {}", x.shape());
            return Err(Error::shape("recurrent", message));
        }
        if self.settings.batch_first { x.transpose(0, 1) } else { Ok(x.clone()) }
    }

    /// Which steps count, bool (T, N).
    fn mask(&self, given: &SequenceInputs<'_>, x: &Var) -> Result<Option<Tensor>> {
        let (steps, batch) = (x.dims()[0], x.dims()[1]);
        if let Some(lengths) = given.lengths {
            if lengths.dims() != [batch] {
                let message = format!("a batch of {batch} sequences has {batch} lengths, got {}", lengths.shape());
                return Err(Error::shape("recurrent", message));
            }
            return lengths.mask_of_lengths(steps)?.to_device(x.device()).map(Some);
        }
        let Some(mask) = given.mask else { return Ok(None) };
        let (first, second, axes) =
            if self.settings.batch_first { (batch, steps, "(batch, steps)") } else { (steps, batch, "(steps, batch)") };
        if mask.dims() != [first, second] || mask.dtype() != DType::Bool {
            let (dtype, shape) = (mask.dtype(), mask.shape());
            let message = format!(
                "the mask is {dtype} {shape}, expected bool ({first}, {second}) {axes}, true where a step counts"
            );
            return Err(Error::shape("recurrent", message));
        }
        if self.settings.batch_first { mask.transpose(0, 1).map(Some) } else { Ok(Some(mask.clone())) }
    }

    /// States given from outside, held against the batch.
    fn check_state(&self, state: &RecurrentState, batch: usize) -> Result<()> {
        let directions = self.directions.len();
        let sizes = [self.settings.state(), self.settings.units];
        for ((what, states), units) in [("h", Some(&state.h)), ("c", state.c.as_ref())].into_iter().zip(sizes) {
            let expected = Shape::new(&[directions, batch, units])?;
            if let Some(states) = states.filter(|states| *states.shape() != expected) {
                let message = format!(
                    "the initial {what} is {}, expected {expected} for {directions} layers and directions, {batch} sequences \
                     and {units} units",
                    states.shape()
                );
                return Err(Error::shape("recurrent", message));
            }
        }
        let has_cell = self.settings.cell.has_cell_state();
        if state.c.is_some() != has_cell {
            let message = if has_cell {
                "an LSTM's initial state is h and c; c is missing"
            } else {
                "an initial c is given, which only an LSTM has"
            };
            return Err(Error::value("recurrent", message));
        }
        Ok(())
    }

    /// The layer's output alone. The mask goes on where all steps are given.
    pub(super) fn forward(&self, sequence: Sequence, ctx: &Ctx) -> Result<Sequence> {
        let Sequence { values: x, mask } = sequence;
        expect_one_document("recurrent", mask.as_ref())?;
        let inputs = SequenceInputs { mask: mask.as_deref(), ..SequenceInputs::new() };
        let values = match self.settings.stateful || ctx.mode().carrying {
            true => self.carry(&x, &inputs, ctx)?,
            false => self.run_with(&x, &inputs, ctx, false)?.0,
        };
        Ok(Sequence { values, mask: mask.filter(|_| self.settings.return_sequences) })
    }

    /// The output of a batch that goes on where the one before ended.
    fn carry(&self, x: &Var, inputs: &SequenceInputs<'_>, ctx: &Ctx) -> Result<Var> {
        let carried = ctx.carried(&self.carried[usize::from(ctx.is_training())]);
        // A batch of another size, or elsewhere, begins anew: the last of an epoch may be smaller.
        let batch = x.dims().get(if self.settings.batch_first { 0 } else { 1 }).copied();
        let fits = |state: &RecurrentState| state.h.dims().get(1).copied() == batch && state.h.device() == x.device();
        // A pass may compute in another type than the one before.
        let states = carried.get().into_iter().map(|state| state.to_dtype(x.dtype())).collect::<Result<_>>()?;
        let state = RecurrentState::from_tensors(states).filter(fits);
        let (y, state) = self.run(x, &SequenceInputs { state: state.as_ref(), ..*inputs }, ctx)?;
        carried.set(state.into_tensors());
        Ok(y)
    }

    /// Forgets what was carried from batch to batch.
    pub(super) fn reset_states(&self) {
        self.carried.iter().for_each(Carried::clear);
    }

    /// The output, and the states after the last step.
    pub(super) fn run(&self, x: &Var, inputs: &SequenceInputs<'_>, ctx: &Ctx) -> Result<(Var, RecurrentState)> {
        let (y, states) = self.run_with(x, inputs, ctx, true)?;
        let h = Var::stack(&states.iter().map(|(h, _)| h).collect::<Vec<_>>(), 0)?;
        let cells: Vec<&Var> = states.iter().filter_map(|(_, c)| c.as_ref()).collect();
        let c = if cells.is_empty() { None } else { Some(Var::stack(&cells, 0)?) };
        Ok((y, RecurrentState { h, c }))
    }

    /// The output, and the states of each direction where they are wanted.
    fn run_with(&self, x: &Var, inputs: &SequenceInputs<'_>, ctx: &Ctx, states: bool) -> Result<(Var, Vec<States>)> {
        let settings = &self.settings;
        let mut x = self.time_first(x)?;
        if x.dims()[0] == 0 {
            return Err(Error::shape("recurrent", "sequences of 0 steps: at least 1 is needed"));
        }
        if let Some(state) = inputs.state {
            self.check_state(state, x.dims()[1])?;
        }
        let pass = Pass { state: inputs.state, mask: self.mask(inputs, &x)?, states, ctx };
        if let Some(mask) = &pass.mask {
            // What does not count may be NaN, and 0·NaN in a weight's gradient would be NaN.
            x = zeroed(&x, &mask.unsqueeze(2)?)?;
        }
        let mut left = Vec::new();
        for layer in 0..settings.layers {
            if layer > 0 && settings.dropout > 0.0 && ctx.is_training() {
                x = x.dropout(settings.dropout, &ctx.stream_tensor(Purpose::Dropout, x.device())?)?;
            }
            let sequence = layer + 1 < settings.layers || settings.return_sequences;
            let first = layer * settings.directions();
            let forward = self.direction(first, &x, sequence, &pass, &mut left)?;
            x = match settings.bidirectional {
                None => forward,
                Some(merge) => merge.of(&forward, &self.direction(first + 1, &x, sequence, &pass, &mut left)?)?,
            };
        }
        if settings.return_sequences {
            // What does not count is 0 as in PyTorch's padding, and in Keras's bidirectional layers.
            if let Some(mask) = pass.mask.filter(|_| inputs.lengths.is_some() || settings.bidirectional.is_some()) {
                x = zeroed(&x, &mask.unsqueeze(2)?.broadcast_to(*x.shape())?)?;
            }
            if settings.batch_first {
                x = x.transpose(0, 1)?;
            }
        }
        if let Some(regularizer) = settings.activity_regularizer {
            ctx.penalize_activity(&x, regularizer);
        }
        Ok((x, left))
    }

    /// What direction `at` of all layers hands on: its steps, or only its last state. Its last states go to `left`.
    fn direction(&self, at: usize, x: &Var, sequence: bool, pass: &Pass<'_>, left: &mut Vec<States>) -> Result<Var> {
        let Some(direction) = self.directions.get(at) else { return Err(unbuilt()) };
        direction.penalize(&self.settings, pass.ctx);
        let reverse = at % self.settings.directions() == 1;
        let h0 = pass.state.map(|state| of_layer(&state.h, at)).transpose()?;
        let c0 = pass.state.and_then(|state| state.c.as_ref()).map(|c| of_layer(c, at)).transpose()?;
        let output = match sequence {
            _ if pass.states && self.settings.cell.has_cell_state() => RecurrentOutput::WithCell,
            true => RecurrentOutput::Sequence,
            false => RecurrentOutput::Last,
        };
        let run = Run { reverse, mask: pass.mask.as_ref(), h0: h0.as_ref(), c0: c0.as_ref(), output };
        if let Some(composed) = &direction.composed {
            let run = Run { output: if sequence { RecurrentOutput::Sequence } else { RecurrentOutput::Last }, ..run };
            let Ran { output, h, c } = direction.run_composed(composed, &self.settings, x, &run, pass.ctx)?;
            if pass.states {
                left.push((h, Some(c)));
            }
            return Ok(output);
        }
        let y = direction.run(&self.settings, x, &run, pass.ctx)?;
        if !pass.states {
            return Ok(y);
        }
        let steps = x.dims()[0];
        let end = |y: &Var| of_layer(y, if reverse { 0 } else { steps - 1 });
        let (y, h, c) = match output {
            RecurrentOutput::Last => (y.clone(), y, None),
            RecurrentOutput::Sequence => {
                let h = end(&y)?;
                (y, h, None)
            }
            RecurrentOutput::WithCell => {
                let (h, c) = (end(&y)?, of_layer(&y, steps)?);
                (if sequence { y.slice(0, 0..steps)? } else { h.clone() }, h, Some(c))
            }
        };
        left.push((h, c));
        Ok(y)
    }
}

impl Merge {
    /// The outputs of two directions as one.
    fn of(self, forward: &Var, backward: &Var) -> Result<Var> {
        match self {
            Merge::Concat => Var::concat(&[forward, backward], forward.shape().rank() - 1),
            Merge::Sum => forward.add(backward),
            Merge::Mul => forward.mul(backward),
            Merge::Ave => forward.add(backward)?.mul_scalar(0.5),
        }
    }
}

impl Module for Stack {
    fn visit<'m>(&'m self, visitor: &mut dyn Visitor<'m>) {
        for (index, direction) in self.directions.iter().enumerate() {
            direction.visit(&self.suffix(index), visitor);
        }
        visitor.enter("carried".into());
        for (name, carried) in ["evaluation", "training"].into_iter().zip(&self.carried) {
            visitor.enter(name.into());
            carried.visit(visitor);
            visitor.leave();
        }
        visitor.leave();
    }
    fn visit_mut<'m>(&'m mut self, visitor: &mut dyn VisitorMut<'m>) {
        let suffixes: Vec<String> = (0..self.directions.len()).map(|index| self.suffix(index)).collect();
        for (direction, suffix) in self.directions.iter_mut().zip(suffixes) {
            direction.visit_mut(&suffix, visitor);
        }
    }
}

#[cold]
pub(super) fn unbuilt() -> Error {
    Error::new(
        ErrorKind::Build,
        "forward",
        "this layer has no weights yet, it learns its input's size when it is built: call \
         `model.build(input_shape, &device, seed)`, or make it with `with_sizes`",
    )
}
