//! How the numbers of a tensor are distributed.

use kiln_tensor::{Device, Result, Tensor};

/// Buckets of one width, as TensorFlow's `tf.summary.histogram` has.
const BUCKETS: usize = 30;

/// Counts of numbers between limits.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Histogram {
    pub(super) least: f64,
    pub(super) largest: f64,
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) sum_of_squares: f64,
    /// The upper end of each bucket.
    pub(super) limits: Vec<f64>,
    pub(super) counts: Vec<f64>,
}

impl Histogram {
    /// Of the elements that are finite; none where none is.
    pub(super) fn of(tensor: &Tensor) -> Result<Option<Histogram>> {
        Ok(match tensor.as_slice::<f32>() {
            Ok(values) => Histogram::of_numbers(values.iter().map(|&value| f64::from(value))),
            Err(_) => Histogram::of_numbers(tensor.to_device(&Device::cpu())?.to_f64_vec()?.iter().copied()),
        })
    }

    fn of_numbers(values: impl Iterator<Item = f64> + Clone) -> Option<Histogram> {
        let finite = || values.clone().filter(|value| value.is_finite());
        let (mut least, mut largest) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut count, mut sum, mut sum_of_squares) = (0.0, 0.0, 0.0);
        for value in finite() {
            (least, largest) = (least.min(value), largest.max(value));
            (count, sum, sum_of_squares) = (count + 1.0, sum + value, sum_of_squares + value * value);
        }
        if count == 0.0 {
            return None;
        }
        // The difference of the largest numbers there are would be infinite.
        let width = largest / BUCKETS as f64 - least / BUCKETS as f64;
        let (limits, counts) = if width > 0.0 {
            let mut counts = [0u64; BUCKETS];
            for value in finite() {
                counts[(((value - least) / width) as usize).min(BUCKETS - 1)] += 1;
            }
            let shares = (1..=BUCKETS).map(|bucket| bucket as f64 / BUCKETS as f64);
            (
                shares.map(|share| least * (1.0 - share) + largest * share).collect(),
                counts.map(|count| count as f64).to_vec(),
            )
        } else {
            (vec![largest], vec![count])
        };
        Some(Histogram { least, largest, count, sum, sum_of_squares, limits, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Option<Histogram> {
        Histogram::of_numbers(values.iter().copied())
    }

    #[test]
    fn numbers_are_counted_between_limits() {
        let values: Vec<f64> = (0..=60).map(f64::from).collect();
        let histogram = of(&values).unwrap();
        assert_eq!((histogram.least, histogram.largest, histogram.count, histogram.sum), (0.0, 60.0, 61.0, 1830.0));
        assert_eq!((histogram.limits[0], histogram.limits[29], histogram.limits.len()), (2.0, 60.0, 30));
        // The last bucket has its upper end too.
        assert_eq!((histogram.counts[0], histogram.counts[28], histogram.counts[29]), (2.0, 2.0, 3.0));
    }

    #[test]
    fn one_value_and_values_that_are_not_finite() {
        let histogram = of(&[3.0, f64::NAN, 3.0, f64::INFINITY]).unwrap();
        assert_eq!((histogram.limits, histogram.counts, histogram.count), (vec![3.0], vec![2.0], 2.0));
        assert_eq!(of(&[f64::NAN, f64::NEG_INFINITY]), None);
        assert_eq!(of(&[]), None);
        let wide = of(&[-f64::MAX, f64::MAX]).unwrap();
        assert_eq!(wide.counts.iter().sum::<f64>(), 2.0);
        assert!(wide.limits.iter().all(|limit| limit.is_finite()));
    }
}
