//! Kernels that operations from outside bring, on the simulator.

use cuda_std::{Geometry, Global, GlobalMut, block_dim_x, block_idx_x, kernels, thread_idx_x};
use kiln_cuda::{GpuKernel, GpuLauncher, GpuOperand, GpuOutput, Ptx, Simulated};
use kiln_tensor::{CustomOp, DType, Error, Ran, Result, Shape, Tensor};
use std::any::Any;
use std::sync::{Mutex, PoisonError};

kernels! {
    /// y = a·x; the first element is read from `ahead` elements on.
    #[max_threads = 64]
    fn scaled(y: GlobalMut<f32>, x: Global<f32>, a: f32, ahead: u32) {
        let i = (block_idx_x() * block_dim_x() + thread_idx_x()) as usize;
        if i < y.len() {
            y.set(i, a * x.get(if i == 0 { ahead as usize } else { i }));
        }
    }

    /// x where `keep` is not 0, else 0.
    #[max_threads = 64]
    fn masked(y: GlobalMut<u16>, x: Global<u16>, keep: Global<u8>) {
        let i = thread_idx_x() as usize;
        if i < y.len() {
            y.set(i, if keep.get(i) == 0 { 0 } else { x.get(i) });
        }
    }
}

const PTX: Ptx = Ptx { sm_80: "", sm_90a: "" };

/// An operation whose output is as its first operand.
struct Op<K>(K);

impl<K: Any + Send + Sync> CustomOp for Op<K> {
    fn name(&self) -> &'static str {
        "op"
    }
    fn output(&self, operands: &[&Tensor]) -> Result<(Shape, DType)> {
        Ok((*operands[0].shape(), operands[0].dtype()))
    }
    fn kernels(&self) -> Option<&dyn Any> {
        Some(&self.0)
    }
}

fn op(
    launch: impl Fn(&GpuLauncher<'_>, &[GpuOperand<'_>], &GpuOutput<'_>) -> Result<Ran> + Send + Sync + 'static,
) -> Op<GpuKernel> {
    Op(GpuKernel::new(PTX, launch))
}

fn scaling(a: f32, ahead: u32) -> Op<GpuKernel> {
    op(move |gpu, operands, out| {
        assert_eq!(operands[0].shape(), out.shape());
        let x = operands[0].read()?;
        gpu.launch(scaled { y: out.write()?, x, a, ahead }, Geometry::cover(x.len(), 64))?;
        Ok(Ran::Done)
    })
}

fn tensor<const N: usize>(data: [f32; N], device: &Simulated) -> Tensor {
    Tensor::from_slice(&data, [N], &device.device()).unwrap()
}

fn message(result: Result<Option<Tensor>>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn operands_come_row_major_and_the_kernel_runs() {
    let gpu = Simulated::new();
    let x = tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &gpu).reshape([2, 3]).unwrap().t().unwrap();
    let y = Tensor::custom(&scaling(2.0, 0), &[&x]).unwrap().unwrap();
    assert_eq!((y.dims(), y.to_vec::<f32>().unwrap()), (&[3, 2][..], vec![2.0, 8.0, 4.0, 10.0, 6.0, 12.0]));
    // A part of a buffer, and nothing at all.
    let part = tensor([1.0, 2.0, 3.0, 4.0], &gpu).slice(0, 1..3).unwrap();
    assert_eq!(Tensor::custom(&scaling(3.0, 0), &[&part]).unwrap().unwrap().to_vec::<f32>().unwrap(), [6.0, 9.0]);
    let empty = tensor([], &gpu);
    assert_eq!(Tensor::custom(&scaling(3.0, 0), &[&empty]).unwrap().unwrap().elements(), 0);
    assert!(gpu.launches("scaled") >= 2);
}

