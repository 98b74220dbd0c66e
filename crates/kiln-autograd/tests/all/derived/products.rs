use super::{gradients, values};
use kiln_autograd::Var;
use kiln_tensor::{Device, Result, Tensor};

fn numbers(data: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(data, shape, &Device::cpu()).unwrap()
}

#[test]
fn tensordot() -> Result<()> {
    let (a, b) = (values([2, 3, 4], 1), values([4, 3, 5], 2));
    // NumPy's example of its documentation, by a loop.
    let y = a.tensordot(&b, ([1, 2], [1, 0]))?;
    assert_eq!(y.dims(), [2, 5]);
    let (x, w) = (a.to_vec::<f64>()?, b.to_vec::<f64>()?);
    for (place, found) in y.to_vec::<f64>()?.into_iter().enumerate() {
        let (i, j) = (place / 5, place % 5);
        let terms = (0..12).map(|k| x[i * 12 + k] * w[(k % 4 * 3 + k / 4) * 5 + j]);
        assert!((found - terms.sum::<f64>()).abs() < 1e-13);
    }
    assert_eq!(a.tensordot(&b, 0)?.dims(), [2, 3, 4, 4, 3, 5]);
    assert_eq!(a.tensordot(&b, 1)?.dims(), [2, 3, 3, 5]);
    assert_eq!(a.tensordot(&a, 3)?.dims(), [0; 0]);
    let (of_a, of_b) = ([-1], [0]);
    assert_eq!(a.tensordot(&b, (&of_a[..], &of_b[..]))?.to_vec::<f64>()?, a.tensordot(&b, 1)?.to_vec::<f64>()?);
    gradients("tensordot", |v| v[0].tensordot(&v[1], ([1, 2], [1, 0])), &[a.clone(), b.clone()]);
    let told = |error: Result<Tensor>, expected: &str| {
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("tensordot: ") && error.contains(expected), "{error}");
    };
    told(a.tensordot(&b, 4), "4 axes are summed over");
    told(a.tensordot(&b, -1), "-1 axes");
    told(a.tensordot(&b, 2), "axis 1 of (2, 3, 4) and axis 0 of (4, 3, 5)");
    told(a.tensordot(&b, ([1, 1], [1, 1])), "named twice");
    told(a.tensordot(&b, ([3], [0])), "axis 3 is out of range");
    told(a.tensordot(&b, (&[1, 2][..], &[1][..])), "2 axes of (2, 3, 4) and 1 of (4, 3, 5)");
    told(values([1, 1, 2, 2], 1).tensordot(&values([2, 2, 1], 1), 0), "at most 6");
    Ok(())
}

