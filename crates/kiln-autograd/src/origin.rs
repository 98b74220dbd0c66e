//! Where probabilities come from: the logits that a softmax or a sigmoid was taken of.

use crate::Var;
use kiln_tensor::{Result, Shape};

/// The function that made probabilities of logits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Squash {
    /// Softmax along this axis.
    Softmax {
        /// The axis of the Var that has the origin.
        axis: usize,
    },
    /// Sigmoid, element by element.
    Sigmoid,
}

impl Squash {
    /// As seen after a reshape: a softmax needs its axis to stay an axis of its own.
    pub(crate) fn reshaped(self, from: &Shape, to: &Shape) -> Option<Self> {
        let Squash::Softmax { axis } = self else { return Some(self) };
        let before: usize = from[..axis].iter().product();
        let after: usize = from[axis + 1..].iter().product();
        let is_own = |position: usize| {
            let (front, rest) = to.split_at(position);
            rest.first() == Some(&from[axis])
                && front.iter().product::<usize>() == before
                && rest[1..].iter().product::<usize>() == after
        };
        // Beside axes of size 1, one of a single class could be several: where it was, from either end, comes first.
        let from_end = (to.rank() + axis).checked_sub(from.rank());
        let places = [Some(axis), from_end].into_iter().flatten().chain(0..to.rank());
        places
            .into_iter()
            .find(|&position| position < to.rank() && is_own(position))
            .map(|axis| Squash::Softmax { axis })
    }

    /// As seen after axis `i` became axis `order[i]` of what was.
    pub(crate) fn permuted(self, order: &[usize]) -> Option<Self> {
        let Squash::Softmax { axis } = self else { return Some(self) };
        order.iter().position(|&from| from == axis).map(|axis| Squash::Softmax { axis })
    }

    /// As seen after elements were chosen, repeated or put together along other axes than a softmax's.
    pub(crate) fn if_untouched(self, touches: impl FnOnce(usize) -> bool) -> Option<Self> {
        match self {
            Squash::Softmax { axis } if touches(axis) => None,
            _ => Some(self),
        }
    }

    /// As seen after broadcasting from one shape to another.
    pub(crate) fn broadcast(self, from: &Shape, to: &Shape) -> Option<Self> {
        let Squash::Softmax { axis } = self else { return Some(self) };
        let moved = axis + to.rank() - from.rank();
        (from[axis] == to[moved]).then_some(Squash::Softmax { axis: moved })
    }
}

/// Where a Var comes from that is the output of a softmax or a sigmoid, perhaps seen in another shape since; see
/// [`Var::origin`].
#[derive(Clone, Debug)]
pub struct Origin {
    squash: Squash,
    logits: Var,
}

impl Origin {
    /// What made the probabilities of the logits.
    pub fn squash(&self) -> Squash {
        self.squash
    }

    /// The logits, in the shape of the Var that has this origin and with their place in the graph.
    pub fn logits(&self) -> &Var {
        &self.logits
    }
}

impl Var {
    /// The logits that these probabilities were made of, where they are the output of [`Var::softmax`] or [`Var::sigmoid`],
    /// also after operations that only move elements: reshape, permute, slice, concat, a choice of rows, a conversion.
    ///
    /// A loss of probabilities should ask for it: ln p of a p that was rounded to 0 or 1 is wrong and has no gradient, that
    /// of its logits is exact. It is there in training and in evaluation alike, so both report the same loss. A custom
    /// loss does it like this:
    ///
    /// ```
    /// use kiln_autograd::{Squash, Var};
    /// use kiln_tensor::{Device, Result, Tensor};
    ///
    /// /// −ln p of each element.
    /// fn surprise(p: &Var) -> Result<Var> {
    ///     match p.origin() {
    ///         // −ln σ(x) = softplus(−x)
    ///         Some(origin) if origin.squash() == Squash::Sigmoid => origin.logits().neg()?.softplus(),
    ///         _ => p.ln()?.neg(),
    ///     }
    /// }
    ///
    /// # fn main() -> Result<()> {
    /// let x = Var::variable(Tensor::from_slice(&[-200.0f32], [1], &Device::cpu())?);
    /// assert_eq!(surprise(&x.sigmoid()?)?.item()?, 200.0);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn origin(&self) -> Option<&Origin> {
        self.known_origin()
    }

    /// This output of `squash` with its logits. They are kept as long as this Var is, by no node.
    pub(crate) fn made_of(self, squash: Squash, logits: &Var) -> Var {
        // Without their own origin, so that a chain of sigmoids is no chain of owners.
        let logits = Var::with_node(logits.tensor().clone(), logits.node().cloned());
        self.known(Origin { squash, logits })
    }

    /// This result of moving the elements of `from`, with the origin that `from` had: `squash` says how it is seen now, `same`
    /// moves the logits likewise.
    #[inline]
    pub(crate) fn moved_from(
        self,
        from: &Var,
        squash: impl FnOnce(Squash) -> Option<Squash>,
        same: impl FnOnce(&Var) -> Result<Var>,
    ) -> Result<Var> {
        let Some(origin) = from.origin() else { return Ok(self) };
        match squash(origin.squash) {
            Some(squash) => Ok(self.made_of(squash, &same(&origin.logits)?)),
            None => Ok(self),
        }
    }

    /// As [`Var::moved_from`], of several Vars that became one: they must all come from the same function.
    pub(crate) fn moved_from_all(
        self,
        from: &[&Var],
        squash: impl Fn(usize, Squash) -> Option<Squash>,
        same: impl FnOnce(&[&Var]) -> Result<Var>,
    ) -> Result<Var> {
        let Some(first) = from.first().and_then(|var| var.origin()) else { return Ok(self) };
        let Some(seen) = squash(0, first.squash) else { return Ok(self) };
        let mut logits = Vec::with_capacity(from.len());
        for (position, var) in from.iter().enumerate() {
            match var.origin() {
                Some(origin) if squash(position, origin.squash) == Some(seen) => logits.push(&origin.logits),
                _ => return Ok(self),
            }
        }
        Ok(self.made_of(seen, &same(&logits)?))
    }
}
