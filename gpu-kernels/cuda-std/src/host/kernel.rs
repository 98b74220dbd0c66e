//! The host's expansion of [`kernel!`](crate::kernel): a typed launcher, and the body for the simulator.

/// Collects, parameter by parameter: {the launcher's parameters} {the arguments} {their reading back} {the body's parameters}
/// {its arguments}.
#[doc(hidden)]
#[macro_export]
macro_rules! __kernel {
    (@parameters [$name:ident: Global<$t:ty> $(, $($rest:tt)*)?] $cursor:ident
     {$($launch:tt)*} {$($pack:tt)*} {$($unpack:tt)*} {$($body:tt)*} {$($call:tt)*} $kernel:tt) => {
        $crate::__kernel! { @parameters [$($($rest)*)?] $cursor
            {$($launch)* $name: $crate::DeviceSlice<$t>,}
            {$($pack)* $crate::launch::Argument::scalar($name.address()), $crate::launch::Argument::scalar($name.len() as u64),}
            {$($unpack)* let $name = unsafe { $cursor.global::<$t>() };}
            {$($body)* $name: $crate::Global<$t>,}
            {$($call)* $name,}
            $kernel
        }
    };
    (@parameters [$name:ident: GlobalMut<$t:ty> $(, $($rest:tt)*)?] $cursor:ident
     {$($launch:tt)*} {$($pack:tt)*} {$($unpack:tt)*} {$($body:tt)*} {$($call:tt)*} $kernel:tt) => {
        $crate::__kernel! { @parameters [$($($rest)*)?] $cursor
            {$($launch)* $name: $crate::DeviceSliceMut<$t>,}
            {$($pack)* $crate::launch::Argument::scalar($name.address()), $crate::launch::Argument::scalar($name.len() as u64),}
            {$($unpack)* let $name = unsafe { $cursor.global_mut::<$t>() };}
            {$($body)* $name: $crate::GlobalMut<$t>,}
            {$($call)* $name,}
            $kernel
        }
    };
    (@parameters [$name:ident: $t:ty $(, $($rest:tt)*)?] $cursor:ident
     {$($launch:tt)*} {$($pack:tt)*} {$($unpack:tt)*} {$($body:tt)*} {$($call:tt)*} $kernel:tt) => {
        $crate::__kernel! { @parameters [$($($rest)*)?] $cursor
            {$($launch)* $name: $t,}
            {$($pack)* $crate::launch::Argument::scalar($name),}
            {$($unpack)* let $name = $cursor.scalar::<$t>();}
            {$($body)* $name: $t,}
            {$($call)* $name,}
            $kernel
        }
    };
    (@parameters [] $cursor:ident
     {$($launch:tt)*} {$($pack:tt)*} {$($unpack:tt)*} {$($parameters:tt)*} {$($call:tt)*}
     {
        $(#[doc = $doc:expr])*
        $(#[allow($($allow:tt)*)])*
        #[name = $name:expr]
        #[limits($max_threads:expr, [$($max_shared:expr)?])]
        $vis:vis fn $kernel:ident $body:block
     }) => {
        $(#[doc = $doc])*
        #[allow(non_camel_case_types)]
        $vis enum $kernel {}

        impl $kernel {
            /// The kernel's name and limits.
            $vis const INFO: &'static $crate::KernelInfo = &$crate::__with_entry!(
                $crate::KernelInfo::new($name, $max_threads, $crate::__max_shared!($($max_shared)?)),
                Self::entry
            );

            /// Launches the kernel.
            ///
            /// # Errors
            /// If the geometry is zero or beyond the kernel's limits, or the launcher reports an error.
            #[allow(clippy::too_many_arguments, dead_code)]
            $vis fn launch(
                launcher: &dyn $crate::Launcher,
                geometry: $crate::Geometry,
                $($launch)*
            ) -> ::core::result::Result<(), $crate::LaunchError> {
                let arguments = [$($pack)*];
                // SAFETY: the arguments are packed here, each as its parameter's type says.
                launcher.launch(&unsafe { $crate::Launch::new(Self::INFO, geometry, &arguments) }?)
            }

            // SAFETY: the arguments are those that `launch` packs, in this order.
            #[allow(dead_code, unused_mut, unused_variables, clippy::undocumented_unsafe_blocks)]
            unsafe fn entry(
                arguments: &[$crate::launch::Argument],
                run: &mut dyn ::core::ops::FnMut(&dyn ::core::ops::Fn()),
            ) {
                let mut $cursor = $crate::launch::Arguments::new(arguments);
                $($unpack)*
                run(&|| Self::body($($call)*));
            }

            #[allow(dead_code, clippy::too_many_arguments)]
            #[inline]
            $(#[allow($($allow)*)])*
            fn body($($parameters)*) $body
        }
    };
}

/// The declared bytes of shared memory, or what every device gives.
#[doc(hidden)]
#[macro_export]
macro_rules! __max_shared {
    () => {
        $crate::launch::DEFAULT_SHARED
    };
    ($bytes:expr) => {
        $bytes
    };
}

/// With the simulator, a kernel's info has its entry; without it nothing calls the body, and no code is made for it.
#[doc(hidden)]
#[macro_export]
#[cfg(feature = "sim")]
macro_rules! __with_entry {
    ($info:expr, $entry:expr) => {
        $info.with_entry($entry)
    };
}
#[doc(hidden)]
#[macro_export]
#[cfg(not(feature = "sim"))]
macro_rules! __with_entry {
    ($info:expr, $entry:expr) => {
        $info
    };
}
