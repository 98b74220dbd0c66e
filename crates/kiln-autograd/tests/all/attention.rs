//! Attention against PyTorch's, and its gradients against differences, of both orders.

use crate::pytorch::Fixtures;
use kiln_autograd::{Var, grad_check, grad_grad_check};
use kiln_tensor::{AttentionOptions, DType, Device, Result, Tensor};

fn values(shape: [usize; 4], seed: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let data: Vec<f64> = (0..count).map(|i| ((i * 37 + seed * 11 + 5) % 29) as f64 / 13.0 - 1.05).collect();
    Tensor::from_slice(&data, shape, &Device::cpu()).unwrap()
}

/// Query, key and value; two query heads share a key head.
fn operands() -> Vec<Tensor> {
    vec![values([1, 4, 3, 2], 1), values([1, 2, 4, 2], 2), values([1, 2, 4, 3], 3)]
}

#[track_caller]
fn both(name: &str, f: impl Fn(&[Var]) -> Result<Var>, inputs: &[Tensor]) {
    grad_check(&f, inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
    grad_grad_check(&f, inputs).unwrap_or_else(|e| panic!("{name}, second order: {e}"));
}

/// The value and the gradients of a case of the fixtures, in f64 by the composed form and in f32 by a kernel.
#[track_caller]
fn as_pytorch(fixtures: &Fixtures, name: &str, options: &AttentionOptions) {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
        let find = |what: &str| Some(fixtures.find(&format!("{name}/{what}"))?.to_dtype(dtype).unwrap());
        let x: Vec<Var> = (0..4).map_while(|i| find(&format!("x{i}"))).map(Var::variable).collect();
        let seen = find("seen").map(|seen| Var::constant(seen.to_dtype(DType::Bool).unwrap()));
        // Where the options say what PyTorch's mask does, they do it alone.
        let mask = x.get(3).or(seen.as_ref()).filter(|_| !IN_OPTIONS.contains(&name));
        let y = x[0].attention(&x[1], &x[2], mask, options).unwrap();
        let close = |what: &str, found: &Tensor| {
            let (found, expected) = (found.to_f64_vec().unwrap(), fixtures.get(&format!("{name}/{what}")));
            for (i, (f, e)) in found.into_iter().zip(expected.to_vec::<f64>().unwrap()).enumerate() {
                let near = (f - e).abs() <= tolerance * (1.0 + e.abs());
                assert!(near, "{name} {dtype}, {what} [{i}]: {f}, PyTorch gives {e}");
            }
        };
        close("y", y.tensor());
        let gradients = y.mul(&Var::constant(find("w").unwrap())).unwrap().sum_all().unwrap().backward().unwrap();
        for (i, x) in x.iter().enumerate().filter(|&(i, _)| i < 3 || mask.is_some()) {
            close(&format!("d{i}"), gradients.of(x).unwrap());
        }
    }
}

/// Cases whose mask is an option here.
const IN_OPTIONS: [&str; 4] = ["causal at the end", "causal window", "window", "alibi"];

#[test]
fn values_and_gradients_are_pytorchs() {
    let (fixtures, new) = (Fixtures::read("attention"), AttentionOptions::new);
    for (name, options) in [
        ("plain", new()),
        ("scale", new().scale(0.3)),
        ("causal", new().causal(true)),
        ("grouped", new().causal(true)),
        ("one key head", new()),
        ("padding", new()),
        ("added", new()),
        ("causal at the end", new().causal(true)),
        ("causal window", new().causal(true).window(3)),
        ("window", new().window(2)),
        ("alibi", new().alibi(true)),
    ] {
        as_pytorch(&fixtures, name, &options);
    }
}

#[test]
fn gradients_of_query_key_and_value() -> Result<()> {
    let stream = Tensor::from_slice(&[9i64, 4], [2], &Device::cpu())?;
    let new = AttentionOptions::new;
    for (name, options) in [
        ("plain", new()),
        ("causal", new().causal(true).scale(0.9)),
        ("window", new().window(1)),
        ("causal window with ALiBi", new().causal(true).window(2).alibi(true)),
        ("dropout", new().dropout(0.4, &stream)),
        ("packed", new().packed(&[0, 1, 3], &[0, 3, 4])),
    ] {
        both(name, |v| v[0].attention(&v[1], &v[2], None, &options), &operands());
    }
    Ok(())
}

