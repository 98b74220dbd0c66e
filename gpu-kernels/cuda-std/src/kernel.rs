//! The declaration of kernels.

/// Declares a kernel once for the device and for the host.
///
/// ```
/// use cuda_std::*;
///
/// kernel! {
///     /// y[i] = value.
///     #[max_threads = 256]
///     pub fn fill<T: DeviceCopy>(y: GlobalMut<T>, value: T) for [f32, i64] {
///         let i = (block_idx_x() * block_dim_x() + thread_idx_x()) as usize;
///         if i < y.len() {
///             y.set(i, value);
///         }
///     }
/// }
///
/// fn fill_with_ones(launcher: &dyn Launcher, y: GlobalMut<f32>) -> Result<(), LaunchError> {
///     fill { y, value: 1.0 }.launch(launcher, Geometry::cover(y.len(), 256))
/// }
/// let names: Vec<_> = fill::<i64>::ENTRIES.iter().map(|entry| entry.name()).collect();
/// assert_eq!(names, ["fill_i64"]);
/// ```
///
/// The kernel's parameters are a `#[repr(C)]` struct of the kernel's name ([`parameters!`](crate::parameters)), here `fill<T>`. It is
/// the one parameter of the PTX entry, by value, and what the host launches: [`Kernel::launch`](crate::Kernel::launch) takes it.
/// Parameters that do not fit do not compile; a geometry that does not fit is an error.
///
/// ```compile_fail,E0308
/// # use cuda_std::*;
/// # kernel! { #[max_threads = 256] pub fn fill(y: GlobalMut<f32>, value: f32) {} }
/// fn wrong(launcher: &dyn Launcher, y: GlobalMut<f32>) -> Result<(), LaunchError> {
///     fill { y, value: 1u32 }.launch(launcher, Geometry::cover(y.len(), 256))
/// }
/// ```
///
/// A kernel is one of these:
///
/// | declared as | entries |
/// |---|---|
/// | `fn sum(y: GlobalMut<f32>)` | `sum` |
/// | `fn sum<T: DeviceCopy>(y: GlobalMut<T>) for [f32, f64]` | `sum_f32`, `sum_f64` |
/// | `fn sum<T: DeviceCopy, const R: usize>(y: GlobalMut<T>) for [f32: 1 4, f64: 1]` | `sum_f32_1`, `sum_f32_4`, `sum_f64_1` |
/// | `fn cast<A: DeviceCopy; B: DeviceCopy>(y: GlobalMut<B>, x: Global<A>) for [f32: f64 i64]` | `cast_f32_f64`, `cast_f32_i64` |
///
/// The host chooses among the values of a constant by [`Kernel::launch_with`](crate::Kernel::launch_with).
///
/// In this order come doc comments, `#[allow(...)]`, `#[name = ...]` (a literal or `concat!(...)`; the function's name where it is
/// left out), `#[max_threads = ...]`, the most threads that a block may have, and `#[max_shared = ...]`, the most bytes of dynamic
/// shared memory (48 KiB where it is left out). A kernel returns nothing; its body may `return` early. On nvptx64 the crate enables
/// `#![feature(abi_ptx)]`.
#[macro_export]
macro_rules! kernel {
    (
        $(#[doc = $doc:expr])*
        $(#[allow($($allow:tt)*)])*
        #[max_threads = $max_threads:expr]
        $($rest:tt)*
    ) => {
        $crate::__kernel! { @named [] $(#[doc = $doc])* $(#[allow($($allow)*)])* #[max_threads = $max_threads] $($rest)* }
    };
    (
        $(#[doc = $doc:expr])*
        $(#[allow($($allow:tt)*)])*
        #[name = $name:expr]
        $($rest:tt)*
    ) => {
        $crate::__kernel! { @named [$name] $(#[doc = $doc])* $(#[allow($($allow)*)])* $($rest)* }
    };
}

/// Declares kernels as [`kernel!`](crate::kernel) does, and `KERNELS`, the entries of each of them by its types: what walks all
/// kernels of a module.
#[macro_export]
macro_rules! kernels {
    ($(
        $(#[$($meta:tt)*])*
        $vis:vis fn $kernel:ident $(<$T:ident: $bound:path $(, const $N:ident: usize)? $(; $U:ident: $second:path)?>)?
        ($($parameters:tt)*) $(for [$($instances:tt)*])? $body:block
    )+) => {
        $($crate::kernel! {
            $(#[$($meta)*])*
            $vis fn $kernel $(<$T: $bound $(, const $N: usize)? $(; $U: $second)?>)?
            ($($parameters)*) $(for [$($instances)*])? $body
        })+

        /// The entries of this module's kernels.
        #[cfg(not(target_arch = "nvptx64"))]
        pub const KERNELS: $crate::Families = &[$($crate::__entries!($kernel $(($($instances)*))?)),+];
    };
}

/// The parts that host and device have in common: the struct, and the body as its method. What an entry is, is told by `__entry!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __kernel {
    (
        @named [$($name:expr)?]
        $(#[doc = $doc:expr])*
        $(#[allow($($allow:tt)*)])*
        #[max_threads = $max_threads:expr]
        $(#[max_shared = $max_shared:expr])?
        $vis:vis fn $kernel:ident $(<$T:ident: $bound:path $(, const $N:ident: usize)? $(; $U:ident: $second:path)?>)?
        ($($(#[doc = $field_doc:expr])* $field:ident: $t:ty),* $(,)?) $(for [$($instances:tt)*])? $body:block
    ) => {
        $crate::parameters! {
            $(#[doc = $doc])*
            $vis struct $kernel $(<$T: $bound $(, $U: $second)?>)? { $($(#[doc = $field_doc])* $field: $t),* }
        }

        impl $(<$T: $bound $(, $U: $second)?>)? $kernel $(<$T $(, $U)?>)? {
            #[inline(always)]
            #[allow(dead_code, unused_variables, clippy::too_many_lines)]
            $(#[allow($($allow)*)])*
            fn body $($(<const $N: usize>)?)? (self) {
                let Self { $($field),* } = self;
                $body
            }
        }

        $crate::__entries! {
            @declare $kernel [$($name)?] [$max_threads] [$($max_shared)?] $(($($instances)*))?
        }
    };
}

/// With `@declare` the entries of a kernel, one after the other; else an array of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __entries {
    (@declare $kernel:ident $name:tt $threads:tt $shared:tt) => {
        $crate::__entry! { $kernel $name $threads $shared [$kernel] [] [{ [] [] body }] }
    };
    (@declare $kernel:ident $name:tt $threads:tt $shared:tt ($($T:ident),+ $(,)?)) => {
        $($crate::__entry! { $kernel $name $threads $shared [$kernel<$T>] [, "_", stringify!($T)] [{ [] [] body }] })+
    };
    (@declare $kernel:ident $name:tt $threads:tt $shared:tt ($($T:ident: $($N:literal)+),+ $(,)?)) => {
        $($crate::__entry! {
            $kernel $name $threads $shared [$kernel<$T>] [, "_", stringify!($T)] [$({ [, "_", stringify!($N)] [$N] body::<$N> })+]
        })+
    };
    (@declare $kernel:ident $name:tt $threads:tt $shared:tt ($($T:ident: $($U:ident)+),+ $(,)?)) => {
        $($crate::__entries! { @pairs $kernel $name $threads $shared $T $($U)+ })+
    };
    (@pairs $kernel:ident $name:tt $threads:tt $shared:tt $T:ident $($U:ident)+) => {
        $($crate::__entry! {
            $kernel $name $threads $shared [$kernel<$T, $U>] [, "_", stringify!($T), "_", stringify!($U)] [{ [] [] body }]
        })+
    };
    ($kernel:ident) => { &[<$kernel as $crate::Kernel>::ENTRIES] };
    ($kernel:ident ($($T:ident $(: $($N:literal)+)?),+ $(,)?)) => { &[$(<$kernel<$T> as $crate::Kernel>::ENTRIES),+] };
    ($kernel:ident ($($T:ident: $($U:ident)+),+ $(,)?)) => { &[$($(<$kernel<$T, $U> as $crate::Kernel>::ENTRIES),+),+] };
}

/// The name of an entry: that which was given, or the function's, and its types and constant.
#[doc(hidden)]
#[macro_export]
macro_rules! __name {
    ($kernel:ident [] [$($types:tt)*] [$($constant:tt)*]) => {
        concat!(stringify!($kernel) $($types)* $($constant)*)
    };
    ($kernel:ident [$name:expr] [$($types:tt)*] [$($constant:tt)*]) => {
        concat!($name $($types)* $($constant)*)
    };
}

/// The declared bytes of shared memory, or what every device gives.
#[doc(hidden)]
#[macro_export]
macro_rules! __max_shared {
    ([]) => {
        48 << 10
    };
    ([$bytes:expr]) => {
        $bytes
    };
}
