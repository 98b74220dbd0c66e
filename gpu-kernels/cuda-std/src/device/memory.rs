//! Views of global memory. No access is checked here: the simulator shows that kernels stay within their buffers.

use crate::{DeviceCopy, Global, GlobalMut, Parameter, Table, Vector4, Word};
use core::arch::asm;
use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};

macro_rules! reading {
    ($view:ident) => {
        impl<T: DeviceCopy> $view<T> {
            /// Element `i`.
            #[inline(always)]
            #[must_use]
            pub fn get(&self, i: usize) -> T {
                // SAFETY: the simulator shows that `i` is within the buffer.
                unsafe { with_exposed_provenance::<T>(self.address() as usize).add(i).read() }
            }
        }

        impl<T: Word> $view<T> {
            /// Elements 4 `group` to 4 `group` + 3 in one access; the buffer must begin at a multiple of 16 bytes.
            #[inline(always)]
            #[must_use]
            pub fn get4(&self, group: usize) -> Vector4<T> {
                // SAFETY: the simulator shows that the group is within the buffer and the buffer aligned.
                unsafe { with_exposed_provenance::<Vector4<T>>(self.address() as usize).add(group).read() }
            }
        }
    };
}
reading!(Global);
reading!(GlobalMut);

impl<P: Parameter> Table<P> {
    /// Entry `i`.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, i: usize) -> P {
        // SAFETY: the simulator shows that `i` is within the table, whose maker has put an entry there.
        unsafe { with_exposed_provenance::<P>(self.address() as usize).add(i).read() }
    }
}

impl<T: DeviceCopy> GlobalMut<T> {
    /// Writes element `i`.
    #[inline(always)]
    pub fn set(&self, i: usize, value: T) {
        // SAFETY: the simulator shows that `i` is within the buffer.
        unsafe { with_exposed_provenance_mut::<T>(self.address() as usize).add(i).write(value) }
    }
}

impl<T: Word> GlobalMut<T> {
    /// Writes elements 4 `group` to 4 `group` + 3 in one access; the buffer must begin at a multiple of 16 bytes.
    #[inline(always)]
    pub fn set4(&self, group: usize, value: Vector4<T>) {
        // SAFETY: the simulator shows that the group is within the buffer and the buffer aligned.
        unsafe { with_exposed_provenance_mut::<Vector4<T>>(self.address() as usize).add(group).write(value) }
    }
}

macro_rules! atomic_add {
    ($($(#[doc = $doc:expr])* $t:ty, $suffix:literal;)*) => {
        $(impl GlobalMut<$t> {
            $(#[doc = $doc])*
            #[inline(always)]
            pub fn atomic_add(&self, i: usize, value: $t) -> $t {
                let before: $t;
                // Rust's atomics have the whole system for their scope, and none is of floats; these have the device.
                // SAFETY: the simulator shows that `i` is within the buffer.
                unsafe {
                    asm!(
                        "{{ .reg .u64 %global;",
                        "cvta.to.global.u64 %global, {address};",
                        concat!("atom.global.add.", $suffix, " {before}, [%global], {value}; }}"),
                        address = in(reg64) self.address() + 4 * i as u64, before = out(reg32) before, value = in(reg32) value,
                        options(nostack, preserves_flags)
                    );
                }
                before
            }
        })*
    };
}

atomic_add! {
    /// Adds to element `i` as one step, and gives what it was before; the sum wraps.
    u32, "u32";
    /// Adds to element `i` as one step, and gives what it was before; the sum wraps.
    i32, "s32";
    /// Adds to element `i` as one step, and gives what it was before. The order of threads varies, and with it the last bits of a sum;
    /// the device takes subnormal numbers as zero here.
    f32, "f32";
}
