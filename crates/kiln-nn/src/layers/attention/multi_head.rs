//! Multi-head attention.

use super::cache::Cache;
use super::inputs::{AttentionInputs, check_key_mask};
use super::positions::Rotary;
use super::projections::Projections;
use super::settings::Settings;
use crate::layers::masked::zeroed;
use crate::layers::setters::setters;
use crate::{Ctx, Describe, Init, Initializer, Layer, Mask, Module, Sequence, Shapes, StateDict, settings};
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Multi-head attention (Vaswani et al. 2017): of queries x (N, T, width), keys and values made of the same x, or of a memory (N, S, …),
/// out_proj(concat over heads h of softmax(scale · qₕ·kₕᵀ + bias) · vₕ), (N, T, width).
///
/// It takes one value, for self-attention; two, the queries and a memory that keys and values are made of (cross-attention); or three,
/// queries, keys and values. Masks come with the sequences: a key that does not count is not seen. What a query sees is set by
/// [`causal`](Self::causal) and [`window`](Self::window), or given to [`attend`](Self::attend). A query that sees no key gives 0 before
/// `out_proj`. The computation needs memory linear in the lengths (see [`Var::attention`](kiln_autograd::Var::attention)).
///
/// Paths are those of PyTorch's `nn.MultiheadAttention`: `in_proj_weight` has the rows that make queries, keys and values, one after
/// the other ((heads · width + 2 · key heads · width), width), or there are `q_proj_weight`, `k_proj_weight` and `v_proj_weight`
/// where inputs have different widths; `in_proj_bias`, `out_proj.weight`, `out_proj.bias`. [`load_keras`](Self::load_keras) loads
/// Keras's `MultiHeadAttention` and `GroupQueryAttention`.
///
/// In self-attention without another mask, rotary positions, windows and ALiBi count the real steps alone: padding at the beginning or
/// end of a sample, or between its steps, changes nothing. The keys of another sequence are counted with their padding. Rows of packed
/// documents are told by the mask ([`DocumentMask`](crate::DocumentMask)): then a query sees the keys of its own document.
///
/// Causal self-attention goes on where the pass before ended in a pass with [`Ctx::carrying`], or in evaluation where it is
/// [`stateful`](Self::stateful): it keeps the keys and values of past steps (a KV cache; with a window the last ones only), until
/// [`Layer::reset_states`]. A batch of another size begins anew.
///
/// ```
/// use kiln_nn::{Module, MultiHeadAttention, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let attention = MultiHeadAttention::new(8).causal(true);
/// let model = Sequential::new().push(attention).build([100, 64], &kiln_tensor::Device::cpu(), 1)?; // 100 steps of 64 features
/// assert_eq!(model.parameters()[0].0, "0.in_proj_weight");
/// # Ok(())
/// # }
/// ```
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub struct MultiHeadAttention {
    #[module(flatten)]
    #[serde(skip)]
    pub(super) projections: Projections,
    #[module(skip)]
    #[serde(flatten)]
    pub(super) settings: Settings,
    #[serde(skip)]
    pub(super) cache: Cache,
    /// Steps of queries and of keys that it was built for.
    #[serde(skip)]
    steps: usize,
    #[serde(skip)]
    key_steps: usize,
    /// See [`MultiHeadAttention::keep_memory`].
    #[serde(skip)]
    pub(super) memory_stays: bool,
}

impl MultiHeadAttention {
    /// With so many heads, each of an equal part of the input's width, to be built for its input.
    pub fn new(heads: usize) -> Self {
        MultiHeadAttention {
            projections: Projections::default(),
            settings: Settings::new(heads),
            cache: Cache::default(),
            steps: 1,
            key_steps: 1,
            memory_stays: false,
        }
    }

    setters! {
        /// How many heads of keys and values there are. By default as many as heads of queries; fewer make grouped-query attention
        /// (Ainslie et al. 2023), one makes multi-query attention. The number divides that of heads.
        fn key_heads(self, key_heads: usize) { self.settings.key_heads = Some(key_heads) }

        /// The width of each head (Keras's `key_dim`). By default the input's width divided by the heads.
        fn head_width(self, width: usize) { self.settings.head_width = Some(width) }

        /// The width of each head's values (Keras's `value_dim`). By default that of its keys.
        fn value_width(self, width: usize) { self.settings.value_width = Some(width) }

        /// Whether the projections have biases; they have by default.
        fn use_bias(self, use_bias: bool) { self.settings.use_bias = use_bias }

        /// In training, which part of the attention's probabilities is dropped. By default 0.
        fn dropout(self, rate: f64) { self.settings.dropout = rate }

        /// Whether a query sees no later keys: query i sees key j where j − i ≤ keys − queries. By default it sees all.
        fn causal(self, causal: bool) { self.settings.causal = causal }

        /// A sliding window: a query sees the last so many keys up to its place, or without [`causal`](Self::causal) so many on
        /// both sides. By default there is none.
        fn window(self, keys: usize) { self.settings.window = Some(keys) }

        /// Whether scores become smaller with the distance of the positions, by a slope for each head (ALiBi, Press et al. 2022). By
        /// default not.
        fn alibi(self, alibi: bool) { self.settings.alibi = alibi }

        /// What products of queries and keys are multiplied by. By default 1/√(width of a head).
        fn scale(self, scale: f64) { self.settings.scale = Some(scale) }

        /// Turns queries and keys by their positions. By default they are not turned.
        fn rotary(self, rotary: Rotary) { self.settings.rotary = Some(rotary) }

        /// First values of the weights; biases begin at 0. By default Glorot-uniform.
        fn kernel_initializer(self, initializer: Initializer) { self.settings.kernel_initializer = initializer }

        /// Whether in evaluation each batch goes on where the one before ended, row by row. By default not.
        fn stateful(self, stateful: bool) { self.settings.stateful = stateful }
    }

