//! What a kernel is given: one `#[repr(C)]` struct by value, declared once for the host and for the device.

use crate::DeviceCopy;
use core::marker::PhantomData;

/// A type that a kernel takes by value: numbers, views of global memory, arrays, and structs of
/// [`parameters!`](crate::parameters).
///
/// # Safety
/// The type has the same layout on the host and on the device, and no padding but after its last field. `views` visits every view
/// of global memory that it holds.
pub unsafe trait Parameter: Copy + 'static {
    /// Bytes without padding.
    const BYTES: usize;

    /// Calls `visit` with the memory of each [`Global`] and [`GlobalMut`] among the parameters, so that a launcher can check what it
    /// was given.
    fn views(&self, visit: &mut dyn FnMut(Span));
}

/// The memory that a [`Global`] or a [`GlobalMut`] reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The address of the first byte.
    pub address: u64,
    /// The number of bytes.
    pub bytes: u64,
    /// Whether kernels may write them.
    pub written: bool,
}

/// Elements of device memory that a kernel reads: an address and a length.
///
/// On the device an access is not checked: a kernel is shown to stay within its buffers by running it on the simulator, where
/// an access beyond the end is a fault that names the thread and the line.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Global<T> {
    address: u64,
    len: u64,
    element: PhantomData<T>,
}

/// Elements of device memory that a kernel reads and writes.
///
/// All threads hold the same view; no two may write one element, or one read what another writes, without an order between them.
/// Accesses are checked as [`Global`]'s are.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct GlobalMut<T> {
    address: u64,
    len: u64,
    element: PhantomData<T>,
}

/// The accessors of what is an address and a length.
macro_rules! accessors {
    ($what:literal) => {
        /// The address on the device.
        #[inline(always)]
        #[must_use]
        pub const fn address(&self) -> u64 {
            self.address
        }

        #[doc = concat!("The number of ", $what, ".")]
        #[inline(always)]
        #[must_use]
        pub const fn len(&self) -> usize {
            self.len as usize
        }

        /// Whether there are none.
        #[inline(always)]
        #[must_use]
        pub const fn is_empty(&self) -> bool {
            self.len == 0
        }
    };
}
pub(crate) use accessors;

macro_rules! view {
    ($view:ident, $written:literal, $(#[doc = $safety:expr])*) => {
        impl<T> $view<T> {
            /// The `len` elements at an address of the device.
            ///
            /// # Safety
            /// The view is given to launches of that device only. The address is a multiple of the element's size, and while a
            /// launch runs that was given it
            $(#[doc = $safety])*
            #[must_use]
            pub const unsafe fn from_raw(address: u64, len: usize) -> Self {
                $view { address, len: len as u64, element: PhantomData }
            }

            accessors!("elements");
        }

        // SAFETY: two numbers of 64 bits.
        unsafe impl<T: DeviceCopy> Parameter for $view<T> {
            const BYTES: usize = size_of::<Self>();

            fn views(&self, visit: &mut dyn FnMut(Span)) {
                let bytes = self.len.saturating_mul(size_of::<T>() as u64);
                visit(Span { address: self.address, bytes, written: $written });
            }
        }
    };
}
view!(Global, false, /// all elements are valid for reads, and nothing but kernels writes them.
);
view!(GlobalMut, true, /// all elements are valid for reads and writes, and nothing but kernels touches them.
);

// SAFETY: elements without padding, one after the other.
unsafe impl<P: Parameter, const N: usize> Parameter for [P; N] {
    const BYTES: usize = {
        assert!(P::BYTES == size_of::<P>(), "an array's elements have padding after their last field");
        size_of::<Self>()
    };

    fn views(&self, visit: &mut dyn FnMut(Span)) {
        self.iter().for_each(|element| element.views(visit));
    }
}

/// Declares a struct that kernels take by value, alone or within their parameters.
///
/// ```
/// use cuda_std::*;
///
/// parameters! {
///     /// A matrix at strides.
///     pub struct Matrix<T: DeviceCopy> {
///         /// All elements of its memory.
///         elements: Global<T>,
///         /// Elements from one row, and from one column, to the next.
///         strides: [i64; 2],
///     }
/// }
/// assert_eq!(<Matrix<f32> as Parameter>::BYTES, 32);
/// ```
///
/// The struct is `#[repr(C)]` and `Copy`, and its fields are public. Padding between fields does not compile, where such a struct
/// is a kernel's parameter:
///
/// ```compile_fail,E0080
/// # use cuda_std::*;
/// parameters! { pub struct Gap { a: u32, b: u64 } }
/// const _: usize = <Gap as Parameter>::BYTES;
/// ```
#[macro_export]
macro_rules! parameters {
    (
        $(#[doc = $doc:expr])*
        $vis:vis struct $name:ident $(<$($T:ident: $bound:path),+>)? {
            $($(#[doc = $field_doc:expr])* $field:ident: $t:ty),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy)]
        #[repr(C)]
        #[allow(non_camel_case_types, missing_docs)]
        $vis struct $name $(<$($T: $bound),+>)? {
            $($(#[doc = $field_doc])* pub $field: $t,)*
        }

        // SAFETY: each field is a parameter, and `BYTES` is no constant where there is something between them.
        unsafe impl $(<$($T: $bound + 'static),+>)? $crate::Parameter for $name $(<$($T),+>)? {
            #[allow(unused_mut, unused_assignments)]
            const BYTES: usize = {
                let mut bytes = 0;
                $(
                    assert!(::core::mem::offset_of!(Self, $field) == bytes, "there is padding before a parameter");
                    bytes += <$t as $crate::Parameter>::BYTES;
                )*
                bytes
            };

            #[allow(unused_variables)]
            fn views(&self, visit: &mut dyn ::core::ops::FnMut($crate::Span)) {
                $($crate::Parameter::views(&self.$field, visit);)*
            }
        }
    };
}
