//! Recurrent layers: all steps of one direction as one node of the graph.

mod weights;

use crate::{Backward, Function, Inputs, Var};
use kiln_tensor::{
    Error, ErrorKind, Recurrence, RecurrentGradients, RecurrentStates, RecurrentSteps, Result, Shape, Tensor, composed,
};

/// What [`Var::recurrent`] gives of a layer's states.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RecurrentOutput {
    /// (T, N, H): those of all steps.
    #[default]
    Sequence,
    /// (N, H): the last one.
    Last,
    /// Those of all steps, and after them the last second state (an LSTM's c): (T + 1, N, H); of cells without one the same as
    /// `Sequence`.
    WithCell,
}

/// Options of [`Var::recurrent`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecurrentOptions {
    /// What is given of the states.
    pub output: RecurrentOutput,
    /// Whether the gradient may be differentiated again ([`grad`](crate::grad) of a gradient): the input's part of the gates
    /// is then kept beside the gates.
    pub twice: bool,
}

/// All steps of one direction of a recurrent layer. Inputs: the input's part of the gates, the weight, h0, c0, the units' own
/// weights.
///
/// The backward primitive goes through the steps from the last to the first and gives the gradients of the gates' arguments;
/// that of the weight is a product of these with the states before. Second order goes through the composed form.
struct Recurrent {
    layer: Recurrence<Tensor>,
    output: RecurrentOutput,
    after: RecurrentStates,
    /// The input's part of the gates, where the gradient may be differentiated.
    input: Option<Tensor>,
}

