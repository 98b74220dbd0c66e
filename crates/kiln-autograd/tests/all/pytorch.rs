//! Every operation's values and gradients against PyTorch's (tests/fixtures), in f64. The lists are walked: an operation
//! without a fixture fails.

use kiln_autograd::Var;
use kiln_math::{BinaryOp, UnaryOp};
use kiln_tensor::{DType, Device, Interpolation, Order, Result, Tensor, UnaryCall};
use safetensors::SafeTensors;

pub(crate) struct Fixtures(Vec<u8>);

impl Fixtures {
    pub(crate) fn read(name: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        Fixtures(std::fs::read(format!("{folder}/{name}.safetensors")).unwrap())
    }

    pub(crate) fn find(&self, name: &str) -> Option<Tensor> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).ok()?;
        let numbers: Vec<f64> =
            view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        Some(Tensor::from_slice(&numbers, view.shape(), &Device::cpu()).unwrap())
    }

    pub(crate) fn get(&self, name: &str) -> Tensor {
        self.find(name).unwrap_or_else(|| panic!("no fixture {name}: add it to xtask/fixtures/autograd.py"))
    }

    /// As [`Fixtures::check`], of values with positions.
    #[track_caller]
    fn check_both(&self, name: &str, f: impl Fn(&Var) -> Result<(Var, Tensor)>) {
        let x = Var::variable(self.get(&format!("{name}/x0")));
        let positions = f(&x).unwrap().1.to_dtype(DType::F64).unwrap();
        close(&format!("{name}, positions"), &positions, &self.get(&format!("{name}/i")));
        self.check(name, |v| Ok(f(&v[0])?.0));
    }

    /// Whether `f` of the inputs has PyTorch's value and gradients.
    #[track_caller]
    fn check(&self, name: &str, f: impl Fn(&[Var]) -> Result<Var>) {
        let inputs: Vec<Var> = (0..3).map_while(|i| self.find(&format!("{name}/x{i}"))).map(Var::variable).collect();
        assert!(!inputs.is_empty(), "no fixture {name}: add it to xtask/fixtures/autograd.py");
        let y = f(&inputs).unwrap();
        close(name, y.tensor(), &self.get(&format!("{name}/y")));
        let weights = Var::constant(self.get(&format!("{name}/w")));
        let gradients = y.mul(&weights).unwrap().sum_all().unwrap().backward().unwrap();
        for (i, input) in inputs.iter().enumerate() {
            let expected = self.get(&format!("{name}/d{i}"));
            // No gradient is a gradient of zero.
            let zeros = Tensor::zeros(expected.shape(), DType::F64, &Device::cpu()).unwrap();
            close(&format!("{name}, gradient {i}"), gradients.of(input).unwrap_or(&zeros), &expected);
        }
    }
}

#[track_caller]
fn close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let pairs = found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap());
    for (i, (f, e)) in pairs.enumerate() {
        let near = (f - e).abs() <= 1e-12 * (1.0 + e.abs()) || f.is_nan() && e.is_nan();
        assert!(near, "{what} [{i}]: {f}, PyTorch gives {e}");
    }
}

#[test]
fn every_unary_operation() {
    let fixtures = Fixtures::read("operations");
    for &op in UnaryOp::ALL {
        let params = match op.params() {
            0 => [0.0; 2],
            1 => [1.3, 0.0],
            _ => [-0.7, 0.9],
        };
        fixtures.check(&format!("unary/{}", op.name()), |v| v[0].unary(UnaryCall { op, params }));
    }
}

#[test]
fn every_binary_operation_and_its_broadcast_form() {
    let fixtures = Fixtures::read("operations");
    for &op in BinaryOp::ALL {
        fixtures.check(&format!("binary/{}", op.name()), |v| v[0].binary(op, &v[1]));
        fixtures.check(&format!("binary/{}/broadcast", op.name()), |v| v[0].binary(op, &v[1]));
    }
}

#[test]
fn derived_elementwise_operations() {
    let fixtures = Fixtures::read("operations");
    fixtures.check("lerp/0.3", |v| v[0].lerp(&v[1], 0.3));
    fixtures.check("lerp/0.8", |v| v[0].lerp(&v[1], 0.8));
    fixtures.check("lerp_tensor", |v| v[0].lerp_tensor(&v[1], &v[2]));
    fixtures.check("clamp_tensors", |v| v[0].clamp_tensors(Some(&v[1]), Some(&v[2])));
    fixtures.check("clamp_tensors/ties", |v| v[0].clamp_tensors(Some(&v[1]), Some(&v[2])));
    fixtures.check("nan_to_num", |v| v[0].nan_to_num(0.5, None, None));
    fixtures.check("nan_to_num/values", |v| v[0].nan_to_num(0.5, Some(3.0), Some(-4.0)));
    fixtures.check("prelu", |v| v[0].prelu(&v[1]));
    fixtures.check("prelu/one", |v| v[0].prelu(&v[1]));
    fixtures.check("glu", |v| v[0].glu(-1));
    fixtures.check("glu/axis0", |v| v[0].glu(0));
    fixtures.check("reglu", |v| v[0].reglu(-1));
    fixtures.check("geglu", |v| v[0].geglu(-1));
    fixtures.check("swiglu", |v| v[0].swiglu(-1));
}

