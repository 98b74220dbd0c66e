//! Tensors as NumPy prints them with a precision of 4 digits and commas: `array2string(x, precision=4, separator=", ")`.

use super::Tensor;
use crate::{DType, Result};
use std::fmt;

/// Above this many elements only the ends of each axis are shown.
const SUMMARIZE: usize = 1000;
/// Elements shown at each end of an axis then.
const EDGE: usize = 3;
/// Columns of a line.
const WIDTH: usize = 75;
/// Digits after the point, at most.
const PRECISION: usize = 4;

/// How the numbers of one tensor are written, alike for all, so that points and digits stand below one another.
enum Style {
    Bool,
    /// Spaces stand in for zeros at a fraction's end; `fraction` is the longest.
    Fixed {
        fraction: usize,
    },
    /// Mantissas have `fraction` digits after the point, exponents `exponent`.
    Scientific {
        fraction: usize,
        exponent: usize,
    },
}

/// Digits after the point without the zeros at their end.
fn significant(fraction: &str) -> usize {
    fraction.trim_end_matches('0').len()
}

/// Mantissa's fraction, exponent's sign and digits of a number.
fn scientific(value: f64, precision: usize) -> (String, char, String) {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    (mantissa.to_owned(), sign, digits.into())
}

/// The part after the point.
fn fraction(number: &str) -> &str {
    number.split_once('.').map_or("", |(_, fraction)| fraction)
}

fn style(dtype: DType, values: &[f64]) -> Style {
    if dtype == DType::Bool {
        return Style::Bool;
    }
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let sizes = || finite().map(f64::abs).filter(|&size| size != 0.0);
    let (low, high) = sizes().fold((f64::INFINITY, 0.0f64), |(low, high), size| (low.min(size), high.max(size)));
    // In the tensor's own precision: 1e-4 as f32 is not below 1e-4.
    let spread = match dtype {
        DType::F64 => high >= 1e8 || low < 1e-4 || high / low > 1e3,
        _ => high as f32 >= 1e8 || (low as f32) < 1e-4 || high as f32 / low as f32 > 1e3,
    };
    if spread {
        let parts = || finite().map(|value| scientific(value, PRECISION));
        return Style::Scientific {
            fraction: parts().map(|(mantissa, ..)| significant(fraction(&mantissa))).max().unwrap_or(0),
            exponent: parts().map(|(.., digits)| digits.len()).max().unwrap_or(0).max(2),
        };
    }
    let digits = finite().map(|value| significant(fraction(&format!("{value:.PRECISION$}"))));
    Style::Fixed { fraction: digits.max().unwrap_or(0) }
}

impl Style {
    fn write(&self, value: f64) -> String {
        match *self {
            Style::Bool => if value != 0.0 { "True" } else { "False" }.into(),
            _ if value.is_nan() => "nan".into(),
            _ if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.into(),
            // Whole floats have their point too.
            Style::Fixed { fraction: digits } => {
                let text = format!("{value:.PRECISION$}");
                let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
                format!("{whole}.{:<digits$}", rest.trim_end_matches('0'))
            }
            Style::Scientific { fraction: digits, exponent } => {
                let (mantissa, sign, power) = scientific(value, digits);
                let point = if digits == 0 { "." } else { "" };
                format!("{mantissa}{point}e{sign}{power:0>exponent$}")
            }
        }
    }
}

/// Indices of an axis that are shown; `None` for the dots between.
fn shown(size: usize, summarize: bool) -> Vec<Option<usize>> {
    if summarize && size > 2 * EDGE {
        (0..EDGE).map(Some).chain([None]).chain((size - EDGE..size).map(Some)).collect()
    } else {
        (0..size).map(Some).collect()
    }
}

struct Printer<'a> {
    dims: &'a [usize],
    summarize: bool,
    /// The element at a position of the row-major order.
    element: &'a dyn Fn(usize) -> String,
    width: usize,
}

/// Adds the positions that are shown of the part at `start` of axis `axis`.
fn collect(dims: &[usize], summarize: bool, axis: usize, start: usize, into: &mut Vec<usize>) {
    let Some(&size) = dims.get(axis) else {
        return into.push(start);
    };
    let inner: usize = dims[axis + 1..].iter().product();
    for index in shown(size, summarize).into_iter().flatten() {
        collect(dims, summarize, axis + 1, start + index * inner, into);
    }
}

impl Printer<'_> {
    /// Writes the part at `start` of axis `axis`, indented by as many brackets as are open.
    fn axis(&self, f: &mut fmt::Formatter<'_>, axis: usize, start: usize) -> fmt::Result {
        let Some(&size) = self.dims.get(axis) else {
            return write!(f, "{:>width$}", (self.element)(start), width = self.width);
        };
        let inner: usize = self.dims[axis + 1..].iter().product();
        let last = axis + 1 == self.dims.len();
        let indent = " ".repeat(axis + 1);
        f.write_str("[")?;
        let mut column = indent.len();
        for (position, index) in shown(size, self.summarize).into_iter().enumerate() {
            let length = if index.is_some() { self.width } else { "...".len() };
            if position > 0 && !last {
                // A blank line between matrices, two between stacks of them.
                write!(f, ",{}{indent}", "\n".repeat(self.dims.len() - axis - 1))?;
            } else if position > 0 && column + length > WIDTH - indent.len() {
                // A line leaves room for the brackets that close.
                write!(f, ",\n{indent}")?;
                column = indent.len();
            } else if position > 0 {
                f.write_str(", ")?;
            }
            match index {
                Some(index) => self.axis(f, axis + 1, start + index * inner)?,
                None => f.write_str("...")?,
            }
            column += length + 2;
        }
        f.write_str("]")
    }
}

impl Tensor {
    fn print(&self, f: &mut fmt::Formatter<'_>) -> Result<fmt::Result> {
        let (dims, summarize) = (self.dims(), self.elements() > SUMMARIZE);
        let mut seen = Vec::new();
        collect(dims, summarize, 0, 0, &mut seen);
        let mut print = |element: &dyn Fn(usize) -> String| {
            let width = seen.iter().map(|&at| element(at).len()).max().unwrap_or(0);
            Printer { dims, summarize, element, width }.axis(f, 0, 0)
        };
        if self.dtype().is_integer() {
            let values = self.to_dtype(DType::I64)?.to_vec::<i64>()?;
            return Ok(print(&|at| values[at].to_string()));
        }
        let values = self.to_f64_vec()?;
        let style = style(self.dtype(), &seen.iter().map(|&at| values[at]).collect::<Vec<_>>());
        Ok(print(&|at| style.write(values[at])))
    }
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.elements() == 0 {
            return f.write_str("[]");
        }
        match self.print(f) {
            Ok(printed) => printed,
            Err(error) => write!(f, "<{error}>"),
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {} on {}", self.dtype(), self.shape(), self.device())?;
        if self.elements() <= SUMMARIZE { write!(f, ": {self})") } else { f.write_str(")") }
    }
}
