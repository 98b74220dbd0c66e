//! `Sequential::summary`: the model as Keras prints it.

use crate::{AnyLayer, Module, Part, Sequential, Shapes};
use kiln_tensor::{Shape, grouped};
use std::fmt::Write;

/// Above the columns, below their titles, between rows, below them: left, middle and right corners and the line itself.
const RULES: [[char; 4]; 4] = [['┏', '┳', '┓', '━'], ['┡', '╇', '┩', '━'], ['├', '┼', '┤', '─'], ['└', '┴', '┘', '─']];

impl Sequential {
    /// A table of the layers with their outputs' shapes, numbers of parameters and [FLOPs](crate::Describe::flops) of a
    /// sample, and below it what all of it comes to, as Keras's `model.summary()` prints it.
    ///
    /// ```
    /// # use kiln_nn::{Activation, Dense, Sequential};
    /// # use kiln_tensor::Device;
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let model = Sequential::new()
    ///     .push(Dense::new(64).activation(Activation::Relu))
    ///     .push(Dense::new(10))
    ///     .build([784], &Device::cpu(), 1)?;
    /// assert_eq!(
    ///     model.summary("small"),
    ///     r#"Model: "small"
    /// ┏━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━┓
    /// ┃ Layer (type) ┃ Output Shape ┃ Param # ┃   FLOPs ┃
    /// ┡━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━┩
    /// │ 0 (Dense)    │ (None, 64)   │  50,240 │ 100,352 │
    /// ├──────────────┼──────────────┼─────────┼─────────┤
    /// │ 1 (Dense)    │ (None, 10)   │     650 │   1,280 │
    /// └──────────────┴──────────────┴─────────┴─────────┘
    ///  Total params: 50,890 (198.79 KB)
    ///  Trainable params: 50,890 (198.79 KB)
    ///  Non-trainable params: 0 (0.00 B)
    ///  Outputs of all layers: 296.00 B a sample
    ///  FLOPs: 101,632 a sample
    /// "#
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn summary(&self, title: &str) -> String {
        summary(self, title)
    }
}

/// The summary of any model of layers.
pub(crate) fn summary<M: AnyLayer>(model: &M, title: &str) -> String {
    let mut titles = vec!["Layer (type)", "Output Shape", "Param #", "FLOPs"];
    let connected = model.parts().iter().any(|part| !part.inputs.is_empty());
    if connected {
        titles.push("Connected to");
    }
    let titles = titles.into_iter().map(str::to_owned).collect();
    let (mut rows, mut totals) = (vec![titles], Totals::default());
    add_rows("", model, connected, &mut rows, &mut totals);
    let mut out = format!("Model: \"{title}\"\n");
    table(&mut out, &rows);
    totals.write(&Count::of(model), &mut out);
    out
}

/// A row for each layer; those of a model within stand for it.
fn add_rows(path: &str, model: &dyn AnyLayer, connected: bool, rows: &mut Vec<Vec<String>>, totals: &mut Totals) {
    for Part { segment, layer, output, inputs } in model.parts() {
        let place = format!("{path}{segment}");
        if !layer.parts().is_empty() {
            add_rows(&format!("{place}."), layer, connected, rows, totals);
            continue;
        }
        let flops = output.map(|output| layer.flops(output));
        if let (Some(output), Some(flops)) = (output, flops) {
            totals.built = true;
            totals.elements += output.elements() as u64;
            totals.flops += flops;
        }
        let mut row = vec![
            format!("{place} ({})", layer.name()),
            output.map_or_else(|| "?".to_owned(), batched),
            grouped(Count::of(layer).all()),
            flops.map_or_else(|| "?".to_owned(), grouped),
        ];
        if connected {
            row.push(inputs.iter().map(|input| format!("{path}{input}")).collect::<Vec<_>>().join(", "));
        }
        rows.push(row);
    }
}

/// What the layers of a model come to for one sample.
#[derive(Default)]
struct Totals {
    built: bool,
    /// Elements of the outputs of all layers.
    elements: u64,
    flops: u64,
}

impl Totals {
    fn write(&self, count: &Count, out: &mut String) {
        let bytes = |bytes: u64| binary(bytes as f64);
        let _ = writeln!(out, " Total params: {} ({})", grouped(count.all()), bytes(count.bytes + count.fixed_bytes));
        let _ = writeln!(out, " Trainable params: {} ({})", grouped(count.learned), bytes(count.bytes));
        let _ = writeln!(out, " Non-trainable params: {} ({})", grouped(count.fixed), bytes(count.fixed_bytes));
        if self.built {
            let _ = writeln!(out, " Outputs of all layers: {} a sample", bytes(4 * self.elements));
            let _ = writeln!(out, " FLOPs: {} a sample", grouped(self.flops));
        }
    }
}

/// Numbers that are learned and numbers that are not: frozen parameters and buffers.
#[derive(Default)]
struct Count {
    learned: u64,
    bytes: u64,
    fixed: u64,
    fixed_bytes: u64,
}

impl Count {
    fn of<M: Module + ?Sized>(module: &M) -> Count {
        let mut count = Count::default();
        let parameters = module.parameters().into_iter().map(|(_, p)| (p.value(), p.trainable()));
        for (value, learned) in parameters.chain(module.buffers().into_iter().map(|(_, b)| (b.value(), false))) {
            let (elements, bytes) = (value.elements() as u64, (value.elements() * value.dtype().size()) as u64);
            let (number, size) = if learned {
                (&mut count.learned, &mut count.bytes)
            } else {
                (&mut count.fixed, &mut count.fixed_bytes)
            };
            *number += elements;
            *size += bytes;
        }
        count
    }

    fn all(&self) -> u64 {
        self.learned + self.fixed
    }
}

/// `(None, 28, 28)`: the batch's axis is of no size yet. Of several values one after the other.
fn batched(shapes: &Shapes) -> String {
    let one = |shape: &Shape| {
        let axes: Vec<String> = std::iter::once("None".to_owned()).chain(shape.iter().map(usize::to_string)).collect();
        format!("({})", axes.join(", "))
    };
    match shapes {
        Shapes::One(shape) => one(shape),
        Shapes::Many(shapes) => shapes.iter().map(batched).collect::<Vec<_>>().join(", "),
    }
}

/// Bytes in Keras's units, which are powers of 1024.
pub(crate) fn binary(bytes: f64) -> String {
    let mut size = bytes;
    for unit in ["B", "KB", "MB", "GB"] {
        if size < 1024.0 {
            return format!("{size:.2} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.2} TB")
}

/// The first row holds the titles; the third and the fourth column are numbers.
fn table(out: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let rule = |out: &mut String, [left, middle, right, line]: [char; 4]| {
        let lines: Vec<String> = widths.iter().map(|width| String::from(line).repeat(width + 2)).collect();
        let _ = writeln!(out, "{left}{}{right}", lines.join(&middle.to_string()));
    };
    rule(out, RULES[0]);
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            rule(out, RULES[index.min(2)]);
        }
        let bar = if index == 0 { '┃' } else { '│' };
        for (column, (text, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                2 | 3 => write!(out, "{bar} {text:>width$} "),
                _ => write!(out, "{bar} {text:<width$} "),
            };
        }
        let _ = writeln!(out, "{bar}");
    }
    rule(out, RULES[3]);
}
