//! Models that read one text and write another.

use super::decoder::{Decoder, add, last_tokens};
use crate::autograd::Var;
use crate::nn::{Ctx, Mask, Sequential, Value};
use crate::tensor::{DType, Device, Tensor};
use crate::{Error, Result};

/// A model with two inputs, the tokens of a source, (n, S), and those that were written so far, (n, T), which gives the logits of the next
/// token at each step, (n, T, vocabulary): an encoder and a decoder. Text i is written of source i.
///
/// What was written is read again for each token, and the source too.
pub struct SourceDecoder<'m> {
    model: &'m Sequential,
    /// The sources, i64 (n, S), and which of their tokens count, bool (n, S).
    sources: [Tensor; 2],
    /// Those of the texts that are still written.
    going: [Tensor; 2],
    written: Vec<Vec<i64>>,
}

impl<'m> SourceDecoder<'m> {
    /// Of sources, i64 (n, S), with their mask, bool (n, S).
    ///
    /// # Errors
    /// Sources of another shape, or another mask.
    pub fn new(model: &'m Sequential, sources: Tensor, mask: Tensor) -> Result<Self> {
        if sources.rank() != 2 || mask.shape() != sources.shape() || mask.dtype() != DType::Bool {
            let message = format!(
                "sources of the shape {} with a mask {} {}: (n, steps) of both is expected, the mask of bool",
                sources.shape(),
                mask.dtype(),
                mask.shape()
            );
            return Err(Error::shape("generate", message));
        }
        let sources = [sources, mask];
        Ok(SourceDecoder { model, going: sources.clone(), sources, written: Vec::new() })
    }
}

impl Decoder for SourceDecoder<'_> {
    fn begin(&mut self, rows: usize) -> Result<()> {
        let sources = self.sources[0].dims()[0];
        if rows != sources {
            let message = format!("the batch has {rows} texts and {sources} sources: give one source for each text");
            return Err(Error::value("generate", message));
        }
        self.going = self.sources.clone();
        self.written = vec![Vec::new(); rows];
        Ok(())
    }

    fn read(&mut self, tokens: &Tensor) -> Result<Tensor> {
        let mut all = self.written.clone();
        add(&mut all, tokens)?;
        let written = last_tokens(&all, usize::MAX, tokens.device())?;
        let [source, mask] = self.going.clone();
        let inputs = [Value::One(Var::from(source), Some(Mask::from(mask))), Value::from(written)];
        let outputs = self.model.forward(Value::Many(inputs.into()), &Ctx::eval())?.into_tensor();
        self.written = all;
        match *outputs.dims() {
            [_, steps, _] if steps > 0 => outputs.index(1, steps - 1)?.to_dtype(DType::F32),
            _ => {
                let message = format!("the model gives {}: (n, steps, vocabulary) is expected", outputs.shape());
                Err(Error::shape("generate", message))
            }
        }
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let index = Tensor::from_vec(index, [rows.len()], self.going[0].device())?;
        let [source, mask] = self.going.each_ref().map(|all| all.index_select(0, &index));
        self.going = [source?, mask?];
        self.written = rows.iter().map(|&row| self.written[row].clone()).collect();
        Ok(())
    }

    fn device(&self) -> Device {
        self.sources[0].device().clone()
    }
}
