//! The same calls on the GPU's simulator: elementwise operations, shapes, indexing, reductions, cumulative operations and sorting run as
//! kernels there, and nothing is downloaded on the way.

use super::case::Case;
use super::{difference, elementwise, for_each_call, for_each_call_on, reductions, refused, report, shape};
use kiln::prelude::*;
use std::cell::RefCell;

/// What one of these families makes of a call; none where it is of another family, is refused, or is given a number as a tensor.
fn outputs(case: &Case) -> Option<Result<Vec<Var>>> {
    let number_as_tensor = case.name == "narrow" && case.at(2).optional().is_some();
    if number_as_tensor || refused::refused(case).is_some() || refused::left_out(case).is_some() {
        return None;
    }
    [elementwise::run, shape::run, reductions::run].iter().find_map(|family| family(case))
}

/// Operations that the host takes part in, as their docs say.
const ON_THE_HOST: &[&str] = &["nn.functional.one_hot"];

#[test]
fn calls_run_as_kernels_and_download_nothing() {
    let expected = RefCell::new(Vec::new());
    for_each_call(|line, tensors| {
        let case = Case::read(line, tensors, [DType::F32; 2]);
        expected.borrow_mut().push(outputs(&case).map(Result::unwrap));
    });
    let gpu = kiln::cuda::Simulated::new();
    assert!(expected.borrow().iter().flatten().count() > 400);
    let (number, faults) = (RefCell::new(0), RefCell::new(Vec::new()));
    for_each_call_on(&gpu.device(), |line, tensors| {
        let at = number.replace_with(|at| *at + 1);
        let case = Case::read(line, tensors, [DType::F32; 2]);
        let before = gpu.downloads();
        let (Some(found), Some(expected)) = (outputs(&case), &expected.borrow()[at]) else { return };
        let downloads = gpu.downloads() - before;
        let mut fault = Vec::new();
        if downloads > 0 && !ON_THE_HOST.contains(&case.name.as_str()) {
            fault.push(format!("{downloads} downloads"));
        }
        match found {
            Err(error) => fault.push(error.to_string()),
            Ok(found) => fault.extend(found.iter().zip(expected).filter_map(|(gpu, cpu)| {
                difference(&gpu.tensor().to_device(&Device::cpu()).unwrap(), cpu.tensor(), 1e-6)
            })),
        }
        faults.borrow_mut().extend(fault.into_iter().map(|fault| format!("{}: {fault}\n    {line}", case.name)));
    });
    report(&faults.borrow());
}
