//! Models that are read to token by token.

use crate::autograd::Var;
use crate::nn::{Ctx, Describe, Layer, Module, Sequential, StateDict};
use crate::tensor::{DType, Device, Tensor};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// A model that reads tokens of several texts side by side and says what may come next. [`ModelDecoder`] makes one of a `Sequential`;
/// implement it for other models.
pub trait Decoder {
    /// Forgets what was read. From now on there are `rows` texts.
    ///
    /// # Errors
    /// What the model cannot do.
    fn begin(&mut self, rows: usize) -> Result<()>;

    /// Reads the next tokens of each text, as many of each: i64 (rows, n) with n of 1 or more. Returns the logits of what comes after them,
    /// (rows, vocabulary). Of a vocabulary with more entries than the tokenizer has tokens, the others are left out.
    ///
    /// # Errors
    /// Tokens that are not in the vocabulary; out of memory.
    fn read(&mut self, tokens: &Tensor) -> Result<Tensor>;

    /// From now on text i goes on where text `rows[i]` was. A text may go on several times, or not at all.
    ///
    /// # Errors
    /// Out of memory.
    fn select(&mut self, rows: &[usize]) -> Result<()>;

    /// Where the tokens that it reads are to be.
    fn device(&self) -> Device;
}

/// A `Sequential` that takes tokens (n, steps) and gives logits of the next token at each step, (n, steps, vocabulary).
///
/// Where layers carry what they have read (recurrent layers their states, causal attention its keys and values), each token is read once.
/// Other models read the whole text each time, of a long text the last tokens: as many as the model was built for. When a text gets longer
/// than the positions of a [`PositionEmbedding`](crate::nn::PositionEmbedding), the model forgets it and reads the last half of that many tokens
/// again.
pub struct ModelDecoder<'m> {
    model: &'m Sequential,
    device: Device,
    /// Outputs are probabilities.
    probabilities: bool,
    memory: Memory,
}

/// How what was read is known in the next step.
enum Memory {
    /// Layers carry it.
    Carried {
        /// By the name of a tensor that they carry: the axis of texts.
        axes: BTreeMap<String, Option<usize>>,
        /// Of a model with learned positions, the part of each text that has positions.
        context: Option<Context>,
    },
    /// It is read again: the last tokens of each text, at most so many.
    Tokens(Vec<Vec<i64>>, usize),
}

/// The part of each text that a model with so many positions knows: the tokens from the one with the number `first` on.
struct Context {
    read: Vec<Vec<i64>>,
    first: usize,
    positions: usize,
}

impl Context {
    fn new(rows: usize, positions: usize) -> Self {
        Context { read: vec![Vec::new(); rows], first: 0, positions: positions.max(1) }
    }

    /// Where the context begins after so many tokens: at 0 as long as there are positions for all of them; with one token more than there
    /// are positions, it begins anew with the last half of that many. It depends on the number of tokens alone, not on how many of them
    /// are read at a time, so that a text goes on in the same way beside any other texts.
    fn first_after(&self, tokens: usize) -> usize {
        let half = (self.positions / 2).max(1);
        let from_one_to_the_next = self.positions + 1 - half;
        match tokens.checked_sub(self.positions + 1) {
            None => 0,
            Some(more) => (1 + more / from_one_to_the_next) * from_one_to_the_next,
        }
    }

    /// The context after the next tokens, (n, steps).
    fn after(&self, tokens: &Tensor) -> Result<Self> {
        let mut read = self.read.clone();
        add(&mut read, tokens)?;
        let first = self.first_after(self.first + read.first().map_or(0, Vec::len));
        read.iter_mut().for_each(|read| drop(read.drain(..first - self.first)));
        Ok(Context { read, first, positions: self.positions })
    }
}

/// The tokens that [`carries`] tries.
const TRIAL: [i64; 4] = [1, 0, 1, 1];