impl Recurrent {
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
        let Recurrence { cell, reverse, weight, unit_weights, mask, keep, h0, c0 } = &self.layer;
        let (h0, c0, unit_weights) = (take(2, h0)?, take(3, c0)?, take(4, unit_weights)?);
        let (input, weight) = (inputs.take(0, input)?, inputs.take(1, weight)?);
        let (cell, reverse, mask, keep) = (*cell, *reverse, mask.clone(), keep.clone());
        let layer = Recurrence { cell, reverse, weight, unit_weights, mask, keep, h0, c0 };
        let RecurrentSteps { states, cells } = composed::recurrent(&input, &layer.as_ref())?;
        let count = states.dims()[0];
        let last = if reverse { 0..1 } else { count.saturating_sub(1)..count };
        match (self.output, cells) {
            (RecurrentOutput::Last, _) => states.slice(0, last)?.squeeze(0),
            (RecurrentOutput::WithCell, Some(cells)) => Var::concat(&[&states, &cells.slice(0, last)?], 0),
            _ => Ok(states),
        }
    }

    /// What a kernel gives, if there is one.
    fn gradients(&self, dy: &Tensor) -> Result<Option<RecurrentGradients>> {
        let steps = self.after.states.dims()[0];
        let cell = if dy.rank() == 3 && dy.dims()[0] > steps { Some(dy.index(0, steps)?) } else { None };
        let (states, last) = match self.output {
            RecurrentOutput::Last => (None, Some(dy)),
            _ if cell.is_some() => (Some(dy.slice(0, 0..steps)?), None),
            _ => (Some(dy.clone()), None),
        };
        self.after.grad(&self.layer.as_ref(), states.as_ref(), last, cell.as_ref())
    }

    fn accumulate(&self, gradients: RecurrentGradients, pass: &mut Backward<'_>) -> Result<()> {
        if pass.needs(1) {
            pass.accumulate(1, Var::constant(self.weight_gradient(&gradients)?))?;
        }
        let RecurrentGradients { gates, h0, c0, unit_weights, .. } = gradients;
        for (position, gradient) in [(4, unit_weights), (3, c0), (2, Some(h0)), (0, Some(gates))] {
            if let Some(gradient) = gradient {
                pass.accumulate(position, Var::constant(gradient))?;
            }
        }
        Ok(())
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

impl Var {
    /// All steps of one direction of a recurrent layer, from the input's part of every gate's argument, biases included:
    /// (T, N, G·H), of G gates and H units, as x.linear(W, b) gives it for all steps at once. Formulas:
    /// [`kiln_math::recurrent`]; the order of gates is PyTorch's.
    ///
    /// The memory of this Var becomes the gates', where nobody shares it.
    ///
    /// ```
    /// use kiln_autograd::{RecurrentOptions, Var};
    /// use kiln_tensor::{DType, Device, Recurrence, RecurrentCell, Tensor};
    /// # fn main() -> kiln_tensor::Result<()> {
    /// let cpu = Device::cpu();
    /// let x = Var::constant(Tensor::ones([7, 2, 3], DType::F32, &cpu)?); // 7 steps of 2 sequences of 3 features
    /// let w_ih = Var::variable(Tensor::full([4 * 5, 3], 0.1, DType::F32, &cpu)?);
    /// let w_hh = Var::variable(Tensor::full([4 * 5, 5], 0.1, DType::F32, &cpu)?);
    /// let lstm = Recurrence::new(RecurrentCell::Lstm, &w_hh);
    /// let y = x.linear(&w_ih, None, None)?.recurrent(&lstm, RecurrentOptions::default())?;
    /// assert_eq!(y.dims(), [7, 2, 5]);
    /// assert!(y.sum_all()?.backward()?.of(&w_hh).is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Shapes that do not fit, named with what was expected; operands that the cell does not have; dtypes that are no floats,
    /// or that differ; no steps where the last state is asked for.
    pub fn recurrent(self, layer: &Recurrence<&Var, &Tensor>, options: RecurrentOptions) -> Result<Var> {
        if self.is_half() {
            return self.recurrent_in_wide(layer, options);
        }
        let tensors = layer.try_map(|operand| Ok(operand.tensor().clone()), |tensor| Ok(tensor.clone()))?;
        let (gates, node) = self.into_parts();
        let input = options.twice.then(|| gates.clone());
        let after = gates.recurrent(&tensors.as_ref())?;
        let none = || Error::value("recurrent", "there is no last state of a sequence of 0 steps");
        let output = match options.output {
            RecurrentOutput::WithCell if layer.cell.has_cell_state() => {
                let cell = after.last_cell(layer.reverse)?.ok_or_else(none)?.unsqueeze(0)?;
                Tensor::concat(&[&after.states, &cell], 0)?
            }
            RecurrentOutput::Last => after.last(layer.reverse)?.ok_or_else(none)?,
            _ => after.states.clone(),
        };
        let nothing = Var::constant(tensors.weight.clone());
        let projected = Var::with_node(tensors.weight.clone(), node);
        let [h0, c0, own] = [layer.h0, layer.c0, layer.unit_weights].map(|operand| operand.unwrap_or(&nothing));
        Ok(Var::record(&[&projected, layer.weight, h0, c0, own], output, |_| Recurrent {
            layer: tensors,
            output: options.output,
            after,
            input,
        }))
    }

    /// All steps of half types in f32; the states are rounded once.
    fn recurrent_in_wide(self, layer: &Recurrence<&Var, &Tensor>, options: RecurrentOptions) -> Result<Var> {
        let dtype = self.dtype();
        let constant = |tensor: &Tensor| match tensor.dtype() {
            half if half.is_float() => tensor.to_dtype(half.computed_in()),
            _ => Ok(tensor.clone()),
        };
        let layer = layer.try_map(Var::widened, constant)?;
        self.widened()?.recurrent(&layer.as_ref(), options)?.to_dtype(dtype)
    }
}

/// (T, N, …) as (T·N, …).
fn rows(x: &Tensor) -> Result<Tensor> {
    let [steps, batch, width] = *x.dims() else { return Ok(x.clone()) };
    x.reshape(Shape::new(&[steps * batch, width])?)
}
