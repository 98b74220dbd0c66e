//! Which samples of a data set go to which of two parts, or of k folds.

pub(crate) mod folds;

use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{Error, Result};
use std::collections::BTreeMap;

/// Indices of both parts, ascending.
pub(crate) type Parts = [Vec<usize>; 2];

/// How many of all things (samples, groups) the second part has: the nearest whole number.
fn second(all: usize, things: &str, fraction: f64) -> Result<usize> {
    let refused = |why: String| Err(Error::value("split", format!("a fraction of {fraction}{why}")));
    if !(fraction > 0.0 && fraction < 1.0) {
        return refused(": a number above 0 and below 1 is expected".to_owned());
    }
    let count = (all as f64 * fraction).round() as usize;
    if count == 0 || count >= all {
        let part = if count == 0 { "second" } else { "first" };
        return refused(format!(" leaves the {part} part without a sample: there are {all} {things}"));
    }
    Ok(count)
}

/// The last samples are the second part. Where batches have a fixed size, both parts are whole batches: else rows that continue those
/// of the batch before would be torn apart.
pub(crate) fn in_order(samples: usize, fraction: f64, batch: Option<usize>) -> Result<Parts> {
    let (mut count, batch) = (second(samples, "samples", fraction)?, batch.unwrap_or(1).max(1));
    if samples < 2 * batch {
        let why = format!("{samples} samples are not two batches of {batch}, the fixed batch size of this data set");
        return Err(Error::value("split", why));
    }
    count = ((count + batch / 2) / batch * batch).clamp(batch, samples - batch);
    let first = samples - count;
    Ok([(0..first).collect(), (first..samples).collect()])
}

/// A random choice of the samples is the second part.
pub(crate) fn shuffled(samples: usize, fraction: f64, seed: u64) -> Result<Parts> {
    let count = second(samples, "samples", fraction)?;
    let mut order: Vec<usize> = (0..samples).collect();
    RandomStream::new(seed, Purpose::Split, 0).shuffle(&mut order);
    let mut parts = [order.split_off(count), order];
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// A random choice of the groups is the second part.
pub(crate) fn grouped<G: Ord>(samples: usize, groups: &[G], fraction: f64, seed: u64) -> Result<Parts> {
    if groups.len() != samples {
        return Err(unpaired("split_grouped", "groups", groups.len(), samples));
    }
    let mut groups: Vec<Vec<usize>> = of_groups(groups).into_values().collect();
    let count = second(groups.len(), "groups", fraction)?;
    RandomStream::new(seed, Purpose::Split, 5).shuffle(&mut groups);
    let first = groups.split_off(count);
    let mut parts = [first.concat(), groups.concat()];
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// The samples of each class or group, ascending.
fn of_groups<G: Ord>(groups: &[G]) -> BTreeMap<&G, Vec<usize>> {
    let mut samples = BTreeMap::<&G, Vec<usize>>::new();
    for (sample, group) in groups.iter().enumerate() {
        samples.entry(group).or_default().push(sample);
    }
    samples
}

/// The error of labels or groups that are not one for each sample.
#[cold]
pub(crate) fn unpaired(operation: &'static str, what: &str, count: usize, samples: usize) -> Error {
    Error::value(operation, format!("there are {count} {what} for {samples} samples: one for each is expected"))
}

/// The samples of a class.
struct Class {
    samples: Vec<usize>,
    /// How many of them go to the second part.
    count: usize,
    /// What rounding `count` down has left out, in parts of one divided by the number of all samples.
    rest: u128,
}

/// A random choice of each class's samples is the second part, as large as its share of all.
pub(crate) fn stratified(labels: &[i64], fraction: f64, seed: u64) -> Result<Parts> {
    let count = second(labels.len(), "samples", fraction)?;
    let class = |samples: Vec<usize>| {
        let (share, all) = (samples.len() as u128 * count as u128, labels.len() as u128);
        Class { samples, count: (share / all) as usize, rest: share % all }
    };
    let mut classes: Vec<Class> = of_groups(labels).into_values().map(class).collect();
    let mut stream = RandomStream::new(seed, Purpose::Split, 1);
    classes.iter_mut().for_each(|class| stream.shuffle(&mut class.samples));
    // Of classes with equal rests, chance decides which is rounded up.
    stream.shuffle(&mut classes);
    classes.sort_by_key(|class| std::cmp::Reverse(class.rest));
    round_up(&mut classes, count, labels.len())?;
    let mut parts = Parts::default();
    for Class { mut samples, count, .. } in classes {
        parts[0].extend(samples.split_off(count));
        parts[1].append(&mut samples);
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// Rounds counts of classes up, those first that come first, until they are `count` together; each class keeps a sample.
fn round_up(classes: &mut [Class], count: usize, samples: usize) -> Result<()> {
    let mut left = count - classes.iter().map(|class| class.count).sum::<usize>();
    while left > 0 {
        let before = left;
        for class in classes.iter_mut().filter(|class| class.count + 1 < class.samples.len()).take(left) {
            class.count += 1;
            left -= 1;
        }
        if left == before {
            let message = format!(
                "{count} of {samples} samples are to be the second part, but only {} can be: each of the {} classes keeps at \
                 least one sample in the first part; `split` splits without regard to classes",
                count - left,
                classes.len()
            );
            return Err(Error::value("split_stratified", message));
        }
    }
    Ok(())
}