/// Whether reading token by token gives what reading the whole text gives. A layer that looks at several steps and carries nothing, such as
/// a convolution, does not.
fn carries(model: &Sequential, vocabulary: usize, device: &Device) -> Result<bool> {
    let steps = model.input_shape().map_or(1, |shape| shape.elements()).clamp(1, TRIAL.len());
    let tokens = TRIAL[..steps].iter().map(|&token| token.min(vocabulary as i64 - 1)).collect();
    let trial = Tensor::from_vec(tokens, [1, steps], device)?;
    model.reset_states();
    let whole = model.forward(&trial, &Ctx::eval())?.into_tensor();
    let tolerance = if matches!(whole.dtype(), DType::F16 | DType::BF16) { 5e-2 } else { 1e-3 };
    let whole = whole.index(1, steps - 1)?.to_f64_vec()?;
    model.reset_states();
    let mut one_by_one = Vec::new();
    for step in 0..steps {
        let outputs = model.forward(&trial.slice(1, step..step + 1)?, &Ctx::eval().carrying())?;
        one_by_one = outputs.into_tensor().index(1, 0)?.to_f64_vec()?;
    }
    model.reset_states();
    let largest = whole.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    Ok(whole.iter().zip(&one_by_one).all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + largest)))
}

/// The fewest positions of the learned position embeddings among a layer and its parts.
fn positions(layer: &dyn Describe) -> Option<usize> {
    let own = layer.config().filter(|_| layer.name() == "PositionEmbedding");
    let own = own.and_then(|config| usize::try_from(config["positions"].as_u64()?).ok());
    own.into_iter().chain(layer.parts().iter().filter_map(|part| positions(part.layer))).min()
}

/// Adds the next tokens, (n, steps), to those of each text.
pub(super) fn add(read: &mut [Vec<i64>], tokens: &Tensor) -> Result<()> {
    let &[_, count] = tokens.dims() else {
        let message = format!("tokens of the shape {:?}: (n, steps) is expected", tokens.dims());
        return Err(Error::value("generate", message));
    };
    for (read, new) in read.iter_mut().zip(tokens.to_vec::<i64>()?.chunks(count.max(1))) {
        read.extend_from_slice(new);
    }
    Ok(())
}

/// The last `count` tokens of each text, fewer where the texts are shorter.
pub(super) fn last_tokens(read: &[Vec<i64>], count: usize, device: &Device) -> Result<Tensor> {
    let length = read.first().map_or(0, |read| read.len().min(count));
    let last: Vec<i64> = read.iter().flat_map(|read| &read[read.len() - length..]).copied().collect();
    Tensor::from_vec(last, [read.len(), length], device)
}

/// The output for a text from its first position on; where the model fails, it knows what it knew before.
fn begin_anew(model: &Sequential, tokens: Tensor) -> Result<Var> {
    let before = model.carried_states();
    model.reset_states();
    let outputs = model.forward(tokens, &Ctx::eval().carrying());
    if outputs.is_err() {
        model.set_carried_states(&before)?;
    }
    outputs
}

impl<'m> ModelDecoder<'m> {
    /// A model whose outputs are logits. What its layers carry is forgotten.
    ///
    /// # Errors
    /// A model that is not built, does not take tokens, or gives something else than logits for each step.
    pub fn new(model: &'m Sequential) -> Result<Self> {
        let device = model.parameters().first().map_or_else(Device::cpu, |(_, first)| first.value().device().clone());
        let carried = |rows: usize| -> Result<(StateDict, usize)> {
            model.reset_states();
            let tokens = Tensor::zeros([rows, 1], DType::I64, &device)?;
            let outputs = model.forward(&tokens, &Ctx::eval().carrying())?;
            let carried = model.carried_states();
            model.reset_states();
            match outputs.dims() {
                &[_, 1, vocabulary] if vocabulary > 0 => Ok((carried, vocabulary)),
                dims => {
                    let message = format!(
                        "the model gives {dims:?} for tokens of the shape [{rows}, 1]: [{rows}, 1, vocabulary] is expected"
                    );
                    Err(Error::value("generate", message))
                }
            }
        };
        let (one, vocabulary) = carried(1)?;
        let memory = if one.is_empty() || !carries(model, vocabulary, &device)? {
            let longest = model.input_shape().map_or(1, |shape| shape.elements()).max(1);
            Memory::Tokens(Vec::new(), longest)
        } else {
            // The axis of texts is the one that grows with them.
            let (two, _) = carried(2)?;
            let axis = |(name, one): (String, Tensor)| {
                let (one, two) = (one.dims(), two.get(&name).map_or(&[][..], Tensor::dims));
                let axis = (0..one.len()).find(|&axis| one[axis] == 1 && two.get(axis) == Some(&2));
                (name, axis)
            };
            let context = positions(model).map(|positions| Context::new(0, positions));
            Memory::Carried { axes: one.into_iter().map(axis).collect(), context }
        };
        Ok(ModelDecoder { model, device, probabilities: false, memory })
    }

