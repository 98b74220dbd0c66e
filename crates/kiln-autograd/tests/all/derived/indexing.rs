//! Operations that move, pick and put elements against PyTorch's, and their gradients against differences.

use super::cases::{CASES, Case, Kind};
use super::gradients;
use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};

/// PyTorch's numbers of one case.
struct Expected {
    inputs: Vec<Tensor>,
    index: Vec<Tensor>,
    y: Tensor,
    weights: Tensor,
    gradients: Vec<Tensor>,
}

struct Fixtures(Vec<u8>);

impl Fixtures {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/indexing.safetensors");
        Fixtures(std::fs::read(path).unwrap())
    }

    fn find(&self, name: &str) -> Option<Tensor> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).ok()?;
        let (shape, cpu) = (view.shape(), Device::cpu());
        let words = || view.data().chunks_exact(8).map(|bytes| <[u8; 8]>::try_from(bytes).unwrap());
        Some(match view.dtype() {
            Dtype::F64 => Tensor::from_vec(words().map(f64::from_le_bytes).collect(), shape, &cpu).unwrap(),
            Dtype::I64 => Tensor::from_vec(words().map(i64::from_le_bytes).collect(), shape, &cpu).unwrap(),
            Dtype::BOOL => Tensor::from_vec(view.data().iter().map(|&on| on != 0).collect(), shape, &cpu).unwrap(),
            other => panic!("{name} is {other:?}"),
        })
    }

    fn of(&self, name: &str) -> Expected {
        let all = |letter: char| (0..2).map_while(|i| self.find(&format!("{name}/{letter}{i}"))).collect::<Vec<_>>();
        let get = |part| self.find(&format!("{name}/{part}")).unwrap_or_else(|| panic!("no fixture {name}"));
        Expected { inputs: all('x'), index: all('i'), y: get("y"), weights: get("w"), gradients: all('d') }
    }
}

#[track_caller]
fn close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let pairs = found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap());
    for (i, (f, e)) in pairs.enumerate() {
        assert!((f - e).abs() <= 1e-12 * (1.0 + e.abs()), "{what} [{i}]: {f}, PyTorch gives {e}");
    }
}

/// The same elements at other places in memory: strided, and not from the start on.
fn elsewhere(x: &Tensor) -> Tensor {
    let sides = vec![(1, 2); x.rank()];
    let order: Vec<usize> = (0..x.rank()).rev().collect();
    let padded = x.permute(&order).unwrap().pad(&sides, 5.0).unwrap();
    padded.crop(&sides).unwrap().permute(&order).unwrap()
}

fn check_values(case: &Case, expected: &Expected) {
    let (name, kind, f) = case;
    let dtypes: &[DType] = match kind {
        Kind::Moves => &DType::ALL,
        Kind::Sums => &[DType::F32, DType::F64, DType::F16, DType::BF16, DType::I64],
        Kind::Smooth | Kind::Kinks => &[DType::F64],
    };
    for &dtype in dtypes {
        let convert = |x: &Tensor| Var::constant(elsewhere(&x.to_dtype(dtype).unwrap()));
        let y = f(&expected.inputs.iter().map(convert).collect::<Vec<_>>(), &expected.index).unwrap();
        assert_eq!(y.dtype(), dtype, "{name}");
        close(&format!("{name} of {dtype}"), y.tensor(), &expected.y.to_dtype(dtype).unwrap());
    }
}

fn check_gradients((name, _, f): &Case, expected: &Expected) {
    let inputs: Vec<Var> = expected.inputs.iter().map(|x| Var::variable(elsewhere(x))).collect();
    let y = f(&inputs, &expected.index).unwrap();
    let total = y.mul(&Var::constant(expected.weights.clone())).unwrap().sum_all().unwrap();
    let found = total.backward().unwrap();
    for (i, (input, expected)) in inputs.iter().zip(&expected.gradients).enumerate() {
        close(&format!("{name}, gradient {i}"), found.of(input).unwrap(), expected);
    }
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let fixtures = Fixtures::read();
    for case in CASES {
        let expected = fixtures.of(case.0);
        check_values(case, &expected);
        check_gradients(case, &expected);
    }
}

#[test]
fn gradients_are_those_of_differences() {
    let fixtures = Fixtures::read();
    for (name, kind, f) in CASES {
        let expected = fixtures.of(name);
        if *kind != Kind::Kinks {
            gradients(name, |v| f(v, &expected.index), &expected.inputs);
        }
    }
}
