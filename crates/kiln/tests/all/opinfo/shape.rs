//! Operations that move elements.

use super::case::Case;
use super::{Answer, one};
use kiln::prelude::*;
use kiln::tensor::{ConvOptions, PadMode};

pub(super) fn run(case: &Case) -> Answer {
    joins(case).or_else(|| pieces(case)).or_else(|| views(case)).or_else(|| repeated(case)).or_else(|| indexing(case))
}

fn joins(case: &Case) -> Answer {
    Some(match case.name.as_str() {
        "cat" => Var::concat(&case.at(0).vars(), case.arg(1, "dim").int(0)).map(|y| vec![y]),
        "stack" => Var::stack(&case.at(0).vars(), case.arg(1, "dim").int(0)).map(|y| vec![y]),
        _ => return None,
    })
}

/// Sizes of which one may be −1.
fn sizes(x: &Var, given: &[isize]) -> Vec<usize> {
    let known: usize = given.iter().filter(|&&size| size >= 0).map(|&size| size as usize).product();
    given.iter().map(|&size| if size < 0 { x.shape().elements() / known } else { size as usize }).collect()
}

fn views(case: &Case) -> Answer {
    let x = case.arg(0, "").optional()?;
    one(match case.name.as_str() {
        "reshape" | "view" => x.reshape(&sizes(x, &case.at(1).ints()?)[..]),
        "permute" => x.permute(&case.at(1).ints()?),
        "transpose" => x.transpose(case.at(1).int(0), case.at(2).int(0)),
        "unsqueeze" => x.unsqueeze(case.at(1).int(0)),
        "squeeze" | "squeeze|multiple" => squeezed(x, case.at(1).ints()),
        "expand" => x.expand(&case.at(1).ints()?[..]),
        "flip" => x.flip(&case.arg(1, "dims").ints()?[..]),
        "narrow" => x.narrow(case.at(1).int(0), case.at(2).int(0), case.at(3).int(0) as usize),
        "slice" => x.get(idx![case.at(1).int(0)..]),
        "trace" => x.trace(),
        "tril" => x.tril(case.at(1).int(0)),
        "triu" => x.triu(case.at(1).int(0)),
        _ => return None,
    })
}

/// Without these axes, or all of size 1.
fn squeezed(x: &Var, axes: Option<Vec<isize>>) -> Result<Var> {
    let rank = x.shape().rank();
    let named = |axis: isize| axis.rem_euclid(rank.max(1) as isize) as usize;
    let mut axes: Vec<usize> = match axes {
        None => (0..rank).filter(|&axis| x.dims()[axis] == 1).collect(),
        Some(axes) => axes.into_iter().map(named).collect(),
    };
    axes.sort_unstable();
    axes.into_iter().rev().try_fold(x.clone(), |x, axis| x.squeeze(axis))
}

fn pieces(case: &Case) -> Answer {
    let x = case.arg(0, "").optional()?;
    let axis = || case.arg(2, "dim").int(0);
    Some(match case.name.as_str() {
        "chunk" => x.chunk(axis(), case.at(1).int(0) as usize),
        "split" => x.split(axis(), case.at(1).int(0) as usize),
        "split|list_args" => x.split_sizes(axis(), &case.at(1).sizes()?),
        _ => return None,
    })
}

fn repeated(case: &Case) -> Answer {
    let x = case.arg(0, "").optional()?;
    one(match case.name.as_str() {
        "repeat" | "tile" => x.tile(&case.at(1).sizes()?[..]),
        "roll" if case.at(2).is_none() => {
            x.flatten(0).and_then(|flat| flat.roll(case.at(1).int(0), 0)).and_then(|y| y.reshape(x.shape()))
        }
        "roll" => x.roll(&case.at(1).ints()?[..], &case.at(2).ints()?[..]),
        "nn.functional.pad|constant" => padded(x, &case.at(1).ints()?, PadMode::Constant(case.at(3).number(0.0))),
        "nn.functional.pad|reflect" => padded(x, &case.at(1).ints()?, PadMode::Reflect),
        "nn.functional.pad|replicate" | "nn.functional.pad|replicate_negative" => {
            padded(x, &case.at(1).ints()?, PadMode::Replicate)
        }
        "nn.functional.pad|circular" => padded(x, &case.at(1).ints()?, PadMode::Circular),
        "nn.functional.unfold" => {
            let [kernel, dilation, padding, stride] =
                [(1, 1), (2, 1), (3, 0), (4, 1)].map(|(at, default)| pair(case.at(at).sizes(), default));
            x.im2col(kernel, &ConvOptions::new().dilation(dilation).padding(padding).stride(stride))
        }
        _ => return None,
    })
}

/// A number for each of two axes.
fn pair(given: Option<Vec<usize>>, default: usize) -> [usize; 2] {
    let given = given.unwrap_or_else(|| vec![default]);
    [given[0], *given.last().unwrap()]
}

/// PyTorch's sides, the last axis's first, of which negative ones cut.
fn padded(x: &Var, sides: &[isize], mode: PadMode) -> Result<Var> {
    let by = |sign: isize| {
        let pairs = sides.chunks(2).rev();
        pairs.map(|pair| ((sign * pair[0]).max(0) as usize, (sign * pair[1]).max(0) as usize)).collect::<Vec<_>>()
    };
    if matches!(mode, PadMode::Circular) {
        // What is cut off does not come round.
        return x.crop(&by(-1))?.pad_with(&by(1), mode);
    }
    x.pad_with(&by(1), mode)?.crop(&by(-1))
}

fn indexing(case: &Case) -> Answer {
    let x = case.arg(0, "").optional()?;
    one(match case.name.as_str() {
        "index_select" => x.index_select(case.at(1).int(0), case.at(2).var().tensor()),
        "gather" => x.gather(case.at(1).int(0), case.at(2).var().tensor()),
        "scatter" => x.scatter(case.at(1).int(0), case.at(2).var().tensor(), case.at(3).optional()?),
        "scatter_add" => x.scatter_add(case.at(1).int(0), case.at(2).var().tensor(), case.at(3).var()),
        "take_along_dim" if case.at(2).is_none() => {
            let index = case.at(1).var().tensor();
            x.take(index).and_then(|y| y.flatten(0))
        }
        "take_along_dim" => x.take_along(case.at(2).int(0), case.at(1).var().tensor()),
        "masked_fill" => match case.at(2).optional() {
            Some(value) => Var::select(case.at(1).var().tensor(), value, x),
            None => x.masked_fill(case.at(1).var().tensor(), case.at(2).number(0.0)),
        },
        "where" => Var::select(case.at(1).var().tensor(), x, case.at(2).var()),
        _ => return None,
    })
}