#[test]
fn gradients_with_masks() -> Result<()> {
    // The second query sees no key.
    let seen = [true, false, true, true, false, false, false, false, false, true, true, false];
    let seen = Var::constant(Tensor::from_slice(&seen, [3, 4], &Device::cpu())?);
    both("bool", |v| v[0].attention(&v[1], &v[2], Some(&seen), &AttentionOptions::new()), &operands());
    let mut inputs = operands();
    inputs.push(values([1, 4, 1, 4], 5));
    both("added", |v| v[0].attention(&v[1], &v[2], Some(&v[3]), &AttentionOptions::new().causal(true)), &inputs);
    Ok(())
}

#[test]
fn one_tensor_as_query_key_and_value() {
    let options = AttentionOptions::new().causal(true);
    both("self", |v| v[0].attention(&v[0], &v[0], None, &options), &[values([2, 1, 3, 2], 4)]);
}

#[test]
fn a_query_that_sees_nothing_gives_zeros_and_no_gradient() -> Result<()> {
    let cpu = Device::cpu();
    let [query, key] = [values([1, 1, 5, 2], 1), values([1, 1, 3, 2], 2)].map(|x| x.to_dtype(DType::F32));
    let (query, key) = (Var::variable(query?), Var::variable(key?));
    // The first two queries come before all keys.
    let y = query.attention(&key, &key, None, &AttentionOptions::new().causal(true))?;
    assert_eq!(y.tensor().slice(2, 0..2)?.to_vec::<f32>()?, [0.0; 4]);
    let gradients = y.sum_all()?.backward()?;
    assert_eq!(gradients.of(&query).unwrap().slice(2, 0..2)?.to_vec::<f32>()?, [0.0; 4]);
    assert!(gradients.of(&key).unwrap().to_vec::<f32>()?.iter().all(|x| x.is_finite()));
    let none = Var::variable(Tensor::zeros([1, 1, 0, 2], DType::F32, &cpu)?);
    let y = query.attention(&none, &none, None, &AttentionOptions::new())?;
    assert_eq!(y.tensor().to_vec::<f32>()?, [0.0; 10]);
    assert_eq!(y.sum_all()?.backward()?.of(&query).unwrap().to_vec::<f32>()?, [0.0; 10]);
    Ok(())
}

/// Training and evaluation refuse the same operands.
#[test]
fn operands_of_several_dtypes_are_refused() {
    let [query, key, value] = &operands()[..] else { panic!("three operands") };
    let of = |x: &Tensor, dtype| Var::from(x.to_dtype(dtype).unwrap());
    let half = [query, key, value].map(|x| of(x, DType::BF16));
    let mask = of(&values([1, 1, 3, 4], 4), DType::F32);
    let trained = Var::variable(half[0].tensor().clone());
    for query in [&half[0], &trained] {
        let error = query.attention(&half[1], &half[2], Some(&mask), &AttentionOptions::new()).unwrap_err();
        assert!(error.to_string().contains("f32"), "{error}");
        let single = of(key, DType::F32);
        assert!(query.attention(&single, &half[2], None, &AttentionOptions::new()).is_err());
    }
}

/// As when prompts of different lengths are read on: padded keys may hold anything, also where there is one query.
#[test]
fn padding_may_be_nan() -> Result<()> {
    let keys = 5;
    for queries in [1, 2, 3] {
        let of = |shape, seed| values(shape, seed).to_dtype(DType::F32).map(Var::from);
        let query = of([2, 2, queries, 4], 1)?;
        let (key, value) = (of([2, 2, keys, 4], 2)?, of([2, 2, keys, 4], 3)?);
        let seen = [[true; 5], [false, true, true, true, false]].concat();
        let mask = Tensor::from_slice(&seen, [2, 1, 1, keys], &Device::cpu())?;
        let hide = |x: &Var| {
            let nan = Tensor::full((), f64::NAN, DType::F32, &Device::cpu())?;
            Tensor::select(&mask.reshape([2, 1, keys, 1])?, x.tensor(), &nan).map(Var::from)
        };
        let options = AttentionOptions::new();
        let (hidden, mask) = ([hide(&key)?, hide(&value)?], Var::from(mask.clone()));
        let expected = query.attention(&key, &value, Some(&mask), &options)?.tensor().to_vec::<f32>()?;
        let found = query.attention(&hidden[0], &hidden[1], Some(&mask), &options)?.tensor().to_vec::<f32>()?;
        assert_eq!(found, expected, "{queries}");
    }
    Ok(())
}
