//! One pair of operands: their product, summed over the labels that nothing needs any more.

use super::Term;
use super::equation::{Label, has};
use crate::{Arithmetic, MAX_RANK, Result, Shape};

/// The product of a and b over the labels `kept` of both; `wanted` is the order in which the labels are wanted at the end.
pub(super) fn multiply<A: Arithmetic>(a: Term<A>, b: Term<A>, kept: u64, wanted: &[Label]) -> Result<Term<A>> {
    // The one whose labels come first is the left one: then the product lies as it is wanted.
    let first = wanted.iter().find(|&&label| a.has(label) != b.has(label));
    let (a, b) = if first.is_some_and(|&label| b.has(label)) { (b, a) } else { (a, b) };
    let rank = |label: &Label| wanted.iter().position(|other| other == label).unwrap_or(wanted.len());
    let mut batch: Vec<Label> = a.labels.iter().copied().filter(|&label| b.has(label) && has(kept, label)).collect();
    batch.sort_by_key(rank);
    let summed: Vec<Label> = a.labels.iter().copied().filter(|&label| b.has(label) && !has(kept, label)).collect();
    let (rows, columns) = (a.alone(&b), b.alone(&a));
    if rows.is_empty() && columns.is_empty() && !summed.is_empty() {
        return dots(a, b, batch, &summed);
    }
    if summed.is_empty() && (a.elements(&rows) < OUTER || b.elements(&columns) < OUTER) {
        return elementwise(a, b, [batch, rows, columns].concat(), rank);
    }
    // A small matrix times a vector is quicker as the vector times it.
    if columns.is_empty() && a.elements(&rows).saturating_mul(a.elements(&summed)) < SMALL {
        return products(b, a, batch, columns, rows, summed);
    }
    products(a, b, batch, rows, columns, summed)
}

/// Outer products from this many rows and columns on are matrix products.
const OUTER: usize = 16;
/// Elements of a small matrix.
const SMALL: usize = 1 << 16;

/// One matrix product for each index of the batch.
fn products<A: Arithmetic>(
    a: Term<A>,
    b: Term<A>,
    batch: Vec<Label>,
    rows: Vec<Label>,
    columns: Vec<Label>,
    summed: Vec<Label>,
) -> Result<Term<A>> {
    let summed = a.and_b_merge(&b, summed);
    let labels = [&batch[..], &rows, &columns].concat();
    let sizes: Vec<usize> = labels.iter().map(|&label| a.size(label).or(b.size(label)).unwrap_or(1)).collect();
    // Batch axes stay apart, as the product reads them at any strides, as long as there is room.
    let merged = batch.len() + 2 > MAX_RANK;
    let left = a.as_matrices(&batch, merged, &rows, &summed)?;
    let right = b.as_matrices(&batch, merged, &summed, &columns)?;
    Ok(Term { value: left.matmul(&right)?.reshape(Shape::new(&sizes)?)?, labels })
}

/// The sum of products for each index of the batch, where both have the same labels. A matrix product of one element has but one
/// chain of sums, a reduction has many side by side.
fn dots<A: Arithmetic>(a: Term<A>, b: Term<A>, batch: Vec<Label>, summed: &[Label]) -> Result<Term<A>> {
    let order = [&batch[..], summed].concat();
    let dtype = a.value.value().dtype();
    let over = |term: &Term<A>| term.permuted(&order)?.to_dtype(dtype.computed_in());
    let product = over(&a)?.mul(&over(&b)?)?;
    let sizes: Vec<usize> = product.shape()[..batch.len()].to_vec();
    let axes: Vec<usize> = (batch.len()..order.len()).collect();
    let value = product.sum_keepdim(&axes)?.reshape(Shape::new(&sizes)?)?.to_dtype(dtype)?;
    Ok(Term { value, labels: batch })
}

