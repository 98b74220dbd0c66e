//! Tensors as NumPy prints them.

use super::Tensor;
use crate::DType;
use std::fmt;

/// Above this many elements only the ends of each axis are shown.
const SUMMARISE: usize = 1000;
/// Elements shown at each end of an axis then.
const EDGE: usize = 3;
/// Columns of a line.
const WIDTH: usize = 75;

/// How the floats of one tensor are written, alike for all.
enum Style {
    Integer,
    Bool,
    Fixed { decimals: usize },
    Scientific,
}

fn style(dtype: DType, values: &[f64]) -> Style {
    match dtype {
        DType::I64 | DType::U8 => return Style::Integer,
        DType::Bool => return Style::Bool,
        _ => {}
    }
    let finite = || values.iter().copied().filter(|v| v.is_finite() && *v != 0.0).map(f64::abs);
    let (low, high) = finite().fold((f64::INFINITY, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
    if high >= 1e8 || low < 1e-4 || high / low > 1e3 && low.is_finite() && low < 1e-3 {
        return Style::Scientific;
    }
    // As many decimals as the longest needs, four at most.
    let decimals = finite().map(|v| {
        let text = format!("{v:.4}");
        text.trim_end_matches('0').split('.').nth(1).map_or(0, str::len)
    });
    Style::Fixed { decimals: decimals.max().unwrap_or(0) }
}

impl Style {
    fn write(&self, value: f64) -> String {
        match self {
            Style::Integer => format!("{value:.0}"),
            Style::Bool => (value != 0.0).to_string(),
            _ if value.is_nan() => "nan".into(),
            _ if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.into(),
            // NumPy writes whole floats with their point.
            Style::Fixed { decimals: 0 } => format!("{value:.0}."),
            Style::Fixed { decimals } => format!("{value:.decimals$}"),
            Style::Scientific => {
                let text = format!("{value:.4e}");
                // Rust writes 1.0e-5; NumPy 1.0e-05.
                match text.split_once('e') {
                    Some((mantissa, exponent)) => {
                        let (sign, digits) = match exponent.strip_prefix('-') {
                            Some(digits) => ('-', digits),
                            None => ('+', exponent),
                        };
                        format!("{mantissa}e{sign}{digits:0>2}")
                    }
                    None => text,
                }
            }
        }
    }
}

/// Indices of an axis that are shown; `None` for the dots between.
fn shown(size: usize, summarise: bool) -> Vec<Option<usize>> {
    if summarise && size > 2 * EDGE {
        (0..EDGE).map(Some).chain([None]).chain((size - EDGE..size).map(Some)).collect()
    } else {
        (0..size).map(Some).collect()
    }
}

struct Printer<'a> {
    dims: &'a [usize],
    values: &'a [f64],
    style: Style,
    width: usize,
    summarise: bool,
}

impl Printer<'_> {
    /// Writes the part at `start` of axis `axis`, indented by as many brackets as are open.
    fn axis(&self, f: &mut fmt::Formatter<'_>, axis: usize, start: usize) -> fmt::Result {
        let Some(&size) = self.dims.get(axis) else {
            return write!(f, "{:>width$}", self.style.write(self.values[start]), width = self.width);
        };
        let inner: usize = self.dims[axis + 1..].iter().product();
        let last = axis + 1 == self.dims.len();
        f.write_str("[")?;
        let mut column = axis + 1;
        for (position, index) in shown(size, self.summarise).into_iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
                if last && column + self.width + 2 > WIDTH {
                    write!(f, "\n{}", " ".repeat(axis + 1))?;
                    column = axis + 1;
                } else if last {
                    f.write_str(" ")?;
                    column += 2;
                } else {
                    // A blank line between matrices, two between stacks of them.
                    write!(f, "{}{}", "\n".repeat(self.dims.len() - axis - 1), " ".repeat(axis + 1))?;
                }
            }
            match index {
                Some(index) => self.axis(f, axis + 1, start + index * inner)?,
                None => f.write_str("...")?,
            }
            column += self.width;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = match self.to_f64_vec() {
            Ok(values) => values,
            Err(error) => return write!(f, "<{error}>"),
        };
        let summarise = values.len() > SUMMARISE;
        let style = style(self.dtype(), &values);
        let mut printer = Printer { dims: self.dims(), values: &values, style, width: 0, summarise };
        if values.is_empty() {
            return write!(f, "[]");
        }
        printer.width = printer.longest(0, 0);
        printer.axis(f, 0, 0)
    }
}

impl Printer<'_> {
    /// The longest of the numbers shown.
    fn longest(&self, axis: usize, start: usize) -> usize {
        let Some(&size) = self.dims.get(axis) else {
            return self.style.write(self.values[start]).chars().count();
        };
        let inner: usize = self.dims[axis + 1..].iter().product();
        let each = shown(size, self.summarise).into_iter().flatten();
        each.map(|index| self.longest(axis + 1, start + index * inner)).max().unwrap_or(0)
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {} on {}", self.dtype(), self.shape(), self.device())?;
        if self.elements() <= SUMMARISE { write!(f, ": {self})") } else { f.write_str(")") }
    }
}
