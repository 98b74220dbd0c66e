//! Convolutions over images (N, C, D, H, W): forward, and the gradients of input and weight.
//!
//! A convolution is a matrix product whose sum runs over the taps of the kernel: the micro-kernel of the matrix product is
//! given one term of the sum for each tap, so nothing is unfolded. It multiplies rows of pixels (of one image, or the same
//! pixel of many images) by a panel of weights; for that the channels of a pixel are made adjacent, a strip of the image at a
//! time, in the cache, and results go back to planes the same way.
//!
//! The terms of each element's sum have an order, and the sum is cut into blocks of at most [`K_BLOCK`] terms, that the form alone
//! fixes: a block is a chain of fused multiply-adds from 0, and the blocks are added in order. So the bits depend neither on the
//! threads nor on the instruction set. Which terms make a block is said where they are summed.
//!
//! [`K_BLOCK`]: kiln_math::K_BLOCK

mod correlation;
mod depthwise;
mod field;
mod pairs;
mod pointwise;
mod scratch;
mod taps;
mod unfolded;
mod weight_gradient;
mod weights;

use crate::gemm::{Bias, GemmEpilogue, GemmFloat, Operands};
use crate::isa::Isa;
use crate::operand::Number;
use correlation::Correlation;
use taps::Axis;

pub use pairs::{forward_bf16, grad_input_bf16, grad_weight_bf16};

/// A number that convolutions compute with: f32 or f64.
pub trait Float: GemmFloat + Number {}
impl<T: GemmFloat + Number> Float for T {}

/// The form of a convolution. Spatial axes are three; those that are absent have size 1, and a kernel of 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Images.
    pub batch: usize,
    /// Groups of channels that do not meet.
    pub groups: usize,
    /// Input channels of a group.
    pub inputs: usize,
    /// Output channels of a group.
    pub outputs: usize,
    /// Size of an input plane.
    pub size: [usize; 3],
    /// Size of an output plane.
    pub out: [usize; 3],
    /// Taps.
    pub kernel: [usize; 3],
    /// From one output to the next.
    pub stride: [usize; 3],
    /// From one tap to the next.
    pub dilation: [usize; 3],
    /// Zeros before each axis; those after follow from the sizes.
    pub before: [usize; 3],
}

impl Conv {
    /// The form of a dense layer of so many rows: a convolution of a single pixel an image.
    pub fn dense(rows: usize, inputs: usize, outputs: usize) -> Conv {
        let (one, before) = ([1; 3], [0; 3]);
        Conv {
            batch: rows,
            groups: 1,
            inputs,
            outputs,
            size: one,
            out: one,
            kernel: one,
            stride: one,
            dilation: one,
            before,
        }
    }

    /// Elements of an input plane.
    pub fn plane(&self) -> usize {
        self.size.iter().product()
    }

    /// Elements of an output plane.
    pub fn out_plane(&self) -> usize {
        self.out.iter().product()
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Elements of x, of the weight, and of y; nothing where these or the windows' reach are more than an address can hold.
    pub(crate) fn elements(&self) -> Option<[usize; 3]> {
        let product = |sizes: &[usize]| sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let plane = |sizes: &[usize; 3]| product(sizes);
        let weight = product(&[self.groups, self.outputs, self.inputs, plane(&self.kernel)?])?;
        let of = |channels: usize, sizes: &[usize; 3]| product(&[self.batch, self.groups, channels, plane(sizes)?]);
        for axis in 0..3 {
            let steps = |count: usize, each: usize| count.saturating_sub(1).checked_mul(each);
            let outputs = steps(self.out[axis], self.stride[axis])?;
            let reach = outputs.checked_add(steps(self.kernel[axis], self.dilation[axis])?)?;
            let all = reach.checked_add(self.before[axis])?.checked_add(self.size[axis])?;
            isize::try_from(all).ok()?;
        }
        Some([of(self.inputs, &self.size)?, weight, of(self.outputs, &self.out)?])
    }

    /// Whether each output pixel is a product of the weights and one input pixel, on planes that are worth a product each.
    fn is_pointwise(&self) -> bool {
        self.taps() == 1
            && self.plane() >= 64
            && self.stride == [1; 3]
            && self.before == [0; 3]
            && self.size == self.out
    }

    /// Whether each group has one input channel only.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.inputs == 1 && self.groups > 1
    }
}

/// The public functions' contract, as of any slice function: a caller's mistake, not a state that data can lead to.
#[track_caller]
fn check(conv: &Conv, x: usize, weight: usize, y: usize) {
    let (given, needed) = ([x, weight, y], conv.elements());
    assert!(needed == Some(given), "{conv:?} takes slices of {needed:?} elements, got {given:?}");
    let positive = [conv.stride, conv.dilation].iter().flatten().all(|&step| step > 0);
    assert!(positive, "{conv:?} has a stride or dilation of 0; the smallest is 1");
}

/// y (N, G·outputs, out…) = activation(Σ x·weight + bias): x (N, G·inputs, size…), weight (G·outputs, inputs, kernel…). The
/// epilogue's bias is a row of G·outputs numbers; it does not accumulate.
///
/// # Panics
/// Slices of other lengths, and a bias or an accumulation that is not as said.
pub fn forward<T: Float>(isa: Isa, conv: &Conv, x: &[T], weight: &[T], y: &mut [T], epilogue: &GemmEpilogue<'_, T>) {
    forward_by(isa, T::operands(isa), conv, x, weight, y, epilogue);
}