#[test]
fn rows_reductions_products_selections() {
    let fixtures = Fixtures::read("operations");
    fixtures.check("softmax", |v| v[0].softmax(-1));
    fixtures.check("softmax/axis0", |v| v[0].softmax(0));
    fixtures.check("log_softmax", |v| v[0].log_softmax(-1));
    fixtures.check("logsumexp", |v| v[0].logsumexp(-1));
    fixtures.check("log_softmax/large", |v| v[0].log_softmax(-1));
    for name in ["matmul", "matmul/batch", "matmul/vector"] {
        fixtures.check(name, |v| v[0].matmul(&v[1]));
    }
    fixtures.check("sum/axis1", |v| v[0].sum(1));
    fixtures.check("sum/axes02", |v| v[0].sum([0, 2]));
    fixtures.check("mean/axis1", |v| v[0].mean(1));
    fixtures.check("mean/axes02", |v| v[0].mean([0, 2]));
    fixtures.check("max/axis1", |v| v[0].max(1));
    fixtures.check("max/axes02", |v| v[0].max([0, 2]));
    fixtures.check("max/ties", |v| v[0].max(1));
    fixtures.check("prod/zeros", |v| v[0].prod(1));
    fixtures.check("prod/axis0", |v| v[0].prod(0));
    fixtures.check("min/axis1", |v| v[0].min(1));
    fixtures.check("min/axes02", |v| v[0].min([0, 2]));
    let condition = fixtures.get("where/condition").to_dtype(DType::Bool).unwrap();
    fixtures.check("where", |v| Var::select(&condition, &v[0], &v[1]));
    let index = fixtures.get("gather/index").to_dtype(DType::I64).unwrap();
    fixtures.check("gather", |v| v[0].index_select(0, &index));
}

#[test]
fn variances_and_norms() {
    let fixtures = Fixtures::read("reductions");
    for correction in 0..3 {
        fixtures.check(&format!("var/{correction}/axis1"), |v| v[0].var(1, correction));
        fixtures.check(&format!("var/{correction}/axes02"), |v| v[0].var([0, 2], correction));
        fixtures.check(&format!("std/{correction}/axis1"), |v| v[0].std(1, correction));
        fixtures.check(&format!("std/{correction}/all"), |v| v[0].std(.., correction));
    }
    for (name, p) in [
        ("2.0", 2.0),
        ("1.0", 1.0),
        ("3.0", 3.0),
        ("0.5", 0.5),
        ("1.5", 1.5),
        ("-1.0", -1.0),
        ("inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
    ] {
        fixtures.check(&format!("norm/{name}/axis2"), |v| v[0].norm(p, 2));
        fixtures.check(&format!("norm/{name}/axes01"), |v| v[0].norm(p, [0, 1]));
    }
    for (name, p) in [("2.0", 2.0), ("1.0", 1.0), ("3.0", 3.0)] {
        fixtures.check(&format!("norm/{name}/zeros"), |v| v[0].norm(p, 1));
    }
    fixtures.check("frobenius", |v| v[0].norm(2.0, [1, 2]));
    fixtures.check("normalize", |v| v[0].normalized(2.0, 1, 1e-12));
    fixtures.check("cosine", |v| v[0].cosine_similarity(&v[1], 2, 1e-8));
    fixtures.check("nansum", |v| v[0].nansum([0, 2]));
    fixtures.check("nanmean", |v| v[0].nanmean([0, 2]));
}

#[test]
fn cumulative_operations() {
    let fixtures = Fixtures::read("reductions");
    for axis in 0..3 {
        fixtures.check(&format!("cumsum/{axis}"), |v| v[0].cumsum(axis));
        fixtures.check(&format!("cumprod/{axis}"), |v| v[0].cumprod(axis));
        fixtures.check(&format!("logcumsumexp/{axis}"), |v| v[0].logcumsumexp(axis));
        fixtures.check_both(&format!("cummax/{axis}"), |x| x.cummax(axis));
        fixtures.check_both(&format!("cummin/{axis}"), |x| x.cummin(axis));
        fixtures.check(&format!("diff/{axis}"), |v| v[0].diff(1, axis));
    }
    fixtures.check("cumprod/zeros", |v| v[0].cumprod(1));
    fixtures.check_both("cummax/ties", |x| x.cummax(1));
    fixtures.check_both("cummin/ties", |x| x.cummin(1));
}

#[test]
fn sorting() {
    let fixtures = Fixtures::read("reductions");
    for (name, order) in [("False", Order::Ascending), ("True", Order::Descending)] {
        fixtures.check_both(&format!("sort/{name}"), |x| x.sort_with_positions(1, order));
        fixtures.check_both(&format!("sort/{name}/ties"), |x| x.sort_with_positions(1, order));
        fixtures.check_both(&format!("topk/{name}"), |x| x.topk(3, 2, order));
    }
    for k in [1, 2, 5] {
        fixtures.check_both(&format!("kthvalue/{k}"), |x| x.kthvalue(k, 2));
    }
    fixtures.check_both("median/even", |x| x.median(1));
    fixtures.check_both("median/odd", |x| x.median(2));
    for (name, kind) in [
        ("linear", Interpolation::Linear),
        ("lower", Interpolation::Lower),
        ("higher", Interpolation::Higher),
        ("nearest", Interpolation::Nearest),
        ("midpoint", Interpolation::Midpoint),
    ] {
        let q = [0.0, 0.1, 0.35, 0.5, 0.9, 1.0];
        fixtures.check(&format!("quantile/{name}"), |v| v[0].quantiles(&q, 1, kind));
    }
}
