//! Conversions: floats round to nearest even, integers saturate (a NaN becomes 0), non-zero is true.

use crate::place::{THREADS, element};
use cuda_std::*;
use half::{bf16, f16};
use kiln_math::{round_integer_to_odd, round_to_odd};

/// A type of numbers, and how memory holds them.
pub trait Stored: Copy + 'static {
    /// What memory holds: half types and truth values are integers there.
    type Bits: DeviceCopy;
}

/// A number as one of type `B`.
pub trait Convert<B: Stored>: Stored {
    /// The number in that type.
    fn convert(bits: Self::Bits) -> B::Bits;
}

macro_rules! stored {
    ($($T:ident as $Bits:ident),+) => { $(impl Stored for $T {
        type Bits = $Bits;
    })+ };
}
stored!(f32 as f32, f64 as f64, i64 as i64, i32 as i32, i8 as i8, u8 as u8, f16 as u16, bf16 as u16, bool as u8);

macro_rules! conversions {
    ($($from:ident as $to:ident, |$x:ident| $e:expr;)+) => { $(impl Convert<$to> for $from {
        #[inline(always)]
        fn convert($x: Self::Bits) -> <$to as Stored>::Bits {
            $e
        }
    })+ };
}
conversions! {
    f32 as f64, |x| x as f64;
    f32 as i64, |x| x as i64;
    f32 as i32, |x| x as i32;
    f32 as i8, |x| x as i8;
    f32 as u8, |x| x as u8;
    f32 as f16, |x| f16::from_f32(x).to_bits();
    f32 as bf16, |x| bf16::from_f32(x).to_bits();
    f32 as bool, |x| (x != 0.0) as u8;
    f64 as f32, |x| x as f32;
    f64 as i64, |x| x as i64;
    f64 as u8, |x| x as u8;
    f64 as f16, |x| f16::from_f32(round_to_odd(x)).to_bits();
    f64 as bf16, |x| bf16::from_f32(round_to_odd(x)).to_bits();
    f64 as bool, |x| (x != 0.0) as u8;
    i64 as f32, |x| x as f32;
    i64 as f64, |x| x as f64;
    i64 as i32, |x| x.clamp(i32::MIN as i64, i32::MAX as i64) as i32;
    i64 as i8, |x| x.clamp(i8::MIN as i64, i8::MAX as i64) as i8;
    i64 as u8, |x| if x < 0 { 0 } else if x > 255 { 255 } else { x as u8 };
    i64 as f16, |x| f16::from_f32(round_integer_to_odd(x)).to_bits();
    i64 as bf16, |x| bf16::from_f32(round_integer_to_odd(x)).to_bits();
    i64 as bool, |x| (x != 0) as u8;
    i32 as f32, |x| x as f32;
    i32 as i64, |x| x as i64;
    i8 as f32, |x| x as f32;
    i8 as i64, |x| x as i64;
    u8 as f32, |x| x as f32;
    u8 as f64, |x| x as f64;
    u8 as i64, |x| x as i64;
    u8 as f16, |x| f16::from_f32(x as f32).to_bits();
    u8 as bf16, |x| bf16::from_f32(x as f32).to_bits();
    u8 as bool, |x| (x != 0) as u8;
    f16 as f32, |x| f16::from_bits(x).to_f32();
    bf16 as f32, |x| bf16::from_bits(x).to_f32();
}

kernels! {
    /// y = x in another type. Half types go to others by f32, i32 and i8 by i64, and truth values are numbers already.
    #[max_threads = THREADS]
    pub fn convert<A: Convert<B>; B: Stored>(y: GlobalMut<B::Bits>, x: Global<A::Bits>) for [
        f32: f64 i64 i32 i8 u8 f16 bf16 bool,
        f64: f32 i64 u8 f16 bf16 bool,
        i64: f32 f64 i32 i8 u8 f16 bf16 bool,
        i32: f32 i64,
        i8: f32 i64,
        u8: f32 f64 i64 f16 bf16 bool,
        f16: f32,
        bf16: f32,
    ] {
        let i = element();
        if i < y.len() {
            y.set(i, A::convert(x.get(i)));
        }
    }
}