/// [`forward`] by given kernels, those of an available instruction set.
fn forward_by<T: Float>(
    isa: Isa,
    operands: Operands<T>,
    conv: &Conv,
    x: &[T],
    weight: &[T],
    y: &mut [T],
    epilogue: &GemmEpilogue<'_, T>,
) {
    check(conv, x.len(), weight.len(), y.len());
    let results = conv.groups * conv.outputs;
    match epilogue.bias {
        Bias::None => {}
        Bias::Row(bias) => assert!(
            bias.len() == results,
            "a convolution of {results} outputs takes a bias of as many numbers, got {}",
            bias.len()
        ),
        Bias::Column(_) => assert!(results == 0, "a convolution's bias is a row, one number for each output"),
    }
    assert!(!epilogue.accumulate, "a convolution does not accumulate");
    if y.is_empty() {
        return;
    }
    if conv.is_depthwise() && !operands.are_words() {
        return depthwise::forward(isa, conv, x, weight, y, epilogue);
    }
    if conv.is_pointwise() {
        return pointwise::forward(operands, conv, x, weight, y, epilogue);
    }
    let axes = std::array::from_fn(|axis| Axis::forward(conv, axis));
    let taps = conv.taps();
    Correlation {
        kernels: operands.kernels,
        conv,
        channels: conv.inputs,
        results: conv.outputs,
        x,
        size: conv.size,
        y: y.as_mut_ptr(),
        out: conv.out,
        weight,
        weight_strides: (taps, conv.inputs * taps),
        epilogue,
    }
    .run(&axes);
}

/// dx (N, G·inputs, size…): the gradient with respect to x (the adjoint of [`forward`]), from dy (N, G·outputs, out…).
///
/// # Panics
/// Slices of other lengths.
pub fn grad_input<T: Float>(isa: Isa, conv: &Conv, dy: &[T], weight: &[T], dx: &mut [T]) {
    grad_input_by(isa, T::operands(isa), conv, dy, weight, dx);
}

/// [`grad_input`] by given kernels, those of an available instruction set.
fn grad_input_by<T: Float>(isa: Isa, operands: Operands<T>, conv: &Conv, dy: &[T], weight: &[T], dx: &mut [T]) {
    check(conv, dx.len(), weight.len(), dy.len());
    if dx.is_empty() {
        return;
    }
    if conv.is_depthwise() && !operands.are_words() {
        return depthwise::grad_input(isa, conv, dy, weight, dx);
    }
    if conv.is_pointwise() {
        return pointwise::grad_input(operands, conv, dy, weight, dx);
    }
    if unfolded::suits_input(conv) && !dy.is_empty() {
        return unfolded::grad_input((isa, operands.kernels), conv, dy, weight, dx);
    }
    // Of a strided convolution, the inputs at one distance from the stride's grid meet taps of their own.
    let classes: [Vec<Axis>; 3] = std::array::from_fn(|axis| Axis::backward(conv, axis));
    let covered = |axes: &[&Axis]| axes.iter().all(|axis| !axis.taps.is_empty());
    let taps = conv.taps();
    let whole = classes.iter().all(|axes| covered(&axes.iter().collect::<Vec<_>>()));
    if !whole || dy.is_empty() {
        dx.fill(T::default());
    }
    let correlation = Correlation {
        kernels: operands.kernels,
        conv,
        channels: conv.outputs,
        results: conv.inputs,
        x: dy,
        size: conv.out,
        y: dx.as_mut_ptr(),
        out: conv.size,
        weight,
        weight_strides: (conv.inputs * taps, taps),
        epilogue: &GemmEpilogue::default(),
    };
    for depth in &classes[0] {
        for height in &classes[1] {
            for width in &classes[2] {
                if covered(&[depth, height, width]) && !dy.is_empty() {
                    correlation.run(&[depth.clone(), height.clone(), width.clone()]);
                }
            }
        }
    }
}

/// dw (G·outputs, inputs, kernel…), from x (N, G·inputs, size…) and dy (N, G·outputs, out…).
///
/// # Panics
/// Slices of other lengths.
pub fn grad_weight<T: Float>(isa: Isa, conv: &Conv, x: &[T], dy: &[T], dw: &mut [T]) {
    grad_weight_by(isa, T::operands(isa), conv, x, dy, dw);
}

/// [`grad_weight`] by given kernels, those of an available instruction set.
fn grad_weight_by<T: Float>(isa: Isa, operands: Operands<T>, conv: &Conv, x: &[T], dy: &[T], dw: &mut [T]) {
    check(conv, x.len(), dw.len(), dy.len());
    if dw.is_empty() {
        return;
    }
    if dy.is_empty() || x.is_empty() {
        return dw.fill(T::default());
    }
    if conv.is_depthwise() && !operands.are_words() {
        return depthwise::grad_weight(isa, conv, x, dy, dw);
    }
    if conv.is_pointwise() {
        return pointwise::grad_weight(operands, conv, x, dy, dw);
    }
    if unfolded::suits_weight(conv) {
        return unfolded::grad_weight((isa, operands.kernels), conv, x, dy, dw);
    }
    weight_gradient::run(operands.kernels, conv, x, dy, dw);
}
