//! The output of a last layer over a large vocabulary, which is computed only where something needs it.

use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape, Tensor};
use std::ops::Range;
use std::sync::OnceLock;

/// How many numbers of the output [`Projection::parts`] computes at a time; one row at least, or one
/// sample where samples are not divided.
const AT_ONCE: usize = 1 << 22;

/// The place of a part of an output: some samples, and of one sample maybe some steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputPart {
    samples: Range<usize>,
    /// With how many steps there are.
    steps: Option<(Range<usize>, usize)>,
}

impl OutputPart {
    /// The same part of something that goes with the output, such as targets, weights or a mask: of its first axis, and of its second
    /// where it has all of the output's steps.
    ///
    /// # Errors
    /// Fewer samples than the output has.
    pub fn of(&self, x: &Tensor) -> Result<Tensor> {
        let part = x.slice(0, self.samples.clone())?;
        match &self.steps {
            Some((steps, all)) if x.dims().get(1) == Some(all) => part.slice(1, steps.clone()),
            _ => Ok(part),
        }
    }
}

/// hidden · weightᵀ + bias, or the softmax of that, of hidden states (…, width), a weight (classes, width) and a bias (classes,).
///
/// [`Dense`](crate::Dense) and [`Embedding::LOGITS`](crate::Embedding::LOGITS) give it in the place of their output where there are
/// [many classes](Projection::LARGE): the loss then needs some rows of logits at a time
/// ([`Var::linear_cross_entropy`]), and never all of them. Whatever else takes a Var computes the output: a next layer, a prediction,
/// [`Value::var`](crate::Value::var). A metric in training computes it once more, some rows at a time.
#[derive(Clone, Debug)]
pub struct Projection {
    hidden: Var,
    weight: Var,
    bias: Option<Var>,
    softmax: bool,
    shape: Shape,
    computed: OnceLock<Var>,
}

impl Projection {
    /// From how many classes on a layer gives a projection.
    pub const LARGE: usize = 2048;

    /// The product of these, to be computed.
    ///
    /// # Errors
    /// Hidden states of another width than the weight's.
    pub fn new(hidden: Var, weight: Var, bias: Option<Var>) -> Result<Self> {
        let mut dims = hidden.dims().to_vec();
        match (dims.last_mut(), weight.dims()) {
            (Some(last), [classes, width]) if last == width => *last = *classes,
            _ => {
                let message = format!("hidden states {} do not fit a weight {}", hidden.shape(), weight.shape());
                return Err(Error::shape("projection", message));
            }
        }
        let shape = Shape::new(&dims)?;
        Ok(Projection { hidden, weight, bias, softmax: false, shape, computed: OnceLock::new() })
    }

    /// The same with a softmax along the last axis.
    #[must_use]
    pub fn softmax(self) -> Self {
        Projection { softmax: true, computed: OnceLock::new(), ..self }
    }

    /// Whether the output is probabilities, not logits.
    pub fn is_softmax(&self) -> bool {
        self.softmax
    }

    /// The output's shape, (…, classes).
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The hidden states, (…, width).
    pub fn hidden(&self) -> &Var {
        &self.hidden
    }

    /// The weight, (classes, width).
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// The bias, (classes,).
    pub fn bias(&self) -> Option<&Var> {
        self.bias.as_ref()
    }

    /// The output. It is computed once, and kept as long as this is.
    ///
    /// # Errors
    /// Out of memory.
    pub fn compute(&self) -> Result<&Var> {
        if let Some(computed) = self.computed.get() {
            return Ok(computed);
        }
        let logits = self.hidden.linear(&self.weight, self.bias.as_ref(), None)?;
        let output = if self.softmax { logits.softmax(-1)? } else { logits };
        Ok(self.computed.get_or_init(|| output))
    }

    /// The output part by part, with the place of each part: for metrics, which look at a whole batch. A part is some samples, or with
    /// `by_steps`, where one sample of (N, T, classes) is long, some of its steps. The product is computed again each time. No
    /// gradient is recorded.
    pub fn parts(&self, by_steps: bool) -> impl Iterator<Item = Result<(OutputPart, Var)>> {
        let size = |axis: usize| self.shape.get(axis).copied().unwrap_or(0);
        let (samples, each) = (size(0), self.shape.elements() / size(0).max(1));
        let at_once = AT_ONCE / each.max(1);
        // One sample is divided where it is too long by itself.
        let steps = if by_steps && at_once == 0 && self.shape.rank() == 3 { size(1) } else { 1 };
        let steps_at_once = (AT_ONCE / (each / steps.max(1)).max(1)).max(1);
        let firsts = (0..samples).step_by(at_once.max(1));
        let firsts = firsts.flat_map(move |sample| (0..steps).step_by(steps_at_once).map(move |step| (sample, step)));
        firsts.map(move |(sample, step)| {
            let samples = sample..(sample + at_once.max(1)).min(samples);
            let steps = (steps > 1).then(|| (step..(step + steps_at_once).min(steps), steps));
            let part = OutputPart { samples, steps };
            let hidden = Var::constant(part.of(self.hidden.tensor())?);
            let output = Projection { hidden, computed: OnceLock::new(), ..self.detached() };
            Ok((part, output.compute()?.clone()))
        })
    }

    fn detached(&self) -> Self {
        let Projection { hidden, weight, bias, softmax, shape, .. } = self;
        let bias = bias.as_ref().map(Var::detach);
        let (hidden, weight) = (hidden.detach(), weight.detach());
        Projection { hidden, weight, bias, softmax: *softmax, shape: *shape, computed: OnceLock::new() }
    }

    /// The Vars that it is made of, in order.
    pub(crate) fn vars(&self) -> impl Iterator<Item = &Var> {
        [&self.hidden, &self.weight].into_iter().chain(&self.bias)
    }

    /// The same of other Vars, in that order.
    pub(crate) fn map_vars(self, f: &mut dyn FnMut(Var) -> Var) -> Self {
        let (hidden, weight, bias) = (f(self.hidden), f(self.weight), self.bias.map(&mut *f));
        Projection { hidden, weight, bias, softmax: self.softmax, shape: self.shape, computed: OnceLock::new() }
    }
}
