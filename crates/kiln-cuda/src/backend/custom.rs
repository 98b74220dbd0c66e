//! Operations from outside of Kiln.

use super::OnGpu;
use crate::custom::{Elements, GpuKernel, GpuOperand, GpuOutput, Queue};
use crate::gpu::Gpu;
use crate::machine::Machine;
use cuda_std::{Launch, LaunchError, Launcher};
use gpu_kernels::Ptx;
use kiln_tensor::{CustomCall, Ran, Result};

/// A GPU that launches the kernels of an outside crate's PTX.
struct Outside<'a, M: Machine> {
    gpu: &'a Gpu<M>,
    ptx: &'a Ptx,
}

impl<M: Machine> Launcher for Outside<'_, M> {
    fn launch(&self, launch: &Launch<'_>) -> std::result::Result<(), LaunchError> {
        self.gpu.queued(launch, |machine| machine.launch_from(self.ptx, launch))
    }
}

impl<M: Machine> Queue for Outside<'_, M> {
    fn settle(&self, outcome: std::result::Result<(), LaunchError>) -> Result<()> {
        self.gpu.launched(outcome)
    }
}

impl OnGpu for CustomCall<'_> {
    fn run<M: Machine>(&self, gpu: &Gpu<M>) -> Result<Ran> {
        let Some(kernel) = self.op.kernels().and_then(|kernels| kernels.downcast_ref::<GpuKernel>()) else {
            return Ok(Ran::NotHere);
        };
        let rows = self.operands.iter().map(|view| gpu.rows(view)).collect::<Result<Vec<_>>>()?;
        let operands = rows.iter().zip(self.operands).map(|(rows, view)| {
            GpuOperand(Elements { shape: view.layout.shape(), dtype: view.dtype, memory: rows.buffer(view.dtype) })
        });
        let (out, target) = (&self.out, gpu.target(&self.out));
        let out = GpuOutput(Elements { shape: out.shape, dtype: out.dtype, memory: target.buffer(out.dtype) });
        kernel.run(self.op.name(), &Outside { gpu, ptx: kernel.ptx() }, &operands.collect::<Vec<_>>(), &out)
    }
}
