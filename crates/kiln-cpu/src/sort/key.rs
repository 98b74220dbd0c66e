//! Keys: unsigned integers in the order of the elements, NaN last.

#[cfg(target_arch = "x86_64")]
use super::quick;
use super::radix;
use crate::{Isa, team};
use half::{bf16, f16};

mod sealed {
    /// Kept to the types of this crate, whose keys are what the traits promise.
    pub trait Sealed {}
}

/// An unsigned integer that is sorted digit by digit.
pub trait Key: sealed::Sealed + Copy + Ord + Default + Send + Sync + 'static {
    /// Its bits.
    const BITS: u32;
    /// The largest.
    const LAST: Self;
    /// The digit that begins `shift` bits from the right, of as many bits as `mask` has.
    fn digit(self, shift: u32, mask: usize) -> usize;
    /// The key in the opposite order.
    fn reversed(self) -> Self;
    /// The key after this one.
    fn next(self) -> Option<Self>;
    /// Keys in order, with `spare` of the same length; the slice that holds the result.
    fn sorted<'a>(isa: Isa, keys: &'a mut [Self], spare: &'a mut [Self]) -> &'a [Self];
}

/// By passes over digits.
fn by_digits<'a, K: Key>(_: Isa, keys: &'a mut [K], spare: &'a mut [K]) -> &'a [K] {
    radix::sort(keys, spare)
}

/// By AVX-512 where the machine has it.
fn by_vectors<'a>(isa: Isa, keys: &'a mut [u32], spare: &'a mut [u32]) -> &'a [u32] {
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Avx512 && isa.is_available() {
        // SAFETY: the machine has it.
        unsafe {
            if keys.len() < radix::SHARED || team::threads() == 1 {
                quick::sort(keys, spare);
            } else {
                quick::sort_shared(keys, spare);
            }
        }
        return keys;
    }
    by_digits(isa, keys, spare)
}

macro_rules! keys {
    ($($T:ident by $sorted:ident),+) => {$(
        impl sealed::Sealed for $T {}
        impl Key for $T {
            const BITS: u32 = $T::BITS;
            const LAST: Self = $T::MAX;
            #[inline(always)]
            fn digit(self, shift: u32, mask: usize) -> usize {
                (self >> shift) as usize & mask
            }
            #[inline(always)]
            fn reversed(self) -> Self {
                !self
            }
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn sorted<'a>(isa: Isa, keys: &'a mut [Self], spare: &'a mut [Self]) -> &'a [Self] {
                $sorted(isa, keys, spare)
            }
        }
    )+};
}
keys!(u8 by by_digits, u16 by by_digits, u32 by by_vectors, u64 by by_digits);

/// An element that can be sorted.
pub trait Sortable: Copy + Send + Sync + PartialEq + 'static {
    /// What it is sorted by.
    type Key: Key;
    /// The key of the element; equal elements have equal keys, NaN the last.
    fn key(self) -> Self::Key;
    /// As [`Sortable::key`], but −0 comes before 0, so that the element can be made of it.
    fn exact_key(self) -> Self::Key;
    /// The element of an exact key.
    fn of_key(key: Self::Key) -> Self;
}

macro_rules! sortable {
    ($T:ident as $K:ident, |$x:ident| $key:expr, |$k:ident| $of:expr) => {
        sortable!($T as $K, |$x| $key, |$x| $key, |$k| $of);
    };
    ($T:ident as $K:ident, |$x:ident| $key:expr, |$e:ident| $exact:expr, |$k:ident| $of:expr) => {
        impl Sortable for $T {
            type Key = $K;
            #[inline(always)]
            fn key(self) -> $K {
                let $x = self;
                $key
            }
            #[inline(always)]
            fn exact_key(self) -> $K {
                let $e = self;
                $exact
            }
            #[inline(always)]
            fn of_key($k: $K) -> Self {
                $of
            }
        }
    };
}

/// Integers of a float's bits in its order: those of negative numbers are turned around.
macro_rules! ordered {
    ($bits:expr, $U:ident, $I:ident, $nan:expr) => {{
        let bits: $U = $bits;
        let turned = bits ^ ((bits as $I >> ($U::BITS - 1)) as $U | 1 << ($U::BITS - 1));
        if $nan { $U::MAX } else { turned }
    }};
}

