//! The positions of steps: the number of steps before them that count.

use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Result, Tensor};
use std::ops::Range;

/// The positions of a batch's steps.
#[derive(Clone, Debug)]
pub(in super::super) enum Positions {
    /// The same in all sequences.
    Range(Range<usize>),
    /// i64 (N, T), all below the number.
    Each(Tensor, usize),
}

impl Positions {
    /// How many positions there must be.
    pub(in super::super) fn end(&self) -> usize {
        match self {
            Positions::Range(range) => range.end,
            Positions::Each(_, end) => *end,
        }
    }

    /// i64 (N, T).
    pub(super) fn each(&self, x: &Var) -> Result<Tensor> {
        match self {
            Positions::Range(range) => {
                let row = Tensor::arange(range.end, x.device())?.slice(0, range.clone())?;
                row.broadcast_to([x.dims()[0], range.len()])
            }
            Positions::Each(positions, _) => Ok(positions.clone()),
        }
    }
}

/// How many steps of each sequence have counted so far.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Counts {
    /// The most of any sequence.
    pub(in super::super) most: usize,
    /// i64 (N,), where they may differ.
    pub(in super::super) each: Option<Tensor>,
}

impl Counts {
    /// Those of a tensor i64 (N,).
    pub(super) fn of(each: Tensor) -> Result<Self> {
        let counts = each.to_vec::<i64>()?;
        let most = counts.iter().copied().max().unwrap_or(0);
        let even = counts.iter().all(|&count| count == most);
        Ok(Counts { most: most as usize, each: if even { None } else { Some(each) } })
    }

    /// As a tensor i64 (N,) of so many sequences.
    pub(super) fn tensor(&self, batch: usize, device: &Device) -> Result<Tensor> {
        match &self.each {
            Some(each) => Ok(each.clone()),
            None => Tensor::full([batch], self.most as f64, DType::I64, device),
        }
    }

    /// The positions of the next steps, N sequences of T, of which those of the mask, bool (N, T), count. A step that does not count has
    /// the position of the step before it.
    pub(in super::super) fn positions(&self, [batch, steps]: [usize; 2], mask: Option<&Tensor>, device: &Device) -> Result<Positions> {
        if mask.is_none() && self.each.is_none() {
            return Ok(Positions::Range(self.most..self.most + steps));
        }
        let ends = self.ends([batch, steps], mask, device)?;
        let zero = Tensor::scalar(0i64, device)?;
        Ok(Positions::Each(ends.add_scalar(-1.0)?.maximum(&zero)?.contiguous()?, self.most + steps))
    }

    /// The counts after those steps.
    pub(in super::super) fn after(&self, [batch, steps]: [usize; 2], mask: Option<&Tensor>, device: &Device) -> Result<Self> {
        let last = || self.ends([batch, steps], mask, device)?.slice(1, steps - 1..steps)?.squeeze(1)?.contiguous();
        match (mask, &self.each) {
            (None, None) => Ok(Counts { most: self.most + steps, each: None }),
            (None, Some(_)) => Ok(Counts { most: self.most + steps, each: Some(last()?) }),
            (Some(_), _) => Counts::of(last()?),
        }
    }

    /// How many steps have counted at the end of each step, i64 (N, T).
    fn ends(&self, [batch, steps]: [usize; 2], mask: Option<&Tensor>, device: &Device) -> Result<Tensor> {
        let new = match mask {
            Some(mask) => mask.to_dtype(DType::I64)?.cumsum(1)?,
            None => Tensor::arange(steps, device)?.add_scalar(1.0)?.broadcast_to([batch, steps])?,
        };
        new.add(&self.tensor(batch, device)?.unsqueeze(1)?)
    }
}
