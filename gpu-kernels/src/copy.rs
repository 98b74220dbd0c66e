//! Fills, copies between layouts, conversions between element types, and selection.
//!
//! Elements are moved by size: half types and truth values travel as integers.

use crate::place::{THREADS, element};
use cuda_std::*;

macro_rules! by_size {
    ($($T:ident $fill:ident $strided:ident $select:ident;)+) => { $(
        kernel! {
            /// y = value
            #[name = stringify!($fill)]
            #[max_threads = THREADS]
            pub fn $fill(y: GlobalMut<$T>, value: u64) {
                let i = element();
                if i < y.len() {
                    y.set(i, value as $T);
                }
            }
        }

        kernel! {
            /// The elements of x at strides (of any sign; 0 repeats) from `x_start` on, to y at strides from `y_start` on; both in
            /// elements, in a shape of six axes.
            #[name = stringify!($strided)]
            #[max_threads = THREADS]
            pub fn $strided(
                y: GlobalMut<$T>, y_start: i64, x: Global<$T>, x_start: i64, count: u64,
                n1: u32, n2: u32, n3: u32, n4: u32, n5: u32,
                y0: i64, y1: i64, y2: i64, y3: i64, y4: i64, y5: i64,
                x0: i64, x1: i64, x2: i64, x3: i64, x4: i64, x5: i64
            ) {
                let i = element();
                if i as u64 >= count {
                    return;
                }
                let mut rest = i as u64;
                let (mut to, mut from) = (y_start, x_start);
                for (n, ys, xs) in [(n5, y5, x5), (n4, y4, x4), (n3, y3, x3), (n2, y2, x2), (n1, y1, x1)] {
                    let at = (rest % n as u64) as i64;
                    rest /= n as u64;
                    to += at * ys;
                    from += at * xs;
                }
                to += rest as i64 * y0;
                from += rest as i64 * x0;
                y.set(to as usize, x.get(from as usize));
            }
        }

        kernel! {
            /// y = condition ? a : b
            #[name = stringify!($select)]
            #[max_threads = THREADS]
            pub fn $select(y: GlobalMut<$T>, condition: Global<u8>, a: Global<$T>, b: Global<$T>) {
                let i = element();
                if i < y.len() {
                    y.set(i, if condition.get(i) != 0 { a.get(i) } else { b.get(i) });
                }
            }
        }
    )+ };
}
by_size! {
    u8 fill_u8 strided_u8 select_u8;
    u16 fill_u16 strided_u16 select_u16;
    u32 fill_u32 strided_u32 select_u32;
    u64 fill_u64 strided_u64 select_u64;
}

/// Conversions: floats round to nearest even, integers saturate (a NaN becomes 0), non-zero is true.
mod convert {
    use super::*;
    use half::{bf16, f16};
    use kiln_math::{round_integer_to_odd, round_to_odd};

    macro_rules! conversions {
        ($($name:ident: $from:ty as $to:ty, |$x:ident| $e:expr;)+) => { $(
            kernel! {
                #[doc = concat!("Converts ", stringify!($name), ".")]
                #[name = concat!("convert_", stringify!($name))]
                #[max_threads = THREADS]
                pub fn $name(y: GlobalMut<$to>, x: Global<$from>) {
                    let i = element();
                    if i < y.len() {
                        let $x = x.get(i);
                        y.set(i, $e);
                    }
                }
            }
        )+ };
    }
    conversions! {
        f32_f64: f32 as f64, |x| x as f64;
        f32_i64: f32 as i64, |x| x as i64;
        f32_u8: f32 as u8, |x| x as u8;
        f32_f16: f32 as u16, |x| f16::from_f32(x).to_bits();
        f32_bf16: f32 as u16, |x| bf16::from_f32(x).to_bits();
        f32_bool: f32 as u8, |x| (x != 0.0) as u8;
        f64_f32: f64 as f32, |x| x as f32;
        f64_i64: f64 as i64, |x| x as i64;
        f64_u8: f64 as u8, |x| x as u8;
        f64_f16: f64 as u16, |x| f16::from_f32(round_to_odd(x)).to_bits();
        f64_bf16: f64 as u16, |x| bf16::from_f32(round_to_odd(x)).to_bits();
        f64_bool: f64 as u8, |x| (x != 0.0) as u8;
        i64_f32: i64 as f32, |x| x as f32;
        i64_f64: i64 as f64, |x| x as f64;
        i64_u8: i64 as u8, |x| if x < 0 { 0 } else if x > 255 { 255 } else { x as u8 };
        i64_f16: i64 as u16, |x| f16::from_f32(round_integer_to_odd(x)).to_bits();
        i64_bf16: i64 as u16, |x| bf16::from_f32(round_integer_to_odd(x)).to_bits();
        i64_bool: i64 as u8, |x| (x != 0) as u8;
        u8_f32: u8 as f32, |x| x as f32;
        u8_f64: u8 as f64, |x| x as f64;
        u8_i64: u8 as i64, |x| x as i64;
        u8_f16: u8 as u16, |x| f16::from_f32(x as f32).to_bits();
        u8_bf16: u8 as u16, |x| bf16::from_f32(x as f32).to_bits();
        u8_bool: u8 as u8, |x| (x != 0) as u8;
        f16_f32: u16 as f32, |x| f16::from_bits(x).to_f32();
        bf16_f32: u16 as f32, |x| bf16::from_bits(x).to_f32();
    }
}
pub use convert::*;
