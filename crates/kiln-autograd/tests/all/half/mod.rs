//! Half types are computed in f32 and rounded once: every operation and its gradient in f16 and bf16, against f64 rounded once.
//!
//! What is allowed is one place of the half type, where f32 may land on the other side of a tie, and beside it what f32 itself
//! leaves of the numbers that an operation adds up.

mod close;
mod operations;
mod windows;

use close::{HALVES, expect};
use kiln_autograd::{Var, grad};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{DType, Device, IntoShape, Result, Tensor};
use std::collections::BTreeSet;

type Run = dyn Fn(&[Var]) -> Result<Var>;

/// One operation, or one setting of it.
struct Case {
    name: &'static str,
    inputs: Vec<Tensor>,
    run: Box<Run>,
}

impl Case {
    fn new(name: &'static str, inputs: &[Tensor], run: impl Fn(&[Var]) -> Result<Var> + 'static) -> Self {
        Case { name, inputs: inputs.to_vec(), run: Box::new(run) }
    }

    /// The output, and the gradients of its product with fixed numbers, by `backward` and by `grad`.
    fn all(&self, inputs: &[Tensor]) -> [Vec<Tensor>; 3] {
        let vars: Vec<Var> = inputs.iter().map(|input| Var::variable(input.clone())).collect();
        let y = (self.run)(&vars).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let ramp: Vec<f64> = (0..y.shape().elements()).map(|i| [0.5, -1.25, 2.0, 0.375][i % 4]).collect();
        let ramp = Tensor::from_slice(&ramp, *y.shape(), &Device::cpu()).unwrap().to_dtype(y.dtype()).unwrap();
        let sum = y.mul(&Var::constant(ramp)).unwrap().sum_all().unwrap();
        let asked: Vec<&Var> = vars.iter().collect();
        let again: Vec<Tensor> =
            grad(&sum, &asked).unwrap().into_iter().map(|gradient| gradient.unwrap().into_tensor()).collect();
        let mut gradients = sum.backward().unwrap();
        let first = vars.iter().map(|var| gradients.remove(var.id().unwrap()).unwrap()).collect();
        [vec![y.into_tensor()], first, again]
    }

    fn check(&self) {
        for half in HALVES {
            let rounded: Vec<Tensor> = self.inputs.iter().map(|input| input.to_dtype(half).unwrap()).collect();
            let exact: Vec<Tensor> = rounded.iter().map(|input| input.to_dtype(DType::F64).unwrap()).collect();
            let size = exact.iter().flat_map(|input| input.to_f64_vec().unwrap());
            let size = size.filter(|x| x.is_finite()).fold(1.0, |size: f64, x| size.max(x.abs()));
            let kinds = ["", ", gradient", ", gradient by `grad`"];
            for (kind, (got, want)) in kinds.iter().zip(self.all(&rounded).iter().zip(&self.all(&exact))) {
                for (position, (got, want)) in got.iter().zip(want).enumerate() {
                    expect(&format!("{}{kind} {position}", self.name), got, want, half, size);
                }
            }
        }
    }
}

/// Numbers between these ends, the same each time.
fn between(low: f64, high: f64, shape: impl IntoShape, seed: u64) -> Tensor {
    Tensor::uniform(shape, low, high, DType::F64, &Device::cpu(), RandomStream::new(8, Purpose::Data, seed)).unwrap()
}

/// Numbers of size 2 and less.
fn some(shape: impl IntoShape, seed: u64) -> Tensor {
    between(-2.0, 2.0, shape, seed)
}

fn indices(index: &[i64]) -> Tensor {
    Tensor::from_slice(index, [index.len()], &Device::cpu()).unwrap()
}

/// Every method of Var that is an operation has a case, but for those `elsewhere`.
#[test]
fn every_operation_is_walked() {
    let mut methods = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for method in text.split("    pub fn ").skip(1) {
                let name: String = method.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                // Those of a macro have no name here.
                methods.extend((!name.is_empty()).then_some(name));
            }
        }
    }
    assert!(methods.len() > 50, "{methods:?}");
    // `unary`, `binary` and the methods made of the lists are walked by the lists; losses with kiln-nn's; custom operations do
    // as they say.
    let elsewhere = [
        "unary",
        "binary",
        "new",
        "custom",
        "cross_entropy",
        "cross_entropy_from_probabilities",
        "linear_cross_entropy",
    ];
    // Linear algebra refuses half types.
    let refused = ["inv", "solve", "det", "slogdet", "cholesky"];
    let cases: Vec<Case> = [operations::cases(), windows::cases()].into_iter().flatten().collect();
    let walked: BTreeSet<&str> = cases.iter().map(|case| case.name.split([' ', ',']).next().unwrap()).collect();
    let missing: Vec<_> = methods
        .iter()
        .map(String::as_str)
        .filter(|name| !walked.contains(name) && !elsewhere.contains(name) && !refused.contains(name))
        .collect();
    assert!(missing.is_empty(), "operations without a case: {missing:?}");
}

