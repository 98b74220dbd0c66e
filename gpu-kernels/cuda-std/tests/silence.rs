//! A panic inside of a kernel prints nothing; others are reported as before.
#![cfg(feature = "sim")]

use cuda_std::*;
use std::sync::atomic::{AtomicU32, Ordering};

static REPORTS: AtomicU32 = AtomicU32::new(0);

kernel! {
    #[max_threads = 32]
    fn fails(y: GlobalMut<u32>) {
        assert!(y.is_empty(), "the buffer has {} elements", y.len());
        let _ = y.get(0);
    }
}

// One test, as a process has one hook.
#[test]
fn only_panics_outside_of_kernels_are_reported() {
    std::panic::set_hook(Box::new(|_| {
        REPORTS.fetch_add(1, Ordering::Relaxed);
    }));
    let simulator = Simulator::new();
    for (len, message) in [(0, "reads element 0 of a buffer of 0"), (3, "panics: the buffer has 3 elements")] {
        let mut y = vec![0u32; len];
        // SAFETY: the vector outlives the launch.
        let y = unsafe { GlobalMut::from_raw(y.as_mut_ptr().expose_provenance() as u64, len) };
        let error = fails { y }.launch(&simulator, Geometry::linear(4, 32)).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
    assert_eq!(REPORTS.load(Ordering::Relaxed), 0);
    std::panic::catch_unwind(|| panic!("elsewhere")).unwrap_err();
    std::panic::catch_unwind(thread_idx_x).unwrap_err();
    assert_eq!(REPORTS.load(Ordering::Relaxed), 2);
}
