//! The graph itself: what is recorded, what is freed, what is refused.

use kiln_autograd::{Backward, Function, Gradients, Leaf, Var, grad};
use kiln_tensor::{Device, Result, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn tensor(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, [values.len()], &Device::cpu()).unwrap()
}

#[test]
fn constants_record_nothing() -> Result<()> {
    let x = Var::constant(tensor(&[1.0, 2.0]));
    let y = x.exp()?.add(&x)?.sum_all()?;
    assert!(!y.requires_grad());
    assert_eq!(
        y.backward().unwrap_err().to_string(),
        "backward: this Var depends on no parameter or variable: was the forward pass in eval mode, or detached?"
    );
    Ok(())
}

#[test]
fn a_value_used_twice_gets_both_gradients() -> Result<()> {
    let x = Var::variable(tensor(&[3.0]));
    let gradients = x.mul(&x)?.add(&x)?.add(&x)?.sum_all()?.backward()?;
    assert_eq!(gradients.of(&x).unwrap().item()?, 8.0);
    assert_eq!(gradients.len(), 1);
    Ok(())
}

#[test]
fn accumulation_leaves_shared_gradients_alone() -> Result<()> {
    // add() passes the same gradient to both sides; adding into one of them must not change the other.
    let (a, b) = (Var::variable(tensor(&[1.0, 2.0])), Var::variable(tensor(&[5.0, 7.0])));
    let sum = a.add(&b)?;
    let loss = sum.mul(&sum)?.add(&a)?.sum_all()?;
    let gradients = loss.backward()?;
    assert_eq!(gradients.of(&a).unwrap().to_f64_vec()?, [13.0, 19.0]);
    assert_eq!(gradients.of(&b).unwrap().to_f64_vec()?, [12.0, 18.0]);
    Ok(())
}

#[test]
fn backward_wants_one_number() {
    let x = Var::variable(tensor(&[1.0, 2.0]));
    assert_eq!(
        x.exp().unwrap().backward().unwrap_err().to_string(),
        "backward: gradients are taken of one number, this Var has shape (2,): reduce it first (`mean_all`, `sum_all`)"
    );
}

#[test]
fn leaves_outlive_their_values() -> Result<()> {
    let leaf = Leaf::new();
    for value in [2.0, 3.0] {
        let x = leaf.var(&tensor(&[value]));
        let gradients = x.mul(&x)?.sum_all()?.backward()?;
        assert_eq!(gradients.get(leaf.id()).unwrap().item()?, 2.0 * value);
    }
    Ok(())
}

#[test]
fn detached_values_stop_gradients() -> Result<()> {
    let x = Var::variable(tensor(&[3.0]));
    let gradients = x.mul(&x.detach())?.sum_all()?.backward()?;
    assert_eq!(gradients.of(&x).unwrap().item()?, 3.0);
    Ok(())
}

#[test]
fn grad_of_intermediate_values_and_of_strangers() -> Result<()> {
    let x = Var::variable(tensor(&[2.0]));
    let stranger = Var::variable(tensor(&[1.0]));
    let middle = x.mul(&x)?;
    let loss = middle.mul(&x)?.sum_all()?;
    let gradients = grad(&loss, &[&middle, &stranger, &x])?;
    assert_eq!(gradients[0].as_ref().unwrap().item()?, 2.0);
    assert!(gradients[1].is_none());
    assert_eq!(gradients[2].as_ref().unwrap().item()?, 12.0);
    assert!(grad(&loss, &[&x.detach()]).is_err());
    Ok(())
}

/// Counts its calls: what no one asked for must not be computed.
struct Counting(Arc<AtomicUsize>);

impl Function for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        pass.accumulate(0, dy)
    }
}

#[test]
fn grad_goes_only_where_it_was_asked() -> Result<()> {
    let calls = Arc::new(AtomicUsize::new(0));
    let (x, other) = (Var::variable(tensor(&[2.0])), Var::variable(tensor(&[5.0])));
    let aside = Var::from_function(Counting(calls.clone()), other.tensor().clone(), &[&other]);
    let loss = x.mul(&aside)?.sum_all()?;
    assert_eq!(grad(&loss, &[&x])?[0].as_ref().unwrap().item()?, 5.0);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    assert_eq!(loss.backward()?.of(&other).unwrap().item()?, 2.0);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    Ok(())
}

#[test]
fn backward_with_hands_out_and_stops() -> Result<()> {
    let (a, b) = (Var::variable(tensor(&[1.0])), Var::variable(tensor(&[2.0])));
    let mut seen = Vec::new();
    a.mul(&b)?.sum_all()?.backward_with(|id, gradient| {
        seen.push((id, gradient.item()?));
        Ok(())
    })?;
    assert_eq!(seen, [(b.id().unwrap(), 1.0), (a.id().unwrap(), 2.0)]);
    let stop = a.mul(&b)?.sum_all()?.backward_with(|_, _| Err(kiln_tensor::Error::value("clip", "enough")));
    assert_eq!(stop.unwrap_err().to_string(), "clip: enough");
    Ok(())
}

#[test]
fn a_graph_deeper_than_the_stack_is_freed() -> Result<()> {
    let x = Var::variable(tensor(&[1.0]));
    let deep = |steps: usize| -> Result<Var> {
        let mut y = x.clone();
        for _ in 0..steps {
            y = y.add_scalar(1.0)?;
        }
        y.sum_all()
    };
    drop(deep(200_000)?);
    assert_eq!(deep(200_000)?.backward()?.of(&x).unwrap().item()?, 1.0);
    Ok(())
}

#[test]
fn backward_frees_as_it_goes() -> Result<()> {
    // A device of its own, so that other tests' tensors do not count.
    let device = Device::cpu_with(kiln_cpu::Isa::best());
    let x = Var::variable(Tensor::ones([1 << 16], kiln_tensor::DType::F64, &device)?);
    let mut y = x.clone();
    for _ in 0..16 {
        y = y.exp()?.ln()?.sin()?; // each saves a tensor or two
    }
    let loss = y.sum_all()?;
    drop(y);
    let before = device.memory();
    let gradients = loss.backward()?;
    let after = device.memory();
    // The pass itself holds a gradient or two while it frees one saved tensor after the other.
    assert!(after.peak - before.live <= 3 << 19, "{before:?} {after:?}");
    drop(gradients);
    assert_eq!(device.memory().live, 1 << 19);
    Ok(())
}

#[test]
fn gradients_are_looked_up_in_any_order() {
    let ids: Vec<_> = (0..5).map(|_| Leaf::new().id()).collect();
    let mut gradients = Gradients::default();
    for (at, id) in ids.iter().enumerate().filter(|(at, _)| *at != 2) {
        gradients.insert(*id, Tensor::scalar(at as f32, &Device::cpu()).unwrap());
    }
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 1, 0, 2, 4], [2, 4, 0, 3, 3]] {
        let mut lookup = gradients.lookup();
        for at in order {
            let found = lookup(ids[at]).map(|gradient| gradient.item().unwrap());
            assert_eq!(found, (at != 2).then_some(at as f64), "{order:?}");
        }
    }
}
