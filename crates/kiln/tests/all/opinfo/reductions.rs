//! Reductions, scans, sorting.

use super::case::{Arg, Case};
use super::{Answer, one};
use kiln::prelude::*;

/// The axes that are named, or all of them.
fn axes(x: &Var, given: &Arg) -> Vec<isize> {
    match given.ints() {
        Some(axes) if !axes.is_empty() => axes,
        _ => (0..x.shape().rank() as isize).collect(),
    }
}

pub(super) fn run(case: &Case) -> Answer {
    let x = case.arg(0, "").optional()?;
    let (over, keep) = (axes(x, case.arg(1, "dim")), case.arg(2, "keepdim").flag(false));
    let over = &over[..];
    let by_axis = |axis: &Arg| axis.int(0);
    one(match case.name.as_str() {
        "sum" if keep => x.sum_keepdim(over),
        "sum" => x.sum(over),
        "mean" if keep => x.mean_keepdim(over),
        "mean" => x.mean(over),
        "amax" if keep => x.max_keepdim(over),
        "amax" | "max|reduction_no_dim" => x.max(over),
        "amin" if keep => x.min_keepdim(over),
        "amin" | "min|reduction_no_dim" => x.min(over),
        "prod" if keep => x.prod_keepdim(over),
        "prod" => x.prod(over),
        "softmax" | "softmax|with_dtype" => x.softmax(by_axis(case.at(1))),
        "log_softmax" | "log_softmax|with_dtype" => x.log_softmax(by_axis(case.at(1))),
        _ => return None,
    })
}
