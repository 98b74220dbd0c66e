//! Tokens of a text, in memory or in a file.

use crate::{Batch, TokenFile};
use kiln_tensor::{Device, Result, Tensor};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) enum Tokens {
    Memory(Arc<[i64]>),
    File(TokenFile),
}

impl From<Vec<i64>> for Tokens {
    fn from(tokens: Vec<i64>) -> Self {
        Tokens::Memory(tokens.into())
    }
}

impl From<TokenFile> for Tokens {
    fn from(file: TokenFile) -> Self {
        Tokens::File(file)
    }
}

impl Tokens {
    pub(super) fn len(&self) -> usize {
        match self {
            Tokens::Memory(tokens) => tokens.len(),
            Tokens::File(file) => file.len(),
        }
    }

    /// Copies the tokens from `start` on, which there are.
    fn copy(&self, start: usize, to: &mut [i64]) {
        match self {
            Tokens::Memory(tokens) => to.copy_from_slice(&tokens[start..start + to.len()]),
            Tokens::File(file) => file.copy(start, to),
        }
    }

    /// Rows of `length` tokens that begin at `starts`.
    pub(super) fn rows(&self, starts: &[usize], length: usize, device: &Device) -> Result<Tensor> {
        Tensor::write_with([starts.len(), length], device, |to: &mut [i64]| {
            to.chunks_exact_mut(length).zip(starts).for_each(|(to, &start)| self.copy(start, to));
            Ok(())
        })
    }

    /// The tokens of windows that begin at `starts`, and the tokens after each.
    pub(super) fn windows(&self, starts: &[usize], length: usize, device: &Device) -> Result<Batch> {
        let after: Vec<usize> = starts.iter().map(|start| start + 1).collect();
        Ok(Batch::new(self.rows(starts, length, device)?, self.rows(&after, length, device)?))
    }
}
