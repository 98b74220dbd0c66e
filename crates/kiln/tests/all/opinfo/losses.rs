//! Losses.

use super::case::{Arg, Case};
use super::{Answer, one};
use kiln::prelude::*;

/// `none`, `sum` or the mean of the losses, in the predictions' dtype.
fn reduced(case: &Case, each: Result<Var>) -> Answer {
    let reduction = case.named("reduction").text().unwrap_or("mean");
    one(each.and_then(|each| {
        let y = match reduction {
            "none" => Ok(each),
            "sum" => each.sum_all(),
            _ => each.mean_all(),
        }?;
        y.to_dtype(case.x().dtype())
    }))
}

fn numbers(weights: &Arg) -> Option<Vec<f64>> {
    weights.optional().map(|weights| weights.tensor().to_f64_vec().unwrap())
}

pub(super) fn run(case: &Case) -> Answer {
    let name = case.name.strip_prefix("nn.functional.")?;
    let (x, target) = (case.x(), case.arg(1, "target").optional());
    of_numbers(case, name, x, target?).or_else(|| of_classes(case, name, x, target?)).or_else(|| of_vectors(case, name))
}

fn of_numbers(case: &Case, name: &str, x: &Var, target: &Var) -> Answer {
    let each = match name {
        "mse_loss" => MeanSquaredError::new().each(x, target),
        "l1_loss" => MeanAbsoluteError::new().each(x, target),
        "hinge_embedding_loss" => HingeEmbedding::new().margin(case.named("margin").number(1.0)).each(x, target),
        "huber_loss" => Huber::new().delta(case.named("delta").number(1.0)).each(x, target),
        "smooth_l1_loss" => SmoothL1::new().beta(case.named("beta").number(1.0)).each(x, target),
        "binary_cross_entropy" => BinaryCrossentropy::new().each(x, target),
        "binary_cross_entropy_with_logits" => match numbers(case.named("pos_weight")) {
            Some(positive) => BinaryCrossentropy::from_logits().pos_weight(&positive).each(x, target),
            None => BinaryCrossentropy::from_logits().each(x, target),
        },
        _ => return None,
    };
    let weighted = |each: Var| match case.named("weight").optional() {
        Some(weight) => each.mul(&weight.to_dtype(each.dtype())?),
        None => Ok(each),
    };
    reduced(case, each.and_then(weighted))
}

fn of_classes(case: &Case, name: &str, x: &Var, target: &Var) -> Answer {
    let labels = !target.dtype().is_float();
    let mut nll = Nll::new().axis(1);
    if !case.named("ignore_index").is_none() {
        nll = nll.ignore_index(case.named("ignore_index").int(-100) as i64);
    }
    let sparse = SparseCategoricalCrossentropy::from_logits().axis(1);
    let weights = numbers(case.named("weight"));
    let each = match (name, weights) {
        ("cross_entropy", None) if labels => sparse.each(x, target),
        ("cross_entropy", None) => CategoricalCrossentropy::from_logits().axis(1).each(x, target),
        ("cross_entropy", Some(weights)) => ClassWeighted::new(sparse, &weights).each(x, target),
        ("nll_loss", None) => {
            // The mean leaves out what is ignored.
            if case.named("reduction").text() == Some("mean") {
                return one(nll.forward(x, target.tensor()));
            }
            nll.each(x, target)
        }
        ("nll_loss", Some(weights)) => ClassWeighted::new(nll, &weights).each(x, target),
        _ => return None,
    };
    reduced(case, each)
}

fn of_vectors(case: &Case, name: &str) -> Answer {
    let (x, margin) = (case.x(), |default: f64| case.named("margin").number(default));
    let each = match name {
        "cosine_embedding_loss" => {
            CosineEmbedding::new().margin(margin(0.0)).each(x, case.at(1).var(), case.at(2).var().tensor())
        }
        "triplet_margin_loss" => TripletMargin::new().margin(margin(1.0)).each(x, case.at(1).var(), case.at(2).var()),
        _ => return None,
    };
    reduced(case, each)
}