    /// The same layer, built for self-attention of inputs whose last axis has this size.
    ///
    /// # Errors
    /// Heads that do not divide the width, settings that make no sense, or out of memory.
    pub fn with_input(mut self, width: usize, init: &mut Init) -> Result<Self> {
        self.projections.build(&self.settings, [width; 3], init)?;
        Ok(self)
    }

    /// Loads a Keras `MultiHeadAttention` or `GroupQueryAttention`: the tensors of `state` whose paths end in `query/kernel`,
    /// `query/bias`, `key/…`, `value/…` and `attention_output/…`. Nothing is changed where something does not fit.
    ///
    /// # Errors
    /// A layer that is not built; names that are missing or there twice; shapes that do not fit.
    pub fn load_keras(&mut self, state: &StateDict) -> Result<()> {
        self.projections.load_keras(state)
    }

    /// Says that the memory of cross-attention stays the same from pass to pass, until states are reset.
    pub(super) fn keep_memory(&mut self) {
        self.memory_stays = true;
    }
}

impl Layer for MultiHeadAttention {
    type Input = Vec<Sequence>;
    type Output = Sequence;

    fn forward(&self, inputs: Vec<Sequence>, ctx: &Ctx) -> Result<Sequence> {
        let seen = |sequence: &Sequence| match sequence.mask.as_ref().and_then(Mask::hiding) {
            Some(mask) => {
                check_key_mask(mask, &sequence.values)?;
                zeroed(&sequence.values, &mask.unsqueeze(2)?)
            }
            None => Ok(sequence.values.clone()),
        };
        let vars = inputs.iter().map(seen).collect::<Result<Vec<_>>>()?;
        let (query, key, value) = match &vars[..] {
            [x] => (x, x, x),
            [x, memory] => (x, memory, memory),
            [query, key, value] => (query, key, value),
            _ => return Err(takes(vars.len())),
        };
        let masks = [&inputs[0], inputs.get(1).unwrap_or(&inputs[0])].map(|sequence| sequence.mask.as_ref());
        let documents = match masks.map(|mask| mask.and_then(Mask::documents)) {
            [None, None] => None,
            [Some(queries), Some(keys)] => Some([queries, keys]),
            _ => {
                let message = "the queries or the memory are packed documents and the other is not: pack both, or none";
                return Err(Error::value("attention", message));
            }
        };
        let inputs_of = AttentionInputs { mask: None, key_mask: masks[1].and_then(Mask::hiding), documents };
        let values = self.attend(query, key, value, &inputs_of, ctx)?;
        Ok(Sequence { values, mask: inputs[0].mask.clone() })
    }

    fn build(&mut self, input: &Vec<Shape>, init: &mut Init) -> Result<Shape> {
        let (query, key, value) = match input[..] {
            [x] => (x, x, x),
            [x, memory] => (x, memory, memory),
            [query, key, value] => (query, key, value),
            _ => return Err(takes(input.len())),
        };
        for shape in [query, key, value] {
            if shape.rank() != 2 || shape[1] == 0 {
                let message = format!("samples of shape (steps, width) are expected, got {shape}");
                return Err(Error::shape("build", message));
            }
        }
        self.projections.build(&self.settings, [query[1], key[1], value[1]], init)?;
        (self.steps, self.key_steps) = (query[0], key[0]);
        Ok(query)
    }

    fn reset_states(&self) {
        self.cache.reset();
    }
}

#[cold]
fn takes(given: usize) -> Error {
    let message = format!("this takes queries, queries and a memory, or queries, keys and values; {given} values are given");
    Error::value("attention", message)
}

impl Describe for MultiHeadAttention {
    fn config(&self) -> Option<Json> {
        settings(self)
    }

    /// The projections of all steps, and two products of each query with each key.
    fn flops(&self, _: &Shapes) -> u64 {
        let [q, k, v, out] = self.projections.elements();
        let (steps, keys) = (self.steps.max(1), self.key_steps.max(1));
        let scores = self.projections.heads.map_or(0, |heads| heads.heads * (heads.width + heads.value_width));
        2 * ((q + out) * steps + (k + v) * keys + scores * steps * keys) as u64
    }
}
