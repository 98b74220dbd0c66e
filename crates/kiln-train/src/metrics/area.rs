//! Areas under curves over the scores, from groups of equal scores.

use super::MetricState;
use kiln_tensor::Result;

/// The weights of positives and negatives of equal score.
pub(super) type Group = [f64; 2];

/// The area of groups from the highest score down, or the reason why it is undefined.
pub(super) type Area = fn(&[Group]) -> Result<f64, &'static str>;

pub(super) type Groups = Result<Vec<Group>, &'static str>;

/// The groups of each label, of (2, labels, thresholds).
pub(super) fn binned(histogram: &[f64], thresholds: usize) -> Vec<Groups> {
    let (positives, negatives) = histogram.split_at(histogram.len() / 2);
    let pairs = positives.chunks(thresholds).zip(negatives.chunks(thresholds));
    pairs.map(|(p, n)| Ok(p.iter().zip(n).rev().map(|(&p, &n)| [p, n]).collect())).collect()
}

/// The groups of each label, of all that was kept.
pub(super) fn sorted(state: &MetricState) -> Result<Vec<Groups>> {
    let (Some(scores), Some(positive), Some(factors)) =
        (state.kept("scores")?, state.kept("positive")?, state.kept("factors")?)
    else {
        return Ok(Vec::new());
    };
    let labels = scores.dims()[1];
    let (scores, positive, factors) = (scores.to_f64_vec()?, positive.to_vec::<bool>()?, factors.to_f64_vec()?);
    Ok((0..labels).map(|label| groups(label, labels, &scores, &positive, &factors)).collect())
}

fn groups(label: usize, labels: usize, scores: &[f64], positive: &[bool], factors: &[f64]) -> Groups {
    let counting = (0..factors.len()).filter(|&row| factors[row] > 0.0);
    let mut rows: Vec<(f64, usize)> = counting.map(|row| (scores[row * labels + label], row)).collect();
    if rows.iter().any(|(score, _)| score.is_nan()) {
        return Err("a score is NaN");
    }
    rows.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut groups: Vec<Group> = Vec::new();
    let mut last = f64::NAN;
    for (score, row) in rows {
        if score != last {
            groups.push([0.0; 2]);
            last = score;
        }
        if let Some(group) = groups.last_mut() {
            group[usize::from(!positive[row * labels + label])] += factors[row];
        }
    }
    Ok(groups)
}

fn total(groups: &[Group]) -> Group {
    groups.iter().fold([0.0; 2], |[p, n], group| [p + group[0], n + group[1]])
}

pub(super) fn roc(groups: &[Group]) -> Result<f64, &'static str> {
    let [positives, negatives] = total(groups);
    if positives == 0.0 && negatives == 0.0 {
        return Err(super::value::NO_TARGETS);
    }
    if positives == 0.0 {
        return Err("all targets are negative: targets of both classes are needed");
    }
    if negatives == 0.0 {
        return Err("all targets are positive: targets of both classes are needed");
    }
    let (mut area, mut before) = (0.0, 0.0);
    for [p, n] in groups {
        area += n * (before + 0.5 * p);
        before += p;
    }
    Ok(area / (positives * negatives))
}

pub(super) fn average_precision(groups: &[Group]) -> Result<f64, &'static str> {
    let [positives, _] = total(groups);
    if positives == 0.0 {
        return Err("no target is positive");
    }
    let (mut sum, mut hits, mut predicted) = (0.0, 0.0, 0.0);
    for [p, n] in groups {
        hits += p;
        predicted += p + n;
        sum += p * if predicted > 0.0 { hits / predicted } else { 0.0 };
    }
    Ok(sum / positives)
}
