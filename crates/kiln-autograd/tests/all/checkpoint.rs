//! Checkpoints: the same bits, in every order of derivative, wherever gradients go.

use kiln_autograd::{Gradients, Var, checkpoint, checkpoint_many, grad, grad_check, grad_grad_check};
use kiln_tensor::{Device, Result, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn tensor(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap()
}

fn of(gradients: &Gradients, variable: &Var) -> Vec<f64> {
    gradients.of(variable).unwrap().to_f64_vec().unwrap()
}

/// A part of a computation that holds a weight.
fn part(w: &Var) -> impl Fn(&Var) -> Result<Var> + Send + Sync + 'static {
    let w = w.clone();
    move |x| x.mul(&w)?.tanh()?.add(x)?.mul(&w)?.sigmoid()
}

#[test]
fn gradients_have_the_same_bits_and_reach_what_is_held() -> Result<()> {
    let (x, leaf) = (Var::variable(tensor(&[0.3, -1.2, 0.7])), Var::variable(tensor(&[0.9, 0.4, -1.1])));
    // A Var with a past, which is used outside too.
    let w = leaf.exp()?;
    let loss = |y: Var| y.mul(&w)?.sum_all();
    let plain = loss(part(&w)(&part(&w)(&x)?)?)?;
    let kept = loss(checkpoint(part(&w), &checkpoint(part(&w), &x)?)?)?;
    assert_eq!(plain.item()?, kept.item()?);
    let (plain, kept) = (plain.backward()?, kept.backward()?);
    assert_eq!((of(&plain, &x), of(&plain, &leaf)), (of(&kept, &x), of(&kept, &leaf)));
    assert_eq!(kept.len(), 2);
    // Only what is held has a gradient.
    let loss = checkpoint(part(&w), &x.detach())?.sum_all()?;
    assert_eq!(loss.backward()?.len(), 1);
    let nothing = checkpoint(part(&w.detach()), &x.detach())?;
    assert!(!nothing.requires_grad());
    Ok(())
}

#[test]
fn it_is_run_once_more_in_the_backward_pass() -> Result<()> {
    let runs = Arc::new(AtomicUsize::new(0));
    let counting = {
        let runs = runs.clone();
        move |x: &Var| {
            runs.fetch_add(1, Ordering::Relaxed);
            x.exp()
        }
    };
    let x = Var::variable(tensor(&[1.0]));
    // The inner one is run when the outer one is: forward, again, and then by itself.
    let y = checkpoint(move |x| checkpoint(counting.clone(), x)?.mul(x), &x)?;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    let gradients = y.sum_all()?.backward()?;
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    assert!((gradients.of(&x).unwrap().item()? - 2.0 * 1f64.exp()).abs() < 1e-6);
    Ok(())
}

#[test]
fn several_outputs_and_unused_ones() -> Result<()> {
    let (x, w) = (Var::variable(tensor(&[0.5, 2.0])), Var::variable(tensor(&[1.5, -0.5])));
    let both = |v: &[Var]| Ok(vec![v[0].mul(&v[1])?, v[0].clone(), v[1].exp()?]);
    let loss = |y: &[Var]| y[0].mul(&y[1])?.sum_all();
    let plain = loss(&both(&[x.clone(), w.clone()])?)?.backward()?;
    let kept = loss(&checkpoint_many(both, &[&x, &w])?)?.backward()?;
    assert_eq!((of(&plain, &x), of(&plain, &w)), (of(&kept, &x), of(&kept, &w)));
    // The gradient of an output, and of an input alone.
    let y = checkpoint_many(both, &[&x, &w])?;
    let gradients = grad(&loss(&y)?, &[&y[0], &w])?;
    assert_eq!(gradients[0].as_ref().unwrap().tensor().to_f64_vec()?, x.tensor().to_f64_vec()?);
    assert_eq!(gradients[1].as_ref().unwrap().tensor().to_f64_vec()?, of(&plain, &w));
    Ok(())
}

#[test]
fn probabilities_still_know_their_logits() -> Result<()> {
    let x = Var::variable(tensor(&[-200.0, 3.0]));
    let p = checkpoint(|x| x.mul_scalar(2.0)?.sigmoid(), &x)?;
    let logits = p.origin().expect("logits").logits().clone();
    assert_eq!(of(&logits.sum_all()?.backward()?, &x), [2.0, 2.0]);
    // An input's logits are seen inside.
    let q = checkpoint(|p| p.origin().map_or_else(|| p.ln(), |origin| origin.logits().neg()), &x.sigmoid()?)?;
    assert_eq!(of(&q.sum_all()?.backward()?, &x), [-1.0, -1.0]);
    Ok(())
}

#[test]
fn gradients_of_gradients_go_through() -> Result<()> {
    let input = |values: &[f64]| Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap();
    let inputs = [input(&[0.4, -0.9]), input(&[1.3, 0.2])];
    let nested = |v: &[Var]| {
        let w = v[1].clone();
        let inner = move |x: &Var| x.mul(&w)?.tanh()?.mul(x);
        checkpoint(move |x| checkpoint(inner.clone(), x)?.exp(), &v[0])
    };
    grad_check(nested, &inputs)?;
    grad_grad_check(nested, &inputs)
}

#[test]
fn a_computation_that_changes_is_refused() -> Result<()> {
    let runs = AtomicUsize::new(0);
    let x = Var::variable(tensor(&[1.0, 2.0]));
    let changing = move |x: &Var| x.slice(0, 0..1 + runs.fetch_add(1, Ordering::Relaxed));
    let error = checkpoint(changing, &x)?.sum_all()?.backward().unwrap_err().to_string();
    assert!(error.contains("the same both times"), "{error}");
    Ok(())
}
