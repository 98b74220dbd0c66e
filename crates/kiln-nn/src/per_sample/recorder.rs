//! What layers tell of how they use their parameters.

use crate::Param;
use kiln_autograd::{LeafId, Var};
use kiln_tensor::{Convolution, Error, Result, Shape, Tensor};
use std::cell::RefCell;

/// How an output, before the activation, depends on a weight and a bias.
#[derive(Clone, Debug)]
pub(crate) enum Use {
    /// x·Wᵀ + b, of x (N, …, in).
    Product(Tensor),
    /// x ∗ W + b, of x (N, C, D…) and a weight of this shape.
    Convolution(Tensor, Convolution, Shape),
    /// Rows of a weight of so many, at indices (N, …).
    Rows(Tensor, usize),
    /// x·W + b by elements, of x (N, …) and a weight of so many last axes.
    LastAxes(Tensor, usize),
    /// x·W + b, of x (N, C, …) and a weight (C,).
    Channels(Tensor),
}

/// One use of a weight and a bias; those that are frozen are left out.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) how: Use,
    pub(super) weight: Option<LeafId>,
    pub(super) bias: Option<LeafId>,
    /// What the weight and the bias made.
    pub(super) output: Var,
}

impl Recorded {
    pub(super) fn is_of(&self, id: LeafId) -> bool {
        self.weight == Some(id) || self.bias == Some(id)
    }
}

/// All uses of parameters in a forward pass.
#[derive(Default, Debug)]
pub(crate) struct Recorder {
    recorded: RefCell<Vec<Recorded>>,
    /// The parameters, as often as they were asked for.
    used: RefCell<Vec<LeafId>>,
}

impl Recorder {
    /// A parameter was asked for.
    #[cold]
    pub(crate) fn used(&self, id: LeafId) {
        self.used.borrow_mut().push(id);
    }

    /// This is what it was asked for.
    pub(crate) fn add(&self, how: Use, weight: Option<&Param>, bias: Option<&Param>, output: &Var) {
        let id = |parameter: Option<&Param>| parameter.filter(|parameter| parameter.trainable()).map(Param::id);
        let (weight, bias) = (id(weight), id(bias));
        if weight.is_some() || bias.is_some() {
            self.recorded.borrow_mut().push(Recorded { how, weight, bias, output: output.clone() });
        }
    }

    /// Fails where a parameter was used in a way that is not known.
    pub(super) fn check(&self, path: &str, id: LeafId) -> Result<()> {
        let used = self.used.borrow().iter().filter(|&&used| used == id).count();
        let known = self.recorded.borrow().iter().filter(|one| one.is_of(id)).count();
        let refused = |why: &str| {
            let message = format!("`{path}` {why}; freeze it where its gradient does not matter");
            Err(Error::value(super::OPERATION, message))
        };
        if used == 0 {
            return refused("was not used by the forward pass");
        }
        if used != known {
            return refused(
                "is used by a layer whose gradients are not known by sample: Dense, Linear, Conv, DepthwiseConv, Embedding, LayerNorm, \
                 RmsNorm, GroupNorm, InstanceNorm and BatchNorm are",
            );
        }
        Ok(())
    }

    pub(super) fn into_recorded(self) -> Vec<Recorded> {
        self.recorded.into_inner()
    }
}
