//! Targets outside what a loss can mean.

use kiln_tensor::{DType, Error, Result, Tensor};

/// Numbers looked at together: a comparison of many at once costs less than an exit at each.
const BLOCK: usize = 64;

/// Fails at the first number outside the bounds (NaN is), where the host can see the numbers without waiting: on a device
/// they are not looked at.
pub(super) fn within(operation: &'static str, what: &str, values: &Tensor, low: f64, high: f64) -> Result<()> {
    if !values.device().backend().is_host() {
        return Ok(());
    }
    let values = values.contiguous()?;
    let found = match values.dtype() {
        DType::F32 => first_outside(values.as_slice::<f32>()?, |v| low <= f64::from(v) && f64::from(v) <= high),
        DType::F64 => first_outside(values.as_slice::<f64>()?, |v| low <= v && v <= high),
        _ => first_outside(&values.to_f64_vec()?, |v| low <= v && v <= high),
    };
    let Some(at) = found else { return Ok(()) };
    let value = values.to_f64_vec()?[at];
    let expected = if high < f64::MAX { format!("{low} to {high}") } else { "0 or more, and finite".to_owned() };
    Err(Error::value(operation, format!("the {what} at {} is {value}, expected {expected}", place(&values, at))))
}

/// Fails at the first label that is not that of one of so many classes, where the host can see the labels without waiting.
pub(super) fn labels(operation: &'static str, labels: &Tensor, classes: usize) -> Result<()> {
    if !labels.device().backend().is_host() {
        return Ok(());
    }
    let labels = labels.to_dtype(DType::I64)?;
    let outside = |&label: &i64| !(0..classes as i64).contains(&label);
    match labels.to_vec::<i64>()?.iter().position(outside) {
        None => Ok(()),
        Some(at) => Err(Error::value(
            operation,
            format!(
                "the label at {} is {}, expected 0 to {}",
                place(&labels, at),
                labels.to_vec::<i64>()?[at],
                classes.max(1) - 1
            ),
        )),
    }
}

/// The position of the first number that is not inside.
fn first_outside<T: Copy>(values: &[T], inside: impl Fn(T) -> bool) -> Option<usize> {
    let (block, values) = values
        .chunks(BLOCK)
        .enumerate()
        .find(|(_, block)| !block.iter().fold(true, |all, &value| all & inside(value)))?;
    values.iter().position(|&value| !inside(value)).map(|at| block * BLOCK + at)
}

/// `row 3`, or `row 3, position (0, 2)`.
#[cold]
fn place(values: &Tensor, at: usize) -> String {
    let mut rest = at;
    let mut index: Vec<String> = Vec::new();
    for &size in values.dims().iter().rev() {
        index.insert(0, (rest % size).to_string());
        rest /= size;
    }
    match index.as_slice() {
        [] => "row 0".to_owned(),
        [row] => format!("row {row}"),
        [row, rest @ ..] => format!("row {row}, position ({})", rest.join(", ")),
    }
}
