//! A panic on the device stops the kernel.

/// With `-Cpanic=immediate-abort` nothing calls this: a failed check is a `trap` in place.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: `trap` ends the kernel with an error that the host sees.
    unsafe { core::arch::nvptx::trap() }
}
