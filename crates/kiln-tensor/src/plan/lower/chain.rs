//! What follows a sum elementwise, as long as nothing else reads the values between.

use super::super::kept::{BufferId, KeptView};
use super::super::maps::{After, MapOperation, MapShape};
use super::super::step::Operation;
use super::constants::are_floats;
use super::{Lowering, Map};
use crate::cpu::maps::MOST_STEPS;
use crate::{Result, UnaryCall};
use kiln_cpu::inference::Scaling;
use kiln_math::{BinaryOp, UnaryOp};

/// Steps after a sum, and the recorded buffer that they end in.
pub(super) struct Chain {
    pub(super) after: Vec<After>,
    pub(super) end: BufferId,
}

/// An activation as steps; none where the chain has a function already.
pub(super) fn activation(call: UnaryCall, after: &[After]) -> Option<Vec<After>> {
    match call.op {
        UnaryOp::Relu => Some(vec![After::Relu]),
        UnaryOp::Relu6 => Some(vec![After::Relu, After::AtMost(6.0)]),
        _ => {
            let free = !after.iter().any(|after| matches!(after, After::Map(_)));
            free.then(|| vec![After::Map(call)])
        }
    }
}

impl Lowering<'_> {
    /// Goes on with a chain that ends in a recorded buffer, which is a map of this shape.
    pub(super) fn follow(&mut self, chain: &mut Chain, shape: MapShape) -> Result<()> {
        while let Some(at) = self.uses.only_reader(chain.end) {
            // At most two more, and the scale of a filter of integers.
            if chain.after.len() + 3 > MOST_STEPS || !self.take(at, chain, shape)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes a recorded step part of the chain, where it can be.
    fn take(&mut self, at: usize, chain: &mut Chain, shape: MapShape) -> Result<bool> {
        let operation = &self.recorded[at].operation;
        let (out, next) = match operation {
            Operation::Normalize { form, out, x, moments, weight, bias } => {
                let factors = [weight.as_ref(), bias.as_ref()];
                let rectifier = form.activation.map(|call| call.op);
                let fits = self.is_end(x, chain)
                    && matches!(rectifier, None | Some(UnaryOp::Relu))
                    && (out.shape[0], out.shape[1]) == (shape.batch, shape.channels)
                    && are_floats(&self.buffers, factors.into_iter().flatten().chain([moments]));
                if !fits {
                    return Ok(false);
                }
                let scaling = self.constants.scaling(&self.buffers, form.epsilon, moments, factors)?;
                let normalize = self.normalize(&scaling)?;
                (out, [normalize].into_iter().chain(rectifier.map(|_| After::Relu)).collect())
            }
            Operation::unary { call, out, x } if self.is_end(x, chain) => match activation(*call, &chain.after) {
                Some(after) => (out, after),
                None => return Ok(false),
            },
            Operation::binary { op, out, a, b } => {
                let other = match (self.is_end(a, chain), self.is_end(b, chain)) {
                    (true, false) => b,
                    (false, true) => a,
                    _ => return Ok(false),
                };
                match self.second(*op, other, shape) {
                    Some(after) => (out, vec![after]),
                    None => return Ok(false),
                }
            }
            _ => return Ok(false),
        };
        if !self.is_whole_out(out) {
            return Ok(false);
        }
        chain.after.extend(next);
        chain.end = out.buffer;
        self.done[at] = true;
        Ok(true)
    }

    /// The step with these rows.
    pub(super) fn normalize(&mut self, scaling: &Scaling) -> Result<After> {
        let [mean, scale, shift] =
            [&scaling.mean, &scaling.scale, &scaling.shift].map(|row| self.constants.tensor(row));
        Ok(After::Normalize([mean?, scale?, shift?].map(|row| self.constant(row))))
    }

    /// Whether a view is all of what the chain ends in.
    fn is_end(&self, view: &KeptView, chain: &Chain) -> bool {
        view.buffer == chain.end && self.is_whole(view)
    }

    /// The other operand of a sum or a product, which is a map that was computed before.
    fn second(&self, op: BinaryOp, other: &KeptView, shape: MapShape) -> Option<After> {
        let map = self.maps.get(&other.buffer)?;
        match op {
            BinaryOp::Add if map.shape == shape && self.is_whole(other) => Some(After::Residual(map.buffer)),
            BinaryOp::Mul if map.shape == (MapShape { pixels: 1, ..shape }) => {
                // (N, C) or (N, C, 1, …), repeated over the pixels.
                let (dims, strides) = (other.layout.shape().dims(), other.layout.strides());
                let same = dims.get(..2) == Some(&[shape.batch, shape.channels]);
                let repeated = shape.pixels == 1 || strides.get(2..)?.iter().all(|&stride| stride == 0);
                let (n, c) = (*strides.first()?, *strides.get(1)?);
                let rows = c == 1 && (n == shape.channels as isize || shape.batch == 1);
                (same && repeated && rows && other.layout.offset() == 0).then_some(After::Scale(map.buffer))
            }
            _ => None,
        }
    }

    /// Elementwise steps on a map that there is: those that no convolution goes before.
    pub(super) fn elementwise(&mut self, at: usize, x: &KeptView) -> Result<bool> {
        let Some(&Map { buffer: map, shape }) = self.maps.get(&x.buffer) else { return Ok(false) };
        let mut chain = Chain { after: Vec::new(), end: x.buffer };
        if !self.take(at, &mut chain, shape)? {
            return Ok(false);
        }
        self.follow(&mut chain, shape)?;
        let out = self.computed(shape.len());
        let like = self.recorded[at].clone();
        let name = like.name;
        self.push(&like, MapOperation::Apply { shape, x: map, out, after: chain.after }, name);
        self.becomes(chain.end, Map { buffer: out, shape });
        Ok(true)
    }
}
