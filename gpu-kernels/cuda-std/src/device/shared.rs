//! Typed windows on a block's dynamic shared memory.

use crate::{DeviceCopy, Vector4, Word};
use core::arch::{asm, global_asm};
use core::marker::PhantomData;

// Its size is the launch's. 1024 bytes are what TMA's swizzles need.
global_asm!(".extern .shared .align 1024 .b8 cuda_std_shared[];");

/// The address of dynamic shared memory.
#[inline(always)]
fn base() -> u32 {
    let base: u32;
    // SAFETY: takes an address.
    unsafe { asm!("mov.u32 {}, cuda_std_shared;", out(reg32) base, options(pure, nomem, nostack, preserves_flags)) };
    base
}

/// A window on the block's dynamic shared memory: `len` elements from a byte offset on.
///
/// Shared memory holds nothing when a block begins. What a thread writes others may read after a
/// [`sync_threads`](crate::sync_threads), and what they read it may overwrite after another one. Accesses are not checked here:
/// the simulator checks them.
#[derive(Clone, Copy)]
pub struct Shared<T> {
    base: u32,
    len: u32,
    element: PhantomData<T>,
}

impl<T: DeviceCopy> Shared<T> {
    /// The window of `len` elements from `byte_offset` on, which is a multiple of the element's size.
    ///
    /// Windows may overlap. The launch's `shared_bytes` must reach to the end of each.
    #[inline(always)]
    #[must_use]
    pub fn at(byte_offset: usize, len: usize) -> Self {
        Shared { base: base() + byte_offset as u32, len: len as u32, element: PhantomData }
    }

    /// Elements of the window.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the window has no elements.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    fn address(&self, i: usize) -> u32 {
        self.base + i as u32 * size_of::<T>() as u32
    }

    /// Element `i`.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, i: usize) -> T {
        // SAFETY: the simulator shows that `i` is within the window and the window within shared memory.
        unsafe { T::load_shared(self.address(i)) }
    }

    /// Writes element `i`.
    #[inline(always)]
    pub fn set(&self, i: usize, value: T) {
        // SAFETY: as above.
        unsafe { T::store_shared(self.address(i), value) }
    }
}

impl<T: Word> Shared<T> {
    /// Elements 4 `group` to 4 `group` + 3 at once; the window must begin at a multiple of 16 bytes.
    #[inline(always)]
    #[must_use]
    pub fn get4(&self, group: usize) -> Vector4<T> {
        let (x, y, z, w): (u32, u32, u32, u32);
        // SAFETY: as above, and the window is aligned to 16 bytes.
        unsafe {
            asm!("ld.shared.v4.b32 {{{}, {}, {}, {}}}, [{}];",
                out(reg32) x, out(reg32) y, out(reg32) z, out(reg32) w, in(reg32) self.address(4 * group),
                options(nomem, nostack, preserves_flags));
        }
        Vector4::new(T::of_bits(x), T::of_bits(y), T::of_bits(z), T::of_bits(w))
    }

    /// Writes elements 4 `group` to 4 `group` + 3 at once; the window must begin at a multiple of 16 bytes.
    #[inline(always)]
    pub fn set4(&self, group: usize, value: Vector4<T>) {
        // SAFETY: as above.
        unsafe {
            asm!("st.shared.v4.b32 [{}], {{{}, {}, {}, {}}};", in(reg32) self.address(4 * group),
                in(reg32) value.x.bits(), in(reg32) value.y.bits(), in(reg32) value.z.bits(), in(reg32) value.w.bits(),
                options(nomem, nostack, preserves_flags));
        }
    }
}

impl Shared<u32> {
    /// Adds to element `i` as one step, and gives the sum it had before; the sum wraps.
    #[inline(always)]
    pub fn atomic_add(&self, i: usize, value: u32) -> u32 {
        let before: u32;
        // SAFETY: as above.
        unsafe {
            asm!("atom.shared.add.u32 {}, [{}], {};", out(reg32) before, in(reg32) self.address(i), in(reg32) value,
                options(nomem, nostack, preserves_flags));
        }
        before
    }
}
