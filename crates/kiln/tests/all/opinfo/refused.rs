//! Calls that Kiln does not take as PyTorch does, each with its reason.

use super::case::{Arg, Case};
use kiln::prelude::*;

/// Why this call is an error in Kiln.
pub(super) fn refused(case: &Case) -> Option<&'static str> {
    let first = case.at(0).optional()?;
    let rank = first.shape().rank();
    let empty = first.shape().elements() == 0;
    let names_an_axis = !case.at(1).is_none() || !case.named("dim").is_none();
    match case.name.as_str() {
        "nn.functional.conv2d"
        | "nn.functional.conv_transpose2d"
        | "nn.functional.adaptive_avg_pool2d"
        | "nn.functional.max_pool2d"
        | "nn.functional.avg_pool2d"
            if rank == 3 =>
        {
            Some("an image without an axis of samples: `unsqueeze(0)` adds it")
        }
        "nn.functional.conv1d" | "nn.functional.max_pool1d" | "nn.functional.avg_pool1d" if rank == 2 => {
            Some("a sequence without an axis of samples: `unsqueeze(0)` adds it")
        }
        "softmax"
        | "softmax|with_dtype"
        | "log_softmax"
        | "log_softmax|with_dtype"
        | "index_select"
        | "gather"
        | "scatter"
        | "scatter_add"
        | "squeeze"
        | "squeeze|multiple"
        | "transpose"
        | "amax"
        | "amin"
        | "mean"
        | "sum"
        | "argmax"
        | "argmin"
        | "max|reduction_with_dim"
        | "min|reduction_with_dim"
        | "cumsum"
        | "cumprod"
        | "logsumexp"
        | "norm"
        | "sort"
        | "topk"
            if rank == 0 && names_an_axis =>
        {
            Some("a tensor without axes has no axis 0, as in NumPy")
        }
        "squeeze" | "squeeze|multiple" if names_an_axis && other_sizes(first, &case.at(1).ints()?) => {
            Some("an axis that is not of size 1 is no axis to squeeze")
        }
        "gather" if case.at(2).var().shape().rank() != rank => {
            Some("an index has as many axes, also where it is empty")
        }
        "nn.functional.unfold" if rank == 3 => Some("an image without an axis of samples: `unsqueeze(0)` adds it"),
        "nn.functional.linear" if case.at(1).var().shape().rank() == 1 => {
            Some("a weight of one output is (1, in): the output keeps its axis")
        }
        "nn.functional.nll_loss" | "nn.functional.cosine_embedding_loss" if rank == 1 => {
            Some("one sample without the axis of samples: `unsqueeze(0)` adds it")
        }
        "nn.functional.cross_entropy" | "nn.functional.nll_loss" if has_negative(case.named("weight")) => {
            Some("the weight of a class is 0 or more")
        }
        "nn.functional.batch_norm" if rank == 1 && empty => Some("no channels: the input must be (N, C, …)"),
        _ => None,
    }
}

/// Whether one of these axes is not of size 1.
fn other_sizes(x: &Var, axes: &[isize]) -> bool {
    axes.iter().any(|axis| x.dims()[axis.rem_euclid(x.shape().rank() as isize) as usize] != 1)
}

fn has_negative(weights: &Arg) -> bool {
    weights.optional().is_some_and(|weights| weights.tensor().to_f64_vec().unwrap().iter().any(|&weight| weight < 0.0))
}

/// Why this call is not compared.
pub(super) fn left_out(case: &Case) -> Option<&'static str> {
    match case.name.as_str() {
        "cat" if case.at(0).vars().iter().any(|part| part.dims() == [0]) => {
            Some("PyTorch skips a (0,) among tensors of other ranks, a rule of its past; here it is an error")
        }
        "nn.functional.avg_pool2d" if !case.arg(6, "divisor_override").is_none() => {
            Some("there is no `divisor_override`: multiply the average")
        }
        "nn.functional.cross_entropy" if !case.named("weight").is_none() && case.at(1).var().dtype().is_float() => {
            Some("weights of classes go with labels; distributions can be multiplied by them")
        }
        "nn.functional.triplet_margin_loss" if case.named("swap").flag(false) => {
            Some("there is no `swap`: swap anchor and positive where that is nearer")
        }
        "nn.functional.kl_div" => {
            Some("PyTorch's is of any numbers, element by element; `KlDivergence` is of distributions, which sum to 1")
        }
        "logsumexp" if case.at(1).ints().is_some_and(|axes| axes.len() > 1) => {
            Some("one axis at a time: `flatten` what is to be one")
        }
        "var" | "std" if case.named("correction").int(0) < 0 => Some("a correction is 0 or more"),
        "norm|nuc" => Some("the nuclear norm is `nuclear_norm`, of the feature `linalg`"),
        "linalg.norm" | "linalg.norm|subgradients_at_zero" if case.x().shape().rank() > 1 && !case.at(1).is_none() => {
            Some(
                "norms of matrices as operators are not there; `norm` is of the elements, and `nuclear_norm` is in `linalg`",
            )
        }
        "nn.functional.hardsigmoid" => Some("PyTorch's slope in double precision is the f32 nearest 1/6"),
        _ => None,
    }
}

/// Whether this call is two operations in Kiln, each of which rounds.
pub(super) fn is_of_two_operations(case: &Case) -> bool {
    matches!(case.name.as_str(), "add" | "sub") && !case.named("alpha").is_none()
}
