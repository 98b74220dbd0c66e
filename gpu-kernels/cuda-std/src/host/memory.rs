//! Views of global memory, every access checked. Outside of a kernel an access panics.

use super::block::{current, fault};
use crate::{DeviceCopy, Global, GlobalMut, Parameter, Span, Table, Vector4, Word};
use std::panic::Location;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// The first element of a view: the simulator's memory is the host's.
#[inline]
fn start<T>(address: u64) -> *const T {
    std::ptr::with_exposed_provenance(address as usize)
}

/// As [`start`], to be written.
#[inline]
fn start_mut<T>(address: u64) -> *mut T {
    std::ptr::with_exposed_provenance_mut(address as usize)
}

#[cold]
fn beyond(verb: &str, i: usize, len: usize, site: &'static Location<'static>) -> ! {
    fault(format!("{verb} element {i} of a buffer of {len}"), site)
}

#[cold]
fn unaligned(address: u64, alignment: usize, site: &'static Location<'static>) -> ! {
    fault(format!("is given a buffer at {address:#x}, not a multiple of {alignment} bytes"), site)
}

/// What a kernel does to an element, and where.
#[derive(Clone, Copy)]
struct Access {
    verb: &'static str,
    written: bool,
    site: &'static Location<'static>,
}

impl Access {
    #[inline]
    fn reads(site: &'static Location<'static>) -> Self {
        Access { verb: "reads", written: false, site }
    }

    #[inline]
    fn writes(verb: &'static str, site: &'static Location<'static>) -> Self {
        Access { verb, written: true, site }
    }
}

/// Stops outside of kernels, beyond the end of a view, and where the launch was not given its memory.
#[inline]
fn check<T>(access: Access, address: u64, i: usize, len: usize) {
    current(|block| {
        if i >= len {
            beyond(access.verb, i, len, access.site);
        }
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        block.check_view(Span { address, bytes, written: access.written }, access.site);
    });
}

/// The same of a group of four, which must lie on 16 bytes; gives its first element.
#[inline]
fn check4<T>(access: Access, address: u64, group: usize, len: usize) -> usize {
    let first = group.saturating_mul(4);
    check::<T>(access, address, first.saturating_add(3), len);
    if !address.is_multiple_of(16) {
        unaligned(address, 16, access.site);
    }
    first
}

macro_rules! reading {
    ($view:ident) => {
        impl<T: DeviceCopy> $view<T> {
            /// Element `i`.
            #[inline]
            #[must_use]
            #[track_caller]
            pub fn get(&self, i: usize) -> T {
                check::<T>(Access::reads(Location::caller()), self.address(), i, self.len());
                // SAFETY: `i` is within the buffer, which the launch was given.
                unsafe { T::load(start::<T>(self.address()).add(i)) }
            }
        }

        impl<T: Word> $view<T> {
            /// Elements 4 `group` to 4 `group` + 3 in one access; the buffer must begin at a multiple of 16 bytes.
            #[inline]
            #[must_use]
            #[track_caller]
            pub fn get4(&self, group: usize) -> Vector4<T> {
                let first = check4::<T>(Access::reads(Location::caller()), self.address(), group, self.len());
                // SAFETY: the four elements are within the buffer.
                Vector4::from(std::array::from_fn(|i| unsafe { T::load(start::<T>(self.address()).add(first + i)) }))
            }
        }
    };
}
reading!(Global);
reading!(GlobalMut);

impl<P: Parameter> Table<P> {
    /// Entry `i`.
    #[must_use]
    #[track_caller]
    pub fn get(&self, i: usize) -> P {
        check::<P>(Access::reads(Location::caller()), self.address(), i, self.len());
        // SAFETY: `i` is within the table, which the launch was given; `from_raw` was promised that an entry lies there.
        let entry = unsafe { start::<P>(self.address()).add(i).read() };
        current(|block| entry.views(&mut |span| block.give(span)));
        entry
    }
}

impl<T: DeviceCopy> GlobalMut<T> {
    /// Writes element `i`.
    #[inline]
    #[track_caller]
    pub fn set(&self, i: usize, value: T) {
        check::<T>(Access::writes("writes", Location::caller()), self.address(), i, self.len());
        // SAFETY: `i` is within the buffer, which the launch was given.
        unsafe { T::store(start_mut::<T>(self.address()).add(i), value) }
    }
}

impl<T: Word> GlobalMut<T> {
    /// Writes elements 4 `group` to 4 `group` + 3 in one access; the buffer must begin at a multiple of 16 bytes.
    #[inline]
    #[track_caller]
    pub fn set4(&self, group: usize, value: Vector4<T>) {
        let first = check4::<T>(Access::writes("writes", Location::caller()), self.address(), group, self.len());
        for (i, value) in <[T; 4]>::from(value).into_iter().enumerate() {
            // SAFETY: the four elements are within the buffer.
            unsafe { T::store(start_mut::<T>(self.address()).add(first + i), value) }
        }
    }
}

macro_rules! atomic_add {
    ($t:ty, $atomic:ty, $(#[doc = $doc:expr])* |$cell:ident, $value:ident| $add:expr) => {
        impl GlobalMut<$t> {
            $(#[doc = $doc])*
            #[track_caller]
            pub fn atomic_add(&self, i: usize, $value: $t) -> $t {
                check::<$t>(Access::writes("adds to", Location::caller()), self.address(), i, self.len());
                // SAFETY: `i` is within the buffer, which the launch was given and aligned.
                let $cell = unsafe { <$atomic>::from_ptr(start_mut::<$t>(self.address()).add(i).cast()) };
                $add
            }
        }
    };
}

atomic_add! {
    u32, AtomicU32,
    /// Adds to element `i` as one step, and gives what it was before; the sum wraps.
    |cell, value| cell.fetch_add(value, Ordering::Relaxed)
}
atomic_add! {
    i32, AtomicI32,
    /// Adds to element `i` as one step, and gives what it was before; the sum wraps.
    |cell, value| cell.fetch_add(value, Ordering::Relaxed)
}
atomic_add! {
    f32, AtomicU32,
    /// Adds to element `i` as one step, and gives what it was before. The order of threads varies, and with it the last bits of a sum;
    /// the device takes subnormal numbers as zero here.
    |cell, value| {
        let mut before = cell.load(Ordering::Relaxed);
        loop {
            let sum = (f32::from_bits(before) + value).to_bits();
            match cell.compare_exchange_weak(before, sum, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break f32::from_bits(before),
                Err(now) => before = now,
            }
        }
    }
}
