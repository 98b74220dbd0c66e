//! Operations that move elements.

use super::case::Case;
use super::{Answer, one};
use kiln::prelude::*;

pub(super) fn run(case: &Case) -> Answer {
    joins(case).or_else(|| views(case)).or_else(|| indexing(case))
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
        _ => return None,
    })
}

fn indexing(case: &Case) -> Answer {
    let x = case.arg(0, "").optional()?;
    one(match case.name.as_str() {
        "index_select" => x.index_select(case.at(1).int(0), case.at(2).var().tensor()),
        "where" => Var::select(case.at(1).var().tensor(), x, case.at(2).var()),
        _ => return None,
    })
}
