//! Initializers that know where in the weight an element is: identity, Dirac, sparse.

use super::Drawn;
use kiln_math::draws;
use kiln_tensor::{DType, Element, Error, Result, Shape, Tensor};

/// Rows and columns of a weight that must be a matrix.
fn matrix(name: &str, shape: &Shape) -> Result<(usize, usize)> {
    match **shape {
        [rows, columns] => Ok((rows, columns)),
        _ => {
            let message = format!("`{name}` is for weights of two axes, got {shape}; choose another initializer");
            Err(Error::shape("initializer", message))
        }
    }
}

pub(super) fn identity(shape: &Shape, gain: f64, drawn: &Drawn<'_>) -> Result<Tensor> {
    matrix("Identity", shape)?;
    Tensor::eye(shape, drawn.dtype, drawn.device)?.mul_scalar(gain)
}

pub(super) fn dirac(shape: &Shape, groups: usize, drawn: &Drawn<'_>) -> Result<Tensor> {
    let [filters, channels, kernel @ ..] = &shape[..] else { return Err(no_kernel(shape)) };
    if kernel.is_empty() {
        return Err(no_kernel(shape));
    }
    if groups == 0 || !filters.is_multiple_of(groups) {
        let message =
            format!("`Dirac` of {groups} groups: they must divide the {filters} filters of the weight {shape}");
        return Err(Error::value("initializer", message));
    }
    let (own, taps) = (filters / groups, kernel.iter().product::<usize>());
    let center = kernel.iter().fold(0, |center, size| center * size + size / 2);
    let ones = (0..*filters).filter(|filter| filter % own.max(1) < *channels && taps > 0);
    let ones: Vec<usize> = ones.map(|filter| (filter * channels + filter % own.max(1)) * taps + center).collect();
    write(shape, drawn, |at| if ones.binary_search(&at).is_ok() { 1.0 } else { 0.0 })
}

#[cold]
fn no_kernel(shape: &Shape) -> Error {
    Error::shape(
        "initializer",
        format!(
            "`Dirac` is for weights (filters, channels, K…) of a convolution, got {shape}; choose another initializer"
        ),
    )
}

/// Drawn on the host, column by column, as it runs once: which rows of a column are 0, then the numbers of the others.
pub(super) fn sparse(shape: &Shape, sparsity: f64, std: f64, drawn: &Drawn<'_>) -> Result<Tensor> {
    let (rows, columns) = matrix("Sparse", shape)?;
    let (zeros, mut stream) = (((sparsity * rows as f64).ceil() as usize).min(rows), drawn.stream);
    // Fails where there is no memory, before anything is drawn.
    Tensor::zeros(shape, drawn.dtype, drawn.device)?;
    let mut values = vec![0.0; rows * columns];
    let mut order: Vec<usize> = (0..rows).collect();
    for column in 0..columns {
        stream.shuffle(&mut order);
        for &row in &order[zeros..] {
            values[row * columns + column] = std * draws::normal_pair_f64(stream.next_u64(), stream.next_u64()).0;
        }
    }
    write(shape, drawn, |at| values[at])
}

/// A tensor whose element at each place is `value(place)`.
fn write(shape: &Shape, drawn: &Drawn<'_>, value: impl Fn(usize) -> f64) -> Result<Tensor> {
    fn of<T: Element>(shape: &Shape, drawn: &Drawn<'_>, value: impl Fn(usize) -> f64) -> Result<Tensor> {
        Tensor::write_with(shape, drawn.device, |values: &mut [T]| {
            values.iter_mut().enumerate().for_each(|(at, to)| *to = T::from_f64(value(at)));
            Ok(())
        })
    }
    match drawn.dtype {
        DType::F64 => of::<f64>(shape, drawn, value),
        _ => of::<f32>(shape, drawn, value),
    }
}
