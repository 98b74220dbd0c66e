//! The number types that device memory holds, that kernels take by value, and that lanes exchange.

use crate::{Parameter, Span};

/// A type that device memory holds: the integers of 8 to 64 bits, `f32` and `f64`.
///
/// Half types travel as `u16`, or in pairs as `u32`.
pub trait DeviceCopy: Copy + Default + access::Access + Parameter {}

/// A type of 32 bits, of which four make one access of 16 bytes ([`Vector4`]).
pub trait Word: DeviceCopy + access::Bits<u32> {}

/// Four words that are read and written together, in 16 aligned bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(16))]
pub struct Vector4<T> {
    /// The first element.
    pub x: T,
    /// The second element.
    pub y: T,
    /// The third element.
    pub z: T,
    /// The fourth element.
    pub w: T,
}

/// Four `f32`.
#[allow(non_camel_case_types)]
pub type f32x4 = Vector4<f32>;
/// Four `u32`.
#[allow(non_camel_case_types)]
pub type u32x4 = Vector4<u32>;
/// Four `i32`.
#[allow(non_camel_case_types)]
pub type i32x4 = Vector4<i32>;

impl<T> Vector4<T> {
    /// The vector (x, y, z, w).
    #[inline(always)]
    pub const fn new(x: T, y: T, z: T, w: T) -> Self {
        Vector4 { x, y, z, w }
    }
}

impl<T: Copy> From<[T; 4]> for Vector4<T> {
    #[inline(always)]
    fn from([x, y, z, w]: [T; 4]) -> Self {
        Vector4 { x, y, z, w }
    }
}

impl<T: Copy> From<Vector4<T>> for [T; 4] {
    #[inline(always)]
    fn from(v: Vector4<T>) -> Self {
        [v.x, v.y, v.z, v.w]
    }
}

macro_rules! elements {
    ($($t:ty),*) => { $(
        impl DeviceCopy for $t {}

        // SAFETY: a number is its bytes, of the same size and alignment everywhere.
        unsafe impl Parameter for $t {
            const BYTES: usize = size_of::<$t>();

            fn views(&self, _: &mut dyn FnMut(Span)) {}
        }
    )* };
}
elements!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

macro_rules! words {
    ($($t:ty),*) => { $(impl Word for $t {})* };
}
words!(u32, i32, f32);

/// How an element gets into memory and registers; private, so that the set of types stays closed.
pub(crate) mod access {
    #[cfg(target_arch = "nvptx64")]
    pub(crate) use crate::device::access::Access;
    #[cfg(not(target_arch = "nvptx64"))]
    pub(crate) use crate::host::access::Access;

    /// A number that is carried as the bits of an unsigned integer.
    pub trait Bits<U>: Copy {
        /// The number's bits.
        fn bits(self) -> U;
        /// The number of these bits.
        fn of_bits(bits: U) -> Self;
    }

    macro_rules! bits {
        ($($t:ty as $u:ty: $to:expr, $from:expr;)*) => {
            $(impl Bits<$u> for $t {
                #[inline(always)]
                fn bits(self) -> $u {
                    $to(self)
                }
                #[inline(always)]
                fn of_bits(bits: $u) -> Self {
                    $from(bits)
                }
            })*
        };
    }

    bits! {
        u32 as u32: |v| v, |v| v;
        i32 as u32: |v: i32| v as u32, |v: u32| v as i32;
        f32 as u32: f32::to_bits, f32::from_bits;
    }
}