    /// Whether the outputs are probabilities instead of logits.
    #[must_use]
    pub fn probabilities(self, probabilities: bool) -> Self {
        ModelDecoder { probabilities, ..self }
    }
}

impl Decoder for ModelDecoder<'_> {
    fn begin(&mut self, rows: usize) -> Result<()> {
        self.model.reset_states();
        match &mut self.memory {
            Memory::Tokens(read, _) => *read = vec![Vec::new(); rows],
            Memory::Carried { context: Some(context), .. } => *context = Context::new(rows, context.positions),
            Memory::Carried { context: None, .. } => {}
        }
        Ok(())
    }

    fn read(&mut self, tokens: &Tensor) -> Result<Tensor> {
        let outputs = match &mut self.memory {
            Memory::Carried { context: None, .. } => self.model.forward(tokens, &Ctx::eval().carrying())?,
            Memory::Carried { context: Some(context), .. } => {
                let next = context.after(tokens)?;
                let outputs = match next.first == context.first {
                    true => self.model.forward(tokens, &Ctx::eval().carrying())?,
                    false => begin_anew(self.model, last_tokens(&next.read, usize::MAX, &self.device)?)?,
                };
                *context = next;
                outputs
            }
            Memory::Tokens(read, longest) => {
                let mut all = read.clone();
                add(&mut all, tokens)?;
                let outputs = self.model.forward(last_tokens(&all, *longest, &self.device)?, &Ctx::eval())?;
                all.iter_mut().for_each(|all| drop(all.drain(..all.len().saturating_sub(*longest))));
                *read = all;
                outputs
            }
        };
        let outputs = outputs.into_tensor();
        let steps = outputs.dims()[1];
        let outputs = outputs.index(1, steps - 1)?.to_dtype(DType::F32)?;
        if self.probabilities { outputs.add_scalar(f64::from(f32::MIN_POSITIVE))?.ln() } else { Ok(outputs) }
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        let of_rows = |read: &[Vec<i64>]| rows.iter().map(|&row| read[row].clone()).collect();
        let (context, axes) = match &mut self.memory {
            Memory::Tokens(read, _) => {
                *read = of_rows(read);
                return Ok(());
            }
            Memory::Carried { context, axes } => (context, axes),
        };
        let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let index = Tensor::from_vec(index, [rows.len()], &self.device)?;
        // What is carried only once it is needed, masks and counts of steps, has a row for each text.
        let select = |(name, tensor): (String, Tensor)| match axes.get(&name).copied().unwrap_or(Some(0)) {
            Some(axis) => Ok((name, tensor.index_select(axis, &index)?)),
            None => Ok((name, tensor)),
        };
        let carried = self.model.carried_states().into_iter().map(select).collect::<Result<StateDict>>()?;
        self.model.set_carried_states(&carried)?;
        if let Some(context) = context {
            context.read = of_rows(&context.read);
        }
        Ok(())
    }

    fn device(&self) -> Device {
        self.device.clone()
    }
}