#[test]
fn products_of_vectors() -> Result<()> {
    let (x, y) = (numbers(&[1.0, 2.0, 3.0], &[3]), numbers(&[4.0, 5.0, 6.0], &[3]));
    assert_eq!(x.dot(&y)?.item()?, 32.0);
    assert_eq!(x.inner(&y)?.item()?, 32.0);
    assert_eq!(x.outer(&y.slice(0, 0..2)?)?.to_vec::<f64>()?, [4.0, 5.0, 8.0, 10.0, 12.0, 15.0]);
    let matrix = numbers(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]);
    assert_eq!(matrix.vdot(&numbers(&[1.0; 6], &[6]))?.item()?, 21.0);
    assert_eq!(matrix.mv(&x)?.to_vec::<f64>()?, [14.0, 32.0]);
    assert_eq!(matrix.inner(&x)?.to_vec::<f64>()?, [14.0, 32.0]);
    assert_eq!(matrix.inner(&numbers(&[2.0], &[]))?.to_vec::<f64>()?, [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
    let (a, b) = (values([2, 3, 4], 1), values([5, 4], 2));
    let transposed = b.t()?;
    assert_eq!(a.inner(&b)?.to_vec::<f64>()?, a.matmul(&transposed)?.to_vec::<f64>()?);
    for (name, error) in [
        ("dot", x.dot(&matrix)),
        ("dot", x.dot(&x.slice(0, 0..2)?)),
        ("outer", x.outer(&matrix)),
        ("mv", matrix.mv(&matrix)),
        ("mv", matrix.mv(&x.slice(0, 0..2)?)),
        ("mm", matrix.mm(&x)),
        ("mm", matrix.mm(&matrix)),
        ("inner", x.inner(&x.slice(0, 0..2)?)),
        ("vdot", x.vdot(&matrix)),
        ("bmm", a.bmm(&values([3, 4, 5], 1))),
        ("bmm", a.bmm(&a)),
        ("multi_dot", Tensor::multi_dot(&[&matrix])),
        ("multi_dot", Tensor::multi_dot(&[&matrix, &matrix])),
        ("multi_dot", Tensor::multi_dot(&[&matrix, &x, &matrix])),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
    }
    Ok(())
}

#[test]
fn kron() -> Result<()> {
    let (a, b) = (values([2, 3], 1), values([3, 2], 2));
    let y = a.kron(&b)?;
    assert_eq!(y.dims(), [6, 6]);
    let (x, w) = (a.to_vec::<f64>()?, b.to_vec::<f64>()?);
    for (place, found) in y.to_vec::<f64>()?.into_iter().enumerate() {
        let (i, j) = (place / 6, place % 6);
        assert_eq!(found, x[i / 3 * 3 + j / 2] * w[i % 3 * 2 + j % 2]);
    }
    assert_eq!(a.kron(&values([2], 1))?.dims(), [2, 6]);
    assert_eq!(values([1, 2, 1, 2], 1).kron(&values([2, 3, 1, 2], 1))?.dims(), [2, 6, 1, 4]);
    assert_eq!(values([0, 2], 1).kron(&b)?.dims(), [0, 4]);
    gradients("kron", |v| v[0].kron(&v[1]), &[values([2, 2], 3), values([1, 3], 4)]);
    Ok(())
}

#[test]
fn chains_of_matrices() -> Result<()> {
    let shapes = [[3, 20], [20, 2], [2, 15], [15, 4]];
    let chain: Vec<Tensor> = shapes.into_iter().enumerate().map(|(seed, shape)| values(shape, seed)).collect();
    let y = Tensor::multi_dot(&chain.iter().collect::<Vec<_>>())?;
    let one_by_one = chain[0].matmul(&chain[1])?.matmul(&chain[2])?.matmul(&chain[3])?;
    assert_eq!(y.dims(), [3, 4]);
    for (found, expected) in y.to_vec::<f64>()?.iter().zip(one_by_one.to_vec::<f64>()?) {
        assert!((found - expected).abs() < 1e-12);
    }
    let (row, column) = (values([3], 1), values([4], 2));
    assert_eq!(Tensor::multi_dot(&[&row, &y, &column])?.dims(), [0; 0]);
    assert_eq!(Tensor::multi_dot(&[&row, &y])?.dims(), [4]);
    // More than are all tried.
    let long: Vec<Tensor> = (0..9).map(|seed| values([2, 2], seed)).collect();
    let found = Tensor::multi_dot(&long.iter().collect::<Vec<_>>())?.to_vec::<f64>()?;
    let expected = long[1..].iter().try_fold(long[0].clone(), |y, x| y.matmul(x))?.to_vec::<f64>()?;
    assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-12));
    let inputs = [values([2, 3], 1), values([3, 2], 2), values([2], 3)];
    gradients("multi_dot", |v| Var::multi_dot(&[&v[0], &v[1], &v[2]]), &inputs);
    Ok(())
}

/// NumPy's rules for operands of every rank, against one product at a time.
#[test]
fn matmul_of_every_rank() -> Result<()> {
    let cases: [(&[usize], &[usize], &[usize]); 9] = [
        (&[3], &[3], &[]),
        (&[3], &[3, 2], &[2]),
        (&[3], &[4, 3, 2], &[4, 2]),
        (&[2, 3], &[3], &[2]),
        (&[4, 2, 3], &[3], &[4, 2]),
        (&[5, 1, 2, 3], &[4, 3, 2], &[5, 4, 2, 2]),
        (&[2, 3], &[5, 4, 3, 2], &[5, 4, 2, 2]),
        (&[0, 3], &[3, 2], &[0, 2]),
        (&[2, 0], &[0, 2], &[2, 2]),
    ];
    for (a, b, expected) in cases {
        let y = values(a, 1).matmul(&values(b, 2))?;
        assert_eq!(y.dims(), expected, "{a:?} {b:?}");
        let letters = |shape: &[usize], vector: &str, matrix: &str| match shape.len() {
            1 => vector.to_owned(),
            _ => format!("...{matrix}"),
        };
        let (i, k) = (if a.len() == 1 { "" } else { "i" }, if b.len() == 1 { "" } else { "k" });
        let equation = format!("{},{}->...{i}{k}", letters(a, "j", "ij"), letters(b, "j", "jk"));
        let other = Tensor::einsum(&equation, &[&values(a, 1), &values(b, 2)])?;
        assert_eq!(other.dims(), expected, "{equation}");
        let pairs = other.to_vec::<f64>()?.into_iter().zip(y.to_vec::<f64>()?);
        assert!(pairs.into_iter().all(|(f, e)| (f - e).abs() < 1e-13), "{equation}");
        if y.elements() > 0 {
            gradients("matmul", |v| v[0].matmul(&v[1]), &[values(a, 1), values(b, 2)]);
        }
    }
    Ok(())
}
