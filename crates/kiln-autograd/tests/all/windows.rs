//! Convolutions, pooling, normalization, padding and resampling: every fixture's value and gradients against PyTorch's and
//! Keras's (tests/fixtures), and its gradients of both orders against finite differences. The files are walked: a fixture
//! of a kind that is not here fails, and so does a kind without fixtures.

use kiln_autograd::{Var, grad_check, grad_grad_check};
use kiln_math::UnaryOp;
use kiln_tensor::{ConvOptions, Device, Padding, PerAxis, PoolOptions, Result, Tensor, UnaryCall};
use safetensors::SafeTensors;
use std::collections::{BTreeMap, BTreeSet};

/// The numbers of a fixture's settings, read one after the other.
struct Settings(std::vec::IntoIter<f64>);

impl Settings {
    fn number(&mut self) -> f64 {
        self.0.next().unwrap()
    }

    fn whole(&mut self) -> usize {
        self.number() as usize
    }

    fn yes(&mut self) -> bool {
        self.number() != 0.0
    }

    fn list(&mut self, count: usize) -> Vec<f64> {
        self.0.by_ref().take(count).collect()
    }

    fn axes(&mut self, count: usize) -> PerAxis {
        match self.list(count)[..] {
            [a] => (a as usize).into(),
            [a, b] => [a as usize, b as usize].into(),
            [a, b, c] => [a as usize, b as usize, c as usize].into(),
            _ => panic!("{count} axes"),
        }
    }

    /// Before and after each axis; −1 is `Same`.
    fn padding(&mut self, count: usize) -> Padding {
        let (before, after) = (self.list(count), self.list(count));
        if before[0] < 0.0 {
            return Padding::Same;
        }
        let pair = |i: usize| (before[i] as usize, after[i] as usize);
        match count {
            1 => [pair(0)].into(),
            2 => [pair(0), pair(1)].into(),
            _ => [pair(0), pair(1), pair(2)].into(),
        }
    }

    fn conv(&mut self) -> (usize, ConvOptions) {
        let n = self.whole();
        let options = ConvOptions::new().stride(self.axes(n)).dilation(self.axes(n)).padding(self.padding(n));
        (n, options.groups(self.whole()))
    }

    fn pool(&mut self) -> PoolOptions {
        let n = self.whole();
        let options = PoolOptions::new(self.axes(n)).stride(self.axes(n)).dilation(self.axes(n));
        options.padding(self.padding(n)).ceil(self.yes()).count_include_pad(self.yes())
    }

    fn activation(&mut self) -> Option<UnaryCall> {
        [None, Some(UnaryOp::Relu), Some(UnaryOp::Tanh), Some(UnaryOp::Gelu)][self.whole()].map(Into::into)
    }
}

const KINDS: &[&str] = &[
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "batch_norm",
    "batch_norm_with",
    "conv",
    "conv_transpose",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "lp_pool",
    "lp_pool_zeros",
    "max_pool",
    "max_pool_ties",
    "pad",
    "rms_norm",
    "upsample_bilinear",
    "upsample_nearest",
];

/// Kinds with elements at which there is no derivative for a difference to find.
const NOT_SMOOTH: &[&str] = &["lp_pool_zeros", "max_pool_ties"];

/// The operation of a kind with these settings, of these inputs.
fn apply(fixture: &Fixture, v: &[Var]) -> Result<Var> {
    let mut s = Settings(fixture.get("settings").to_vec::<f64>()?.into_iter());
    let (x, second, third) = (&v[0], v.get(1), v.get(2));
    match &fixture.kind[..] {
        "conv" => {
            let (_, options) = s.conv();
            x.conv(&v[1], third, &options, s.activation())
        }
        "conv_transpose" => {
            let (n, options) = s.conv();
            x.conv_transpose(&v[1], third, &options.output_padding(s.axes(n)))
        }
        "max_pool" | "max_pool_ties" => x.max_pool(&s.pool()),
        "avg_pool" => x.avg_pool(&s.pool()),
        "lp_pool" | "lp_pool_zeros" => {
            let options = s.pool();
            x.lp_pool(s.number(), &options)
        }
        "adaptive_avg_pool" => {
            let n = s.whole();
            x.adaptive_avg_pool(s.axes(n))
        }
        "adaptive_max_pool" => {
            let n = s.whole();
            x.adaptive_max_pool(s.axes(n))
        }
        "batch_norm" => Ok(x.batch_norm(second, third, s.number(), s.activation())?.0),
        "batch_norm_with" => x.batch_norm_with(&fixture.get("moments"), second, third, s.number(), s.activation()),
        "layer_norm" => x.layer_norm(s.whole(), second, third, s.number()),
        "rms_norm" => x.rms_norm(s.whole(), second, s.number()),
        "group_norm" => x.group_norm(s.whole(), second, third, s.number()),
        "instance_norm" => x.instance_norm(second, third, s.number()),
        "local_response_norm" => x.local_response_norm(s.whole(), s.number(), s.number(), s.number()),
        "pad" => {
            let value = s.number();
            let rest: Vec<usize> = s.0.map(|n| n as usize).collect();
            let sides: Vec<(usize, usize)> = rest.chunks(2).map(|pair| (pair[0], pair[1])).collect();
            x.pad(&sides, value)
        }
        "upsample_nearest" => {
            let n = s.whole();
            x.upsample_nearest(s.axes(n))
        }
        "upsample_bilinear" => {
            let n = s.whole();
            x.upsample_bilinear(s.axes(n), s.yes())
        }
        kind => panic!("no operation for the fixture {kind}: add it here"),
    }
}

