//! The types that matrices may hold.

use super::GemmFloat;
use super::kernels;
use super::operands::{Form, Operands};
use super::pairs::bf16_dots;
use crate::isa::Isa;
use crate::operand::Stored;
use half::{bf16, f16};

/// A type that matrices may hold: `f32` and `f64`, which are computed in, and the half types. These are converted to `f32` as they
/// are packed, or multiplied as they are where the processor can, and converted from `f32` as they are written.
pub trait MatrixElement: Copy + Send + Sync + 'static {
    /// What its products are accumulated in.
    type Accumulator: GemmFloat;
    /// Whether the two are one type.
    const NATIVE: bool;
    #[doc(hidden)]
    fn operands(isa: Isa) -> Operands<Self::Accumulator>;
    /// Converts slices of one length, exactly.
    fn widen(from: &[Self], to: &mut [Self::Accumulator]);
    /// Converts slices of one length, rounding to nearest, ties to even.
    fn narrow(from: &[Self::Accumulator], to: &mut [Self]);
    /// Converts one number, exactly.
    fn to_number(self) -> Self::Accumulator;
    /// Converts one number, rounding to nearest, ties to even.
    fn from_number(number: Self::Accumulator) -> Self;
}

macro_rules! native {
    ($($number:ty)*) => { $(
        impl MatrixElement for $number {
            type Accumulator = $number;
            const NATIVE: bool = true;
            fn operands(isa: Isa) -> Operands<Self> {
                Operands { kernels: Self::kernels(isa).0, form: Form::Numbers }
            }
            fn widen(from: &[Self], to: &mut [Self]) {
                to.copy_from_slice(from);
            }
            fn narrow(from: &[Self], to: &mut [Self]) {
                to.copy_from_slice(from);
            }
            #[inline]
            fn to_number(self) -> Self {
                self
            }
            #[inline]
            fn from_number(number: Self) -> Self {
                number
            }
        }
    )* };
}

macro_rules! half {
    ($($half:ty: $dots:expr;)*) => { $(
        impl MatrixElement for $half {
            type Accumulator = f32;
            const NATIVE: bool = false;
            fn operands(isa: Isa) -> Operands<f32> {
                let converted = Operands { kernels: f32::kernels(isa).0, form: Form::Converted };
                let dots: fn(Isa) -> Option<Operands<f32>> = $dots;
                dots(isa).unwrap_or(converted)
            }
            fn widen(from: &[Self], to: &mut [f32]) {
                Stored::load_all(from, to);
            }
            fn narrow(from: &[f32], to: &mut [Self]) {
                Stored::store_all(from, to);
            }
            #[inline]
            fn to_number(self) -> f32 {
                self.to_f32()
            }
            #[inline]
            fn from_number(number: f32) -> Self {
                <$half>::from_f32(number)
            }
        }
    )* };
}

native! { f32 f64 }
half! {
    f16: |_| None;
    bf16: |isa| if bf16_dots(isa) { kernels::bf16_operands(isa) } else { None };
}
