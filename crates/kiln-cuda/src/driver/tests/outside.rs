//! Kernels that operations from outside bring: a module of their own, loaded once.

use super::{PTX, all, calls, open, with};
use crate::GpuKernel;
use crate::gpu::Gpu;
use cuda_std::{Geometry, GlobalMut, block_idx_x, kernel};
use gpu_kernels::Ptx;
use kiln_tensor::{Backend, CustomOp, DType, Device, Ran, Result, Shape, Tensor};
use std::any::Any;
use std::sync::Arc;

kernel! {
    /// What the fake's kernels do.
    #[name = "store_outside"]
    #[max_threads = 1024]
    fn store_outside(to: GlobalMut<f32>, bits: u32) {
        let i = block_idx_x() as usize;
        if i < to.len() {
            to.set(i, f32::from_bits(bits));
        }
    }
}

/// A tensor of the operand's shape with this value everywhere.
struct Filled(GpuKernel);

impl Filled {
    fn new(ptx: Ptx, value: f32) -> Self {
        Filled(GpuKernel::new(ptx, move |gpu, _, out| {
            let (to, bits) = (out.write::<f32>()?, value.to_bits());
            gpu.launch(store_outside { to, bits }, Geometry::linear(4, 32))?;
            Ok(Ran::Done)
        }))
    }
}

impl CustomOp for Filled {
    fn name(&self) -> &'static str {
        "filled"
    }
    fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)> {
        Ok((*operands[0].shape(), DType::F32))
    }
    fn kernels(&self) -> Option<&dyn Any> {
        Some(&self.0)
    }
}

/// PTX with that kernel.
const OUTSIDE: &str = concat!(
    ".version 7.8\n.target sm_80\n.address_size 64\n",
    ".visible .entry store_outside(.param .align 8 .b8 given[24])\n",
    include_str!("../store.ptx"),
);

fn device() -> Device {
    Device::new(Arc::new(Gpu::new(open())) as Arc<dyn Backend>)
}

fn filled(op: &Filled, x: &Tensor) -> Result<Vec<f32>> {
    Tensor::custom(op, &[x])?.unwrap().to_vec()
}

#[test]
fn a_module_from_outside_is_loaded_once_and_launched() {
    with("outside::a_module_from_outside_is_loaded_once_and_launched", &[], || {
        let x = Tensor::from_slice(&[0.0f32; 6], [2, 3], &device()).unwrap();
        assert_eq!(calls(c"cuModuleLoadDataEx"), 1);
        for value in [2.5, -1.0] {
            let op = Filled::new(all(OUTSIDE), value);
            assert_eq!(filled(&op, &x).unwrap(), [value; 6]);
            assert_eq!(filled(&op, &x).unwrap(), [value; 6]);
        }
        let counts = (calls(c"cuModuleLoadDataEx"), calls(c"cuModuleGetFunction"), calls(c"cuLaunchKernel"));
        assert_eq!(counts, (2, 1, 4));
        // Another device loads it for itself.
        let other = Tensor::from_slice(&[0.0f32; 2], [2], &device()).unwrap();
        assert_eq!(filled(&Filled::new(all(OUTSIDE), 4.0), &other).unwrap(), [4.0; 2]);
        assert_eq!(calls(c"cuModuleLoadDataEx"), 4);
    });
}

#[test]
fn a_card_gets_the_text_for_it() {
    with("outside::a_card_gets_the_text_for_it", &[], || {
        let x = Tensor::from_slice(&[0.0f32; 2], [2], &device()).unwrap();
        // The fake is a Hopper.
        let op = Filled::new(Ptx { sm_80: "wrong", sm_90a: OUTSIDE }, 1.0);
        assert_eq!(filled(&op, &x).unwrap(), [1.0; 2]);
    });
}

#[test]
fn ptx_from_outside_that_does_not_do_is_refused_and_the_device_goes_on() {
    with("outside::ptx_from_outside_that_does_not_do_is_refused_and_the_device_goes_on", &[], || {
        let x = Tensor::from_slice(&[1.0f32, 2.0], [2], &device()).unwrap();
        let sentence = |text| filled(&Filled::new(all(text), 1.0), &x).unwrap_err().to_string();
        let start = "store_outside cannot be launched with the PTX that its crate brings: ";
        let (wrong, absent) = (sentence("wrong"), sentence(PTX));
        assert!(wrong.starts_with(&format!("{start}cuModuleLoadDataEx answered CUDA_ERROR_INVALID_PTX")), "{wrong}");
        let wanted = "cuModuleGetFunction answered CUDA_ERROR_NOT_FOUND (500: its text) for kernel store_outside";
        assert_eq!(absent, format!("{start}{wanted}"));
        assert_eq!(x.to_vec::<f32>().unwrap(), [1.0, 2.0]);
    });
}
