//! Products with Jacobians and Hessians, and the matrices: torch.func's values (tests/fixtures), and what is refused.

use kiln_autograd::{Var, checkpoint, hessian, hvp, jacobian, jvp, vjp};
use kiln_tensor::{ConvOptions, DType, Device, Result, Tensor};
use safetensors::SafeTensors;

struct Fixtures(Vec<u8>);

impl Fixtures {
    fn get(&self, name: &str) -> Tensor {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap_or_else(|_| panic!("no fixture {name}"));
        let numbers: Vec<f64> = view.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        Tensor::from_slice(&numbers, view.shape(), &Device::cpu()).unwrap()
    }

    #[track_caller]
    fn expect(&self, name: &str, found: &Tensor) {
        let expected = self.get(name);
        assert_eq!(found.shape(), expected.shape(), "{name}");
        for (f, e) in found.to_f64_vec().unwrap().into_iter().zip(expected.to_f64_vec().unwrap()) {
            assert!((f - e).abs() <= 1e-11 * (1.0 + e.abs()), "{name}: {f}, torch.func gives {e}");
        }
    }

    fn check(&self, name: &str, f: impl Fn(&Var, &Var) -> Result<Var>) -> Result<()> {
        let get = |what: &str| self.get(&format!("{name}/{what}"));
        let (x, w) = (Var::variable(get("x0")), Var::variable(get("x1")));
        let (inputs, tangents) = ([&x, &w], [get("t0"), get("t1")]);
        let y = f(&x, &w)?;
        self.expect(&format!("{name}/jvp"), &jvp(&y, &inputs, &tangents)?);
        let loss = y.square()?.sum_all()?;
        let hessian = hessian(&loss, &inputs)?;
        let products = (vjp(&y, &inputs, &get("u"))?, hvp(&loss, &inputs, &tangents)?, jacobian(&y, &inputs)?);
        for (i, blocks) in hessian.iter().enumerate() {
            self.expect(&format!("{name}/vjp{i}"), &products.0[i]);
            self.expect(&format!("{name}/hvp{i}"), &products.1[i]);
            self.expect(&format!("{name}/jacobian{i}"), &products.2[i]);
            (0..2).for_each(|j| self.expect(&format!("{name}/hessian{i}{j}"), &blocks[j]));
        }
        Ok(())
    }
}

#[test]
fn values_are_those_of_torch_func() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/derivatives.safetensors");
    let fixtures = Fixtures(std::fs::read(path).unwrap());
    fixtures.check("product", |x, w| x.matmul(w)?.tanh())?;
    fixtures.check("ratio", |x, w| x.exp()?.div(&w.mul(w)?.add_scalar(1.0)?)?.sum(0))?;
    let options = ConvOptions::new().stride(2).padding(1);
    fixtures.check("conv", |x, w| x.conv(w, None, &options, None)?.sigmoid()?.mean(0))?;
    fixtures.check("softmax", |x, w| x.mul(w)?.softmax(-1)?.max(0))?;
    // Through a checkpoint as without.
    fixtures.check("product", |x, w| {
        let w = w.clone();
        checkpoint(move |x| x.matmul(&w)?.tanh(), x)
    })
}

fn variable(values: &[f64]) -> Var {
    Var::variable(Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap())
}

#[test]
fn what_does_not_depend_has_derivatives_of_zero() -> Result<()> {
    let (x, stranger) = (variable(&[1.0, 2.0]), variable(&[3.0]));
    let y = x.mul_scalar(3.0)?;
    let both = [&x, &stranger];
    let ones = |n: usize| Tensor::ones([n], DType::F64, &Device::cpu());
    assert_eq!(jvp(&y, &both, &[ones(2)?, ones(1)?])?.to_f64_vec()?, [3.0, 3.0]);
    assert_eq!(jvp(&y, &[&stranger], &[ones(1)?])?.to_f64_vec()?, [0.0, 0.0]);
    assert_eq!(vjp(&y, &both, &ones(2)?)?[1].to_f64_vec()?, [0.0]);
    let linear = y.sum_all()?;
    assert_eq!(hvp(&linear, &both, &[ones(2)?, ones(1)?])?[0].to_f64_vec()?, [0.0, 0.0]);
    let blocks = hessian(&linear, &both)?;
    assert_eq!(
        (blocks[0][0].dims(), blocks[0][1].dims(), blocks[1][0].dims()),
        (&[2, 2][..], &[2, 1][..], &[1, 2][..])
    );
    assert_eq!(jacobian(&y, &both)?[0].to_f64_vec()?, [3.0, 0.0, 0.0, 3.0]);
    assert_eq!(jacobian(&y.slice(0, 0..0)?, &both)?[0].dims(), [0, 2]);
    Ok(())
}

#[test]
fn unfit_operands_are_refused() -> Result<()> {
    let x = variable(&[1.0, 2.0]);
    let y = x.square()?;
    let three = Tensor::ones([3], DType::F64, &Device::cpu())?;
    let single = Tensor::ones([2], DType::F32, &Device::cpu())?;
    let refused = |result: Result<Vec<Tensor>>, part: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let loss = y.sum_all()?;
    refused(hvp(&loss, &[&x], &[&three]), "hvp: vector 0 is f64 (3,), its input f64 (2,)");
    refused(hvp(&loss, &[&x], &[&single]), "vector 0 is f32");
    refused(hvp(&loss, &[&x], &[&three, &three]), "2 vectors for 1 inputs");
    refused(hvp(&y, &[&x], &[x.tensor()]), "hvp: gradients are taken of one number, this Var has shape (2,)");
    refused(hvp(&loss, &[x.detach()], &[x.tensor()]), "input 0 needs no gradient");
    refused(vjp(&y, &[&x], &three), "the cotangent is f64 (3,)");
    refused(jvp(&y, &[&x], &[&three]).map(|y| vec![y]), "tangent 0");
    refused(hessian(&y, &[&x]).map(|mut rows| rows.remove(0)), "one number");
    let wide = Var::variable(Tensor::ones([1, 1, 1, 2], DType::F64, &Device::cpu())?);
    refused(jacobian(&wide.square()?, &[&wide]), "reshape one of them");
    Ok(())
}
