//! `einsum` against PyTorch's (tests/fixtures) and against a loop over all letters.

use super::{gradients, values};
use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Result, Tensor};
use proptest::prelude::*;
use safetensors::SafeTensors;
use std::collections::BTreeMap;

fn close(what: &str, found: &Tensor, expected: &[f64], tolerance: f64) {
    let found = found.to_f64_vec().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what} [{i}]: {f}, expected {e}");
    }
}

#[test]
fn pytorch_s_values_and_gradients() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/einsum.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let equations = header.metadata().clone().unwrap();
    assert!(equations.len() >= 100);
    let get = |name: &str| {
        let view = file.tensor(name).ok()?;
        let numbers: Vec<f64> = view.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        Some(Tensor::from_slice(&numbers, view.shape(), &Device::cpu()).unwrap())
    };
    for (number, equation) in &equations {
        let inputs: Vec<Var> = (0..).map_while(|i| get(&format!("{number}/x{i}"))).map(Var::variable).collect();
        let what = format!("{equation} {:?}", inputs.iter().map(|x| *x.shape()).collect::<Vec<_>>());
        let y = Var::einsum(equation, &inputs.iter().collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{what}: {e}"));
        let expected = get(&format!("{number}/y")).unwrap();
        assert_eq!(y.shape(), expected.shape(), "{what}");
        close(&what, y.tensor(), &expected.to_vec()?, 1e-12);
        let count = y.tensor().elements();
        let step = |i: usize| 0.5 + i as f64 / count.saturating_sub(1).max(1) as f64;
        let weights = Tensor::from_slice(&(0..count).map(step).collect::<Vec<_>>(), y.shape(), &Device::cpu())?;
        let slopes = y.mul(&Var::constant(weights))?.sum_all()?.backward()?;
        for (i, x) in inputs.iter().enumerate() {
            let slope = slopes.of(x).unwrap();
            assert_eq!(slope.shape(), x.shape());
            close(&format!("{what}, gradient {i}"), slope, &get(&format!("{number}/d{i}")).unwrap().to_vec()?, 1e-12);
        }
    }
    Ok(())
}

/// The sum over all letters, one number after the other.
fn naive(terms: &[Vec<char>], output: &[char], sizes: &BTreeMap<char, usize>, operands: &[Tensor]) -> Vec<f64> {
    let letters: Vec<char> = sizes.keys().copied().collect();
    let place = |labels: &[char], at: &BTreeMap<char, usize>| {
        labels.iter().fold(0, |place, letter| place * sizes[letter] + at[letter])
    };
    let data: Vec<Vec<f64>> = operands.iter().map(|x| x.to_f64_vec().unwrap()).collect();
    let mut out = vec![0.0; output.iter().map(|letter| sizes[letter]).product()];
    for mut number in 0..letters.iter().map(|letter| sizes[letter]).product::<usize>() {
        let mut at = BTreeMap::new();
        for letter in &letters {
            at.insert(*letter, number % sizes[letter]);
            number /= sizes[letter];
        }
        let factors = terms.iter().zip(&data).map(|(labels, data)| data[place(labels, &at)]);
        out[place(output, &at)] += factors.product::<f64>();
    }
    out
}