/// The bits of a float of this ordered integer.
macro_rules! bits_of {
    ($key:expr, $U:ident, $I:ident) => {{
        let key: $U = $key;
        key ^ ((!key as $I >> ($U::BITS - 1)) as $U | 1 << ($U::BITS - 1))
    }};
}

// −0 + 0 is 0.
sortable!(
    f32 as u32,
    |x| ordered!((x + 0.0).to_bits(), u32, i32, x.is_nan()),
    |x| ordered!(x.to_bits(), u32, i32, x.is_nan()),
    |k| f32::from_bits(bits_of!(k, u32, i32))
);
sortable!(
    f64 as u64,
    |x| ordered!((x + 0.0).to_bits(), u64, i64, x.is_nan()),
    |x| ordered!(x.to_bits(), u64, i64, x.is_nan()),
    |k| f64::from_bits(bits_of!(k, u64, i64))
);
sortable!(
    f16 as u16,
    |x| ordered!(plus_zero(x.to_bits()), u16, i16, x.is_nan()),
    |x| ordered!(x.to_bits(), u16, i16, x.is_nan()),
    |k| f16::from_bits(bits_of!(k, u16, i16))
);
sortable!(
    bf16 as u16,
    |x| ordered!(plus_zero(x.to_bits()), u16, i16, x.is_nan()),
    |x| ordered!(x.to_bits(), u16, i16, x.is_nan()),
    |k| bf16::from_bits(bits_of!(k, u16, i16))
);
sortable!(i64 as u64, |x| x as u64 ^ 1 << 63, |k| (k ^ 1 << 63) as i64);
sortable!(i32 as u32, |x| x as u32 ^ 1 << 31, |k| (k ^ 1 << 31) as i32);
sortable!(i8 as u8, |x| x as u8 ^ 1 << 7, |k| (k ^ 1 << 7) as i8);
sortable!(u8 as u8, |x| x, |k| k);
sortable!(bool as u8, |x| u8::from(x), |k| k != 0);

/// The bits of a half type, of −0 those of 0.
#[inline(always)]
fn plus_zero(bits: u16) -> u16 {
    if bits == 1 << 15 { 0 } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_the_elements() {
        let ordered = [f64::NEG_INFINITY, -1e30, -1.5, -1e-40, 0.0, 1e-40, 2.0, 3e38, f64::INFINITY, f64::NAN];
        for pair in ordered.windows(2) {
            assert!(pair[0].key() < pair[1].key(), "{pair:?}");
            let [a, b] = [pair[0] as f32, pair[1] as f32];
            assert!(a.key() < b.key(), "{a} {b}");
            let [a, b] = [bf16::from_f32(a), bf16::from_f32(b)];
            assert!(a.key() <= b.key(), "{a} {b}");
        }
        assert_eq!((-0.0f32).key(), 0.0f32.key());
        assert!((-0.0f32).exact_key() < 0.0f32.exact_key());
        assert_eq!((-f32::NAN).key(), u32::MAX);
        for x in [-2.5f32, -0.0, 0.0, 7.25, f32::INFINITY] {
            assert_eq!(f32::of_key(x.exact_key()).to_bits(), x.to_bits());
            assert_eq!(f16::of_key(f16::from_f32(x).exact_key()).to_f32().to_bits(), x.to_bits());
        }
        assert!(f64::of_key(f64::NAN.exact_key()).is_nan());
        for x in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(i64::of_key(x.key()), x);
            assert_eq!(i32::of_key((x as i32).key()), x as i32);
            assert_eq!(i8::of_key((x as i8).key()), x as i8);
        }
        assert!((i32::MIN.key() < (-1).key()) && ((-1).key() < 0.key()) && (0.key() < i32::MAX.key()));
        assert!((i8::MIN.key() < (-1i8).key()) && ((-1i8).key() < 0i8.key()) && (0i8.key() < i8::MAX.key()));
    }
}
