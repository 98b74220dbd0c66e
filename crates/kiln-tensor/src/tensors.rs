//! `Tensors`: one tensor or several.

use crate::Tensor;
use std::ops::Deref;

/// One tensor or several, as the inputs and the targets of a model are. It reads as its first tensor, which is the only one of
/// most data: `batch.inputs.dims()`; [`Tensors::iter`] gives all.
#[derive(Clone, Debug)]
pub struct Tensors {
    first: Tensor,
    others: Vec<Tensor>,
}

impl Tensors {
    /// Of these in order; none where there are none.
    pub fn of(tensors: impl IntoIterator<Item = Tensor>) -> Option<Self> {
        let mut tensors = tensors.into_iter();
        tensors.next().map(|first| Tensors { first, others: tensors.collect() })
    }

    /// The same with one more at the end.
    #[must_use]
    pub fn with(mut self, tensor: Tensor) -> Self {
        self.others.push(tensor);
        self
    }

    /// How many there are: at least 1.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tensor> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The first alone.
    pub fn into_first(self) -> Tensor {
        self.first
    }

    /// What `f` makes of each.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn try_map<E>(&self, f: impl Fn(&Tensor) -> Result<Tensor, E>) -> Result<Tensors, E> {
        let others = self.others.iter().map(&f).collect::<Result<_, _>>()?;
        Ok(Tensors { first: f(&self.first)?, others })
    }
}

impl Deref for Tensors {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.first
    }
}

impl From<Tensor> for Tensors {
    fn from(first: Tensor) -> Self {
        Tensors { first, others: Vec::new() }
    }
}

impl From<&Tensor> for Tensors {
    fn from(first: &Tensor) -> Self {
        first.clone().into()
    }
}

impl From<&Tensors> for Tensors {
    fn from(tensors: &Tensors) -> Self {
        tensors.clone()
    }
}

macro_rules! tuples {
    ($(($($tensor:ident),+);)+) => {$(
        impl From<(Tensor, $(tuples!(@ $tensor)),+)> for Tensors {
            fn from((first, $($tensor),+): (Tensor, $(tuples!(@ $tensor)),+)) -> Self {
                Tensors { first, others: vec![$($tensor),+] }
            }
        }
    )+};
    (@ $tensor:ident) => { Tensor };
}
tuples! {
    (b);
    (b, c);
    (b, c, d);
}
