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
    case.arg(0, "").optional()?;
    labels(case).or_else(|| sums(case)).or_else(|| norms(case)).or_else(|| along(case)).or_else(|| with_positions(case))
}

fn sums(case: &Case) -> Answer {
    let x = case.x();
    let (over, keep) = (axes(x, case.arg(1, "dim")), case.arg(2, "keepdim").flag(false));
    let over = &over[..];
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
        "logsumexp" if keep => x.logsumexp_keepdim(over[0]),
        "logsumexp" => x.logsumexp(over[0]),
        "var" | "std" | "var|unbiased" | "std|unbiased" => spread(case),
        _ => return None,
    })
}

fn spread(case: &Case) -> Result<Var> {
    let (x, by_flag) = (case.x(), case.name.ends_with("unbiased"));
    let unbiased = if by_flag { case.at(1) } else { case.named("unbiased") };
    let correction = case.named("correction").int(isize::from(unbiased.flag(true))) as usize;
    let over = axes(x, case.named("dim"));
    match (case.name.starts_with("std"), case.named("keepdim").flag(false)) {
        (true, true) => x.std_keepdim(&over[..], correction),
        (true, false) => x.std(&over[..], correction),
        (false, true) => x.var_keepdim(&over[..], correction),
        (false, false) => x.var(&over[..], correction),
    }
}

fn norms(case: &Case) -> Answer {
    let x = case.x();
    if !matches!(case.name.split('|').next()?, "norm" | "linalg.norm") {
        return None;
    }
    let over = axes(x, case.arg(2, "dim"));
    let p = if case.at(1).text() == Some("fro") { 2.0 } else { case.at(1).number(2.0) };
    one(match case.arg(3, "keepdim").flag(false) {
        true => x.norm_keepdim(p, &over[..]),
        false => x.norm(p, &over[..]),
    })
}

fn along(case: &Case) -> Answer {
    let (x, axis) = (case.x(), case.at(1).int(0));
    one(match case.name.as_str() {
        "softmax" | "softmax|with_dtype" => x.softmax(axis),
        "log_softmax" | "log_softmax|with_dtype" => x.log_softmax(axis),
        "cumsum" => x.cumsum(axis),
        "cumprod" => x.cumprod(axis),
        "diff" => {
            // What comes before and after is joined first.
            let axis = case.at(2).int(-1);
            let joined: Vec<&Var> =
                [case.at(3).optional(), Some(x), case.at(4).optional()].into_iter().flatten().collect();
            Var::concat(&joined, axis).and_then(|x| x.diff(case.at(1).int(1) as usize, axis))
        }
        _ => return None,
    })
}

fn with_positions(case: &Case) -> Answer {
    let x = case.x();
    let (keep, descending) =
        (case.arg(2, "keepdim").flag(false), |flag: bool| if flag { Order::Descending } else { Order::Ascending });
    let axis = case.arg(1, "dim").int(-1);
    let both = |y: Var, positions: Tensor| vec![y, Var::constant(positions)];
    Some(match case.name.as_str() {
        "sort" => x
            .sort_with_positions(axis, descending(case.arg(2, "descending").flag(false)))
            .map(|(y, positions)| both(y, positions)),
        "topk" => x
            .topk(case.at(1).int(1) as usize, case.arg(2, "dim").int(-1), descending(case.arg(3, "largest").flag(true)))
            .map(|(y, positions)| both(y, positions)),
        "max|reduction_with_dim" if keep => x.max_keepdim(axis).and_then(|y| Ok(both(y, x.argmax_keepdim(axis)?))),
        "max|reduction_with_dim" => x.max(axis).and_then(|y| Ok(both(y, x.tensor().argmax(axis)?))),
        "min|reduction_with_dim" if keep => x.min_keepdim(axis).and_then(|y| Ok(both(y, x.argmin_keepdim(axis)?))),
        "min|reduction_with_dim" => x.min(axis).and_then(|y| Ok(both(y, x.tensor().argmin(axis)?))),
        "argmax" | "argmin" => place(case).map(|y| vec![Var::constant(y)]),
        _ => return None,
    })
}

fn place(case: &Case) -> Result<Tensor> {
    let (x, dim, keep) = (case.x(), case.named("dim"), case.named("keepdim").flag(false));
    match (case.name.as_str(), dim.is_none(), keep) {
        ("argmax", true, _) => x.argmax_all(),
        ("argmax", false, true) => x.argmax_keepdim(dim.int(0)),
        ("argmax", false, false) => x.tensor().argmax(dim.int(0)),
        (_, true, _) => x.argmin_all(),
        (_, false, true) => x.argmin_keepdim(dim.int(0)),
        (_, false, false) => x.tensor().argmin(dim.int(0)),
    }
}

fn labels(case: &Case) -> Answer {
    let x = case.x();
    one(match case.name.as_str() {
        "nn.functional.one_hot" => {
            let most = || x.tensor().to_f64_vec().unwrap().into_iter().fold(0.0, f64::max);
            let classes = case.named("num_classes").int(-1);
            let classes = if classes < 0 { most() as usize + 1 } else { classes as usize };
            x.tensor().one_hot(classes).map(Var::constant)
        }
        "nn.functional.embedding" => {
            let index = case.at(1).var().tensor();
            let shape = [index.dims(), &x.dims()[1..]].concat();
            index.flatten(0).and_then(|flat| x.index_select(0, &flat)).and_then(|y| y.reshape(&shape[..]))
        }
        _ => return None,
    })
}
