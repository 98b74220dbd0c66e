//! The host's expansion of [`kernel!`](crate::kernel): what is launched, and the bodies for the simulator.

use super::launch::{Geometry, KernelInfo, Launch, LaunchError, Launcher};
use crate::Parameter;

/// The parameters of a kernel, which launch it.
///
/// [`kernel!`](crate::kernel) implements it for each type that a kernel is declared for.
///
/// # Safety
/// Each entry takes parameters of this type, and `launch` and `launch_with` stay as they are here.
pub unsafe trait Kernel: Parameter {
    /// The kernel's entries for these parameters: one, or one for each value of its constant.
    const ENTRIES: &'static [KernelInfo];

    /// Launches the kernel, the first of its entries.
    ///
    /// # Errors
    /// If the geometry is zero or beyond the kernel's limits, or the launcher reports an error.
    fn launch(self, launcher: &dyn Launcher, geometry: Geometry) -> Result<(), LaunchError> {
        // SAFETY: the entry is one of this type's.
        launcher.launch(&unsafe { Launch::new(&Self::ENTRIES[0], geometry, &self) }?)
    }

    /// Launches the kernel's entry for this value of its constant.
    ///
    /// # Errors
    /// As [`Kernel::launch`]; if the kernel is not declared for the value.
    fn launch_with(self, constant: usize, launcher: &dyn Launcher, geometry: Geometry) -> Result<(), LaunchError> {
        let entry = Self::ENTRIES.iter().find(|entry| entry.constant() == Some(constant));
        let entry = entry.ok_or_else(|| {
            let declared: Vec<String> = Self::ENTRIES.iter().filter_map(|e| Some(e.constant()?.to_string())).collect();
            Self::ENTRIES[0].refused(format!("the constant {constant}; it has {}", declared.join(", ")))
        })?;
        // SAFETY: the entry is one of this type's.
        launcher.launch(&unsafe { Launch::new(entry, geometry, &self) }?)
    }
}

/// The entries of several kernels: kernel by kernel, and for each type of its parameters.
pub type Families = &'static [&'static [&'static [KernelInfo]]];

/// What is launched with parameters of one type, and its bodies.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    (
        $kernel:ident $name:tt [$max_threads:expr] $max_shared:tt
        [$($type:tt)+] $types:tt [$({ $constant:tt [$($value:literal)?] $($body:tt)+ })+]
    ) => {
        const _: () = {
            type Parameters = $($type)+;

            // SAFETY: the entries below take these parameters.
            unsafe impl $crate::Kernel for Parameters {
                const ENTRIES: &'static [$crate::KernelInfo] = &[$({
                    // SAFETY: `Launch::new` was promised parameters of this type.
                    #[allow(dead_code)]
                    unsafe fn entry(parameters: *const u8, run: &mut dyn ::core::ops::FnMut(&dyn ::core::ops::Fn())) {
                        // SAFETY: as above.
                        let parameters = unsafe { parameters.cast::<Parameters>().read() };
                        run(&|| parameters.$($body)+());
                    }
                    let name = $crate::__name!($kernel $name $types $constant);
                    let info = $crate::KernelInfo::new::<Parameters>(name, $max_threads, $crate::__max_shared!($max_shared));
                    $(let info = info.with_constant($value);)?
                    $crate::__with_entry!(info, entry)
                }),+];
            }
        };
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
