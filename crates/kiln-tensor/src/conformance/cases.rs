//! Random operands with the values that they should show, and the tolerance of comparisons.

use crate::{DType, Device, Element, Layout, Shape, Tensor};
use half::{bf16, f16};
use kiln_math::{Purpose, RandomStream};

pub(super) const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::F16, DType::BF16];
pub(super) const INTEGERS: [DType; 4] = [DType::I64, DType::I32, DType::I8, DType::U8];

/// Runs `$body` with `$T` the element type of any dtype.
macro_rules! with_type {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            DType::F16 => {
                type $T = f16;
                $body
            }
            DType::BF16 => {
                type $T = bf16;
                $body
            }
            DType::I64 => {
                type $T = i64;
                $body
            }
            DType::I32 => {
                type $T = i32;
                $body
            }
            DType::I8 => {
                type $T = i8;
                $body
            }
            DType::U8 => {
                type $T = u8;
                $body
            }
            DType::Bool => {
                type $T = bool;
                $body
            }
        }
    };
}

/// `value` as an element of the dtype holds it.
pub(super) fn rounded(value: f64, dtype: DType) -> f64 {
    // The trait's conversion: half types have one of their own of that name, which rounds twice.
    with_type!(dtype, T => <T as Element>::from_f64(value).to_f64())
}

/// A row-major tensor of these values.
pub(super) fn tensor_of(values: &[f64], shape: &Shape, dtype: DType, device: &Device) -> Tensor {
    with_type!(dtype, T => {
        let data: Vec<T> = values.iter().map(|&v| <T as Element>::from_f64(v)).collect();
        Tensor::from_slice(&data, shape, device).unwrap()
    })
}

/// The elements of a row-major tensor.
pub(super) fn values_of(tensor: &Tensor) -> Vec<f64> {
    with_type!(tensor.dtype(), T => tensor.to_vec::<T>().unwrap().into_iter().map(Element::to_f64).collect())
}

/// A fresh output, filled with something that is no result.
pub(super) fn output(shape: &Shape, dtype: DType, device: &Device) -> Tensor {
    tensor_of(&vec![77.0; shape.elements()], shape, dtype, device)
}

/// Steps through all indices of a shape in row-major order.
pub(super) fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let shape = shape.to_vec();
    let count: usize = shape.iter().product();
    (0..count).map(move |flat| {
        let mut rest = flat;
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis];
            rest /= shape[axis];
        }
        index
    })
}

/// The offsets of a layout's elements, in row-major order of its indices.
pub(super) fn offsets(layout: &Layout) -> Vec<usize> {
    let place = |index: Vec<usize>| {
        let steps: isize = index.iter().zip(layout.strides()).map(|(&i, &step)| i as isize * step).sum();
        (layout.offset() as isize + steps) as usize
    };
    indices(layout.shape()).map(place).collect()
}

/// An operand and what its elements are, row-major.
pub(super) struct Operand {
    pub(super) tensor: Tensor,
    pub(super) values: Vec<f64>,
    /// All of the memory that the tensor lies in.
    pub(super) memory: Tensor,
}

/// Which values an operand has.
#[derive(Clone, Copy)]
pub(super) enum Values {
    /// Uniform.
    Between(f64, f64),
    /// Uniform, with now and then 0, −0, an infinity or NaN.
    Special(f64, f64),
    /// Integers from 0 to below.
    Below(u32),
}

/// A source of cases.
pub(super) struct Cases {
    pub(super) stream: RandomStream,
    pub(super) device: Device,
}

impl Cases {
    pub(super) fn new(device: &Device, check: u64) -> Self {
        Cases { stream: RandomStream::new(17, Purpose::Data, check), device: device.clone() }
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.stream.below(bound as u32) as usize
    }

    pub(super) fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    pub(super) fn size(&mut self) -> usize {
        const SIZES: [usize; 14] = [1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 16, 17, 33, 65];
        if self.chance(24) { 0 } else { SIZES[self.below(SIZES.len())] }
    }

    /// A shape of `rank` axes and not too many elements.
    pub(super) fn shape_of_rank(&mut self, rank: usize) -> Shape {
        loop {
            let dims: Vec<usize> = (0..rank).map(|_| self.size()).collect();
            if dims.iter().product::<usize>() <= 1500 {
                return Shape::new(&dims).unwrap();
            }
        }
    }

    pub(super) fn shape(&mut self) -> Shape {
        let rank = self.below(5);
        self.shape_of_rank(rank)
    }

    pub(super) fn number(&mut self, values: Values) -> f64 {
        const SPECIAL: [f64; 5] = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        match values {
            Values::Special(..) if self.chance(8) => SPECIAL[self.below(SPECIAL.len())],
            Values::Between(low, high) | Values::Special(low, high) => low + (high - low) * self.stream.uniform_f64(),
            Values::Below(bound) => f64::from(self.stream.below(bound)),
        }
    }

    pub(super) fn numbers(&mut self, count: usize, values: Values) -> Vec<f64> {
        (0..count).map(|_| self.number(values)).collect()
    }

