//! Einstein summation: sums of products of operands whose axes have letters.
//!
//! Each operand is made small first (diagonals of letters that it has twice, sums over letters that nothing else has, axes of size 1
//! left out); then two at a time are multiplied, in the order that takes the fewest multiplications, as one batched matrix product.

mod equation;
mod order;
mod pair;

pub(super) use equation::{Equation, Label};

use crate::tensor::check_pair;
use crate::{Arithmetic, DType, Error, ErrorKind, MAX_RANK, Result, Shape, Tensor, unsupported_dtype};
use equation::{Sizes, has, set_of};

/// A value whose axes have labels.
struct Term<A> {
    value: A,
    labels: Vec<Label>,
}

impl<A: Arithmetic> Term<A> {
    fn has(&self, label: Label) -> bool {
        self.labels.contains(&label)
    }

    fn size(&self, label: Label) -> Option<usize> {
        let axis = self.labels.iter().position(|&own| own == label)?;
        self.value.shape().get(axis).copied()
    }

    /// Without the axes of size 1, which repeat or hold nothing.
    fn without_ones(self) -> Result<Self> {
        let (dims, labels): (Vec<usize>, Vec<Label>) =
            self.value.shape().iter().copied().zip(self.labels.iter().copied()).filter(|&(size, _)| size != 1).unzip();
        if labels.len() == self.labels.len() {
            return Ok(self);
        }
        Ok(Term { value: self.value.reshape(Shape::new(&dims)?)?, labels })
    }

    /// With one axis for each label: the diagonal of a label that is there twice.
    fn diagonals(mut self) -> Result<Self> {
        let twice = |labels: &[Label]| {
            (1..labels.len()).find_map(|b| labels[..b].iter().position(|other| *other == labels[b]).map(|a| (a, b)))
        };
        while let Some((a, b)) = twice(&self.labels) {
            let size = self.value.shape()[a];
            let mut order: Vec<usize> = (0..self.labels.len()).filter(|&axis| axis != a && axis != b).collect();
            let mut dims: Vec<usize> = order.iter().map(|&axis| self.value.shape()[axis]).collect();
            let last = order.len();
            self.labels = order.iter().chain([&a]).map(|&axis| self.labels[axis]).collect();
            order.extend([a, b]);
            dims.push(size * size);
            let places: Vec<i64> = (0..size).map(|i| (i * (size + 1)) as i64).collect();
            let places = Tensor::from_slice(&places, [size], self.value.value().device())?;
            self.value = self.value.permute(&order)?.reshape(Shape::new(&dims)?)?.index_select(last, &places)?;
        }
        Ok(self)
    }

    /// Summed over the labels that are not kept.
    fn summed(self, kept: u64) -> Result<Self> {
        let axes: Vec<usize> = (0..self.labels.len()).filter(|&axis| !has(kept, self.labels[axis])).collect();
        if axes.is_empty() {
            return Ok(self);
        }
        let value = self.value.sum_keepdim(&axes)?;
        let left = || (0..self.labels.len()).filter(|axis| !axes.contains(axis));
        let dims: Vec<usize> = left().map(|axis| value.shape()[axis]).collect();
        Ok(Term { labels: left().map(|axis| self.labels[axis]).collect(), value: value.reshape(Shape::new(&dims)?)? })
    }
}

/// One dtype, a float type, on one device.
fn check<A: Arithmetic>(operation: &'static str, operands: &[&A]) -> Result<DType> {
    let Some(first) = operands.first() else {
        return Err(Error::value(operation, "at least one operand is needed"));
    };
    operands.iter().try_for_each(|operand| check_pair(operation, first.value(), operand.value()))?;
    let dtype = first.value().dtype();
    if dtype.is_float() { Ok(dtype) } else { Err(unsupported_dtype(operation, dtype, "f32, f64, f16 or bf16")) }
}

/// The value of an equation.
pub(super) fn evaluate<A: Arithmetic>(operation: &'static str, equation: &Equation, operands: &[&A]) -> Result<A> {
    let dtype = check(operation, operands)?;
    if equation.output.len() > MAX_RANK {
        let message = format!("the output has {} axes, at most {MAX_RANK} are supported", equation.output.len());
        return Err(Error::shape(operation, message));
    }
    let shapes: Vec<&Shape> = operands.iter().map(|operand| operand.shape()).collect();
    let sizes = equation.sizes(operation, &shapes)?;
    // An axis of size 1 repeats: its letter is that of the others alone.
    let present = |(labels, shape): (&Vec<Label>, &&Shape)| {
        labels.iter().zip(shape.iter()).filter(|&(_, &size)| size != 1).fold(0, |set, (label, _)| set | 1 << label)
    };
    let sets: Vec<u64> = equation.operands.iter().zip(&shapes).map(present).collect();
    let kept = |position: usize| {
        let others = sets.iter().enumerate().filter(|&(other, _)| other != position);
        others.fold(set_of(&equation.output), |labels, (_, other)| labels | other)
    };
    // One product or one sum rounds once anyway.
    let several = operands.len() > 2 || (operands.len() == 2 && (0..2).any(|i| sets[i] & !kept(i) != 0));
    let wide = if several { dtype.computed_in() } else { dtype };
    let terms = operands.iter().zip(&equation.operands).enumerate().map(|(position, (operand, labels))| {
        let value = if wide == dtype { (*operand).clone() } else { operand.to_dtype(wide)? };
        Term { value, labels: labels.clone() }.without_ones()?.diagonals()?.summed(kept(position))
    });
    let term = product(operation, terms.collect::<Result<Vec<_>>>()?, &equation.output, &sizes)?;
    let present: Vec<Label> = equation.output.iter().copied().filter(|&label| term.has(label)).collect();
    let dims: Vec<usize> = equation.output.iter().map(|&label| sizes[usize::from(label)]).collect();
    let value = term.permuted(&present)?;
    let value = if present.len() == dims.len() { value } else { value.reshape(Shape::new(&dims)?)? };
    if wide == dtype { Ok(value) } else { value.to_dtype(dtype) }
}

/// The product of all terms, summed over what the output does not have.
fn product<A: Arithmetic>(
    operation: &'static str,
    terms: Vec<Term<A>>,
    output: &[Label],
    sizes: &Sizes,
) -> Result<Term<A>> {
    let sets: Vec<u64> = terms.iter().map(|term| set_of(&term.labels)).collect();
    let steps = order::order(&sets, set_of(output), sizes).ok_or_else(|| {
        let message = format!(
            "in every order a product of two operands has more than {MAX_RANK} axes: multiply some operands first, and reshape several axes \
             into one"
        );
        Error::new(ErrorKind::Unsupported, operation, message)
    })?;
    let mut terms: Vec<Option<Term<A>>> = terms.into_iter().map(Some).collect();
    for (a, b) in steps {
        if let (Some(a), Some(b)) = (terms[a].take(), terms[b].take()) {
            let others = terms.iter().flatten().fold(set_of(output), |labels, term| labels | set_of(&term.labels));
            terms.push(Some(pair::multiply(a, b, others, output)?));
        }
    }
    let last = terms.pop().flatten();
    last.ok_or_else(|| Error::value(operation, "at least one operand is needed"))
}