fn cases() -> impl Strategy<Value = (Vec<Vec<char>>, Vec<char>, BTreeMap<char, usize>)> {
    let letters = "abcde";
    let sizes = proptest::collection::vec(0usize..5, letters.len());
    let term = proptest::collection::vec(proptest::sample::select(letters.chars().collect::<Vec<_>>()), 0..4);
    (sizes, proptest::collection::vec(term, 1..8), any::<u32>()).prop_map(move |(sizes, terms, output)| {
        let used = |letter: &char| terms.iter().flatten().any(|other| other == letter);
        let sizes: BTreeMap<char, usize> = letters.chars().zip(sizes).filter(|(letter, _)| used(letter)).collect();
        let mut chosen: Vec<char> =
            sizes.keys().copied().filter(|&c| output >> (c as u32 - 'a' as u32) & 1 == 1).collect();
        let count = chosen.len().max(1);
        chosen.rotate_left((output >> 8) as usize % count);
        (terms, chosen, sizes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn a_loop_over_all_letters((terms, output, sizes) in cases()) {
        let text = |labels: &[char]| labels.iter().collect::<String>();
        let equation = format!("{}->{}", terms.iter().map(|t| text(t)).collect::<Vec<_>>().join(","), text(&output));
        let operands: Vec<Tensor> = terms
            .iter()
            .enumerate()
            .map(|(seed, labels)| values(labels.iter().map(|letter| sizes[letter]).collect::<Vec<_>>(), seed))
            .collect();
        let expected = naive(&terms, &output, &sizes, &operands);
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
            let cast: Vec<Tensor> = operands.iter().map(|x| x.to_dtype(dtype).unwrap()).collect();
            let y = Tensor::einsum(&equation, &cast.iter().collect::<Vec<_>>()).unwrap();
            prop_assert_eq!(y.dtype(), dtype);
            prop_assert_eq!(y.dims(), output.iter().map(|letter| sizes[letter]).collect::<Vec<_>>());
            // Terms cancel each other: their number and size bound the error.
            let scale = 1.0 + sizes.values().product::<usize>() as f64;
            close(&equation, &y, &expected, tolerance * scale);
        }
    }
}

/// Sizes at which the ways of a product change: outer products as matrix products, vectors on the left, sums without a matrix.
#[test]
fn larger_operands() {
    for (equation, shapes) in [
        ("i,j->ij", vec![vec![20], vec![17]]),
        ("i,j->ji", vec![vec![20], vec![17]]),
        ("bi,jb->ibj", vec![vec![3, 18], vec![16, 3]]),
        ("ij,j->i", vec![vec![30, 40], vec![40]]),
        ("bij,bj->ib", vec![vec![3, 18, 16], vec![3, 16]]),
        ("i,i->", vec![vec![1000], vec![1000]]),
        ("bci,ibc->cb", vec![vec![2, 3, 300], vec![300, 2, 3]]),
        ("ijk,kji->", vec![vec![7, 8, 9], vec![9, 8, 7]]),
    ] {
        let operands: Vec<Tensor> = shapes.into_iter().enumerate().map(|(seed, shape)| values(shape, seed)).collect();
        let (inputs, output) = equation.split_once("->").unwrap();
        let terms: Vec<Vec<char>> = inputs.split(',').map(|term| term.chars().collect()).collect();
        let sizes =
            terms.iter().zip(&operands).flat_map(|(term, x)| term.iter().copied().zip(x.dims().iter().copied()));
        let expected = naive(&terms, &output.chars().collect::<Vec<_>>(), &sizes.collect(), &operands);
        let y = Tensor::einsum(equation, &operands.iter().collect::<Vec<_>>()).unwrap();
        close(equation, &y, &expected, 1e-11);
    }
}

#[test]
fn gradients_of_both_orders() {
    let equations: [(&str, &[&[usize]]); 7] = [
        ("bqhd,bkhd->bhqk", &[&[2, 2, 2, 3], &[2, 3, 2, 3]]),
        ("ij,jk,kl->il", &[&[2, 3], &[3, 2], &[2, 2]]),
        ("iij,j->i", &[&[3, 3, 2], &[2]]),
        ("...i,...i->...", &[&[2, 3], &[2, 1, 3]]),
        ("ab,cd->", &[&[2, 2], &[1, 3]]),
        ("i,j,i,j", &[&[2], &[3], &[2], &[3]]),
        ("abc->ca", &[&[2, 3, 2]]),
    ];
    for (equation, shapes) in equations {
        let inputs: Vec<Tensor> = shapes.iter().enumerate().map(|(seed, &shape)| values(shape, seed)).collect();
        gradients(equation, |v| Var::einsum(equation, &v.iter().collect::<Vec<_>>()), &inputs);
    }
}

/// Half types are f32 that is rounded once: the sum of a chain of products too.
#[test]
fn half_types_round_once() -> Result<()> {
    for dtype in [DType::F16, DType::BF16] {
        for (equation, shapes) in [
            ("ij,jk->ik", vec![[4, 300], [300, 5]]),
            ("ij,jk,kl->il", vec![[4, 70], [70, 60], [60, 3]]),
            ("ij,kl->ik", vec![[4, 90], [5, 80]]),
            ("ij,ij->i", vec![[3, 500], [3, 500]]),
            ("ij->i", vec![[3, 500]]),
        ] {
            let halves: Vec<Tensor> = shapes
                .into_iter()
                .enumerate()
                .map(|(seed, shape)| values(shape, seed).to_dtype(dtype))
                .collect::<Result<_>>()?;
            let wide: Vec<Tensor> = halves.iter().map(|x| x.to_dtype(DType::F32)).collect::<Result<_>>()?;
            let found = Tensor::einsum(equation, &halves.iter().collect::<Vec<_>>())?;
            let expected = Tensor::einsum(equation, &wide.iter().collect::<Vec<_>>())?.to_dtype(dtype)?;
            assert_eq!(found.to_f64_vec()?, expected.to_f64_vec()?, "{equation} {dtype}");
        }
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_said() -> Result<()> {
    let (a, b) = (values([2, 3], 1), values([4, 3], 2));
    let many = values([2, 2, 2, 2], 3);
    let whole = Tensor::arange(6, &Device::cpu())?.reshape([2, 3])?;
    let six = values([2; 6], 4);
    let told: [(&str, &[&Tensor], &str); 14] = [
        ("ij,jk->ik", &[&a], "\"ij,jk->ik\" is of 2 operands, 1 are given"),
        ("ij", &[], "is of 1 operands, 0 are given"),
        ("i1->i", &[&a], "'1' in \"i1\" is no letter"),
        ("ij->i->j", &[&a], "is no letter"),
        ("......", &[&a], "'.' in \"......\" is no letter"),
        ("i->i", &[&a], "\"i\" names 1 axes, operand 0 of shape (2, 3) has 2"),
        ("...ijk", &[&a], "\"...ijk\" names 3 axes"),
        ("ij->ik", &[&a], "k of the output of \"ij->ik\" is in no operand"),
        ("ij->ii", &[&a], "i is twice in the output"),
        ("ij,ij->j", &[&a, &b], "i is of size 2 in (2, 3) and of size 4 in (4, 3)"),
        ("ii", &[&a], "i is of size 2 in (2, 3) and of size 3 in (2, 3)"),
        ("abcd,efgh->abcdefgh", &[&many, &many], "the output has 8 axes"),
        ("abcdef,abghij,cdghkl,efijkl->", &[&six; 4], "in every order a product of two operands has more than 6 axes"),
        ("ij->i", &[&whole], "einsum: dtype i64"),
    ];
    for (equation, operands, expected) in told {
        let error = Tensor::einsum(equation, operands).unwrap_err().to_string();
        assert!(error.starts_with("einsum: ") && error.contains(expected), "{equation}: {error}");
    }
    let error = Tensor::einsum("ij,ij", &[&a, &a.to_dtype(DType::F32)?]).unwrap_err().to_string();
    assert!(error.contains("convert one with `to_dtype`"), "{error}");
    Ok(())
}

/// Nothing is copied that the product can read where it lies.
#[test]
fn a_permutation_is_a_view() -> Result<()> {
    let x = values([2, 3, 4], 1);
    let y = Tensor::einsum("abc->cab", &[&x])?;
    assert_eq!(y.storage_id(), x.storage_id());
    Ok(())
}
