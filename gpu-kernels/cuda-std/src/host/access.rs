//! How simulated threads reach memory.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// Loads and stores of one element, and its bytes for exchanges.
pub trait Access: Sized {
    /// Reads global memory. Blocks run in parallel and may meet at one element, as on the device: no access is torn.
    ///
    /// # Safety
    /// `address` is valid for reads and aligned; only such loads and stores reach it meanwhile.
    unsafe fn load(address: *const Self) -> Self;

    /// Writes global memory, as [`load`](Access::load) reads it.
    ///
    /// # Safety
    /// `address` is valid for writes and aligned; only such loads and stores reach it meanwhile.
    unsafe fn store(address: *mut Self, value: Self);

    /// The element in the low bits of 64.
    fn widen(self) -> u64;

    /// The element that [`widen`](Access::widen) made these bits of.
    fn narrow(bits: u64) -> Self;
}

macro_rules! access {
    ($($t:ty, $u:ty, $atomic:ty, $to:expr, $from:expr;)*) => {
        $(impl Access for $t {
            #[inline(always)]
            unsafe fn load(address: *const Self) -> Self {
                // SAFETY: as the caller promises; the atomic has the size and, from the caller, the alignment of the element.
                $from(unsafe { <$atomic>::from_ptr(address.cast_mut().cast()) }.load(Ordering::Relaxed))
            }
            #[inline(always)]
            unsafe fn store(address: *mut Self, value: Self) {
                // SAFETY: as above.
                unsafe { <$atomic>::from_ptr(address.cast()) }.store($to(value), Ordering::Relaxed)
            }
            #[inline(always)]
            fn widen(self) -> u64 {
                u64::from($to(self))
            }
            #[inline(always)]
            fn narrow(bits: u64) -> Self {
                $from(bits as $u)
            }
        })*
    };
}

access! {
    u8, u8, AtomicU8, |v: u8| v, |v: u8| v;
    i8, u8, AtomicU8, |v: i8| v as u8, |v: u8| v as i8;
    u16, u16, AtomicU16, |v: u16| v, |v: u16| v;
    i16, u16, AtomicU16, |v: i16| v as u16, |v: u16| v as i16;
    u32, u32, AtomicU32, |v: u32| v, |v: u32| v;
    i32, u32, AtomicU32, |v: i32| v as u32, |v: u32| v as i32;
    u64, u64, AtomicU64, |v: u64| v, |v: u64| v;
    i64, u64, AtomicU64, |v: i64| v as u64, |v: u64| v as i64;
    f32, u32, AtomicU32, f32::to_bits, f32::from_bits;
    f64, u64, AtomicU64, f64::to_bits, f64::from_bits;
}
