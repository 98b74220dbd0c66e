//! The output of a last layer over a large vocabulary, which is computed only where something needs it.

use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use std::ops::Range;
use std::sync::OnceLock;

/// How many numbers of the output [`Projection::parts`] computes at a time; one sample at least.
const AT_ONCE: usize = 1 << 22;

/// hidden · weightᵀ + bias, or the softmax of that, of hidden states (…, width), a weight (classes, width) and a bias (classes,).
///
/// [`Dense`](crate::Dense) and [`Embedding::LOGITS`](crate::Embedding::LOGITS) give it in the place of their output where there are
/// [many classes](Projection::LARGE): the loss then needs some rows of logits at a time
/// ([`Var::linear_cross_entropy`]), and never all of them. Whatever else takes a Var computes the output: a next layer, a prediction,
/// [`Value::var`](crate::Value::var). A metric in training computes it once more, some samples at a time.
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

    /// The output of some samples at a time, each part with its range of samples: for metrics, which look at a whole batch. A sample is
    /// not divided, and the product is computed again each time. No gradient is recorded.
    pub fn parts(&self) -> impl Iterator<Item = Result<(Range<usize>, Var)>> {
        let samples = self.shape.first().copied().unwrap_or(0);
        let each = self.shape.elements() / samples.max(1);
        let step = (AT_ONCE / each.max(1)).max(1);
        (0..samples).step_by(step).map(move |first| {
            let range = first..(first + step).min(samples);
            let hidden = self.hidden.detach().slice(0, range.clone())?;
            let part = Projection { hidden, computed: OnceLock::new(), ..self.detached() };
            Ok((range, part.compute()?.clone()))
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
