use super::{Schedule, factor};
use kiln_tensor::{Error, Result};

/// A factor for each piece of the training: the first one up to and with the first boundary, the last one after the last. Keras's
/// `PiecewiseConstantDecay`.
///
/// ```
/// use kiln_optim::{Piecewise, Schedule};
/// let schedule = Piecewise::new([100, 200], [1.0, 0.5, 0.1]);
/// assert_eq!([0, 100, 101, 200, 201].map(|step| schedule.at(step)), [1.0, 1.0, 0.5, 0.5, 0.1]);
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Piecewise {
    boundaries: Vec<u64>,
    factors: Vec<f64>,
}

impl Piecewise {
    /// The last steps of all pieces but the last, and the factors of all.
    pub fn new(boundaries: impl Into<Vec<u64>>, factors: impl Into<Vec<f64>>) -> Self {
        Piecewise { boundaries: boundaries.into(), factors: factors.into() }
    }
}

impl Schedule for Piecewise {
    fn at(&self, step: u64) -> f64 {
        let piece = self.boundaries.iter().filter(|boundary| **boundary < step).count();
        self.factors.get(piece).copied().unwrap_or(f64::NAN)
    }
    fn check(&self) -> Result<()> {
        let (boundaries, factors) = (self.boundaries.len(), self.factors.len());
        if factors != boundaries + 1 {
            let why = format!("Piecewise has {boundaries} boundaries and {factors} factors: one factor more is expected");
            return Err(Error::value("schedule", why));
        }
        if !self.boundaries.is_sorted_by(|a, b| a < b) {
            return Err(Error::value("schedule", "the boundaries of Piecewise do not increase"));
        }
        self.factors.iter().try_for_each(|value| factor("Piecewise", "factor", *value))
    }
    fn name(&self) -> String {
        "Piecewise".into()
    }
}
