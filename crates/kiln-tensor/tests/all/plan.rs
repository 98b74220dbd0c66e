//! Plans give what the recorded function gives, bit for bit.

use kiln_tensor::{
    ConvOptions, DType, Device, ErrorKind, MatmulOptions, Normalization, Plan, PoolOptions, Precision, Result, Tensor,
};
use std::slice::from_ref;

fn cpu() -> Device {
    Device::cpu()
}

fn numbers(shape: &[usize], seed: f32) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values = (0..count).map(|i| ((i as f32 + seed) * 0.37).sin()).collect();
    Tensor::from_vec(values, shape, &cpu()).unwrap()
}

/// Bits of the outputs of a function, and of its plan, for other inputs than it was recorded with; the plan is run twice.
fn expect_same(shape: &[usize], constants: &[Tensor], function: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) -> Plan {
    let plan = Plan::record(&[numbers(shape, 0.0)], constants, Precision::Exact, &function).unwrap();
    for seed in [1.0, 2.0] {
        let x = [numbers(shape, seed)];
        let expected = function(&x).unwrap();
        let got = plan.run(&x).unwrap();
        for (expected, got) in expected.iter().zip(&got) {
            assert_eq!(expected.shape(), got.shape());
            assert_eq!(expected.to_vec::<f32>().unwrap(), got.to_vec::<f32>().unwrap());
        }
    }
    plan
}

#[test]
fn a_small_network() {
    let [w, b, m, v] =
        [numbers(&[8, 3, 3, 3], 5.0), numbers(&[8], 6.0), numbers(&[8], 7.0), numbers(&[8], 8.0).square().unwrap()];
    let head = numbers(&[8, 10], 9.0);
    let form = Normalization { epsilon: 1e-5, own_moments: false, activation: None };
    let constants = [w.clone(), b.clone(), head.clone()];
    let plan = expect_same(&[2, 3, 9, 9], &constants, |x| {
        let after = MatmulOptions { bias: Some(&b), activation: None };
        let y = x[0].conv(&w, &ConvOptions::new().padding(1), after)?;
        // Constants that are computed of constants.
        let moments = Tensor::stack(&[&m, &v], 0)?;
        let z = y.normalize(&form, &moments, None, None)?.add(&y)?.relu()?;
        let z = z.max_pool_values(&PoolOptions::new(2).padding(1))?;
        let z = z.mean([2, 3])?.matmul(&head)?;
        Ok(vec![z.softmax(-1)?, y])
    });
    assert!(plan.constant_bytes() >= 4 * (w.elements() + b.elements() + head.elements()));
}

#[test]
fn values_between_the_steps_share_memory() {
    let plan = expect_same(&[16, 16], &[], |x| {
        let mut y = vec![x[0].clone()];
        for _ in 0..6 {
            let next = y[y.len() - 1].tanh()?;
            y.push(next);
        }
        Ok(vec![y[6].neg()?])
    });
    assert!(plan.arena_bytes() <= 2 * 4 * 256, "{}", plan.arena_bytes());
}

#[test]
fn slices_that_are_written_one_by_one() {
    expect_same(&[2, 3], &[], |x| {
        // Zeros are constants, until a part of them is written.
        let padded = x[0].pad(&[(1, 1), (0, 2)], 0.5)?;
        let joined = Tensor::concat(&[&x[0], &x[0].neg()?, &Tensor::ones([1, 3], DType::F32, &cpu())?], 0)?;
        Ok(vec![
            padded,
            joined.clone(),
            joined.t()?.mul_scalar(2.0)?,
            x[0].clone(),
            Tensor::ones([2], DType::F32, &cpu())?,
        ])
    });
}

#[test]
fn sums_along_an_axis_of_inputs_and_of_constants() {
    let steps = numbers(&[3, 5], 4.0);
    expect_same(&[3, 5], &[], |x| Ok(vec![x[0].cumsum(1)?.add(&steps.cumsum(0)?)?]));
}

#[test]
fn an_empty_input() {
    expect_same(&[0, 3], &[], |x| Ok(vec![x[0].relu()?.sum(0)?]));
}

#[test]
fn a_weight_that_changes_later_does_not_change_the_plan() {
    let mut w = numbers(&[3, 2], 3.0);
    let kept = w.copied().unwrap();
    let plan =
        Plan::record(&[numbers(&[1, 3], 0.0)], from_ref(&w), Precision::Exact, |x| Ok(vec![x[0].matmul(&w)?])).unwrap();
    w.fill(0.0).unwrap();
    let x = numbers(&[1, 3], 1.0);
    let expected = x.matmul(&kept).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(plan.run(&[x]).unwrap()[0].to_vec::<f32>().unwrap(), expected);
}

#[test]
fn indices_are_checked_in_each_run() {
    let table = numbers(&[5, 2], 1.0);
    let tokens = |values: &[i64]| Tensor::from_slice(values, [values.len()], &cpu()).unwrap();
    let plan = Plan::record(&[tokens(&[0, 1, 2])], from_ref(&table), Precision::Exact, |x| {
        Ok(vec![table.index_select(0, &x[0])?])
    })
    .unwrap();
    let got = plan.run(&[tokens(&[4, 0, 3])]).unwrap();
    assert_eq!(
        got[0].to_vec::<f32>().unwrap(),
        table.index_select(0, &tokens(&[4, 0, 3])).unwrap().to_vec::<f32>().unwrap()
    );
    let error = plan.run(&[tokens(&[4, 5, 3])]).unwrap_err();
    assert_eq!(error.message(), table.index_select(0, &tokens(&[4, 5, 3])).unwrap_err().message());
}

