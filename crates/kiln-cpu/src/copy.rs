//! Fills, and copies between layouts and element types.

use crate::check;
use crate::elementwise::in_chunks;
use crate::operand::{Odometer, Output, Strided};
use half::{bf16, f16};
use kiln_math::{round_integer_to_odd, round_to_odd};

/// Conversion of an element: floats round to nearest even, integers saturate (a NaN becomes 0), non-zero is true.
pub trait Convert<To>: Copy {
    /// The converted value.
    fn convert(self) -> To;
}

macro_rules! convert {
    ($($from:ty => $to:ty: |$x:ident| $e:expr;)+) => {$(
        impl Convert<$to> for $from {
            #[inline(always)]
            fn convert(self) -> $to {
                let $x = self;
                $e
            }
        }
    )+};
}

macro_rules! numeric {
    ($($from:ty: |$single:ident| $to_single:expr;)+) => {$(
        convert! {
            $from => f32: |x| x as f32;
            $from => f64: |x| x as f64;
            $from => i64: |x| x as i64;
            $from => f16: |$single| f16::from_f32($to_single);
            $from => bf16: |$single| bf16::from_f32($to_single);
            $from => bool: |x| x != 0 as $from;
        }
    )+};
}
// What each is on its way to a half type.
numeric! {
    f32: |x| x;
    f64: |x| round_to_odd(x);
    i64: |x| round_integer_to_odd(x);
    u8: |x| f32::from(x);
}
convert! {
    f32 => u8: |x| x as u8;
    f64 => u8: |x| x as u8;
    // `as` between integers wraps.
    i64 => u8: |x| x.clamp(0, 255) as u8;
    u8 => u8: |x| x;
}

macro_rules! through_f32 {
    ($($half:ty),+) => {$(
        convert! {
            $half => f32: |x| x.to_f32();
            $half => f64: |x| x.to_f64();
            $half => i64: |x| x.to_f32() as i64;
            $half => u8: |x| x.to_f32() as u8;
            $half => f16: |x| f16::from_f32(x.to_f32());
            $half => bf16: |x| bf16::from_f32(x.to_f32());
            $half => bool: |x| x.to_f32() != 0.0;
        }
    )+};
}
through_f32!(f16, bf16);

convert! {
    bool => f32: |x| if x { 1.0 } else { 0.0 };
    bool => f64: |x| if x { 1.0 } else { 0.0 };
    bool => i64: |x| i64::from(x);
    bool => u8: |x| u8::from(x);
    bool => f16: |x| if x { f16::ONE } else { f16::ZERO };
    bool => bf16: |x| if x { bf16::ONE } else { bf16::ZERO };
    bool => bool: |x| x;
}

/// Every element becomes `value`.
pub fn fill<T: Copy + Send + Sync>(out: &mut Output<'_, T>, value: T) {
    let out = &*out;
    in_chunks(out.len(), |start, count| {
        // SAFETY: this chunk's own part of the output; there is no operand.
        unsafe { out.part(start, count) }.fill(value);
    });
}

/// out = x, converted, into row-major elements.
///
/// # Panics
/// Where `out` has another number of elements than `x`.
pub fn copy<A: Convert<B> + Send + Sync, B: Copy + Send>(out: &mut Output<'_, B>, x: Strided<'_, A>) {
    check::length("copy", "x", x.elements(), out.len());
    let out = &*out;
    if let Some(slice) = x.as_slice() {
        return in_chunks(out.len(), |start, count| {
            for (i, &x) in slice[start..start + count].iter().enumerate() {
                // SAFETY: within this chunk of the output.
                unsafe { *out.first().add(start + i) = x.convert() };
            }
        });
    }
    in_chunks(out.len(), |start, count| {
        Odometer::at(x.shape(), x.strides(), start).runs(count, |done, offset, stride, run| {
            for i in 0..run {
                // SAFETY: the odometer stays within the operand, the chunk within the output.
                unsafe {
                    let value = *x.first_element().offset(offset + i as isize * stride);
                    *out.first().add(start + done + i) = value.convert();
                }
            }
        });
    });
}
