//! What the letters of an equation say.

use crate::{Error, MAX_RANK, Result, Shape};

/// A letter as a number: A to Z are 0 to 25, a to z are 26 to 51; the axes of an ellipsis, from the last on, are 52 and up.
pub(crate) type Label = u8;

const ELLIPSIS: Label = 52;
/// All letters and the axes of an ellipsis.
pub(super) const LABELS: usize = ELLIPSIS as usize + MAX_RANK;

/// The labels of each operand's axes, and of the output's.
pub(crate) struct Equation {
    pub(crate) operands: Vec<Vec<Label>>,
    pub(crate) output: Vec<Label>,
}

/// The size of each label.
pub(super) type Sizes = [usize; LABELS];

fn label_of(letter: char) -> Option<Label> {
    match letter {
        'A'..='Z' => Some(letter as Label - b'A'),
        'a'..='z' => Some(letter as Label - b'a' + 26),
        _ => None,
    }
}

/// As users know it.
fn name_of(label: Label) -> String {
    match label {
        0..26 => char::from(b'A' + label).to_string(),
        26..ELLIPSIS => char::from(b'a' + label - 26).to_string(),
        _ => format!("axis {} of the ellipsis, from its end,", label - ELLIPSIS),
    }
}

/// A set of labels.
pub(super) fn set_of(labels: &[Label]) -> u64 {
    labels.iter().fold(0, |set, label| set | 1 << label)
}

pub(super) fn has(set: u64, label: Label) -> bool {
    set & (1 << label) != 0
}

/// The labels of one operand or of the output; an ellipsis stands for `axes` of them.
fn labels(term: &str, axes: impl FnOnce(usize) -> Result<usize>) -> Result<Vec<Label>> {
    let (before, after) = match term.split_once("...") {
        Some((before, after)) => (before, Some(after)),
        None => (term, None),
    };
    let read = |part: &str| -> Result<Vec<Label>> {
        let letter = |c: char| {
            label_of(c).ok_or_else(|| {
                Error::value(
                    "einsum",
                    format!(
                        "'{c}' in \"{term}\" is no letter: an equation has letters a to z and A to Z, \"...\", commas and one \"->\", \
                         as in \"bij,bjk->bik\""
                    ),
                )
            })
        };
        part.chars().map(letter).collect()
    };
    let mut out = read(before)?;
    let after = after.map(read).transpose()?;
    let ellipsis = axes(out.len() + after.as_ref().map_or(0, Vec::len))?;
    if let Some(after) = after {
        out.extend((0..ellipsis).rev().map(|axis| ELLIPSIS + axis as Label));
        out.extend(after);
    }
    Ok(out)
}

impl Equation {
    /// Reads an equation for operands of these shapes.
    pub(crate) fn parse(equation: &str, shapes: &[&Shape]) -> Result<Self> {
        let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
        let (inputs, output) = match text.split_once("->") {
            Some((inputs, output)) => (inputs, Some(output)),
            None => (text.as_str(), None),
        };
        let terms: Vec<&str> = inputs.split(',').collect();
        if terms.len() != shapes.len() {
            let message = format!(
                "\"{equation}\" is of {} operands, {} are given: it needs a term for each, between commas",
                terms.len(),
                shapes.len()
            );
            return Err(Error::value("einsum", message));
        }
        let mut operands = Vec::with_capacity(terms.len());
        let mut longest = 0;
        for (position, (term, shape)) in terms.iter().zip(shapes).enumerate() {
            let labels = labels(term, |letters| {
                let has_ellipsis = term.contains("...");
                if letters > shape.rank() || (!has_ellipsis && letters < shape.rank()) {
                    let message = format!(
                        "\"{term}\" names {letters} axes, operand {position} of shape {shape} has {}: name each, or the others by \"...\"",
                        shape.rank()
                    );
                    return Err(Error::shape("einsum", message));
                }
                let axes = shape.rank() - letters;
                longest = longest.max(axes);
                Ok(axes)
            })?;
            operands.push(labels);
        }
        let output = match output {
            Some(term) => labels(term, |_| Ok(longest))?,
            None => implicit(&operands, longest),
        };
        let parsed = Equation { operands, output };
        parsed.check_output(equation)?;
        Ok(parsed)
    }

    /// Each label of the output once, and in an operand.
    fn check_output(&self, equation: &str) -> Result<()> {
        let known = self.operands.iter().fold(0, |set, labels| set | set_of(labels));
        let mut seen = 0;
        for &label in &self.output {
            let name = name_of(label);
            if !has(known, label) {
                let message =
                    format!("{name} of the output of \"{equation}\" is in no operand: name it there, or leave it out");
                return Err(Error::value("einsum", message));
            }
            if has(seen, label) {
                let message = format!(
                    "{name} is twice in the output of \"{equation}\": an axis of the output has a letter of its own"
                );
                return Err(Error::value("einsum", message));
            }
            seen |= 1 << label;
        }
        Ok(())
    }

    /// The size of each label: that of its axes, of which those of size 1 repeat.
    pub(super) fn sizes(&self, operation: &'static str, shapes: &[&Shape]) -> Result<Sizes> {
        let mut sizes = [1; LABELS];
        let mut from = [0; LABELS];
        for (position, (labels, shape)) in self.operands.iter().zip(shapes).enumerate() {
            let mut here = [None; LABELS];
            for (&label, &size) in labels.iter().zip(shape.iter()) {
                let at = usize::from(label);
                let differs = |other: usize, of: &Shape| {
                    let message = format!(
                        "{} is of size {other} in {of} and of size {size} in {shape}: axes of one letter must be equal, or 1 where another \
                         operand has more",
                        name_of(label)
                    );
                    Error::shape(operation, message)
                };
                if let Some(other) = here[at].replace(size)
                    && other != size
                {
                    return Err(differs(other, shape));
                }
                if sizes[at] == 1 {
                    (sizes[at], from[at]) = (size, position);
                } else if size != 1 && size != sizes[at] {
                    return Err(differs(sizes[at], shapes[from[at]]));
                }
            }
        }
        Ok(sizes)
    }
}

/// The output of an equation without "->": the ellipsis, then the letters that are there once, in alphabetical order.
fn implicit(operands: &[Vec<Label>], ellipsis: usize) -> Vec<Label> {
    let mut counts = [0; LABELS];
    operands.iter().flatten().for_each(|&label| counts[usize::from(label)] += 1);
    let once = (0..ELLIPSIS).filter(|&label| counts[usize::from(label)] == 1);
    (0..ellipsis).rev().map(|axis| ELLIPSIS + axis as Label).chain(once).collect()
}
