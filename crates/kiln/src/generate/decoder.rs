//! Models that are read to token by token.

use crate::nn::{Ctx, Layer, Module, Sequential, StateDict};
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
/// Layers that are stateful (recurrent layers with `stateful(true)`) read each token once. A model without such layers reads the whole text
/// each time, of a long text the last tokens: as many as the model was built for.
pub struct ModelDecoder<'m> {
    model: &'m Sequential,
    device: Device,
    /// Outputs are probabilities.
    probabilities: bool,
    memory: Memory,
}

/// How what was read is known in the next step.
enum Memory {
    /// Layers carry it. By the name of a tensor that they carry: the axis of texts.
    Carried(BTreeMap<String, usize>),
    /// It is read again: the tokens of each text, of which at most so many are given.
    Tokens(Vec<Vec<i64>>, usize),
}

impl<'m> ModelDecoder<'m> {
    /// A model whose outputs are logits. What its layers carry is forgotten.
    ///
    /// # Errors
    /// A model that is not built, does not take tokens, or gives something else than logits for each step.
    pub fn new(model: &'m Sequential) -> Result<Self> {
        let device = model.parameters().first().map_or_else(Device::cpu, |(_, first)| first.value().device().clone());
        let carried = |rows: usize| -> Result<StateDict> {
            model.reset_states();
            let outputs = model.forward(&Tensor::zeros([rows, 1], DType::I64, &device)?, &Ctx::eval())?;
            let carried = model.carried_states();
            model.reset_states();
            match outputs.dims() {
                &[_, 1, _] => Ok(carried),
                dims => {
                    let message = format!(
                        "the model gives {dims:?} for tokens of the shape [{rows}, 1]: [{rows}, 1, vocabulary] is expected"
                    );
                    Err(Error::value("generate", message))
                }
            }
        };
        let one = carried(1)?;
        let memory = if one.is_empty() {
            let longest = model.input_shape().map_or(1, |shape| shape.elements()).max(1);
            Memory::Tokens(Vec::new(), longest)
        } else {
            // The axis of texts is the one that grows with them.
            let two = carried(2)?;
            let axis = |(name, one): (String, Tensor)| {
                let (one, two) = (one.dims(), two.get(&name)?.dims());
                let axis = (0..one.len()).find(|&axis| one[axis] == 1 && two.get(axis) == Some(&2))?;
                Some((name, axis))
            };
            Memory::Carried(one.into_iter().filter_map(axis).collect())
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
        if let Memory::Tokens(read, _) = &mut self.memory {
            *read = vec![Vec::new(); rows];
        }
        Ok(())
    }

    fn read(&mut self, tokens: &Tensor) -> Result<Tensor> {
        let again = match &mut self.memory {
            Memory::Carried(_) => None,
            Memory::Tokens(read, longest) => {
                let &[rows, count] = tokens.dims() else {
                    return Err(Error::value(
                        "generate",
                        format!("tokens of the shape {:?}: (n, steps) is expected", tokens.dims()),
                    ));
                };
                for (read, new) in read.iter_mut().zip(tokens.to_vec::<i64>()?.chunks(count.max(1))) {
                    read.extend_from_slice(new);
                }
                let length = read.first().map_or(0, |read| read.len().min(*longest));
                let last: Vec<i64> = read.iter().flat_map(|read| &read[read.len() - length..]).copied().collect();
                Some(Tensor::from_vec(last, [rows, length], &self.device)?)
            }
        };
        let outputs = self.model.forward(again.as_ref().unwrap_or(tokens), &Ctx::eval())?.into_tensor();
        let steps = outputs.dims()[1];
        let outputs = outputs.index(1, steps - 1)?.to_dtype(DType::F32)?;
        if self.probabilities { outputs.add_scalar(f64::from(f32::MIN_POSITIVE))?.ln() } else { Ok(outputs) }
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        match &mut self.memory {
            Memory::Tokens(read, _) => {
                *read = rows.iter().map(|&row| read[row].clone()).collect();
                Ok(())
            }
            Memory::Carried(axes) => {
                let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
                let index = Tensor::from_vec(index, [rows.len()], &self.device)?;
                let select = |(name, tensor): (String, Tensor)| match axes.get(&name) {
                    Some(&axis) => Ok((name, tensor.index_select(axis, &index)?)),
                    None => Ok((name, tensor)),
                };
                let carried = self.model.carried_states().into_iter().map(select).collect::<Result<StateDict>>()?;
                self.model.set_carried_states(&carried)
            }
        }
    }

    fn device(&self) -> Device {
        self.device.clone()
    }
}
