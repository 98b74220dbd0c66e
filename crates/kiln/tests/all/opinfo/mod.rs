//! Kiln's operations against PyTorch's own database of operations: values and gradients in double precision, single precision within
//! its rounding, half precision as single precision rounded once. The calls are in tests/fixtures/opinfo.json, by
//! `xtask/fixtures/opinfo.py`.

mod case;
mod elementwise;
mod layers;
mod losses;
mod products;
mod reductions;
mod refused;
mod shape;
#[cfg(feature = "sim")]
mod simulator;

use case::{Case, Tensors};
use kiln::prelude::*;
use safetensors::SafeTensors;

/// What a call gives in Kiln; `None` where nobody here knows the operation.
type Answer = Option<Result<Vec<Var>>>;

/// One value.
fn one(y: Result<Var>) -> Answer {
    Some(y.map(|y| vec![y]))
}

fn run(case: &Case) -> Result<Vec<Var>> {
    let families = [elementwise::run, shape::run, reductions::run, products::run, layers::run, losses::run];
    let answer = families.iter().find_map(|family| family(case));
    answer.unwrap_or_else(|| Err(Error::value("opinfo", "not in the table of this test")))
}

/// Calls `check` with every call, and with the file of tensors.
fn for_each_call(check: impl Fn(&str, &Tensors<'_>)) {
    for_each_call_on(&Device::cpu(), check);
}

fn for_each_call_on(device: &Device, check: impl Fn(&str, &Tensors<'_>)) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let lines = std::fs::read_to_string(format!("{folder}/opinfo.json")).unwrap();
    let bytes = std::fs::read(format!("{folder}/opinfo.safetensors")).unwrap();
    let tensors = Tensors(SafeTensors::deserialize(&bytes).unwrap(), device.clone());
    for line in lines.lines().filter(|line| line.starts_with('{')) {
        check(line.trim_end_matches(','), &tensors);
    }
}

/// Σ w·y over the float outputs, w from 0.5 up to 1.5, rounded to a dtype.
fn weighted(outputs: &[Var], rounded: DType) -> Result<Option<Var>> {
    let mut sum: Option<Var> = None;
    for y in outputs.iter().filter(|y| y.requires_grad()) {
        let n = y.shape().elements();
        let weights: Vec<f64> = (0..n).map(|i| 0.5 + i as f64 / n as f64).collect();
        let weights = Tensor::from_vec(weights, *y.shape(), y.device())?.to_dtype(rounded)?;
        let part = y.to_dtype(DType::F64)?.mul(&Var::constant(weights.to_dtype(DType::F64)?))?.sum_all()?;
        sum = Some(match sum {
            None => part,
            Some(sum) => sum.add(&part)?,
        });
    }
    Ok(sum)
}

/// The values of a call, and its gradients.
fn values_and_gradients(case: &Case) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
    let outputs = run(case)?;
    let gradients = match weighted(&outputs, case.rounded)? {
        None => vec![None; case.leaves.len()],
        Some(sum) => {
            let gradients = sum.backward()?;
            case.leaves.iter().map(|leaf| gradients.of(leaf).cloned()).collect()
        }
    };
    Ok((outputs.iter().map(|y| y.tensor().clone()).collect(), gradients))
}

/// The first element that differs by more than `bound` times (1 + its size), as a sentence.
fn difference(found: &Tensor, expected: &Tensor, bound: f64) -> Option<String> {
    if found.shape() != expected.shape() {
        return Some(format!("shape {}, expected {}", found.shape(), expected.shape()));
    }
    let pairs = found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap());
    let close = |f: f64, e: f64| f == e || (f - e).abs() <= bound * (1.0 + e.abs()) || f.is_nan() && e.is_nan();
    let (at, (f, e)) = pairs.enumerate().find(|&(_, (f, e))| !close(f, e))?;
    Some(format!("element {at} is {f}, expected {e}"))
}

fn differences(what: &str, found: &[Option<Tensor>], expected: &[Option<Tensor>], bound: f64) -> Vec<String> {
    let mut out = Vec::new();
    if found.len() < expected.len() {
        out.push(format!("{} of {what}, expected {}", found.len(), expected.len()));
    }
    for (at, (f, e)) in found.iter().zip(expected).enumerate() {
        // No gradient is a gradient of zero.
        let Some(e) = e else { continue };
        let zeros = Tensor::zeros(e.shape(), e.dtype(), e.device()).unwrap();
        out.extend(difference(f.as_ref().unwrap_or(&zeros), e, bound).map(|d| format!("{what} {at}: {d}")));
    }
    out
}

fn some(tensors: Vec<Tensor>) -> Vec<Option<Tensor>> {
    tensors.into_iter().map(Some).collect()
}

/// Fails with all faults, the call with each.
#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let faults = std::cell::RefCell::new(Vec::new());
    for_each_call(|line, tensors| {
        let case = Case::read(line, tensors, [DType::F64; 2]);
        if refused::left_out(&case).is_some() {
            return;
        }
        let reason = refused::refused(&case);
        let fault = match (values_and_gradients(&case), reason) {
            (Ok(_), Some(_)) => vec!["is listed as refused, but runs".to_owned()],
            (Err(_), Some(_)) => Vec::new(),
            (Err(error), None) => vec![error.to_string()],
            (Ok((outputs, gradients)), None) => {
                let mut fault = differences("output", &some(outputs), &some(case.outputs.clone()), 1e-11);
                fault.extend(differences("gradient", &gradients, &case.gradients, 1e-11));
                fault
            }
        };
        faults.borrow_mut().extend(fault.iter().map(|fault| format!("{}: {fault}\n    {}", case.name, case.line)));
    });
    report(&faults.borrow());
}

/// Faults of each call that runs, where `reference` of its values and gradients in `of` is what those in `dtype` must be.
fn against_wider(dtype: DType, of: DType, bound: f64, reference: impl Fn(Tensor) -> Tensor) -> Vec<String> {
    let faults = std::cell::RefCell::new(Vec::new());
    for_each_call(|line, tensors| {
        let case = Case::read(line, tensors, [dtype, dtype]);
        if refused::refused(&case).is_some() || refused::left_out(&case).is_some() {
            return;
        }
        if dtype != DType::F32 && refused::is_of_two_operations(&case) {
            return;
        }
        let wide = Case::read(line, tensors, [dtype, of]);
        let (Ok((outputs, gradients)), Ok((values, slopes))) =
            (values_and_gradients(&case), values_and_gradients(&wide))
        else {
            faults.borrow_mut().push(format!("{}: does not run in {dtype}\n    {line}", case.name));
            return;
        };
        let expected = |tensor: Tensor| if tensor.dtype() == of { reference(tensor) } else { tensor };
        let values: Vec<Option<Tensor>> = values.into_iter().map(|value| Some(expected(value))).collect();
        let slopes: Vec<Option<Tensor>> = slopes.into_iter().map(|slope| slope.map(expected)).collect();
        let mut fault = differences("output", &some(outputs), &values, bound);
        fault.extend(differences("gradient", &gradients, &slopes, bound));
        faults.borrow_mut().extend(fault.iter().map(|fault| format!("{}: {fault}\n    {line}", case.name)));
    });
    faults.into_inner()
}

#[test]
fn single_precision_is_double_within_its_rounding() {
    report(&against_wider(DType::F32, DType::F64, 2e-5, |tensor| tensor));
}

#[test]
fn half_precision_is_single_rounded_once() {
    for dtype in [DType::BF16, DType::F16] {
        report(&against_wider(dtype, DType::F32, 0.0, |tensor| tensor.to_dtype(dtype).unwrap()));
    }
}