#[test]
fn half_numbers_and_truth_values_have_integers_bits() {
    let gpu = Simulated::new();
    let masking = op(|gpu, operands, out| {
        let (x, keep) = (operands[0].read()?, operands[1].read()?);
        gpu.launch(masked { y: out.write()?, x, keep }, Geometry::linear(1, 64))?;
        Ok(Ran::Done)
    });
    let keep = Tensor::from_slice(&[true, false, true], [3], &gpu.device()).unwrap();
    for dtype in [DType::F16, DType::BF16] {
        let x = tensor([1.5, 2.0, -3.0], &gpu).to_dtype(dtype).unwrap();
        let y = Tensor::custom(&masking, &[&x, &keep]).unwrap().unwrap();
        assert_eq!((y.dtype(), y.to_f64_vec().unwrap()), (dtype, vec![1.5, 0.0, -3.0]));
    }
    // A kernel might write a byte other than 0 and 1, which is an invalid bool.
    let sentence = message(Tensor::custom(&op(|_, _, out| out.write::<u8>().map(|_| Ran::Done)), &[&keep]));
    assert_eq!(sentence, "custom: elements of bool are asked for as u8");
}

#[test]
fn another_dtype_and_a_wrong_geometry_are_errors() {
    let gpu = Simulated::new();
    let x = tensor([1.0, 2.0], &gpu);
    let sentence = message(Tensor::custom(&scaling(2.0, 0), &[&x.to_dtype(DType::F64).unwrap()]));
    assert_eq!(sentence, "custom: elements of f64 are asked for as f32");
    let wide = op(|gpu, operands, out| {
        let (x, y) = (operands[0].read()?, out.write()?);
        gpu.launch(scaled { y, x, a: 1.0, ahead: 0 }, Geometry::linear(1, 65))?;
        Ok(Ran::Done)
    });
    let sentence = message(Tensor::custom(&wide, &[&x]));
    assert!(sentence.contains("scaled cannot be launched with a block of 65 threads"), "{sentence}");
    assert_eq!(x.to_vec::<f32>().unwrap(), [1.0, 2.0], "the device goes on");
}

#[test]
fn views_of_another_call_are_refused() {
    static KEPT: Mutex<Option<(Global<f32>, GlobalMut<f32>)>> = Mutex::new(None);
    let gpu = Simulated::new();
    let keeping = op(|_, operands, out| {
        let views = (operands[0].read()?, out.write()?);
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(views);
        Ok(Ran::NotHere)
    });
    // Kept alive, so that the next call's memory is elsewhere.
    let first = tensor([1.0; 100], &gpu);
    assert!(Tensor::custom(&keeping, &[&first]).unwrap().is_none());
    let using = |part: usize| {
        op(move |gpu, operands, out| {
            let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).unwrap();
            let x = if part == 0 { kept.0 } else { operands[0].read()? };
            // Nor may an operand be written.
            let y = if part == 0 { out.write()? } else { kept.1 };
            gpu.launch(scaled { y, x, a: 1.0, ahead: 0 }, Geometry::linear(1, 1))?;
            Ok(Ran::Done)
        })
    };
    let second = tensor([2.0; 1000], &gpu);
    for part in [0, 1] {
        let sentence = message(Tensor::custom(&using(part), &[&second]));
        assert!(sentence.starts_with("op: a kernel is given memory outside of this call's"), "{sentence}");
    }
    assert_eq!((first.to_vec::<f32>().unwrap(), gpu.launches("scaled")), (vec![1.0; 100], 0));
}

#[test]
fn a_kernel_that_reads_beyond_its_operand_is_a_fault_that_names_it() {
    let gpu = Simulated::new();
    let y = Tensor::custom(&scaling(1.0, 9), &[&tensor([1.0, 2.0], &gpu)]).unwrap().unwrap();
    let sentence = y.to_vec::<f32>().unwrap_err().to_string();
    assert!(
        sentence.contains("scaled: thread (0,0,0) of block (0,0,0) reads element 9 of a buffer of 2"),
        "{sentence}"
    );
}

#[test]
fn without_kernels_for_gpus_the_operation_is_not_here() {
    let gpu = Simulated::new();
    let x = tensor([1.0], &gpu);
    assert!(Tensor::custom(&Op("kernels of another backend"), &[&x]).unwrap().is_none());
    assert!(Tensor::custom(&op(|_, _, _| Ok(Ran::NotHere)), &[&x]).unwrap().is_none());
    let failing = op(|_, _, _| Err(Error::value("op", "not today")));
    assert_eq!(message(Tensor::custom(&failing, &[&x])), "op: not today");
}
