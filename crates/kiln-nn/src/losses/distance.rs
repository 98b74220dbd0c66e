//! Losses of how far apart vectors or scores are, for which embeddings and rankings are trained. They have several operands, so they are called by
//! an objective of your own.

use super::computed_in;
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Tensor};

/// max(0, ‖a − p‖ − ‖a − n‖ + margin) of anchors a, positives p and negatives n, each (n, d) (Balntas et al. 2016; PyTorch's
/// `TripletMarginLoss`, whose 1e-6 within the lengths is here too).
#[derive(Clone, Copy, Debug)]
pub struct TripletMargin {
    margin: f64,
}

/// max(0, −y·(a − b) + margin) of scores a, b and y, 1 where a is to be the larger and −1 where b is (PyTorch's `MarginRankingLoss`). All of
/// one shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct MarginRanking {
    margin: f64,
}

/// y·d² + (1 − y)·max(0, margin − d)² of pairs a, b (n, d), d their distance and y (n,) 1 where they belong together, else 0 (Hadsell et
/// al. 2006, without its factor ½).
#[derive(Clone, Copy, Debug)]
pub struct Contrastive {
    margin: f64,
}

impl Default for TripletMargin {
    fn default() -> Self {
        TripletMargin::new()
    }
}

impl Default for Contrastive {
    fn default() -> Self {
        Contrastive::new()
    }
}

macro_rules! margins {
    ($($loss:ident $margin:literal $($operand:ident: $type:ty),+;)+) => {$(
        impl $loss {
            #[doc = concat!("The loss with a margin of ", stringify!($margin), ".")]
            pub const fn new() -> Self {
                $loss { margin: $margin }
            }

            /// The margin, 0 or more; another one is reported when the loss is computed.
            #[must_use]
            pub const fn margin(self, margin: f64) -> Self {
                $loss { margin }
            }

            /// The mean of all.
            ///
            /// # Errors
            /// As `each`.
            pub fn forward(&self, $($operand: $type),+) -> Result<Var> {
                let dtype = margins!(@ first $($operand)+).dtype();
                self.each($($operand),+)?.mean_all()?.to_dtype(dtype)
            }
        }
    )+};
    (@ first $first:ident $($rest:ident)*) => { $first };
}
margins! {
    TripletMargin 1.0 anchor: &Var, positive: &Var, negative: &Var;
    MarginRanking 0.0 a: &Var, b: &Var, larger: &Tensor;
    Contrastive 1.0 a: &Var, b: &Var, together: &Tensor;
}

impl TripletMargin {
    /// The loss of each triplet, (n,).
    ///
    /// # Errors
    /// Operands that are not of one shape (n, d); a margin below 0.
    pub fn each(&self, anchor: &Var, positive: &Var, negative: &Var) -> Result<Var> {
        let name = "triplet_margin";
        check_margin(name, self.margin)?;
        check_vectors(name, &[anchor, positive, negative])?;
        let near = distance(&wide(anchor)?.sub(&wide(positive)?)?)?;
        let far = distance(&wide(anchor)?.sub(&wide(negative)?)?)?;
        near.sub(&far)?.add_scalar(self.margin)?.relu()
    }
}

impl MarginRanking {
    /// The loss of each pair, in the shape of the scores.
    ///
    /// # Errors
    /// Operands of different shapes; a margin below 0.
    pub fn each(&self, a: &Var, b: &Var, larger: &Tensor) -> Result<Var> {
        let name = "margin_ranking";
        check_margin(name, self.margin)?;
        if a.shape() != b.shape() || a.shape() != larger.shape() {
            let shapes = format!("{}, {} and {}", a.shape(), b.shape(), larger.shape());
            return Err(Error::shape(name, format!("scores and signs of one shape are expected, got {shapes}")));
        }
        let a = wide(a)?;
        let sign = Var::constant(larger.to_dtype(a.dtype())?);
        wide(b)?.sub(&a)?.mul(&sign)?.add_scalar(self.margin)?.relu()
    }
}

impl Contrastive {
    /// The loss of each pair, (n,).
    ///
    /// # Errors
    /// Operands that are not two of (n, d) and one of (n,); a margin below 0.
    pub fn each(&self, a: &Var, b: &Var, together: &Tensor) -> Result<Var> {
        let name = "contrastive";
        check_margin(name, self.margin)?;
        check_vectors(name, &[a, b])?;
        if together.dims() != &a.dims()[..1] {
            let message = format!("{} for pairs {}: one number a pair is needed", together.shape(), a.shape());
            return Err(Error::shape(name, message));
        }
        let difference = wide(a)?.sub(&wide(b)?)?;
        let together = Var::constant(together.to_dtype(difference.dtype())?);
        let far = distance(&difference)?.affine(-1.0, self.margin)?.relu()?.square()?;
        let near = difference.square()?.sum(1)?;
        together.mul(&near)?.add(&together.affine(-1.0, 1.0)?.mul(&far)?)
    }
}

fn wide(x: &Var) -> Result<Var> {
    x.to_dtype(computed_in(x.dtype()))
}

/// √Σ(x + 1e-6)² of each row: that of 0 has a slope.
fn distance(difference: &Var) -> Result<Var> {
    difference.add_scalar(1e-6)?.square()?.sum(1)?.sqrt()
}

fn check_margin(name: &'static str, margin: f64) -> Result<()> {
    if (0.0..f64::INFINITY).contains(&margin) {
        return Ok(());
    }
    Err(Error::value(name, format!("a margin of 0 or more and finite is expected, got {margin}")))
}

fn check_vectors(name: &'static str, operands: &[&Var]) -> Result<()> {
    let first = operands[0].shape();
    if first.rank() == 2 && operands.iter().all(|operand| operand.shape() == first) {
        return Ok(());
    }
    let shapes: Vec<String> = operands.iter().map(|operand| operand.shape().to_string()).collect();
    Err(Error::shape(name, format!("vectors of one shape (n, d) are expected, got {}", shapes.join(", "))))
}