    /// An operand whose axes may lie in any order, be flipped, stepped through, cut out, or repeated.
    pub(super) fn operand(&mut self, shape: &Shape, dtype: DType, values: Values) -> Operand {
        let repeats = true;
        self.view(shape, dtype, values, repeats)
    }

    /// A row-major operand, which may begin inside its buffer.
    pub(super) fn rows(&mut self, shape: &Shape, dtype: DType, values: Values) -> Operand {
        let lead = self.below(4);
        let count = shape.elements();
        let data: Vec<f64> = self.numbers(lead + count, values).into_iter().map(|v| rounded(v, dtype)).collect();
        let whole = tensor_of(&data, &Shape::new(&[lead + count]).unwrap(), dtype, &self.device);
        let tensor = whole.slice(0, lead..lead + count).unwrap().reshape(shape).unwrap();
        assert!(tensor.is_contiguous());
        Operand { tensor, values: data[lead..].to_vec(), memory: whole }
    }

    pub(super) fn view(&mut self, shape: &Shape, dtype: DType, values: Values, repeats: bool) -> Operand {
        if self.chance(3) {
            return self.rows(shape, dtype, values);
        }
        let rank = shape.rank();
        let mut order: Vec<usize> = (0..rank).collect();
        if self.chance(2) {
            self.stream.shuffle(&mut order);
        }
        // For each axis of the view: how it is cut out of the memory's.
        enum Cut {
            Repeat,
            Steps { start: usize, step: isize, extent: usize },
        }
        let cuts: Vec<Cut> = shape
            .iter()
            .map(|&size| {
                if repeats && self.chance(5) {
                    return Cut::Repeat;
                }
                let step: isize = [1, 1, 1, 2, -1, -2][self.below(6)];
                let (before, after) = (self.below(2), self.below(2));
                let reach = size.saturating_sub(1) * step.unsigned_abs();
                let start = if step < 0 { before + reach } else { before };
                Cut::Steps { start, step, extent: before + reach + 1 + after }
            })
            .collect();
        let extents: Vec<usize> = order
            .iter()
            .map(|&axis| match cuts[axis] {
                Cut::Repeat => 1,
                Cut::Steps { extent, .. } => extent,
            })
            .collect();
        let memory = Shape::new(&extents).unwrap();
        let data: Vec<f64> = self.numbers(memory.elements(), values).into_iter().map(|v| rounded(v, dtype)).collect();
        let mut back = vec![0; rank];
        for (to, &axis) in order.iter().enumerate() {
            back[axis] = to;
        }
        let whole = tensor_of(&data, &memory, dtype, &self.device);
        let mut layout = whole.layout().permute(&back).unwrap();
        for (axis, cut) in cuts.iter().enumerate() {
            if let &Cut::Steps { start, step, .. } = cut {
                layout = layout.slice(axis, start, shape[axis], step).unwrap();
            }
        }
        let layout = layout.broadcast_to(shape).unwrap();
        let values = offsets(&layout).into_iter().map(|at| data[at]).collect();
        Operand { tensor: whole.with_layout(layout), values, memory: whole }
    }
}

/// Rounding of one operation as it is computed, and as its result is stored.
fn epsilons(dtype: DType) -> (f64, f64, f64) {
    match dtype {
        DType::F32 => (4e-7, 4e-7, 1e-37),
        DType::F64 => (1e-14, 1e-14, 1e-300),
        DType::F16 => (4e-7, 1.0 / 1024.0, 1.2e-7),
        DType::BF16 => (4e-7, 1.0 / 128.0, 1e-37),
        _ => (0.0, 0.0, 0.0),
    }
}

/// Whether `got` is `want`, to a few roundings; `scale` is the size of the numbers that went into it.
pub(super) fn close(dtype: DType, got: f64, want: f64, scale: f64) -> bool {
    if want.is_nan() || got.is_nan() {
        return want.is_nan() && got.is_nan();
    }
    let (compute, store, tiny) = epsilons(dtype);
    // What does not fit is infinite; close to the end of the range either will do.
    let largest = match dtype {
        DType::F16 => 65504.0,
        DType::F64 => f64::MAX,
        _ => f64::from(f32::MAX),
    };
    if want.abs() >= 0.99 * largest {
        return got.abs() >= 0.98 * largest && got.signum() == want.signum();
    }
    (got - want).abs() <= 2.0 * store * want.abs() + 4.0 * compute * scale.max(want.abs()) + tiny
}

/// Compares all elements; the scale is given by position.
pub(super) fn expect(what: &str, out: &Tensor, want: &[f64], scale: impl Fn(usize) -> f64) {
    let got = values_of(out);
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let dtype = out.dtype();
        assert!(
            close(dtype, got, want, scale(i)),
            "{what} {dtype} {}: element {i} is {got}, expected {want}",
            out.shape()
        );
    }
}

/// Compares all elements for the very same numbers (any NaN is NaN).
pub(super) fn expect_same(what: &str, out: &Tensor, want: &[f64]) {
    let got = values_of(out);
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let same = got == want || got.is_nan() && want.is_nan();
        assert!(same, "{what} {} {}: element {i} is {got}, expected {want}", out.dtype(), out.shape());
    }
}
