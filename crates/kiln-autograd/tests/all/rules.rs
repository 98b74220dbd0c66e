//! Each rule against finite differences, first and second order; each fused form against its composed one.

use kiln_autograd::{Var, grad_check, grad_grad_check};
use kiln_math::UnaryOp;
use kiln_tensor::{DType, Device, IntoShape, Result, Tensor};

fn values(shape: impl IntoShape, seed: usize) -> Tensor {
    let shape = shape.into_shape().unwrap();
    let data: Vec<f64> = (0..shape.elements()).map(|i| ((i * 37 + seed * 11 + 5) % 29) as f64 / 13.0 - 1.05).collect();
    Tensor::from_slice(&data, shape, &Device::cpu()).unwrap()
}

#[track_caller]
fn both(name: &str, f: impl Fn(&[Var]) -> Result<Var>, inputs: &[Tensor]) {
    grad_check(&f, inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
    grad_grad_check(&f, inputs).unwrap_or_else(|e| panic!("{name}, second order: {e}"));
}

#[test]
fn shapes() {
    let x = || values([2, 3, 4], 1);
    // Squared, so that the second derivative is not zero everywhere.
    let square = |v: Var| v.mul(&v);
    both("reshape", |v| square(v[0].reshape([4, 6])?), &[x()]);
    both("flatten", |v| square(v[0].flatten(1)?), &[x()]);
    both("permute", |v| square(v[0].permute(&[2, 0, 1])?)?.mul(&v[1]), &[x(), values([4, 2, 3], 2)]);
    both("transpose", |v| square(v[0].transpose(0, 2)?), &[x()]);
    both("slice", |v| square(v[0].slice(1, 1..3)?), &[x()]);
    both("embed", |v| square(v[0].embed(1, 2, [2, 7, 4])?), &[x()]);
    both("unsqueeze", |v| square(v[0].unsqueeze(1)?), &[x()]);
    both("squeeze", |v| square(v[0].unsqueeze(0)?.squeeze(0)?), &[x()]);
    both(
        "broadcast_to",
        |v| square(v[0].broadcast_to([3, 2, 4])?)?.mul(&v[1]),
        &[values([2, 1], 3), values([3, 2, 4], 4)],
    );
    both("concat", |v| square(Var::concat(&[&v[0], &v[1], &v[0]], 1)?), &[x(), values([2, 1, 4], 5)]);
    both("stack", |v| square(Var::stack(&[&v[0], &v[1]], 1)?), &[values([3], 1), values([3], 2)]);
}

#[test]
fn reductions() {
    let x = || values([3, 4, 2], 3);
    let cube = |v: Var| v.mul(&v)?.mul(&v);
    for keep in [false, true] {
        both("sum", |v| cube((if keep { v[0].sum_keepdim([0, 2]) } else { v[0].sum([0, 2]) })?), &[x()]);
        both("mean", |v| cube((if keep { v[0].mean_keepdim(1) } else { v[0].mean(1) })?), &[x()]);
        both("max", |v| cube((if keep { v[0].max_keepdim(-1) } else { v[0].max(-1) })?), &[x()]);
        both("min", |v| cube((if keep { v[0].min_keepdim([0]) } else { v[0].min([0]) })?), &[x()]);
    }
    both("sum_all", |v| cube(v[0].sum_all()?), &[x()]);
    both("mean_all", |v| cube(v[0].mean_all()?), &[x()]);
}

#[test]
fn products_of_elements() -> Result<()> {
    for keep in [false, true] {
        both("prod", |v| if keep { v[0].prod_keepdim(1) } else { v[0].prod(1) }, &[values([3, 4, 2], 3)]);
        both(
            "prod of several axes",
            |v| if keep { v[0].prod_keepdim([2, 0]) } else { v[0].prod([2, 0]) },
            &[values([3, 4, 2], 3)],
        );
    }
    // Odd numbers of factors, one, and of every element.
    for n in [1, 2, 3, 5, 7, 8] {
        both("prod", |v| v[0].prod(..), &[values([n], n)]);
    }
    // No, one and two factors of 0, where y/x would be no number; the second derivatives are not all 0 there.
    let zeros = [[2.0, -1.5, 0.5, 3.0, -0.25], [2.0, 0.0, 0.5, 3.0, -0.25], [0.0, -1.5, 0.0, 3.0, -0.25]];
    let x = Tensor::from_slice(zeros.as_flattened(), [3, 5], &Device::cpu())?;
    both("prod with zeros", |v| v[0].prod(1), std::slice::from_ref(&x));
    let x = Var::variable(x);
    let gradients = x.prod(1)?.sum_all()?.backward()?;
    let expected = [
        [0.5625, -0.75, 2.25, 0.375, -4.5],
        [0.0, -0.75, 0.0, 0.0, 0.0], // 2 · 0.5 · 3 · −0.25, where the 0 is
        [0.0; 5],
    ];
    assert_eq!(gradients.of(&x).unwrap().to_f64_vec()?, expected.as_flattened());
    Ok(())
}

#[test]
fn products_of_no_elements() -> Result<()> {
    for (shape, axes) in
        [(vec![0], vec![0usize]), (vec![3, 0], vec![1]), (vec![3, 0], vec![0]), (vec![0, 2], vec![0, 1])]
    {
        let x = Var::variable(Tensor::zeros(&shape[..], DType::F64, &Device::cpu())?);
        let y = x.prod(&axes[..])?;
        assert!(y.tensor().to_f64_vec()?.iter().all(|&y| y == 1.0), "{shape:?} {axes:?}");
        let gradients = y.sum_all()?.backward()?;
        assert_eq!(gradients.of(&x).unwrap().dims(), &shape[..], "{shape:?} {axes:?}");
    }
    // Over no axis it is x itself.
    both("prod over nothing", |v| v[0].prod(&[][..] as &[isize])?.square(), &[values([2, 3], 1)]);
    Ok(())
}

#[test]
fn products() {
    let cases: &[(&[usize], &[usize])] = &[
        (&[3, 4], &[4, 2]),
        (&[1, 1], &[1, 1]),
        (&[2, 3, 4], &[4, 2]),
        (&[2, 3, 4], &[2, 4, 2]),
        (&[2, 1, 3, 4], &[3, 4, 2]),
        (&[4], &[4]),
        (&[4], &[4, 3]),
        (&[3, 4], &[4]),
        (&[2, 3, 4], &[4]),
    ];
    for (a, b) in cases {
        both(&format!("matmul {a:?} {b:?}"), |v| v[0].matmul(&v[1]), &[values(*a, 1), values(*b, 2)]);
    }
}

#[test]
fn linear_is_its_composed_form() -> Result<()> {
    // One activation whose derivative reads the output, one that reads the input (not fused), none.
    for activation in [None, Some(UnaryOp::Relu), Some(UnaryOp::Tanh), Some(UnaryOp::Gelu)] {
        let call = activation.map(Into::into);
        for batch in [vec![5, 4], vec![2, 3, 4], vec![4]] {
            let inputs = [values(&batch, 7), values([3, 4], 8), values([3], 9)];
            both("linear", |v| v[0].linear(&v[1], Some(&v[2]), call), &inputs);
            both("linear without bias", |v| v[0].linear(&v[1], None, call), &inputs[..2]);
            let [x, w, b] = inputs.each_ref().map(|t| Var::variable(t.clone()));
            let fused = x.linear(&w, Some(&b), call)?;
            let product = x.matmul(&w.t()?)?.add(&b)?;
            let composed = match call {
                Some(call) => product.unary(call)?,
                None => product,
            };
            assert_eq!(fused.dims(), composed.dims());
            for (f, c) in fused.tensor().to_f64_vec()?.iter().zip(composed.tensor().to_f64_vec()?) {
                assert!((f - c).abs() < 1e-14);
            }
        }
    }
    Ok(())
}

#[test]
fn softmax_and_cross_entropy() -> Result<()> {
    let x = || values([4, 5], 6);
    for axis in [-1, 0, 1] {
        both("softmax", |v| v[0].softmax(axis), &[x()]);
        both("log_softmax", |v| v[0].log_softmax(axis), &[x()]);
        both("logsumexp", |v| v[0].logsumexp(axis), &[x()]);
    }
    let labels = Tensor::from_slice(&[4i64, 0, 2, 2], [4], &Device::cpu())?;
    let soft = values([4, 5], 2).softmax(-1)?;
    for target in [&labels, &soft] {
        both("cross_entropy", |v| v[0].cross_entropy(target), &[x()]);
        let composed = |v: &Var| -> Result<Var> {
            let t = if target.rank() == 1 { target.one_hot(5)?.to_dtype(v.dtype())? } else { target.clone() };
            v.log_softmax(-1)?.mul(&Var::constant(t))?.sum(-1)?.neg()
        };
        let v = Var::variable(x());
        for (a, b) in v.cross_entropy(target)?.tensor().to_f64_vec()?.iter().zip(composed(&v)?.tensor().to_f64_vec()?) {
            assert!((a - b).abs() < 1e-13);
        }
        // Of probabilities: through the softmax's node, and without one.
        both("through softmax", |v| v[0].softmax(-1)?.cross_entropy_from_probabilities(target), &[x()]);
        let p = x().softmax(-1)?;
        both("probabilities", |v| v[0].cross_entropy_from_probabilities(target), &[p]);
    }
    Ok(())
}

#[test]
fn a_softmax_that_underflows_still_has_its_exact_loss() -> Result<()> {
    let logits = Var::variable(Tensor::from_slice(&[0.0f32, 500.0], [1, 2], &Device::cpu())?);
    let label = Tensor::from_slice(&[0u8], [1], &Device::cpu())?;
    let p = logits.softmax(-1)?;
    assert_eq!(p.tensor().to_f64_vec()?[0], 0.0);
    let loss = p.cross_entropy_from_probabilities(&label)?.mean_all()?;
    assert_eq!(loss.item()?, 500.0);
    let gradients = loss.backward()?;
    assert_eq!(gradients.of(&logits).unwrap().to_f64_vec()?, [-1.0, 1.0]);
    // Without the node, the loss is finite all the same.
    let p = Var::constant(p.into_tensor());
    assert!(p.cross_entropy_from_probabilities(&label)?.item()?.is_finite());
    Ok(())
}

#[test]
fn selection() -> Result<()> {
    let cpu = Device::cpu();
    let condition = Tensor::from_slice(&[true, false, true, true, false, false], [2, 3], &cpu)?;
    let square = |v: Var| v.mul(&v);
    both("select", |v| square(Var::select(&condition, &v[0], &v[1])?), &[values([2, 3], 1), values([3], 2)]);
    let index = Tensor::from_slice(&[2i64, 0, 2, 1], [4], &cpu)?;
    both("index_select", |v| square(v[0].index_select(1, &index)?), &[values([2, 3], 1)]);
    both("index_add", |v| square(v[0].index_add(1, &index, &v[1])?), &[values([2, 3], 1), values([2, 4], 2)]);
    let stream = Tensor::from_slice(&[42i64, 7], [2], &cpu)?;
    both("dropout", |v| square(v[0].dropout(0.4, &stream)?), &[values([5, 7], 3)]);
    Ok(())
}