/// The product without a sum, by broadcasting, its axes in the order that is wanted.
fn elementwise<A: Arithmetic>(
    a: Term<A>,
    b: Term<A>,
    mut labels: Vec<Label>,
    rank: impl Fn(&Label) -> usize,
) -> Result<Term<A>> {
    labels.sort_by_key(rank);
    let over = |term: &Term<A>| -> Result<A> {
        let own: Vec<Label> = labels.iter().copied().filter(|&label| term.has(label)).collect();
        let dims: Vec<usize> = labels.iter().map(|&label| term.size(label).unwrap_or(1)).collect();
        term.permuted(&own)?.reshape(Shape::new(&dims)?)
    };
    Ok(Term { value: over(&a)?.mul(&over(&b)?)?, labels })
}

impl<A: Arithmetic> Term<A> {
    /// How many elements the axes of these labels have.
    fn elements(&self, labels: &[Label]) -> usize {
        labels.iter().filter_map(|&label| self.size(label)).product()
    }

    /// The labels that the other one does not have, as they lie in memory, the outermost first: so they are one axis, if they can be.
    fn alone(&self, other: &Term<A>) -> Vec<Label> {
        let strides = self.value.value().layout().strides();
        let mut own: Vec<(usize, Label)> =
            self.labels.iter().copied().enumerate().filter(|&(_, l)| !other.has(l)).collect();
        own.sort_by_key(|&(axis, _)| std::cmp::Reverse(strides[axis].unsigned_abs()));
        own.into_iter().map(|(_, label)| label).collect()
    }

    /// The axes of these labels.
    fn axes(&self, labels: &[Label]) -> Vec<usize> {
        labels.iter().filter_map(|label| self.labels.iter().position(|own| own == label)).collect()
    }

    /// Whether the axes of these labels are one axis as they lie.
    fn is_one_axis(&self, labels: &[Label]) -> bool {
        let axes = self.axes(labels);
        let layout = self.value.value().layout();
        let mut step = None;
        for &axis in axes.iter().rev() {
            let (size, stride) = (layout.shape()[axis] as isize, layout.strides()[axis]);
            if step.is_some_and(|step| step != stride) {
                return false;
            }
            step = Some(stride * size);
        }
        true
    }

    /// The summed labels in an order in which they are one axis of both operands, or else of the larger one.
    fn and_b_merge(&self, b: &Term<A>, summed: Vec<Label>) -> Vec<Label> {
        let by_memory = |term: &Term<A>| {
            let strides = term.value.value().layout().strides();
            let mut labels = summed.clone();
            labels.sort_by_key(|label| {
                let axis = term.labels.iter().position(|own| own == label);
                std::cmp::Reverse(axis.map_or(0, |axis| strides[axis].unsigned_abs()))
            });
            labels
        };
        let (larger, smaller) =
            if self.value.value().elements() < b.value.value().elements() { (b, self) } else { (self, b) };
        let (first, second) = (by_memory(larger), by_memory(smaller));
        if !larger.is_one_axis(&first) || (larger.is_one_axis(&second) && !smaller.is_one_axis(&first)) {
            second
        } else {
            first
        }
    }

    /// As matrices (batch…, rows, columns), each group one axis: a view where the axes of a group lie as one.
    fn as_matrices(&self, batch: &[Label], merged: bool, rows: &[Label], columns: &[Label]) -> Result<A> {
        let mut dims: Vec<usize> = batch.iter().filter_map(|&label| self.size(label)).collect();
        if merged {
            dims = vec![dims.iter().product()];
        }
        dims.extend([self.elements(rows), self.elements(columns)]);
        self.permuted(&[batch, rows, columns].concat())?.reshape(Shape::new(&dims)?)
    }

    /// The axes in the order of these labels, which are all of this term's.
    pub(super) fn permuted(&self, labels: &[Label]) -> Result<A> {
        if labels == self.labels {
            return Ok(self.value.clone());
        }
        self.value.permute(&self.axes(labels))
    }
}
