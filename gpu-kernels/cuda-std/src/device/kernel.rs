//! The device's expansion of [`kernel!`](crate::kernel): a PTX entry.

/// Collects, parameter by parameter: {the entry's parameters} {the views made of them}. What only the host needs stays empty.
///
/// Each step's `len` is a name of its own: macros are hygienic.
#[doc(hidden)]
#[macro_export]
macro_rules! __kernel {
    (@parameters [$name:ident: Global<$t:ty> $(, $($rest:tt)*)?] $unused:ident
     {$($entry:tt)*} {$($views:tt)*} {} {} {} $kernel:tt) => {
        $crate::__kernel! { @parameters [$($($rest)*)?] $unused
            {$($entry)* $name: *const $t, len: u64,}
            {$($views)* let $name = unsafe { $crate::Global::<$t>::from_raw_parts($name, len as usize) };}
            {} {} {} $kernel
        }
    };
    (@parameters [$name:ident: GlobalMut<$t:ty> $(, $($rest:tt)*)?] $unused:ident
     {$($entry:tt)*} {$($views:tt)*} {} {} {} $kernel:tt) => {
        $crate::__kernel! { @parameters [$($($rest)*)?] $unused
            {$($entry)* $name: *mut $t, len: u64,}
            {$($views)* let $name = unsafe { $crate::GlobalMut::<$t>::from_raw_parts($name, len as usize) };}
            {} {} {} $kernel
        }
    };
    (@parameters [$name:ident: $t:ty $(, $($rest:tt)*)?] $unused:ident
     {$($entry:tt)*} {$($views:tt)*} {} {} {} $kernel:tt) => {
        $crate::__kernel! { @parameters [$($($rest)*)?] $unused {$($entry)* $name: $t,} {$($views)*} {} {} {} $kernel }
    };
    (@parameters [] $unused:ident {$($entry:tt)*} {$($views:tt)*} {} {} {}
     {
        $(#[doc = $doc:expr])*
        $(#[allow($($allow:tt)*)])*
        #[name = $name:expr]
        #[limits($max_threads:expr, [$($max_shared:expr)?])]
        $vis:vis fn $kernel:ident $body:block
     }) => {
        // The host checks these limits; here they only count as used.
        const _: (u32, &[u32]) = ($max_threads, &[$($max_shared)?]);

        $(#[doc = $doc])*
        ///
        /// # Safety
        /// The host launches it with the arguments that its typed launcher takes.
        // SAFETY: each view is made of the address and the length of one slice of the host's.
        #[allow(unused_variables, clippy::too_many_arguments, clippy::undocumented_unsafe_blocks)]
        $(#[allow($($allow)*)])*
        #[unsafe(export_name = $name)]
        $vis unsafe extern "ptx-kernel" fn $kernel($($entry)*) {
            $($views)*
            $body
        }
    };
}
