//! Linear algebra (feature `linalg`): PyTorch's values and gradients (tests/fixtures), what the decompositions are made back into, and
//! what is refused.

use kiln_autograd::{Var, grad_check, grad_grad_check};
use kiln_tensor::{DType, Device, Result, Tensor};
use safetensors::SafeTensors;

struct Fixtures(Vec<u8>);

impl Fixtures {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/linalg.safetensors");
        Fixtures(std::fs::read(path).unwrap())
    }

    fn find(&self, name: &str) -> Option<Tensor> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).ok()?;
        let numbers: Vec<f64> = view.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        Some(Tensor::from_slice(&numbers, view.shape(), &Device::cpu()).unwrap())
    }

    fn get(&self, name: &str) -> Tensor {
        self.find(name).unwrap_or_else(|| panic!("no fixture {name}"))
    }

    /// Whether `f` has PyTorch's value and gradients, and in f32 nearly so.
    fn check(&self, name: &str, f: impl Fn(&[Var]) -> Result<Var>) {
        let inputs: Vec<Tensor> = (0..2).map_while(|i| self.find(&format!("{name}/x{i}"))).collect();
        let vars: Vec<Var> = inputs.iter().cloned().map(Var::variable).collect();
        let y = f(&vars).unwrap_or_else(|e| panic!("{name}: {e}"));
        let expected = self.get(&format!("{name}/y"));
        close(name, y.tensor(), &expected, 1e-10);
        let single: Vec<Var> = inputs.iter().map(|x| Var::constant(x.to_dtype(DType::F32).unwrap())).collect();
        let found = f(&single).unwrap();
        assert_eq!(found.dtype(), DType::F32);
        close(name, found.tensor(), &expected, 1e-3);
        let count = y.tensor().elements();
        let step = |i: usize| 0.5 + i as f64 / count.saturating_sub(1).max(1) as f64;
        let weights: Vec<f64> = (0..count).map(step).collect();
        let weights = Var::constant(Tensor::from_slice(&weights, y.shape(), &Device::cpu()).unwrap());
        let slopes = y.mul(&weights).unwrap().sum_all().unwrap().backward().unwrap();
        for (i, x) in vars.iter().enumerate() {
            close(&format!("{name}, gradient {i}"), slopes.of(x).unwrap(), &self.get(&format!("{name}/d{i}")), 1e-9);
        }
    }
}

#[track_caller]
fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (f, e) in found.to_f64_vec().unwrap().iter().zip(expected.to_f64_vec().unwrap()) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f}, expected {e}");
    }
}

#[test]
fn pytorch_s_values_and_gradients() -> Result<()> {
    let fixtures = Fixtures::read();
    for case in ["one", "many"] {
        fixtures.check(&format!("inv/{case}"), |v| v[0].inv());
        fixtures.check(&format!("det/{case}"), |v| v[0].det());
        fixtures.check(&format!("slogdet/{case}"), |v| Ok(v[0].slogdet()?.1));
        fixtures.check(&format!("cholesky/{case}"), |v| v[0].cholesky());
        let (sign, _) = fixtures.get(&format!("det/{case}/x0")).slogdet()?;
        close("sign", &sign, &fixtures.get(&format!("sign/{case}")), 0.0);
        let a = fixtures.get(&format!("eigh/{case}/x0"));
        let (values, vectors) = a.eigh()?;
        close("eigh", &values, &fixtures.get(&format!("eigh/{case}/values")), 1e-12);
        let again = vectors.mul(&values.unsqueeze(-2)?)?.matmul(&vectors.transpose(-2, -1)?)?;
        close("eigh, put together", &again, &a, 1e-12);
    }
    for case in ["vector", "matrix", "many", "one for all", "broadcast"] {
        fixtures.check(&format!("solve/{case}"), |v| v[0].solve(&v[1]));
    }
    for case in ["tall", "wide", "low rank"] {
        let a = fixtures.get(&format!("svd/{case}/x0"));
        let (u, s, vt) = a.svd()?;
        close(case, &s, &fixtures.get(&format!("svd/{case}/values")), 1e-12);
        close(case, &u.mul(&s.unsqueeze(-2)?)?.matmul(&vt)?, &a, 1e-12);
        close(case, &a.pinv()?, &fixtures.get(&format!("svd/{case}/pinv")), 1e-11);
        close(case, &a.nuclear_norm()?, &fixtures.get(&format!("svd/{case}/nuclear")), 1e-12);
        let (q, r) = a.qr()?;
        close(case, &q.matmul(&r)?, &a, 1e-12);
        let (rows, columns) = (r.dims()[r.rank() - 2], r.dims()[r.rank() - 1]);
        let below =
            r.to_f64_vec()?.into_iter().enumerate().filter(|(i, _)| i % (rows * columns) / columns > i % columns);
        assert!(below.into_iter().all(|(_, x)| x == 0.0), "{case}: R is an upper triangle");
        let ranks = a.matrix_rank()?;
        assert!(
            ranks
                .to_vec::<i64>()?
                .iter()
                .all(|&rank| rank == if case == "wide" || case == "tall" { rows.min(columns) as i64 } else { 2 })
        );
    }
    let (a, b) = (fixtures.get("lstsq/x0"), fixtures.get("lstsq/b"));
    close("lstsq", &a.lstsq(&b)?, &fixtures.get("lstsq/y"), 1e-11);
    Ok(())
}

