//! Recurrent layers: all steps of one direction as one node of the graph.

mod weights;

use crate::{Backward, Function, Inputs, Var};
use kiln_tensor::{
    Error, ErrorKind, RecurrentCell, RecurrentGradients, RecurrentOptions, RecurrentStates, RecurrentSteps, Result,
    Shape, Tensor, composed,
};

/// One direction of a recurrent layer; see [`Var::recurrent`].
#[derive(Clone, Copy, Debug)]
pub struct RecurrentVars<'a> {
    /// The cell.
    pub cell: RecurrentCell,
    /// Whether the last step comes first.
    pub reverse: bool,
    /// (H,): of a GRU whose reset gate comes after, what is added to the third product before the gate.
    pub bias: Option<&'a Var>,
    /// bool (T, N): where false, the step leaves the sequence's state as it was. The gates' arguments there must be finite: of
    /// inputs that are not, choose zeros before the product ([`Var::select`]), as the layers do.
    pub mask: Option<&'a Tensor>,
    /// (N, H): what states are multiplied by on their way into the recurrent product, at every step the same (dropout).
    pub keep: Option<&'a Tensor>,
    /// (N, H): the state before the first step, 0 unless given.
    pub h0: Option<&'a Var>,
    /// (N, H): an LSTM's cell state before the first step, 0 unless given.
    pub c0: Option<&'a Var>,
    /// What is given of the states.
    pub output: RecurrentOutput,
    /// Whether the gradient may be differentiated again ([`grad`](crate::grad) of a gradient): the input's part of the gates
    /// is then kept beside the gates.
    pub twice: bool,
}

/// What is given of a recurrent layer's states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecurrentOutput {
    /// (T, N, H): those of all steps.
    Sequence,
    /// (N, H): the last one.
    Last,
    /// Those of all steps, and after them an LSTM's last cell state: (T + 1, N, H); of other cells the same as `Sequence`.
    WithCell,
}

impl RecurrentVars<'_> {
    /// A cell that begins at 0 and gives all states, without anything else.
    pub const fn new(cell: RecurrentCell) -> Self {
        RecurrentVars {
            cell,
            reverse: false,
            bias: None,
            mask: None,
            keep: None,
            h0: None,
            c0: None,
            output: RecurrentOutput::Sequence,
            twice: false,
        }
    }

    /// Whether a cell state follows the states.
    fn gives_cell(&self) -> bool {
        self.output == RecurrentOutput::WithCell && self.cell.has_cell_state()
    }
}

/// All steps of one direction of a recurrent layer. Inputs: the input's part of the gates, the weight, h0, c0, the bias.
///
/// The backward primitive goes through the steps from the last to the first and gives the gradients of the gates' arguments;
/// those of weight and bias are products of these with the states before, and sums. Second order goes through the composed form.
struct Recurrent {
    settings: Settings,
    weight: Tensor,
    bias: Option<Tensor>,
    h0: Option<Tensor>,
    c0: Option<Tensor>,
    after: RecurrentStates,
    /// The input's part of the gates, where the gradient may be differentiated.
    input: Option<Tensor>,
}

/// What needs no gradient.
struct Settings {
    cell: RecurrentCell,
    reverse: bool,
    mask: Option<Tensor>,
    keep: Option<Tensor>,
    output: RecurrentOutput,
}

