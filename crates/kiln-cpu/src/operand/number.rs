//! The numbers that kernels compute with, and the elementwise operations over contiguous blocks of them.

use super::stored::StoredAs;
use crate::{Isa, Kernel, Simd};
use half::bf16;
use kiln_math::{Binary, BinaryOp, Real, Unary, UnaryOp, ops};
use std::marker::PhantomData;

/// A number that kernels compute with: f32 or f64.
pub trait Number: Real + Default + PartialOrd + Send + Sync + 'static {
    /// The type that the kernel of an instruction set computes in; it has this type's layout.
    type In<S: Simd>: Real + Send + Sync + 'static;
    /// The smallest positive normal number.
    const SMALLEST: f64;
    /// From f64, rounded.
    fn from_f64(value: f64) -> Self;
    /// To f64.
    fn to_f64(self) -> f64;
    /// The same number in a kernel's type.
    fn enter<S: Simd>(self) -> Self::In<S>;
    /// The same number out of a kernel's type.
    fn leave<S: Simd>(x: Self::In<S>) -> Self;
    /// out = f(x) over contiguous numbers.
    ///
    /// (These three are methods so that the kernels are compiled once, in this crate, for the two types that there are.)
    fn unary_block(isa: Isa, op: UnaryOp, params: [Self; 2], out: &mut [Self], x: &[Self]);
    /// out = dy · f′(x, y) over contiguous numbers, of x, y, dy.
    fn slope_block(isa: Isa, op: UnaryOp, params: [Self; 2], out: &mut [Self], inputs: [&[Self]; 3]);
    /// out = f(a, b) over contiguous numbers.
    fn binary_block(isa: Isa, op: BinaryOp, out: &mut [Self], inputs: [&[Self]; 2]);
}

macro_rules! number {
    ($type:ty, $in:ident, $isa:ident => $narrowed:expr) => {
        impl Number for $type {
            type In<S: Simd> = S::$in;
            const SMALLEST: f64 = <$type>::MIN_POSITIVE as f64;
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn enter<S: Simd>(self) -> S::$in {
                const { assert!(size_of::<S::$in>() == size_of::<$type>()) };
                // SAFETY: `Simd` requires of its numbers the layout of this type; the size was just checked.
                unsafe { std::mem::transmute_copy(&self) }
            }
            #[inline(always)]
            fn leave<S: Simd>(x: S::$in) -> Self {
                const { assert!(size_of::<S::$in>() == size_of::<$type>()) };
                // SAFETY: as in `enter`.
                unsafe { std::mem::transmute_copy(&x) }
            }
            fn unary_block($isa: Isa, op: UnaryOp, params: [Self; 2], out: &mut [Self], x: &[Self]) {
                unary_block($narrowed, op, params, out, x);
            }
            fn slope_block($isa: Isa, op: UnaryOp, params: [Self; 2], out: &mut [Self], inputs: [&[Self]; 3]) {
                slope_block($narrowed, op, params, out, inputs);
            }
            fn binary_block($isa: Isa, op: BinaryOp, out: &mut [Self], inputs: [&[Self]; 2]) {
                binary_block($narrowed, op, out, inputs);
            }
        }
    };
}
number!(f32, F32, isa => isa);
// AVX2 serves f64 on AVX-512 machines as well: the bits are the same, and the kernels of a type that serves references and
// gradient checks are not compiled once more.
number!(f64, F64, isa => if isa == Isa::Avx512 { Isa::Avx2 } else { isa });

/// f over a contiguous block. Plain loops over slices: the compiler makes vector code of them for each instruction set, and
/// knows that the output is apart from the inputs.
struct Map1<'a, T, X, Op>(&'a mut [X], [T; 2], &'a [X], PhantomData<Op>);
struct Slope<'a, T, X, Op>(&'a mut [X], [T; 2], [&'a [X]; 3], PhantomData<Op>);
struct Map2<'a, T, X, Op>(&'a mut [X], [&'a [X]; 2], PhantomData<(T, Op)>);

impl<T: Number, X: StoredAs<T>, Op: Unary> Kernel for Map1<'_, T, X, Op> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let p = self.1.map(T::enter::<S>);
        for (y, x) in self.0.iter_mut().zip(self.2) {
            *y = X::nearest(T::leave::<S>(Op::f(x.number().enter::<S>(), p)));
        }
    }
}

