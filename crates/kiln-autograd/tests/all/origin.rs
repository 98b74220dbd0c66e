//! Probabilities that know their logits: through every operation that only moves elements, recorded or not.

use kiln_autograd::{Squash, Var};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{DType, Device, Result, Tensor};

fn values(shape: &[usize], seed: u64) -> Tensor {
    let stream = RandomStream::new(seed, Purpose::Data, 0);
    Tensor::normal(shape, 0.0, 2.0, DType::F64, &Device::cpu(), stream).unwrap()
}

/// The probabilities of a Var's origin; none where it has none.
fn again(p: &Var) -> Option<Tensor> {
    let origin = p.origin()?;
    assert_eq!(origin.logits().shape(), p.shape());
    assert!(origin.logits().origin().is_none());
    assert_eq!(origin.logits().requires_grad(), p.requires_grad());
    Some(match origin.squash() {
        Squash::Softmax { axis } => origin.logits().tensor().softmax(axis).unwrap(),
        Squash::Sigmoid => origin.logits().tensor().sigmoid().unwrap(),
    })
}

type Move = fn(&Var) -> Result<Var>;

/// Operations on (2, 3, 4, 5), and the axes along which a softmax before them is still one after.
fn moves() -> Vec<(&'static str, Move, &'static [usize])> {
    vec![
        ("itself", |x| Ok(x.clone()), &[0, 1, 2, 3]),
        ("rows", |x| x.reshape([24, 5]), &[3]),
        ("split", |x| x.reshape([2, 3, 2, 2, 5]), &[0, 1, 3]),
        ("flatten", |x| x.flatten(1), &[0]),
        ("unsqueeze", |x| x.unsqueeze(2)?.squeeze(2)?.unsqueeze(0), &[0, 1, 2, 3]),
        ("permute", |x| x.permute(&[3, 1, 0, 2]), &[0, 1, 2, 3]),
        ("transpose", |x| x.transpose(1, 3), &[0, 1, 2, 3]),
        ("slice", |x| x.slice(2, 1..3), &[0, 1, 3]),
        ("all of an axis", |x| x.slice(2, 0..4), &[0, 1, 2, 3]),
        ("crop", |x| x.crop(&[(1, 0), (0, 0)]), &[0, 1, 3]),
        ("broadcast", |x| x.broadcast_to([7, 2, 3, 4, 5]), &[0, 1, 2, 3]),
        ("concat", |x| Var::concat(&[x, x], 1), &[0, 2, 3]),
        ("stack", |x| Var::stack(&[x, x], 0), &[0, 1, 2, 3]),
        ("upsample", |x| x.upsample_nearest([8, 10]), &[0, 1]),
        ("upsample unevenly", |x| x.upsample_nearest([5, 7]), &[0, 1]),
        ("upsample one axis", |x| x.upsample_nearest([7, 5]), &[0, 1, 3]),
        (
            "rows of an axis",
            |x| x.index_select(0, &Tensor::from_slice(&[1i64, 1, 0], [3], &Device::cpu())?),
            &[1, 2, 3],
        ),
        ("to_dtype", |x| x.to_dtype(DType::F32), &[0, 1, 2, 3]),
        (
            "select",
            |x| {
                let which = Tensor::from_slice(&[true, false, true], [3, 1, 1], &Device::cpu())?;
                Var::select(&which, x, &x.slice(0, 0..1)?)
            },
            &[2, 3],
        ),
        ("scaled", |x| x.mul_scalar(2.0), &[]),
    ]
}

#[test]
fn probabilities_know_their_logits_wherever_they_are_moved() {
    let x = values(&[2, 3, 4, 5], 1);
    for x in [Var::constant(x.clone()), Var::variable(x)] {
        for (what, then, kept) in moves() {
            for axis in 0..4 {
                let y = then(&x.softmax(axis).unwrap()).unwrap();
                let found = again(&y);
                assert_eq!(found.is_some(), kept.contains(&axis), "{what} after a softmax along {axis}");
                let Some(found) = found else { continue };
                for (a, b) in found.to_f64_vec().unwrap().into_iter().zip(y.tensor().to_f64_vec().unwrap()) {
                    assert!((a - b).abs() < 1e-6, "{what} after a softmax along {axis}: {a} {b}");
                }
            }
            let y = then(&x.sigmoid().unwrap()).unwrap();
            assert_eq!(again(&y).is_some(), what != "scaled", "{what} after a sigmoid");
        }
    }
}

#[test]
fn what_is_detached_keeps_its_logits_without_their_place() {
    let x = Var::variable(values(&[2, 3], 1));
    let p = x.softmax(-1).unwrap().detach();
    assert!(!p.requires_grad() && !p.origin().unwrap().logits().requires_grad());
    assert!(Var::constant(p.tensor().clone()).origin().is_none());
}

#[test]
fn different_functions_have_no_common_origin() {
    let x = Var::variable(values(&[2, 3], 1));
    let (soft, sigmoid) = (x.softmax(-1).unwrap(), x.sigmoid().unwrap());
    assert!(Var::concat(&[&soft, &sigmoid], 0).unwrap().origin().is_none());
    assert!(Var::concat(&[&soft, &x], 0).unwrap().origin().is_none());
    assert!(Var::concat(&[&soft, &x.softmax(0).unwrap()], 0).unwrap().origin().is_none());
}

#[test]
fn a_long_chain_of_sigmoids_is_let_go_without_recursion() {
    let mut x = Var::constant(values(&[1], 1));
    for _ in 0..200_000 {
        x = x.sigmoid().unwrap();
    }
    drop(x);
}

#[test]
fn the_loss_of_a_moved_softmax_is_that_of_its_logits() {
    let cpu = Device::cpu();
    for recorded in [false, true] {
        let x = Tensor::from_slice(&[0.0f32, 200.0], [1, 1, 2], &cpu).unwrap();
        let x = if recorded { Var::variable(x) } else { Var::constant(x) };
        let p = x.softmax(-1).unwrap().reshape([1, 2]).unwrap();
        let loss = p.cross_entropy_from_probabilities(&Tensor::from_slice(&[0i64], [1], &cpu).unwrap()).unwrap();
        assert_eq!(loss.item().unwrap(), 200.0);
        if recorded {
            let gradients = loss.sum_all().unwrap().backward().unwrap();
            assert_eq!(gradients.of(&x).unwrap().to_f64_vec().unwrap(), [-1.0, 1.0]);
        }
    }
}