impl Recurrent {
    fn options(&self) -> RecurrentOptions<'_> {
        RecurrentOptions {
            cell: self.settings.cell,
            reverse: self.settings.reverse,
            bias: self.bias.as_ref(),
            mask: self.settings.mask.as_ref(),
            keep: self.settings.keep.as_ref(),
            h0: self.h0.as_ref(),
            c0: self.c0.as_ref(),
        }
    }

    /// The composed form, from the input's part of the gates.
    fn composed(&self, inputs: &mut Inputs<'_>) -> Result<Var> {
        let Some(input) = self.input.as_ref().or(self.after.input.as_ref()) else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "recurrent",
                "the gradient of this layer cannot be differentiated again: ask for it with `twice: true`, of a layer with \
                 `.twice_differentiable(true)`",
            ));
        };
        let mut take = |position: usize, saved: &Option<Tensor>| {
            saved.as_ref().map(|saved| inputs.take(position, saved)).transpose()
        };
        let (h0, c0, bias) = (take(2, &self.h0)?, take(3, &self.c0)?, take(4, &self.bias)?);
        let (input, weight) = (inputs.take(0, input)?, inputs.take(1, &self.weight)?);
        let Settings { cell, reverse, mask, keep, output } = &self.settings;
        let options = RecurrentOptions {
            cell: *cell,
            reverse: *reverse,
            bias: bias.as_ref(),
            mask: mask.as_ref(),
            keep: keep.as_ref(),
            h0: h0.as_ref(),
            c0: c0.as_ref(),
        };
        let RecurrentSteps { states, cells } = composed::recurrent(&input, &weight, &options)?;
        let count = states.dims()[0];
        let last = if *reverse { 0..1 } else { count.saturating_sub(1)..count };
        match (output, cells) {
            (RecurrentOutput::Last, _) => states.slice(0, last)?.squeeze(0),
            (RecurrentOutput::WithCell, Some(cells)) => Var::concat(&[&states, &cells.slice(0, last)?], 0),
            _ => Ok(states),
        }
    }
}

impl Function for Recurrent {
    fn name(&self) -> &'static str {
        "recurrent"
    }

    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        match if pass.records() { None } else { self.gradients(dy.tensor())? } {
            Some(gradients) => self.accumulate(gradients, pass),
            None => pass.differentiate(&dy, |inputs| self.composed(inputs)),
        }
    }
}

impl Recurrent {
    /// What a kernel gives, if there is one.
    fn gradients(&self, dy: &Tensor) -> Result<Option<RecurrentGradients>> {
        let steps = self.after.states.dims()[0];
        let cell = if dy.rank() == 3 && dy.dims()[0] > steps { Some(dy.index(0, steps)?) } else { None };
        let (states, last) = match self.settings.output {
            RecurrentOutput::Last => (None, Some(dy)),
            _ if cell.is_some() => (Some(dy.slice(0, 0..steps)?), None),
            _ => (Some(dy.clone()), None),
        };
        self.after.grad(&self.weight, &self.options(), states.as_ref(), last, cell.as_ref())
    }

    fn accumulate(&self, gradients: RecurrentGradients, pass: &mut Backward<'_>) -> Result<()> {
        if pass.needs(1) {
            pass.accumulate(1, Var::constant(self.weight_gradient(&gradients)?))?;
        }
        if let Some(inner) = gradients.inner.as_ref().filter(|_| pass.needs(4)) {
            pass.accumulate(4, Var::constant(inner.sum([0, 1])?))?;
        }
        if let Some(c0) = gradients.c0 {
            pass.accumulate(3, Var::constant(c0))?;
        }
        pass.accumulate(2, Var::constant(gradients.h0))?;
        pass.accumulate(0, Var::constant(gradients.gates))
    }
}

