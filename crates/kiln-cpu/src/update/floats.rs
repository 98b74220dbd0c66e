//! Elements of any float type.

use crate::operand::{Number, Stored};
use half::{bf16, f16};

/// Elements to read.
#[derive(Clone, Copy, Debug)]
pub enum Floats<'a> {
    /// f32
    F32(&'a [f32]),
    /// f64
    F64(&'a [f64]),
    /// f16
    F16(&'a [f16]),
    /// bf16
    BF16(&'a [bf16]),
}

/// Elements to write.
#[derive(Debug)]
pub enum FloatsMut<'a> {
    /// f32
    F32(&'a mut [f32]),
    /// f64
    F64(&'a mut [f64]),
    /// f16
    F16(&'a mut [f16]),
    /// bf16
    BF16(&'a mut [bf16]),
}

/// A float type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    F32,
    F64,
    F16,
    BF16,
}

/// Where elements lie, and their type.
#[derive(Clone, Copy)]
pub(super) struct Raw {
    pub(super) address: *mut u8,
    pub(super) kind: Kind,
}

macro_rules! both {
    ($enum:ident) => {
        impl $enum<'_> {
            /// Number of elements.
            #[inline]
            pub fn len(&self) -> usize {
                match self {
                    $enum::F32(elements) => elements.len(),
                    $enum::F64(elements) => elements.len(),
                    $enum::F16(elements) => elements.len(),
                    $enum::BF16(elements) => elements.len(),
                }
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether T is what they are computed in.
            #[inline]
            pub(super) fn computed_in<T>(&self) -> bool {
                matches!(self, $enum::F64(_)) == (size_of::<T>() == size_of::<f64>())
            }
        }
    };
}
both!(Floats);
both!(FloatsMut);

impl Kind {
    #[inline]
    pub(super) fn bytes(self) -> usize {
        match self {
            Kind::F64 => 8,
            Kind::F32 => 4,
            Kind::F16 | Kind::BF16 => 2,
        }
    }
}

impl Floats<'_> {
    #[inline]
    pub(super) fn raw(&self) -> Raw {
        let (first, kind): (*const u8, Kind) = match self {
            Floats::F32(elements) => (elements.as_ptr().cast(), Kind::F32),
            Floats::F64(elements) => (elements.as_ptr().cast(), Kind::F64),
            Floats::F16(elements) => (elements.as_ptr().cast(), Kind::F16),
            Floats::BF16(elements) => (elements.as_ptr().cast(), Kind::BF16),
        };
        Raw { address: first.cast_mut(), kind }
    }
}

impl FloatsMut<'_> {
    #[inline]
    pub(super) fn raw(&mut self) -> Raw {
        let (address, kind) = match self {
            FloatsMut::F32(elements) => (elements.as_mut_ptr().cast(), Kind::F32),
            FloatsMut::F64(elements) => (elements.as_mut_ptr().cast(), Kind::F64),
            FloatsMut::F16(elements) => (elements.as_mut_ptr().cast(), Kind::F16),
            FloatsMut::BF16(elements) => (elements.as_mut_ptr().cast(), Kind::BF16),
        };
        Raw { address, kind }
    }
}

impl Raw {
    /// The elements from `start` on.
    #[inline]
    pub(super) fn from(self, start: usize) -> Self {
        Raw { address: self.address.wrapping_add(start * self.kind.bytes()), ..self }
    }

    /// Elements in the type that they are computed in.
    ///
    /// # Safety
    /// So many elements lie there, which nobody writes, and T is what they are computed in.
    pub(super) unsafe fn load<T: Number>(self, to: &mut [T]) {
        // SAFETY: the caller's promise; half types are computed in f32, so T is that.
        unsafe {
            match self.kind {
                Kind::F16 => f16::load_all(slice(self.address, to.len()), slice_mut(to.as_mut_ptr().cast(), to.len())),
                Kind::BF16 => {
                    bf16::load_all(slice(self.address, to.len()), slice_mut(to.as_mut_ptr().cast(), to.len()))
                }
                Kind::F32 | Kind::F64 => to.copy_from_slice(slice(self.address, to.len())),
            }
        }
    }

    /// Elements from the type that they are computed in, rounded.
    ///
    /// # Safety
    /// So many elements lie there, which nobody else reads or writes, and T is what they are computed in.
    pub(super) unsafe fn store<T: Number>(self, from: &[T]) {
        // SAFETY: as in `load`.
        unsafe {
            match self.kind {
                Kind::F16 => {
                    f16::store_all(slice(from.as_ptr().cast(), from.len()), slice_mut(self.address, from.len()))
                }
                Kind::BF16 => {
                    bf16::store_all(slice(from.as_ptr().cast(), from.len()), slice_mut(self.address, from.len()))
                }
                Kind::F32 | Kind::F64 => slice_mut(self.address, from.len()).copy_from_slice(from),
            }
        }
    }
}

/// # Safety
/// So many elements of type E lie there, which nobody writes.
unsafe fn slice<'a, E>(first: *const u8, length: usize) -> &'a [E] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(first.cast(), length) }
}

/// # Safety
/// So many elements of type E lie there, which nobody else reads or writes.
unsafe fn slice_mut<'a, E>(first: *mut u8, length: usize) -> &'a mut [E] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(first.cast(), length) }
}