impl<T: Number, X: StoredAs<T>, Op: Unary> Kernel for Slope<'_, T, X, Op> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (p, [x, y, dy]) = (self.1.map(T::enter::<S>), self.2);
        for (((dx, x), y), dy) in self.0.iter_mut().zip(x).zip(y).zip(dy) {
            let slope = Op::df(x.number().enter::<S>(), y.number().enter::<S>(), p);
            *dx = X::nearest(T::leave::<S>(dy.number().enter::<S>() * slope));
        }
    }
}

impl<T: Number, X: StoredAs<T>, Op: Binary> Kernel for Map2<'_, T, X, Op> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let [a, b] = self.1;
        for ((y, a), b) in self.0.iter_mut().zip(a).zip(b) {
            *y = X::nearest(T::leave::<S>(Op::f(a.number().enter::<S>(), b.number().enter::<S>())));
        }
    }
}

macro_rules! unary_dispatch {
    ($({ $doc:literal, $op:ident, $method:ident, ($($param:ident),*) })+) => {
        /// f over a block, for the operation and the instruction set.
        fn unary_block<T: Number>(isa: Isa, op: UnaryOp, p: [T; 2], out: &mut [T], x: &[T]) {
            match op { $(UnaryOp::$op => isa.run(Map1::<T, T, ops::$op>(out, p, x, PhantomData))),+ }
        }
        /// dy · f′ over a block.
        fn slope_block<T: Number>(isa: Isa, op: UnaryOp, p: [T; 2], out: &mut [T], inputs: [&[T]; 3]) {
            match op { $(UnaryOp::$op => isa.run(Slope::<T, T, ops::$op>(out, p, inputs, PhantomData))),+ }
        }
    };
}
kiln_math::for_each_unary!(unary_dispatch);

macro_rules! binary_dispatch {
    ($({ $doc:literal, $op:ident, $method:ident })+) => {
        /// f over two blocks.
        fn binary_block<T: Number>(isa: Isa, op: BinaryOp, out: &mut [T], inputs: [&[T]; 2]) {
            match op { $(BinaryOp::$op => isa.run(Map2::<T, T, ops::$op>(out, inputs, PhantomData))),+ }
        }
    };
}
kiln_math::for_each_binary!(binary_dispatch);

/// out = f of N operands of one length.
pub type InRegisters<E, const N: usize> = fn(Isa, &mut [E], [&[E]; N]);

/// f over bf16 that are converted in registers: of the cheap operations, for which converting a block would take longer than they do.
pub(super) fn bf16_unary(op: UnaryOp) -> Option<InRegisters<bf16, 1>> {
    match op {
        UnaryOp::Relu => Some(|isa, out, [x]| isa.run(Map1::<f32, _, ops::Relu>(out, [0.0; 2], x, PhantomData))),
        _ => None,
    }
}

/// dy · f′ of x, y and dy, likewise.
pub(super) fn bf16_slope(op: UnaryOp) -> Option<InRegisters<bf16, 3>> {
    match op {
        UnaryOp::Relu => {
            Some(|isa, out, inputs| isa.run(Slope::<f32, _, ops::Relu>(out, [0.0; 2], inputs, PhantomData)))
        }
        _ => None,
    }
}

/// f over two operands, likewise.
pub(super) fn bf16_binary(op: BinaryOp) -> Option<InRegisters<bf16, 2>> {
    match op {
        BinaryOp::Add => Some(|isa, out, inputs| isa.run(Map2::<f32, _, ops::Add>(out, inputs, PhantomData))),
        BinaryOp::Sub => Some(|isa, out, inputs| isa.run(Map2::<f32, _, ops::Sub>(out, inputs, PhantomData))),
        BinaryOp::Mul => Some(|isa, out, inputs| isa.run(Map2::<f32, _, ops::Mul>(out, inputs, PhantomData))),
        _ => None,
    }
}
