//! How much work a call of the driver is: its FLOPs and its bytes, from the shapes of its operands.
//!
//! One function for each primitive, of the primitive's name and arguments; the coarse operations are in calls.rs.

use crate::{
    ArgReduceOp, CompareOp, DType, DeviceBuffer, Distribution, Epilogue, Out, ReduceOp, ScatterOp, UnaryCall, View,
};
use kiln_math::{BinaryOp, IntegerOp, Law};

/// What a call comes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Its name, and what the name is followed by: `relu` and `gradient`.
    pub(crate) operation: &'static str,
    pub(crate) of: &'static str,
    /// None where they are not counted.
    pub(crate) flops: Option<u64>,
    /// Whether the FLOPs are those of products in another type than f32, in which the machine's peak is measured.
    pub(crate) other_type: bool,
    /// Of operands and results.
    pub(crate) bytes: u64,
}

impl Work {
    pub(crate) fn new(operation: &'static str, of: &'static str, flops: Option<u64>, bytes: u64) -> Self {
        Work { operation, of, flops, other_type: false, bytes }
    }

    /// What consists of products of elements of this type.
    pub(super) fn of_products(operation: &'static str, of: &'static str, flops: u64, dtype: DType, bytes: u64) -> Self {
        Work { other_type: dtype != DType::F32, ..Work::new(operation, of, Some(flops), bytes) }
    }

    /// What only moves elements, or compares them.
    pub(crate) fn moving(operation: &'static str, bytes: u64) -> Self {
        Work::new(operation, "", Some(0), bytes)
    }
}

/// Bytes of the elements of a view; one that is broadcast counts once.
pub(super) fn read(x: &View<'_>) -> u64 {
    let axes = x.layout.shape().iter().zip(x.layout.strides());
    let elements: usize = axes.map(|(&size, &stride)| if stride == 0 { size.min(1) } else { size }).product();
    (elements * x.dtype.size()) as u64
}

pub(super) fn read_if(x: Option<&View<'_>>) -> u64 {
    x.map_or(0, read)
}

/// Bytes of an output.
pub(super) fn written(out: &Out<'_>) -> u64 {
    (out.elements() * out.dtype.size()) as u64
}

pub(super) fn written_if(out: Option<&Out<'_>>) -> u64 {
    out.map_or(0, written)
}

/// Operations on floats are FLOPs, those on integers are none.
fn of_floats(dtype: DType, operations: usize) -> Option<u64> {
    Some(if dtype.is_float() { operations as u64 } else { 0 })
}

/// The functions of the primitives, each of references to the primitive's arguments.
pub(crate) mod primitives {
    use super::*;

    pub(crate) fn upload(_: &DeviceBuffer, _: &usize, from: &&[u8]) -> Work {
        Work::moving("upload", 2 * from.len() as u64)
    }

    pub(crate) fn download(to: &&mut [u8], _: &DeviceBuffer, _: &usize) -> Work {
        Work::moving("download", 2 * to.len() as u64)
    }

    pub(crate) fn fill(out: &Out<'_>, _: &f64) -> Work {
        Work::moving("fill", written(out))
    }

    pub(crate) fn copy(out: &View<'_>, x: &View<'_>) -> Work {
        Work::moving("copy", read(out) + read(x))
    }

    pub(crate) fn unary(call: &UnaryCall, out: &Out<'_>, x: &View<'_>) -> Work {
        Work::new(call.op.name(), "", of_floats(out.dtype, out.elements()), written(out) + read(x))
    }

    pub(crate) fn unary_grad(call: &UnaryCall, out: &Out<'_>, x: &View<'_>, y: &View<'_>, dy: &View<'_>) -> Work {
        let bytes = written(out) + read(x) + read(y) + read(dy);
        Work::new(call.op.name(), "gradient", of_floats(out.dtype, out.elements()), bytes)
    }

    pub(crate) fn binary(op: &BinaryOp, out: &Out<'_>, a: &View<'_>, b: &View<'_>) -> Work {
        Work::new(op.name(), "", of_floats(out.dtype, out.elements()), written(out) + read(a) + read(b))
    }

    pub(crate) fn integers(op: &IntegerOp, out: &Out<'_>, a: &View<'_>, b: &View<'_>) -> Work {
        Work::new(op.name(), "of integers", Some(0), written(out) + read(a) + read(b))
    }

    pub(crate) fn compare(_: &CompareOp, out: &Out<'_>, a: &View<'_>, b: &View<'_>) -> Work {
        Work::moving("compare", written(out) + read(a) + read(b))
    }

    pub(crate) fn select(out: &Out<'_>, condition: &View<'_>, a: &View<'_>, b: &View<'_>) -> Work {
        Work::moving("select", written(out) + read(condition) + read(a) + read(b))
    }

    pub(crate) fn reduce(op: &ReduceOp, out: &Out<'_>, x: &View<'_>, _: &&[usize]) -> Work {
        let operation = match op {
            ReduceOp::Sum => "sum",
            ReduceOp::Mean => "mean",
            ReduceOp::Max => "max",
            ReduceOp::Min => "min",
            ReduceOp::Prod => "prod",
        };
        Work::new(operation, "", of_floats(x.dtype, x.layout.shape().elements()), written(out) + read(x))
    }

    pub(crate) fn arg_reduce(op: &ArgReduceOp, out: &Out<'_>, x: &View<'_>, _: &usize) -> Work {
        let operation = match op {
            ArgReduceOp::Argmax => "argmax",
            ArgReduceOp::Argmin => "argmin",
        };
        Work::moving(operation, written(out) + read(x))
    }

    /// 2·m·n·k for each matrix of a batch; what bias and activation add is not counted, as in a layer's FLOPs.
    pub(crate) fn matmul(out: &Out<'_>, a: &View<'_>, b: &View<'_>, epilogue: &Epilogue<'_>) -> Work {
        let k = a.layout.shape().last().copied().unwrap_or(1);
        let before = if epilogue.accumulate { written(out) } else { 0 };
        let bytes = before + written(out) + read(a) + read(b) + read_if(epilogue.bias.as_ref());
        Work::of_products("matmul", "", 2 * (out.elements() * k) as u64, a.dtype, bytes)
    }

    /// Only the elements that are chosen are read.
    pub(crate) fn gather(out: &Out<'_>, _: &View<'_>, index: &View<'_>, _: &usize) -> Work {
        Work::moving("gather", 2 * written(out) + read(index))
    }

    /// Where elements are combined, those that are there are read too.
    pub(crate) fn scatter(op: &ScatterOp, _: &Out<'_>, y: &View<'_>, index: &View<'_>, _: &usize) -> Work {
        let combined = matches!(op, ScatterOp::Add | ScatterOp::Mul);
        let flops = if combined { of_floats(y.dtype, y.layout.shape().elements()) } else { Some(0) };
        let times = if *op == ScatterOp::Set { 2 } else { 3 };
        Work::new("scatter", "", flops, times * read(y) + read(index))
    }

    pub(crate) fn random(_: &Distribution, out: &Out<'_>, stream: &View<'_>) -> Work {
        Work::new("random", "", None, written(out) + read(stream))
    }

    pub(crate) fn sample(law: &Law, out: &Out<'_>, a: &View<'_>, b: &View<'_>, stream: &View<'_>) -> Work {
        Work::new("sample", law.name(), None, written(out) + read(a) + read(b) + read(stream))
    }
}