#[test]
fn gradients_of_both_orders() {
    let fixtures = Fixtures::read();
    let a = fixtures.get("inv/many/x0").slice(0, 0..1).unwrap().slice(1, 0..2).unwrap().contiguous().unwrap();
    let b = fixtures.get("solve/many/x1").slice(0, 0..1).unwrap().slice(1, 0..2).unwrap().contiguous().unwrap();
    let one = |name: &str, f: &dyn Fn(&[Var]) -> Result<Var>, inputs: &[Tensor]| {
        grad_check(f, inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
        grad_grad_check(f, inputs).unwrap_or_else(|e| panic!("{name}, second order: {e}"));
    };
    one("inv", &|v| v[0].inv(), std::slice::from_ref(&a));
    one("det", &|v| v[0].det(), std::slice::from_ref(&a));
    one("slogdet", &|v| Ok(v[0].slogdet()?.1), std::slice::from_ref(&a));
    one("solve", &|v| v[0].solve(&v[1]), &[a.clone(), b]);
    // Of a product with its transpose: differences stay symmetric.
    let definite = |v: &[Var]| {
        let eye = Var::constant(Tensor::eye(3, DType::F64, &Device::cpu())?);
        v[0].matmul(&v[0].transpose(-2, -1)?)?.add(&eye)?.cholesky()
    };
    one("cholesky", &definite, &[a]);
}

#[test]
fn empty_matrices_and_batches() -> Result<()> {
    let empty = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::cpu());
    assert_eq!(empty(&[0, 0])?.inv()?.dims(), [0, 0]);
    assert_eq!(empty(&[2, 0, 0])?.det()?.to_vec::<f32>()?, [1.0, 1.0]);
    assert_eq!(empty(&[0, 3, 3])?.cholesky()?.dims(), [0, 3, 3]);
    assert_eq!(empty(&[0, 0])?.solve(&empty(&[0, 2])?)?.dims(), [0, 2]);
    assert_eq!(empty(&[3, 0])?.svd()?.1.dims(), [0]);
    assert_eq!(empty(&[3, 0])?.pinv()?.dims(), [0, 3]);
    assert_eq!(empty(&[0, 3])?.qr()?.1.dims(), [0, 3]);
    assert_eq!(empty(&[0, 0])?.eigh()?.0.dims(), [0]);
    assert_eq!(empty(&[3, 0])?.matrix_rank()?.item()?, 0.0);
    Ok(())
}

#[test]
fn what_does_not_fit_is_said() -> Result<()> {
    let of = |data: &[f64]| Tensor::from_slice(data, [2, 2], &Device::cpu());
    let (good, singular, wide) =
        (of(&[2.0, 1.0, 1.0, 2.0])?, of(&[1.0, 2.0, 2.0, 4.0])?, Tensor::zeros([2, 3], DType::F64, &Device::cpu())?);
    let (odd, negative, nan) =
        (of(&[1.0, 5.0, 0.0, 1.0])?, of(&[1.0, 2.0, 2.0, 1.0])?, of(&[1.0, f64::NAN, 0.0, 1.0])?);
    let batch = Tensor::stack(&[&good, &singular], 0)?;
    let half = good.to_dtype(DType::F16)?;
    let vector = Tensor::zeros([3], DType::F64, &Device::cpu())?;
    let not_finite = "holds NaN or an infinite number";
    for (name, error, expected) in [
        ("inv", singular.inv().err(), "the matrix is singular"),
        ("inv", batch.inv().err(), "matrix 1 of (2, 2, 2) is singular"),
        ("inv", wide.inv().err(), "(2, 3) is not square"),
        ("inv", vector.inv().err(), "(3,) is no matrix"),
        ("inv", nan.inv().err(), not_finite),
        ("inv", half.inv().err(), "dtype f16 is not supported"),
        ("solve", singular.solve(&good).err(), "singular"),
        ("solve", good.solve(&vector).err(), "no system: right sides (…, 2, k) or (2,)"),
        ("solve", good.solve(&good.to_dtype(DType::F32)?).err(), "convert one with `to_dtype`"),
        ("solve", batch.solve(&Tensor::zeros([3, 2, 1], DType::F64, &Device::cpu())?).err(), "do not broadcast"),
        ("det", wide.det().err(), "not square"),
        ("slogdet", nan.slogdet().err(), not_finite),
        ("cholesky", negative.cholesky().err(), "the matrix is not positive definite"),
        ("cholesky", odd.cholesky().err(), "the matrix is not symmetric"),
        ("cholesky", nan.cholesky().err(), not_finite),
        ("eigh", odd.eigh().err(), "the matrix is not symmetric"),
        ("qr", nan.qr().err(), not_finite),
        ("svd", nan.svd().err(), not_finite),
        ("svd", half.svd().err(), "f32 or f64"),
        ("lstsq", good.lstsq(&vector).err(), "no system: right sides (…, 2, k) or (2,)"),
        ("matrix_rank", vector.matrix_rank().err(), "no matrix"),
    ] {
        let error = error.unwrap_or_else(|| panic!("{name}: {expected}")).to_string();
        assert!(error.starts_with(&format!("{name}: ")) && error.contains(expected), "{name}: {error}");
    }
    let (sign, log) = singular.slogdet()?;
    assert_eq!((singular.det()?.item()?, sign.item()?, log.item()?), (0.0, 0.0, f64::NEG_INFINITY));
    let x = Var::variable(singular);
    let error = x.det()?.backward().unwrap_err().to_string();
    assert!(error.contains("singular"), "{error}");
    Ok(())
}
