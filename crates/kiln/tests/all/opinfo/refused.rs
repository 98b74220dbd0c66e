//! Calls that Kiln does not take as PyTorch does, each with its reason.

use super::case::Case;

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
        | "transpose"
        | "amax"
        | "amin"
        | "mean"
        | "sum"
            if rank == 0 && names_an_axis =>
        {
            Some("a tensor without axes has no axis 0, as in NumPy")
        }
        "nn.functional.linear" if case.at(1).var().shape().rank() == 1 => {
            Some("a weight of one output is (1, in): the output keeps its axis")
        }
        "nn.functional.batch_norm" if rank == 1 && empty => Some("no channels: the input must be (N, C, …)"),
        _ => None,
    }
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
        "nn.functional.hardsigmoid" => Some("PyTorch's slope in double precision is the f32 nearest 1/6"),
        _ => None,
    }
}

/// Whether this call is two operations in Kiln, each of which rounds.
pub(super) fn is_of_two_operations(case: &Case) -> bool {
    matches!(case.name.as_str(), "add" | "sub") && !case.named("alpha").is_none()
}

/// Operations that Kiln does not have yet.
pub(super) const MISSING: &[&str] = &[
    "argmax",
    "argmin",
    "chunk",
    "clamp",
    "cumprod",
    "cumsum",
    "diff",
    "expand",
    "flip",
    "gather",
    "isfinite",
    "isnan",
    "lerp",
    "linalg.norm",
    "linalg.norm|subgradients_at_zero",
    "logsumexp",
    "masked_fill",
    "max|reduction_with_dim",
    "min|reduction_with_dim",
    "narrow",
    "nn.functional.binary_cross_entropy",
    "nn.functional.binary_cross_entropy_with_logits",
    "nn.functional.cosine_embedding_loss",
    "nn.functional.cross_entropy",
    "nn.functional.embedding",
    "nn.functional.glu",
    "nn.functional.hinge_embedding_loss",
    "nn.functional.huber_loss",
    "nn.functional.kl_div",
    "nn.functional.l1_loss",
    "nn.functional.mse_loss",
    "nn.functional.nll_loss",
    "nn.functional.one_hot",
    "nn.functional.pad|circular",
    "nn.functional.pad|constant",
    "nn.functional.pad|reflect",
    "nn.functional.pad|replicate",
    "nn.functional.pad|replicate_negative",
    "nn.functional.prelu",
    "nn.functional.smooth_l1_loss",
    "nn.functional.triplet_margin_loss",
    "nn.functional.unfold",
    "norm",
    "norm|fro",
    "norm|inf",
    "norm|nuc",
    "repeat",
    "roll",
    "scatter",
    "scatter_add",
    "slice",
    "sort",
    "split",
    "split|list_args",
    "squeeze",
    "squeeze|multiple",
    "std",
    "std|unbiased",
    "take_along_dim",
    "tile",
    "topk",
    "trace",
    "tril",
    "triu",
    "var",
    "var|unbiased",
];
