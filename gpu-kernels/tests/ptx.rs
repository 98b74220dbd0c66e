//! The PTX has the kernels that the host launches, and no others.

use cuda_std::{DeviceSlice, DeviceSliceMut, KernelInfo, Launch, LaunchError, Launcher};
use gpu_kernels::{
    arg_reduce, compare, conv, copy, cross_entropy, elementwise, gather, matmul, normalize, pool, ptx, random,
    recurrent, reduce, softmax, update,
};
use kiln_math::{BinaryOp, UnaryOp};
use std::cell::RefCell;
use std::collections::BTreeSet;

macro_rules! infos {
    ($($module:ident: $($kernel:ident)+;)+) => { [$($($module::$kernel::INFO,)+)+] };
}

/// The kernels that are public. One that is missing here is in the PTX, and the test says so.
fn public() -> Vec<&'static KernelInfo> {
    infos! {
        arg_reduce: arg_reduce_f32 arg_reduce_f64 arg_reduce_i64 arg_reduce_u8;
        compare: compare_f32 compare_f64 compare_i64 compare_u8;
        conv: conv_f32 conv_64_f32 conv_f64 conv_grad_input_f32 conv_grad_input_64_f32 conv_grad_input_f64
            conv_grad_weight_f32 conv_grad_weight_64_f32 conv_grad_weight_f64;
        copy: fill_u8 fill_u16 fill_u32 fill_u64 strided_u8 strided_u16 strided_u32 strided_u64
            select_u8 select_u16 select_u32 select_u64
            f32_f64 f32_i64 f32_u8 f32_f16 f32_bf16 f32_bool f64_f32 f64_i64 f64_u8 f64_f16 f64_bf16 f64_bool
            i64_f32 i64_f64 i64_u8 i64_f16 i64_bf16 i64_bool u8_f32 u8_f64 u8_i64 u8_f16 u8_bf16 u8_bool f16_f32 bf16_f32;
        cross_entropy: cross_entropy_f32 cross_entropy_f64 cross_entropy_grad_f32 cross_entropy_grad_f64;
        gather: gather_u8 gather_u16 gather_u32 gather_u64 scatter_add_f32 scatter_add_f64 scatter_add_i64;
        matmul: matmul_f32 matmul_64_f32 matmul_128_f32 matmul_f64;
        normalize: moments_f32 normalize_f32 normalize_sums_f32 normalize_grad_f32
            moments_f64 normalize_f64 normalize_sums_f64 normalize_grad_f64;
        pool: max_pool_f32 max_pool_grad_f32 max_pool_f64 max_pool_grad_f64;
        random: uniform_f32 uniform_f64 normal_f32 normal_f64;
        recurrent: simple_cell_f32 lstm_cell_f32 gru_cell_f32 gru_reset_f32 gru_renew_f32 gru_exchange_f32
            simple_cell_grad_f32 lstm_cell_grad_f32 gru_cell_grad_f32 gru_reset_grad_f32 recurrent_rest_f32
            simple_cell_f64 lstm_cell_f64 gru_cell_f64 gru_reset_f64 gru_renew_f64 gru_exchange_f64
            simple_cell_grad_f64 lstm_cell_grad_f64 gru_cell_grad_f64 gru_reset_grad_f64 recurrent_rest_f64;
        reduce: reduce_f32 reduce_f64 sum_i64;
        softmax: softmax_f32 softmax_grad_f32 softmax_f64 softmax_grad_f64;
        update: adam_f32 adam_f64 sgd_f32 sgd_f64;
    }
    .to_vec()
}

/// Writes down what it is asked to launch.
#[derive(Default)]
struct Recorder(RefCell<Vec<&'static KernelInfo>>);

impl Launcher for Recorder {
    fn launch(&self, launch: &Launch<'_>) -> Result<(), LaunchError> {
        self.0.borrow_mut().push(launch.kernel());
        Ok(())
    }
}

/// The kernels that are generated from kiln-math's list and reached through it.
fn elementwise() -> Result<Vec<&'static KernelInfo>, LaunchError> {
    let recorder = Recorder::default();
    macro_rules! of_type {
        ($T:ident $unary:ident $binary:ident) => {
            // SAFETY: there is nothing at these addresses, and nothing is launched.
            let (x, y) = unsafe { (DeviceSlice::<$T>::from_raw(0, 0), DeviceSliceMut::<$T>::from_raw(0, 0)) };
            for &op in UnaryOp::ALL {
                elementwise::$unary::value(&recorder, op, [0.0; 2], y, x)?;
                elementwise::$unary::gradient(&recorder, op, [0.0; 2], y, [x; 3])?;
            }
            for &op in BinaryOp::ALL {
                elementwise::$binary::value(&recorder, op, y, x, x)?;
            }
        };
    }
    of_type!(f32 unary_f32 binary_f32);
    of_type!(f64 unary_f64 binary_f64);
    // SAFETY: as above.
    let (x, y) = unsafe { (DeviceSlice::from_raw(0, 0), DeviceSliceMut::from_raw(0, 0)) };
    for &op in BinaryOp::ALL {
        elementwise::binary_i64::value(&recorder, op, y, x, x).transpose()?;
    }
    Ok(recorder.0.into_inner())
}

/// The names of a text's entries.
fn entries(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.strip_prefix(".visible .entry ")?.split('(').next()).collect()
}

#[test]
fn the_entries_are_the_declared_kernels() {
    let kernels = [public(), elementwise().unwrap()].concat();
    let names: BTreeSet<&str> = kernels.iter().map(|kernel| kernel.name()).collect();
    assert_eq!(names.len(), kernels.len(), "two kernels of one name");
    for capability in [(8, 0), (9, 0)] {
        let found = entries(ptx(capability).unwrap());
        let missing: Vec<_> = names.symmetric_difference(&found).collect();
        assert!(
            missing.is_empty(),
            "in the source or in the PTX for {capability:?} only: {missing:?}; has `cargo xtask build-kernels` run?"
        );
    }
}

#[test]
fn a_device_gets_the_ptx_that_it_can_run() {
    let target = |capability| ptx(capability).map(|text| text.lines().find_map(|line| line.strip_prefix(".target ")));
    for ampere_and_later in [(8, 0), (8, 6), (8, 9), (9, 1), (10, 0), (12, 1)] {
        assert_eq!(target(ampere_and_later), Ok(Some("sm_80")), "{ampere_and_later:?}");
    }
    assert_eq!(target((9, 0)), Ok(Some("sm_90a")));
    assert!(target((7, 5)).is_err_and(|error| error.starts_with("the GPU has compute capability 7.5")));
    assert!(target((0, 0)).is_err());
}