#[test]
fn many_threads_run_one_plan() {
    let w = numbers(&[64, 64], 3.0);
    let plan = Plan::record(&[numbers(&[4, 64], 0.0)], from_ref(&w), Precision::Exact, |x| {
        let y = x[0].matmul(&w)?.tanh()?;
        Ok(vec![y.matmul(&w)?.softmax(-1)?])
    })
    .unwrap();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (plan, w) = (&plan, &w);
            scope.spawn(move || {
                let x = numbers(&[4, 64], seed as f32);
                let expected = x
                    .matmul(w)
                    .unwrap()
                    .tanh()
                    .unwrap()
                    .matmul(w)
                    .unwrap()
                    .softmax(-1)
                    .unwrap()
                    .to_vec::<f32>()
                    .unwrap();
                for _ in 0..50 {
                    assert_eq!(plan.run(from_ref(&x)).unwrap()[0].to_vec::<f32>().unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn what_cannot_be_recorded_is_refused() {
    let x = numbers(&[2, 3], 0.0);
    let read = Plan::record(from_ref(&x), &[], Precision::Exact, |x| {
        let sum = x[0].sum([0, 1])?.item()?;
        Ok(vec![x[0].mul_scalar(sum)?])
    });
    assert!(read.unwrap_err().message().contains("reads values of its input on the host"));
    let none = Plan::record(&[], &[], Precision::Exact, |_| Ok(vec![]));
    assert!(none.unwrap_err().message().contains("needs an input"));
    // A failed recording leaves nothing behind.
    let plan = Plan::record(from_ref(&x), &[], Precision::Exact, |x| Ok(vec![x[0].log_softmax(-1)?])).unwrap();
    let wrong = plan.run(&[numbers(&[3, 3], 0.0)]).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Shape);
    assert!(wrong.message().contains("compiled for (2, 3) of f32, got (3, 3)"), "{wrong}");
    assert!(plan.run(&[x.clone(), x.clone()]).unwrap_err().message().contains("1 expected, got 2"));
}

/// What is a reshape of a map is no map of the same channels.
#[test]
fn other_channels_than_a_convolutions() {
    let (w, m) = (numbers(&[4, 2, 1, 1], 3.0), numbers(&[2, 4], 5.0).abs().unwrap());
    let form = Normalization { epsilon: 1e-5, own_moments: false, activation: None };
    expect_same(&[2, 2, 3, 3], from_ref(&w), |x| {
        let y = x[0].conv(&w, &ConvOptions::new(), MatmulOptions::default())?;
        let z = y.reshape([1, 8, 9])?.slice(1, 0..4)?.contiguous()?;
        let whole = y.reshape([1, 4, 18])?.normalize(&form, &m, None, None)?;
        Ok(vec![whole, z.normalize(&form, &m, None, None)?])
    });
    let gate = numbers(&[1, 4, 1, 1], 7.0);
    expect_same(&[1, 2, 3, 3], from_ref(&w), |x| {
        let y = x[0].conv(&w, &ConvOptions::new(), MatmulOptions::default())?;
        let gates = y.mean([2, 3])?.reshape([1, 4, 1])?.slice(1, 0..2)?;
        Ok(vec![y.reshape([1, 2, 18])?.mul(&gates)?, y.mul(&gate)?])
    });
}

#[test]
fn indices_out_of_range_are_errors_while_recording() {
    let table = numbers(&[5, 2], 1.0);
    let tokens = |value: i64| Tensor::from_slice(&[value], [1], &cpu()).unwrap();
    let record = |example: &Tensor, constant: &Tensor| {
        Plan::record(from_ref(example), &[], Precision::Exact, |x| {
            table.index_select(0, constant)?;
            Ok(vec![table.index_select(0, &x[0])?])
        })
    };
    assert!(record(&tokens(4), &tokens(0)).is_ok());
    for (example, constant) in [(9, 0), (0, 9)] {
        let error = record(&tokens(example), &tokens(constant)).unwrap_err();
        assert!(error.message().contains('9'), "{error}");
    }
}

#[test]
fn a_constant_may_change_between_its_uses() {
    let x = numbers(&[1, 3], 1.0);
    let twice = |x: &[Tensor]| {
        let mut c = Tensor::zeros([1, 3], DType::F32, &cpu())?;
        let first = x[0].add(&c)?;
        c.upload(&[1.0f32, 2.0, 3.0])?;
        Ok(vec![first, x[0].add(&c)?])
    };
    expect_same(&[1, 3], &[], twice);
    // A view that begins inside its memory.
    let plan = Plan::record(from_ref(&x), &[], Precision::Exact, twice).unwrap();
    let part = numbers(&[4, 3], 2.0).slice(0, 1..2).unwrap();
    let expected = twice(from_ref(&part)).unwrap();
    let got = plan.run(from_ref(&part)).unwrap();
    assert_eq!(expected[1].to_vec::<f32>().unwrap(), got[1].to_vec::<f32>().unwrap());
}
