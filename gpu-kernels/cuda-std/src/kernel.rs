//! The declaration of a kernel.

/// Declares a kernel once for the device and for the host.
///
/// ```
/// use cuda_std::*;
///
/// kernel! {
///     /// y[i] = value.
///     #[name = "fill_f32"]
///     #[max_threads = 256]
///     pub fn fill_f32(y: GlobalMut<f32>, value: f32) {
///         let i = (block_idx_x() * block_dim_x() + thread_idx_x()) as usize;
///         if i < y.len() {
///             y.set(i, value);
///         }
///     }
/// }
/// ```
///
/// * On nvptx64 this is an `extern "ptx-kernel"` function of that name (the crate enables `#![feature(abi_ptx)]`). Each
///   `Global<T>` or `GlobalMut<T>` is two parameters, a pointer and a length in elements (`u64`); scalars go by value.
/// * On the host it is an empty type `fill_f32` with `launch(launcher, geometry, y: DeviceSliceMut<f32>, value: f32)` and
///   the constant `INFO`. Arguments that do not fit do not compile; a geometry that does not fit is an error.
///
/// ```compile_fail,E0308
/// # use cuda_std::*;
/// # kernel! { #[name = "fill"] #[max_threads = 256] pub fn fill_f32(y: GlobalMut<f32>, value: f32) {} }
/// fn wrong(launcher: &dyn Launcher, y: DeviceSliceMut<f32>) -> Result<(), LaunchError> {
///     fill_f32::launch(launcher, Geometry::cover(y.len(), 256), y, 1u32)
/// }
/// ```
///
/// In this order come doc comments, `#[allow(...)]`, `#[name = ...]` (a literal or `concat!(...)`), `#[max_threads = ...]`, the
/// most threads that a block may have, and `#[max_shared = ...]`, the most bytes of dynamic shared memory (48 KiB where it
/// is left out). A kernel returns nothing; its body may `return` early.
#[macro_export]
macro_rules! kernel {
    (
        $(#[doc = $doc:expr])*
        $(#[allow($($allow:tt)*)])*
        #[name = $name:expr]
        #[max_threads = $max_threads:expr]
        $(#[max_shared = $max_shared:expr])?
        $vis:vis fn $kernel:ident($($parameters:tt)*) $body:block
    ) => {
        $crate::__kernel! {
            @parameters [$($parameters)*] arguments {} {} {} {} {}
            {
                $(#[doc = $doc])*
                $(#[allow($($allow)*)])*
                #[name = $name]
                #[limits($max_threads, [$($max_shared)?])]
                $vis fn $kernel $body
            }
        }
    };
}
