//! Kernels on the simulator, compared with plain loops.
#![cfg(feature = "sim")]

use cuda_std::*;

kernel! {
    /// z = x + y.
    #[name = concat!("add_", "f32")]
    #[max_threads = 256]
    pub fn add(x: Global<f32>, y: Global<f32>, z: GlobalMut<f32>) {
        let i = (block_idx_x() * block_dim_x() + thread_idx_x()) as usize;
        if i >= z.len() {
            return;
        }
        z.set(i, x.get(i) + y.get(i));
    }
}

fn read(v: &[f32]) -> DeviceSlice<f32> {
    // SAFETY: test data outlives its launch.
    unsafe { DeviceSlice::from_raw(v.as_ptr().expose_provenance() as u64, v.len()) }
}

fn write(v: &mut [f32]) -> DeviceSliceMut<f32> {
    // SAFETY: test data outlives its launch.
    unsafe { DeviceSliceMut::from_raw(v.as_mut_ptr().expose_provenance() as u64, v.len()) }
}

#[test]
fn adds_vectors() {
    let simulator = Simulator::new();
    for n in [0, 1, 255, 256, 257, 10_000] {
        let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let y: Vec<f32> = (0..n).map(|i| 0.5 * i as f32).collect();
        let mut z = vec![0.0; n];
        add::launch(&simulator, Geometry::cover(n, 256), read(&x), read(&y), write(&mut z)).unwrap();
        assert!(z.iter().enumerate().all(|(i, z)| *z == 1.5 * i as f32), "{n}");
    }
    assert_eq!(simulator.launches("add_f32"), 6);
    assert_eq!(simulator.launches("other"), 0);
}
