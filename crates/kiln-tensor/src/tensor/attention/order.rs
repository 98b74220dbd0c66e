//! How heads lie in memory.

use crate::{Result, Shape, Tensor};

/// How an output (batch, heads, rows, width) lies in memory: its `Out` has the axes in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadOrder {
    /// (batch, heads, rows, width)
    HeadsFirst,
    /// (batch, rows, heads, width), as layers have it: then heads are joined without a copy.
    RowsFirst,
}

impl HeadOrder {
    /// That of an operand.
    pub(super) fn of(x: &Tensor) -> Self {
        match *x.layout.strides() {
            [_, head, row, _] if head.abs() < row.abs() => HeadOrder::RowsFirst,
            _ => HeadOrder::HeadsFirst,
        }
    }

    /// An output of this shape, with its axes in this order.
    pub(super) fn output(self, shape: &Shape, like: &Tensor) -> Result<Tensor> {
        let &[batch, heads, rows, width] = shape.dims() else {
            return Tensor::output(shape, like.dtype, like.device());
        };
        let shape = match self {
            HeadOrder::HeadsFirst => *shape,
            HeadOrder::RowsFirst => Shape::new(&[batch, rows, heads, width])?,
        };
        Tensor::output(&shape, like.dtype, like.device())
    }

    /// What such an output is: (batch, heads, rows, width).
    pub(super) fn view(self, output: Tensor) -> Result<Tensor> {
        match self {
            HeadOrder::HeadsFirst => Ok(output),
            HeadOrder::RowsFirst => output.transpose(1, 2),
        }
    }
}

/// Rows whose elements are adjacent.
pub(super) fn adjacent(x: &Tensor) -> Result<Tensor> {
    if x.layout.strides().last() == Some(&1) { Ok(x.clone()) } else { x.contiguous() }
}
