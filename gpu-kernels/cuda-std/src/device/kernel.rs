//! The device's expansion of [`kernel!`](crate::kernel): PTX entries.

/// The entries of a kernel for one type of parameters: a function for each body, which the PTX has under the name that the host launches.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    (
        $kernel:ident $name:tt [$max_threads:expr] $max_shared:tt
        [$($type:tt)+] $types:tt [$({ $constant:tt [$($value:literal)?] $($body:tt)+ })+]
    ) => {
        const _: () = {
            type Parameters = $($type)+;
            // The host checks these limits; here they only count as used.
            const _: (u32, u32) = ($max_threads, $crate::__max_shared!($max_shared));
            const _: usize = <Parameters as $crate::Parameter>::BYTES;

            $(const _: () = {
                /// # Safety
                /// The host launches it with the parameters that it takes.
                #[unsafe(export_name = $crate::__name!($kernel $name $types $constant))]
                unsafe extern "ptx-kernel" fn entry(parameters: Parameters) {
                    parameters.$($body)+();
                }
            };)+
        };
    };
}
