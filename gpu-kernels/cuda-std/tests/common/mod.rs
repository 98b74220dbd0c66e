//! Host memory as device memory, for the simulator.

use cuda_std::{DeviceCopy, Global, GlobalMut};

/// A slice that kernels read.
pub(crate) fn read<T: DeviceCopy>(v: &[T]) -> Global<T> {
    // SAFETY: a launch on the simulator ends before the test lets go of its data.
    unsafe { Global::from_raw(v.as_ptr().expose_provenance() as u64, v.len()) }
}

/// A slice that kernels write.
pub(crate) fn write<T: DeviceCopy>(v: &mut [T]) -> GlobalMut<T> {
    // SAFETY: as above.
    unsafe { GlobalMut::from_raw(v.as_mut_ptr().expose_provenance() as u64, v.len()) }
}
