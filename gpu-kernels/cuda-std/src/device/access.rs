//! How elements get into shared memory: by 32-bit addresses, which Rust's pointers do not have.
//!
//! No memory that the compiler knows of is touched (`nomem`), and the order of these accesses, also relative to barriers, is
//! kept, as none of them is `pure`.

use core::arch::asm;

/// Loads and stores of one element of shared memory.
pub trait Access: Sized {
    /// Reads shared memory.
    ///
    /// # Safety
    /// The element at the address is within the block's shared memory, and aligned.
    unsafe fn load_shared(address: u32) -> Self;

    /// Writes shared memory.
    ///
    /// # Safety
    /// As of [`load_shared`](Access::load_shared).
    unsafe fn store_shared(address: u32, value: Self);
}

macro_rules! access {
    ($($t:ty as $register:ty, $class:ident, $suffix:literal;)*) => {
        $(impl Access for $t {
            #[inline(always)]
            unsafe fn load_shared(address: u32) -> Self {
                let value: $register;
                // SAFETY: as the caller promises.
                unsafe {
                    asm!(concat!("ld.shared.", $suffix, " {}, [{}];"), out($class) value, in(reg32) address,
                        options(nomem, nostack, preserves_flags));
                }
                value as $t
            }
            #[inline(always)]
            unsafe fn store_shared(address: u32, value: Self) {
                // SAFETY: as the caller promises.
                unsafe {
                    asm!(concat!("st.shared.", $suffix, " [{}], {};"), in(reg32) address, in($class) value as $register,
                        options(nomem, nostack, preserves_flags));
                }
            }
        })*
    };
}

access! {
    u8 as u16, reg16, "b8";
    i8 as i16, reg16, "b8";
    u16 as u16, reg16, "b16";
    i16 as i16, reg16, "b16";
    u32 as u32, reg32, "b32";
    i32 as i32, reg32, "b32";
    f32 as f32, reg32, "b32";
    u64 as u64, reg64, "b64";
    i64 as i64, reg64, "b64";
    f64 as f64, reg64, "b64";
}