#[test]
fn elementwise_operations() {
    operations::elementwise().iter().for_each(Case::check);
}

#[test]
fn operations() {
    operations::cases().iter().for_each(Case::check);
}

#[test]
fn windows_norms_and_recurrent_layers() {
    windows::cases().iter().for_each(Case::check);
}

#[test]
fn conversions_of_f64_round_once() {
    // Above a tie by less than f32 can tell.
    let x = Tensor::from_slice(
        &[1.0 + 2f64.powi(-11) + 2f64.powi(-40), 1.0 + 2f64.powi(-8) + 2f64.powi(-40)],
        [2],
        &Device::cpu(),
    );
    let x = x.unwrap();
    assert_eq!(x.to_dtype(DType::F16).unwrap().to_f64_vec().unwrap()[0], 1.0 + 2f64.powi(-10));
    assert_eq!(x.to_dtype(DType::BF16).unwrap().to_f64_vec().unwrap()[1], 1.0 + 2f64.powi(-7));
}

#[test]
fn sums_that_half_types_cannot_hold() {
    let cpu = Device::cpu();
    let ones = Tensor::ones([70_000], DType::F16, &cpu).unwrap();
    assert_eq!(ones.mean_all().unwrap().item().unwrap(), 1.0);
    assert_eq!(ones.sum_all().unwrap().item().unwrap(), f64::INFINITY);
    // As bf16 a counter stands still at 256, as f16 at 2048.
    for (half, count) in [(DType::BF16, 10_000_usize), (DType::F16, 10_000)] {
        let ones = Var::variable(Tensor::ones([count], half, &cpu).unwrap());
        let zero = Var::constant(Tensor::zeros([1], half, &cpu).unwrap());
        let sums = zero.index_add(0, &indices(&vec![0; count]), &ones).unwrap();
        let want = Tensor::from_slice(&[count as f64], [1], &cpu).unwrap().to_dtype(half).unwrap();
        assert_eq!(sums.tensor().to_f64_vec().unwrap(), want.to_f64_vec().unwrap(), "{half}");
        // The gradients of one value used many times.
        let x = Var::variable(Tensor::ones([1], half, &cpu).unwrap());
        let parts: Vec<&Var> = vec![&x; 3000];
        let gradients = Var::concat(&parts, 0).unwrap().sum_all().unwrap().backward().unwrap();
        let want = Tensor::from_slice(&[3000.0], [1], &cpu).unwrap().to_dtype(half).unwrap();
        assert_eq!(gradients.of(&x).unwrap().to_f64_vec().unwrap(), want.to_f64_vec().unwrap(), "{half}");
    }
}

#[test]
fn norms_of_numbers_whose_squares_half_types_cannot_hold() {
    let cpu = Device::cpu();
    let row = |values: &[f64], half: DType| {
        Var::variable(Tensor::from_slice(values, [1, values.len()], &cpu).unwrap().to_dtype(half).unwrap())
    };
    let values = |y: Var| y.tensor().to_f64_vec().unwrap();
    let x = row(&[300.0, -300.0], DType::F16);
    assert_eq!(values(x.layer_norm(1, None, None, 1e-5).unwrap()), [1.0, -1.0]);
    assert_eq!(values(x.rms_norm(1, None, 1e-6).unwrap()), [1.0, -1.0]);
    let x = row(&[256.0, 258.0, 258.0, 258.0], DType::BF16);
    let normal = values(x.layer_norm(1, None, None, 1e-5).unwrap());
    assert_eq!(normal, [-1.734375, 0.578125, 0.578125, 0.578125]);
    // Channels (1, 2, 2): as groups, as instances and as a batch.
    let x = row(&[300.0, -300.0, 1000.0, -1000.0], DType::F16).reshape([1, 2, 2]).unwrap();
    let want = [1.0, -1.0, 1.0, -1.0];
    assert_eq!(values(x.group_norm(2, None, None, 1e-5).unwrap()), want);
    assert_eq!(values(x.instance_norm(None, None, 1e-5).unwrap()), want);
    let (y, moments) = x.batch_norm(None, None, 1e-5, None).unwrap();
    assert_eq!(values(y), want);
    assert_eq!(moments.dtype(), DType::F32);
    assert_eq!(moments.to_f64_vec().unwrap(), [0.0, 0.0, 90_000.0, 1_000_000.0]);
    assert_eq!(values(x.batch_norm_with(&moments, None, None, 1e-5, None).unwrap()), want);
}
