//! Kernels of one tap: plain matrix products over planes as they lie.

use super::Conv;
use crate::gemm::{Bias, GemmEpilogue, GemmFloat, Operands, Product, Segment, gemm_batched_by, gemm_by};

/// Elements from one image to the next, and from one group to the next, of input and output.
struct Steps {
    image: [usize; 2],
    group: [usize; 2],
    plane: isize,
}

impl Steps {
    fn new(conv: &Conv) -> Steps {
        let group = [conv.inputs, conv.outputs].map(|channels| channels * conv.plane());
        Steps { image: group.map(|elements| elements * conv.groups), group, plane: conv.plane() as isize }
    }
}

/// y = weight (outputs, inputs) · x (inputs, plane) for each image and group.
pub(super) fn forward<T: GemmFloat>(
    operands: Operands<T>,
    conv: &Conv,
    x: &[T],
    weight: &[T],
    y: &mut [T],
    epilogue: &GemmEpilogue<'_, T>,
) {
    let steps = Steps::new(conv);
    let to = y.as_mut_ptr();
    for group in 0..conv.groups {
        let weight = &weight[group * conv.outputs * conv.inputs..];
        let segments = [Segment { a: weight.as_ptr(), b: x[group * steps.group[0]..].as_ptr(), k: conv.inputs }];
        // A result is a row here.
        let bias = match epilogue.bias {
            Bias::Row(bias) => Bias::Column(&bias[group * conv.outputs..]),
            other => other,
        };
        let product = Product {
            rows: conv.outputs,
            cols: conv.plane(),
            segments: &segments,
            a_strides: (conv.inputs as isize, 1),
            b_strides: (steps.plane, 1),
            c: to.wrapping_add(group * steps.group[1]),
            c_strides: (steps.plane, 1),
            epilogue: GemmEpilogue { bias, ..*epilogue },
        };
        let displace = |n: usize| (0, (n * steps.image[0]) as isize, (n * steps.image[1]) as isize);
        // SAFETY: the lengths were checked: each product reads its image and group of x and writes its own of y.
        unsafe { gemm_batched_by(operands, conv.batch, &product, displace) };
    }
}

/// dx = weightᵀ (inputs, outputs) · dy (outputs, plane) for each image and group.
pub(super) fn grad_input<T: GemmFloat>(operands: Operands<T>, conv: &Conv, dy: &[T], weight: &[T], dx: &mut [T]) {
    let steps = Steps::new(conv);
    let to = dx.as_mut_ptr();
    for group in 0..conv.groups {
        let weight = &weight[group * conv.outputs * conv.inputs..];
        let segments = [Segment { a: weight.as_ptr(), b: dy[group * steps.group[1]..].as_ptr(), k: conv.outputs }];
        let product = Product {
            rows: conv.inputs,
            cols: conv.plane(),
            segments: &segments,
            a_strides: (1, conv.inputs as isize),
            b_strides: (steps.plane, 1),
            c: to.wrapping_add(group * steps.group[0]),
            c_strides: (steps.plane, 1),
            epilogue: GemmEpilogue::overwrite(),
        };
        let displace = |n: usize| (0, (n * steps.image[1]) as isize, (n * steps.image[0]) as isize);
        // SAFETY: as in `forward`.
        unsafe { gemm_batched_by(operands, conv.batch, &product, displace) };
    }
}

/// dw = Σ over images of dy (outputs, plane) · xᵀ (plane, inputs), for each group.
pub(super) fn grad_weight<T: GemmFloat>(operands: Operands<T>, conv: &Conv, x: &[T], dy: &[T], dw: &mut [T]) {
    let steps = Steps::new(conv);
    for group in 0..conv.groups {
        let segments: Vec<Segment<T>> = (0..conv.batch)
            .map(|n| Segment {
                a: dy[n * steps.image[1] + group * steps.group[1]..].as_ptr(),
                b: x[n * steps.image[0] + group * steps.group[0]..].as_ptr(),
                k: conv.plane(),
            })
            .collect();
        let to = &mut dw[group * conv.outputs * conv.inputs..][..conv.outputs * conv.inputs];
        let product = Product {
            rows: conv.outputs,
            cols: conv.inputs,
            segments: &segments,
            a_strides: (steps.plane, 1),
            b_strides: (1, steps.plane),
            c: to.as_mut_ptr(),
            c_strides: (conv.inputs as isize, 1),
            epilogue: GemmEpilogue::overwrite(),
        };
        // SAFETY: the lengths were checked; the group's part of dw is this product's own.
        unsafe { gemm_by(operands, &product) };
    }
}
