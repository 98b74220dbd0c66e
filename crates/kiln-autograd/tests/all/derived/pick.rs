//! What PyTorch's fixtures do not say: duplicates, empty values, ties.

use super::{gradients, values};
use kiln_autograd::{Var, grad};
use kiln_tensor::{DType, Device, ReduceOp, Result, Tensor, idx};

fn index(values: &[i64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::cpu()).unwrap()
}

#[test]
fn of_several_the_last_stays_and_has_the_gradient() {
    let twice = index(&[1, 1, 0, 1, 2, 2], &[2, 3]);
    gradients("scatter", |v| v[0].scatter(1, &twice, &v[1]), &[values([2, 3], 1), values([2, 3], 2)]);
    let rows = index(&[2, 0, 2], &[3]);
    gradients("index_copy", |v| v[0].index_copy(0, &rows, &v[1]), &[values([3, 2], 1), values([3, 2], 2)]);
    gradients("put", |v| v[0].put(idx![&rows, 1], &v[1]), &[values([3, 2], 1), values([3], 2)]);
    let x = Tensor::zeros([3], DType::U8, &Device::cpu()).unwrap();
    let source = Tensor::from_slice(&[7u8, 8, 9], [3], &Device::cpu()).unwrap();
    assert_eq!(x.scatter(0, &rows, &source).unwrap().to_vec::<u8>().unwrap(), [8, 0, 9]);
}

#[test]
fn equal_extrema_share_the_gradient() -> Result<()> {
    let cpu = Device::cpu();
    let x = Var::variable(Tensor::from_slice(&[2.0f64, 5.0], [2], &cpu)?);
    let source = Var::variable(Tensor::from_slice(&[2.0f64, 1.0, 2.0], [3], &cpu)?);
    let y = x.scatter_reduce(0, &index(&[0, 0, 0], &[3]), &source, ReduceOp::Max, true)?;
    let slopes = grad(&y.sum_all()?, &[&x, &source])?;
    let of = |i: usize| slopes[i].as_ref().unwrap().tensor().to_vec::<f64>();
    assert_eq!((of(0)?, of(1)?), (vec![1.0 / 3.0, 1.0], vec![1.0 / 3.0, 0.0, 1.0 / 3.0]));
    Ok(())
}

#[test]
fn half_types_add_up_in_f32() -> Result<()> {
    let cpu = Device::cpu();
    let ones = Var::variable(Tensor::ones([1000], DType::BF16, &cpu)?);
    let zeros = Var::constant(Tensor::zeros([1], DType::BF16, &cpu)?);
    let all = index(&[0; 1000], &[1000]);
    let sum = zeros.scatter_add(0, &all, &ones)?;
    assert_eq!(sum.tensor().to_f64_vec()?, [1000.0]);
    let mean = zeros.scatter_reduce(0, &all, &ones, ReduceOp::Mean, false)?;
    assert_eq!((mean.dtype(), mean.tensor().to_f64_vec()?), (DType::BF16, vec![1.0]));
    Ok(())
}

#[test]
fn nothing_is_picked_and_put() -> Result<()> {
    let cpu = Device::cpu();
    let (none, x) = (index(&[], &[0]), values([2, 3], 1));
    assert_eq!(x.get(idx![.., &none])?.dims(), [2, 0]);
    assert_eq!(x.take(&index(&[], &[2, 0]))?.dims(), [2, 0]);
    assert_eq!(x.gather(1, &index(&[], &[2, 0]))?.dims(), [2, 0]);
    let same = x.scatter_add(0, &index(&[], &[0, 3]), &values([0, 3], 1))?;
    assert_eq!(same.to_vec::<f64>()?, x.to_vec::<f64>()?);
    let empty = values([0, 3], 1);
    assert_eq!(empty.get(idx![..;-1, 1..])?.dims(), [0, 2]);
    assert_eq!(empty.nonzero()?.dims(), [0, 2]);
    assert_eq!(empty.tril(0)?.dims(), [0, 3]);
    assert_eq!(empty.tile([2, 2])?.dims(), [0, 6]);
    assert_eq!(empty.chunk(0, 3)?.len(), 1);
    assert_eq!(empty.unbind(0)?.len(), 0);
    assert_eq!(empty.roll(2, 0)?.dims(), [0, 3]);
    let scalar = Tensor::scalar(3.0f64, &cpu)?;
    assert_eq!(scalar.get(idx![])?.item()?, 3.0);
    assert_eq!(scalar.get(idx![new, ...])?.dims(), [1]);
    assert_eq!(scalar.nonzero()?.dims(), [1, 0]);
    assert_eq!(scalar.tile([2])?.to_vec::<f64>()?, [3.0, 3.0]);
    Ok(())
}

#[test]
fn probabilities_that_were_moved_know_their_logits() -> Result<()> {
    let x = Var::variable(values([4, 3], 1));
    let (p, rows) = (x.softmax(1)?, index(&[3, 0], &[2]));
    let known = |y: Result<Var>| y.map(|y| y.origin().is_some());
    assert!(known(p.get(idx![1.., ..]))? && known(p.get(idx![&rows]))? && known(p.flip(0))? && known(p.roll(1, 0))?);
    assert!(known(p.tile([2, 1]))? && known(p.movedim(0, 1))? && known(p.unfold(0, 2, 1))?);
    assert!(
        !known(p.get(idx![.., 1..]))? && !known(p.get(idx![.., 0]))? && !known(p.gather(1, &index(&[0, 1], &[1, 2])))?
    );
    let sigmoid = x.sigmoid()?;
    let mask = Tensor::from_slice(&[true, false, true], [3], &Device::cpu())?;
    assert!(known(sigmoid.masked_select(&mask))? && known(sigmoid.gather(1, &index(&[0, 1], &[1, 2])))?);
    Ok(())
}

#[test]
fn tensors_are_assigned_in_place() -> Result<()> {
    let mut x = values([3, 4], 1);
    let (before, memory) = (x.clone().copied()?, x.storage_id());
    x.assign(idx![1.., ..;-2], &Tensor::from_slice(&[8.0, 9.0], [2], &Device::cpu())?)?;
    assert_eq!(x.storage_id(), memory);
    let mut expected = before.to_vec::<f64>()?;
    for row in [1, 2] {
        (expected[row * 4 + 3], expected[row * 4 + 1]) = (8.0, 9.0);
    }
    assert_eq!(x.to_vec::<f64>()?, expected);
    let shared = x.clone();
    x.assign(idx![&index(&[0], &[1])], &Tensor::scalar(0.0f64, &Device::cpu())?)?;
    assert_eq!(shared.to_vec::<f64>()?, expected);
    assert_eq!(x.get(idx![0])?.to_vec::<f64>()?, [0.0; 4]);
    Ok(())
}