impl Var {
    /// All steps of one direction of a recurrent layer, from the input's part of every gate's argument, biases included:
    /// (T, N, G·H), of G gates and H units, as x.linear(W, b) gives it for all steps at once; and the weight (G·H, H) of the
    /// state before. Formulas: [`kiln_math::recurrent`]; the order of gates is PyTorch's.
    ///
    /// The memory of this Var becomes the gates', where nobody shares it.
    ///
    /// ```
    /// use kiln_autograd::{RecurrentVars, Var};
    /// use kiln_tensor::{DType, Device, RecurrentCell, Tensor};
    /// # fn main() -> kiln_tensor::Result<()> {
    /// let cpu = Device::cpu();
    /// let x = Var::constant(Tensor::ones([7, 2, 3], DType::F32, &cpu)?); // 7 steps of 2 sequences of 3 features
    /// let w_ih = Var::variable(Tensor::full([4 * 5, 3], 0.1, DType::F32, &cpu)?);
    /// let w_hh = Var::variable(Tensor::full([4 * 5, 5], 0.1, DType::F32, &cpu)?);
    /// let y = x.linear(&w_ih, None, None)?.recurrent(&w_hh, &RecurrentVars::new(RecurrentCell::Lstm))?;
    /// assert_eq!(y.dims(), [7, 2, 5]);
    /// assert!(y.sum_all()?.backward()?.of(&w_hh).is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Shapes that do not fit, named with what was expected; dtypes that are no floats, or that differ; no steps where
    /// the last state is asked for.
    pub fn recurrent(self, weight: &Var, options: &RecurrentVars<'_>) -> Result<Var> {
        if self.is_half() {
            return self.recurrent_in_wide(weight, options);
        }
        let settings = Settings {
            cell: options.cell,
            reverse: options.reverse,
            mask: options.mask.cloned(),
            keep: options.keep.cloned(),
            output: options.output,
        };
        let tensors = RecurrentOptions {
            cell: options.cell,
            reverse: options.reverse,
            bias: options.bias.map(Var::tensor),
            mask: options.mask,
            keep: options.keep,
            h0: options.h0.map(Var::tensor),
            c0: options.c0.map(Var::tensor),
        };
        let (gates, node) = self.into_parts();
        let input = options.twice.then(|| gates.clone());
        let after = gates.recurrent(weight.tensor(), &tensors)?;
        let steps = after.states.dims()[0];
        let none = || Error::value("recurrent", "there is no last state of a sequence of 0 steps");
        let output = if options.gives_cell() {
            let cell = after.last_cell(options.reverse)?.ok_or_else(none)?.unsqueeze(0)?;
            Tensor::concat(&[&after.states, &cell], 0)?
        } else if options.output == RecurrentOutput::Last {
            after.last(options.reverse)?.ok_or_else(none)?
        } else {
            debug_assert_eq!(after.states.dims()[0], steps);
            after.states.clone()
        };
        let nothing = Var::constant(weight.tensor().clone());
        let projected = Var::with_node(weight.tensor().clone(), node);
        let or_nothing = |var: Option<&'_ Var>| var.unwrap_or(&nothing).clone();
        let (h0, c0, bias) = (or_nothing(options.h0), or_nothing(options.c0), or_nothing(options.bias));
        Ok(Var::record(&[&projected, weight, &h0, &c0, &bias], output, |_| Recurrent {
            settings,
            weight: weight.tensor().clone(),
            bias: options.bias.map(|bias| bias.tensor().clone()),
            h0: options.h0.map(|h0| h0.tensor().clone()),
            c0: options.c0.map(|c0| c0.tensor().clone()),
            after,
            input,
        }))
    }
}

impl Var {
    /// All steps of half types in f32; the states are rounded once.
    fn recurrent_in_wide(self, weight: &Var, options: &RecurrentVars<'_>) -> Result<Var> {
        let (dtype, wide) = (self.dtype(), |var: Option<&Var>| var.map(Var::widened).transpose());
        let [bias, h0, c0] = [options.bias, options.h0, options.c0].map(wide);
        let (bias, h0, c0) = (bias?, h0?, c0?);
        let keep = options.keep.map(|keep| keep.to_dtype(keep.dtype().computed_in())).transpose()?;
        let options =
            RecurrentVars { bias: bias.as_ref(), h0: h0.as_ref(), c0: c0.as_ref(), keep: keep.as_ref(), ..*options };
        self.widened()?.recurrent(&weight.widened()?, &options)?.to_dtype(dtype)
    }
}

/// (T, N, …) as (T·N, …).
fn rows(x: &Tensor) -> Result<Tensor> {
    let [steps, batch, width] = *x.dims() else { return Ok(x.clone()) };
    x.reshape(Shape::new(&[steps * batch, width])?)
}
