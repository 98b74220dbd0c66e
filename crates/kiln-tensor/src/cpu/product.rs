//! Matrix products, batched over leading axes.

use super::CpuBackend;
use super::memory::strided;
use super::rows::rows;
use crate::{Epilogue, Out, Result, View};
use kiln_cpu::gemm::{self, Bias, GemmActivation, MatrixElement, Product, Segment};
use kiln_cpu::operand::Stored;
use kiln_cpu::{Isa, elementwise};
use kiln_math::UnaryOp;

/// A type whose products are accumulated in the type that it is computed in.
pub(super) trait Multiplied: Stored + MatrixElement<Accumulator = <Self as Stored>::Compute> {}
impl<T: Stored + MatrixElement<Accumulator = <T as Stored>::Compute>> Multiplied for T {}

/// What `f` makes of the kernels' form of an epilogue.
///
/// # Safety
/// The bias is of T's dtype, and can be read for the call.
#[inline]
pub(super) unsafe fn with_epilogue<T: Multiplied>(
    cpu: &CpuBackend,
    epilogue: &Epilogue<'_>,
    f: impl FnOnce(&gemm::GemmEpilogue<'_, T::Compute>) -> Result<()>,
) -> Result<()>
where
    T::Compute: gemm::GemmFloat,
{
    let &Epilogue { accumulate, ref bias, activation } = epilogue;
    // SAFETY: the caller's promise.
    let bias = bias.as_ref().map(|bias| unsafe { rows::<T>(cpu, bias) }).transpose()?;
    let isa = cpu.isa;
    let activate =
        activation.map(|call| move |x: &mut [T::Compute]| elementwise::unary_in_place(isa, call.op, call.params, x));
    f(&gemm::GemmEpilogue {
        accumulate,
        bias: bias.as_ref().map_or(Bias::None, |bias| Bias::Row(bias)),
        activation: match (activation, &activate) {
            (Some(call), _) if call.op == UnaryOp::Relu => GemmActivation::Relu,
            (_, Some(activate)) => GemmActivation::Map(activate),
            _ => GemmActivation::None,
        },
    })
}

/// out (…, m, n) = epilogue(a (…, m, k) · b (…, k, n)), all batch axes broadcast already.
///
/// # Safety
/// As for [`crate::Backend::matmul`]; all are of T's dtype.
#[inline]
pub(super) unsafe fn matmul<T: Multiplied>(
    cpu: &CpuBackend,
    out: &Out<'_>,
    a: &View<'_>,
    b: &View<'_>,
    epilogue: &Epilogue<'_>,
) -> Result<()>
where
    T::Compute: gemm::GemmFloat,
{
    if out.elements() == 0 {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    unsafe {
        with_epilogue::<T>(cpu, epilogue, |epilogue| {
            multiply::<T>(cpu.isa, out, a, b, epilogue);
            Ok(())
        })
    }
}

/// [`matmul`] of an output that has elements, with the kernels' form of the epilogue.
///
/// # Safety
/// As there.
#[inline]
unsafe fn multiply<T: Multiplied>(
    isa: Isa,
    out: &Out<'_>,
    a: &View<'_>,
    b: &View<'_>,
    epilogue: &gemm::GemmEpilogue<'_, T::Compute>,
) where
    T::Compute: gemm::GemmFloat,
{
    let rank = out.shape.rank();
    let (m, n) = (out.shape[rank - 2], out.shape[rank - 1]);
    let k = a.layout.shape()[rank - 1];
    let (a_steps, b_steps) = (a.layout.strides(), b.layout.strides());
    // SAFETY: operands and output are of T's dtype.
    let (first_a, first_b) = unsafe { (strided::<T>(a).first_element(), strided::<T>(b).first_element()) };
    let segment = [Segment { a: first_a, b: first_b, k }];
    let mut product = Product {
        rows: m,
        cols: n,
        segments: &segment,
        a_strides: (a_steps[rank - 2], a_steps[rank - 1]),
        b_strides: (b_steps[rank - 2], b_steps[rank - 1]),
        c: (out.buffer.address as *mut T).wrapping_add(out.offset),
        c_strides: (n as isize, 1),
        epilogue: *epilogue,
    };
    let batch = &out.shape[..rank - 2];
    let count: usize = batch.iter().product();
    if count == 1 {
        // SAFETY: the backend's contract: views within their buffers, the output this call's alone and apart from them.
        return unsafe { gemm::gemm(isa, &product) };
    }
    if let Some(rows) = one_product(batch, m, a_steps, b_steps) {
        product.rows = rows;
        // SAFETY: as above; the rows of all the batch lie one stride apart.
        return unsafe { gemm::gemm(isa, &product) };
    }
    let displace = |i: usize| {
        let (mut rest, mut a_at, mut b_at) = (i, 0, 0);
        for axis in (0..batch.len()).rev() {
            let index = (rest % batch[axis]) as isize;
            rest /= batch[axis];
            a_at += index * a_steps[axis];
            b_at += index * b_steps[axis];
        }
        (a_at, b_at, (i * m * n) as isize)
    };
    // SAFETY: as above, for each product of the batch; their outputs are apart.
    unsafe { gemm::gemm_batched(isa, count, &product, displace) };
}

/// Where one b serves the whole batch and a's rows lie evenly: the rows of the one product that does it all.
fn one_product(batch: &[usize], m: usize, a_steps: &[isize], b_steps: &[isize]) -> Option<usize> {
    let axes = batch.len();
    let mut expected = a_steps[axes] * m as isize;
    for axis in (0..axes).rev() {
        if batch[axis] != 1 && (b_steps[axis] != 0 || a_steps[axis] != expected) {
            return None;
        }
        expected *= batch[axis] as isize;
    }
    Some(batch.iter().product::<usize>() * m)
}
