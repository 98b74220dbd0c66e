//! Which samples of a data set go to which of k folds.

use super::{Parts, of_groups, unpaired};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Error, Result};
use std::cmp::Reverse;

fn refused(why: String) -> Error {
    Error::value("k_fold", why)
}

/// At least two folds, and as many things as folds.
fn check(folds: usize, count: usize, things: &str) -> Result<()> {
    if folds < 2 {
        return Err(refused(format!("{folds} folds: at least 2 are expected")));
    }
    if count < folds {
        return Err(refused(format!("{folds} folds of {count} {things}: each fold needs at least one")));
    }
    Ok(())
}

/// For each fold, the samples of the others and its own, ascending.
fn parts(folds: usize, fold_of: &[usize]) -> Vec<Parts> {
    let part = |fold| {
        let (own, others) = (0..fold_of.len()).partition(|&sample: &usize| fold_of[sample] == fold);
        [others, own]
    };
    (0..folds).map(part).collect()
}

/// The first folds have one sample more where they cannot be equal. Without a seed, a fold is samples that follow one another.
pub(crate) fn plain(samples: usize, folds: usize, seed: Option<u64>) -> Result<Vec<Parts>> {
    check(folds, samples, "samples")?;
    let mut order: Vec<usize> = (0..samples).collect();
    if let Some(seed) = seed {
        RandomStream::new(seed, Purpose::Split, 2).shuffle(&mut order);
    }
    let (size, larger) = (samples / folds, samples % folds);
    let mut fold_of = vec![0; samples];
    let mut start = 0;
    for fold in 0..folds {
        let end = start + size + usize::from(fold < larger);
        order[start..end].iter().for_each(|&sample| fold_of[sample] = fold);
        start = end;
    }
    Ok(parts(folds, &fold_of))
}

/// Each class is dealt out to the folds, and the next class begins where the one before ended: so the folds are of like size too.
pub(crate) fn stratified(labels: &[i64], folds: usize, seed: u64) -> Result<Vec<Parts>> {
    check(folds, labels.len(), "samples")?;
    let mut stream = RandomStream::new(seed, Purpose::Split, 3);
    let mut fold_of = vec![0; labels.len()];
    let mut dealt = 0;
    for (label, mut samples) in of_groups(labels) {
        if samples.len() < folds {
            return Err(refused(format!(
                "class {label} has {} samples, and each of {folds} folds needs one: take fewer folds, or `k_fold`, which does \
                 without classes",
                samples.len()
            )));
        }
        stream.shuffle(&mut samples);
        for sample in samples {
            fold_of[sample] = dealt % folds;
            dealt += 1;
        }
    }
    Ok(parts(folds, &fold_of))
}

/// The largest groups first, each to the fold that has the fewest samples so far.
pub(crate) fn grouped<G: Ord>(samples: usize, groups: &[G], folds: usize, seed: u64) -> Result<Vec<Parts>> {
    if groups.len() != samples {
        return Err(unpaired("k_fold_grouped", "groups", groups.len(), samples));
    }
    let mut groups: Vec<Vec<usize>> = of_groups(groups).into_values().collect();
    check(folds, groups.len(), "groups")?;
    // Of groups of one size, chance decides which is first.
    RandomStream::new(seed, Purpose::Split, 4).shuffle(&mut groups);
    groups.sort_by_key(|group| Reverse(group.len()));
    let (mut sizes, mut fold_of) = (vec![0; folds], vec![0; samples]);
    for group in groups {
        let lightest = (0..folds).min_by_key(|&fold| sizes[fold]).unwrap_or(0);
        sizes[lightest] += group.len();
        group.into_iter().for_each(|sample| fold_of[sample] = lightest);
    }
    Ok(parts(folds, &fold_of))
}
