//! How the kernel is launched.
#![forbid(unsafe_code)]

use crate::LANES;
use crate::kernels::{THREADS, add_rms_norm};
use cuda_std::Geometry;
use kiln::cuda::{GpuKernel, Ptx};
use kiln::tensor::{DType, Ran};

/// What `cargo xtask build-kernels --crate PATH` makes.
const PTX: Ptx = Ptx { sm_80: include_str!("../ptx/sm_80.ptx"), sm_90a: include_str!("../ptx/sm_90a.ptx") };

pub(crate) fn kernel(epsilon: f64) -> GpuKernel {
    let epsilon = epsilon as f32;
    GpuKernel::new(PTX, move |gpu, operands, out| {
        if out.dtype() != DType::F32 {
            return Ok(Ran::NotHere); // composed
        }
        let (x, residual, weight) = (operands[0].read()?, operands[1].read()?, operands[2].read()?);
        let y = out.write()?;
        let rows = y.len() / weight.len().max(1);
        gpu.launch(add_rms_norm { y, x, residual, weight, epsilon }, Geometry::cover(rows * LANES, THREADS))?;
        Ok(Ran::Done)
    })
}
