//! What a search for a learning rate has found.

/// The part of the average loss that stays in a step, as in fastai and Lightning.
const SMOOTHING: f64 = 0.98;

/// The losses of steps with growing learning rates.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LearningRates {
    /// In the order of the steps.
    pub points: Vec<RatePoint>,
    /// Whether the loss diverged, which ended the search.
    pub diverged: bool,
}

/// A step of a search.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RatePoint {
    /// The learning rate of the step.
    pub rate: f64,
    /// The loss of its batch, before the step.
    pub loss: f64,
    /// The average of the losses so far: exponential, with a factor of 0.98, and divided by 1 − 0.98ⁿ.
    pub smoothed: f64,
}

impl LearningRates {
    pub(super) fn add(&mut self, rate: f64, loss: f64) {
        let count = self.points.len() as i32;
        let before = self.points.last().map_or(0.0, |last| last.smoothed * (1.0 - SMOOTHING.powi(count)));
        let sum = SMOOTHING * before + (1.0 - SMOOTHING) * loss;
        self.points.push(RatePoint { rate, loss, smoothed: sum / (1.0 - SMOOTHING.powi(count + 1)) });
    }

    /// Whether the last smoothed loss is above so many times the smallest, or not finite.
    pub(super) fn diverges(&self, factor: f64) -> bool {
        let Some(last) = self.points.last() else { return false };
        let best = self.points.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
        // Of a loss above 0, factor · best.
        !last.loss.is_finite() || last.smoothed > best + (factor - 1.0) * best.abs()
    }

    /// The rate to train with: that of the [`valley`](LearningRates::valley), which depends less on single batches than the
    /// [`steepest`](LearningRates::steepest) fall. None where the loss never fell.
    pub fn suggestion(&self) -> Option<f64> {
        self.valley()
    }

    /// The rate at which the smoothed loss fell fastest over the logarithm of the rate (Lightning's suggestion, fastai's `steep`). The first
    /// tenth of the points and the last ones, up to five, do not count, and neither do those after the smallest loss, where it falls by
    /// chance. None where the loss never fell.
    pub fn steepest(&self) -> Option<f64> {
        let points = self.considered();
        let slope = |at: usize| {
            let (before, after) = (points[at.saturating_sub(1)], points[(at + 1).min(points.len() - 1)]);
            (after.smoothed - before.smoothed) / (after.rate / before.rate).ln()
        };
        let slopes = (0..points.len()).map(|at| (at, slope(at))).filter(|(_, slope)| *slope < 0.0);
        let (at, _) = slopes.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        Some(points[at].rate)
    }

    /// The rate in the middle of the longest valley, the longest sequence of falling smoothed losses: fastai's `valley`, its default. It is
    /// mostly smaller than the [`steepest`](LearningRates::steepest). The first tenth of the points, the last ones, up to five, and
    /// those after the smallest loss do not count. None where the loss never fell.
    pub fn valley(&self) -> Option<f64> {
        let points = self.considered();
        // Of each point how many fall to it, itself included.
        let mut falls = vec![1; points.len()];
        let mut end = 0;
        for at in 1..points.len() {
            let before = (0..at).filter(|&before| points[at].smoothed < points[before].smoothed);
            falls[at] = 1 + before.map(|before| falls[before]).max().unwrap_or(0);
            if falls[at] > falls[end] {
                end = at;
            }
        }
        let length = *falls.get(end).filter(|falls| **falls > 1)?;
        // As fastai has it: from `length` points before the end on, half of a third after the first third.
        let third = length as f64 / 3.0;
        let at = (end + third as usize + (third / 2.0) as usize).saturating_sub(length);
        Some(points[at].rate)
    }

    /// The points that a suggestion goes by: up to the smallest loss, as it falls by chance after that.
    fn considered(&self) -> &[RatePoint] {
        let finite = self.points.iter().take_while(|point| point.smoothed.is_finite()).count();
        let few = finite / 10;
        let points = &self.points[few..finite - few.min(5)];
        let lowest = (0..points.len()).min_by(|a, b| points[*a].smoothed.total_cmp(&points[*b].smoothed));
        &points[..lowest.map_or(0, |lowest| lowest + 1)]
    }
}