/// One call: its settings, inputs, value and gradients by name.
struct Fixture {
    name: String,
    kind: String,
    tensors: BTreeMap<String, Tensor>,
}

impl Fixture {
    fn get(&self, part: &str) -> Tensor {
        self.tensors.get(part).unwrap_or_else(|| panic!("{} has no {part}", self.name)).clone()
    }

    fn inputs(&self) -> Vec<Tensor> {
        (0..).map_while(|i| self.tensors.get(&format!("x{i}")).cloned()).collect()
    }
}

/// All fixtures of a file; each kind is known.
fn fixtures(file: &str) -> Vec<Fixture> {
    let bytes = std::fs::read(format!("{}/tests/fixtures/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut calls: BTreeMap<String, BTreeMap<String, Tensor>> = BTreeMap::new();
    for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
        let data: Vec<f64> = view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        let (call, part) = name.rsplit_once('/').unwrap();
        let tensor = Tensor::from_slice(&data, view.shape(), &Device::cpu()).unwrap();
        calls.entry(call.into()).or_default().insert(part.into(), tensor);
    }
    let of = |(name, tensors): (String, _)| Fixture { kind: name.split('/').next().unwrap().into(), name, tensors };
    calls.into_iter().map(of).collect()
}

#[track_caller]
fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let pairs = found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap());
    for (i, (f, e)) in pairs.enumerate() {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what} [{i}]: {f}, expected {e}");
    }
}

/// 0.5 to 1.5 in equal steps.
fn weights(like: &Var) -> Var {
    let count = like.shape().elements();
    let weights: Vec<f64> = (0..count).map(|i| 0.5 + i as f64 / (count - 1).max(1) as f64).collect();
    Var::constant(Tensor::from_slice(&weights, like.shape(), like.device()).unwrap())
}

fn check_file(file: &str) -> BTreeSet<String> {
    let mut kinds = BTreeSet::new();
    for fixture in fixtures(file) {
        let name = &fixture.name;
        // TensorFlow interpolates in single precision, whatever it is given.
        let single = file == "windows_keras.safetensors" && fixture.kind == "upsample_bilinear";
        let tolerance = if single { 1e-6 } else { 1e-11 };
        let inputs: Vec<Var> = fixture.inputs().into_iter().map(Var::variable).collect();
        let y = apply(&fixture, &inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
        close(name, y.tensor(), &fixture.get("y"), tolerance);
        let gradients = y.mul(&weights(&y)).unwrap().sum_all().unwrap().backward().unwrap();
        for (i, input) in inputs.iter().enumerate() {
            let found = gradients.of(input).unwrap_or_else(|| panic!("{name}: no gradient of input {i}"));
            close(&format!("{name}, gradient {i}"), found, &fixture.get(&format!("d{i}")), tolerance);
        }
        kinds.insert(fixture.kind);
    }
    kinds
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let kinds = check_file("windows.safetensors");
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), KINDS);
}

#[test]
fn values_and_gradients_are_kerass() {
    let kinds = check_file("windows_keras.safetensors");
    for kind in
        ["conv", "conv_transpose", "max_pool", "avg_pool", "batch_norm", "upsample_nearest", "upsample_bilinear"]
    {
        assert!(kinds.contains(kind), "{kind}");
    }
}

#[test]
fn gradients_are_slopes_and_so_are_theirs() {
    for fixture in fixtures("windows.safetensors").into_iter().chain(fixtures("windows_keras.safetensors")) {
        if NOT_SMOOTH.contains(&&fixture.kind[..]) {
            continue;
        }
        let f = |v: &[Var]| apply(&fixture, v);
        grad_check(f, &fixture.inputs()).unwrap_or_else(|e| panic!("{}: {e}", fixture.name));
        // Squared, so that the second derivative of what is linear is not zero everywhere.
        grad_grad_check(|v| f(v)?.square(), &fixture.inputs())
            .unwrap_or_else(|e| panic!("{}, second order: {e}", fixture.name));
    }
}

/// Running statistics after one step from 0 and 1, by Keras's momentum of 0.99.
#[test]
fn running_statistics_are_kerass() {
    let mut seen = 0;
    for fixture in fixtures("windows_keras.safetensors").iter().filter(|fixture| fixture.kind == "batch_norm") {
        let x = Var::constant(fixture.get("x0"));
        let (_, moments) = x.batch_norm(None, None, 1e-3, None).unwrap();
        let start = Tensor::from_slice(&[0.0, 0.99], [2, 1], x.device()).unwrap();
        close(&fixture.name, &moments.mul_scalar(0.01).unwrap().add(&start).unwrap(), &fixture.get("running"), 1e-12);
        seen += 1;
    }
    assert_eq!(seen, 3);
}
