//! Random views for the tests of kernels: any strides, broadcast, flipped and permuted axes, gaps between elements.
#![allow(unreachable_pub)]

use kiln_cpu::operand::Strided;
use kiln_cpu::{Isa, team};
use proptest::prelude::*;

/// A view into its own buffer.
#[derive(Clone, Debug)]
pub struct View<T> {
    pub buffer: Vec<T>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<isize>,
}

impl<T: Copy> View<T> {
    /// A contiguous one.
    pub fn row_major(buffer: Vec<T>, shape: &[usize]) -> Self {
        let mut strides = vec![1isize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis] as isize;
        }
        View { buffer, offset: 0, shape: shape.to_vec(), strides }
    }

    pub fn strided(&self) -> Strided<'_, T> {
        // SAFETY: `layouts` makes views that stay within their buffers.
        unsafe { Strided::new(self.buffer.as_ptr().add(self.offset), &self.shape, &self.strides) }
    }

    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements in row-major order, one by one.
    pub fn values(&self) -> Vec<T> {
        (0..self.elements())
            .map(|i| {
                let (mut rest, mut at) = (i, self.offset as isize);
                for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
                    at += (rest % size) as isize * stride;
                    rest /= size;
                }
                self.buffer[at as usize]
            })
            .collect()
    }

    pub fn map<U>(&self, f: impl Fn(T) -> U) -> View<U> {
        View {
            buffer: self.buffer.iter().map(|&x| f(x)).collect(),
            offset: self.offset,
            shape: self.shape.clone(),
            strides: self.strides.clone(),
        }
    }
}

/// How an axis lies in memory.
#[derive(Clone, Copy, Debug)]
enum Axis {
    Plain,
    Flipped,
    Broadcast,
    Gap,
}

/// Shapes, odd ones among them: no axis, empty axes, one element, lengths off every vector's width and over a block's.
pub fn shapes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![4 => 1usize..6, 1 => Just(0usize), 3 => 6usize..40];
    prop_oneof![
        6 => prop::collection::vec(size, 0..4),
        1 => (1usize..4, 500usize..1100).prop_map(|(a, b)| vec![a, b]),
        1 => (500usize..1100, 1usize..4).prop_map(|(a, b)| vec![a, b]),
    ]
}

/// A view of `shape` with elements from `element`.
pub fn view<T: Copy + std::fmt::Debug>(
    shape: Vec<usize>,
    element: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = View<T>> {
    let rank = shape.len();
    let axis =
        prop_oneof![6 => Just(Axis::Plain), 1 => Just(Axis::Flipped), 1 => Just(Axis::Broadcast), 1 => Just(Axis::Gap)];
    let order =
        prop_oneof![Just((0..rank).collect::<Vec<usize>>()), Just((0..rank).collect::<Vec<usize>>()).prop_shuffle()];
    (prop::collection::vec(axis, rank), order).prop_flat_map(move |(axes, order)| {
        let (mut strides, mut step, mut offset) = (vec![0isize; rank], 1usize, 0usize);
        for &axis in order.iter().rev() {
            match axes[axis] {
                Axis::Broadcast => continue,
                Axis::Gap => step *= 2,
                _ => {}
            }
            strides[axis] = step as isize;
            if matches!(axes[axis], Axis::Flipped) {
                strides[axis] = -(step as isize);
                offset += step * shape[axis].saturating_sub(1);
            }
            step *= shape[axis].max(1);
        }
        let shape = shape.clone();
        prop::collection::vec(element.clone(), step + 1).prop_map(move |buffer| View {
            buffer,
            offset,
            shape: shape.clone(),
            strides: strides.clone(),
        })
    })
}

/// Numbers as networks have them, and NaN, infinities, zeros of both signs and denormals among them.
pub fn numbers() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        20 => -4.0..4.0,
        2 => -1000.0..1000.0,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-40, 1.0]),
    ]
}

/// Equal bits, or both NaN.
pub fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// Runs f on teams of one, two and three threads, outside and inside, and checks that the results do not differ.
pub fn on_teams<R: PartialEq + std::fmt::Debug + Send>(f: impl Fn() -> R + Sync) -> R {
    let first = f();
    for threads in 1..=3 {
        let pool = team::ThreadPool::new(threads);
        assert!(team::run_in(&pool, &f) == first, "{threads} threads");
    }
    first
}

/// The instruction sets that must agree bit for bit.
pub fn fused() -> impl Iterator<Item = Isa> {
    Isa::available().iter().copied().filter(|isa| isa.fused())
}
