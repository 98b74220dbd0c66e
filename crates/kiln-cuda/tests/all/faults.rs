//! The simulator runs gpu-kernels and nothing else, and what goes wrong in one comes out at the next synchronization.

use kiln_cuda::Simulated;
use kiln_tensor::{DType, ErrorKind, Layout, Shape, Tensor, View};

#[test]
fn each_operation_is_its_kernel() {
    let gpu = Simulated::new();
    let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &gpu.device()).unwrap();
    assert_eq!(gpu.launches("unary_exp_f32"), 0);
    x.exp().unwrap();
    x.add(&x).unwrap();
    x.matmul(&x).unwrap();
    x.t().unwrap().sum(0).unwrap();
    for kernel in ["unary_exp_f32", "binary_add_f32", "matmul_f32_1", "reduce_f32"] {
        assert_eq!(gpu.launches(kernel), 1, "{kernel}");
    }
}

#[test]
fn an_index_outside_of_its_axis_is_a_fault() {
    let gpu = Simulated::new();
    let device = gpu.device();
    let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], [3], &device).unwrap();
    let index = Tensor::from_slice(&[0i64, 3], [2], &device).unwrap();
    let y = x.index_select(0, &index).unwrap(); // queued: nothing is known yet
    let error = y.to_vec::<f32>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fault);
    let text = error.to_string();
    for part in [
        "sim: gather_u32: thread (1,0,0) of block (0,0,0)",
        "an index is outside of its axis",
        "gather.rs:",
        "the last launches: ",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // The device does nothing more, and says why.
    assert_eq!(x.exp().unwrap_err().kind(), ErrorKind::Fault);
    assert_eq!(device.synchronize().unwrap_err().kind(), ErrorKind::Fault);
    // Another one is well.
    assert!(Tensor::ones([2], DType::F32, &Simulated::new().device()).is_ok());
}

#[test]
fn an_access_beyond_a_buffer_is_a_fault() {
    let device = Simulated::new().device();
    let backend = device.backend();
    let (small, large) = (Shape::new(&[4]).unwrap(), Shape::new(&[1000]).unwrap());
    let (x, y) = (backend.alloc(small.elements() * 4).unwrap(), backend.alloc(large.elements() * 4).unwrap());
    // A view that claims more than its buffer has: what a wrong shape check above would let through.
    let view = View { buffer: x, dtype: DType::F32, layout: &Layout::contiguous(large) };
    // SAFETY: none, which is the point: the simulator holds every access against the buffers.
    unsafe { backend.copy(View { buffer: y, ..view }, view).unwrap() };
    let text = backend.synchronize().unwrap_err().to_string();
    assert!(text.contains("strided_u32: thread") && text.contains("reads element"), "{text}");
    // SAFETY: both came from this backend, and nobody uses them any more.
    unsafe {
        backend.free(x);
        backend.free(y);
    }
}
