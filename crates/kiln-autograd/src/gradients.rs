//! `Gradients`: what a backward pass gives.

use crate::{LeafId, Var};
use kiln_tensor::{DType, Error, Result, Tensor};

/// Gradients of a scalar with respect to the leaves that it depends on: a value that can be inspected, scaled and added up.
///
/// The gradient of a large batch is the mean of those of its parts, which need less memory one after the other:
///
/// ```
/// use kiln_autograd::{Gradients, Var};
/// use kiln_tensor::{Device, Result, Tensor};
/// # fn main() -> Result<()> {
/// # let cpu = Device::cpu();
/// let w = Var::variable(Tensor::scalar(2.0f64, &cpu)?);
/// let mut sum = Gradients::default();
/// for x in [1.0, 3.0] {
///     sum.add_assign(w.mul(&w)?.mul_scalar(x)?.backward()?)?;
/// }
/// sum.scale(0.5)?; // the mean
/// assert_eq!(sum.of(&w).unwrap().item()?, 8.0);
/// assert_eq!(sum.norm()?, 8.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, Debug)]
pub struct Gradients(Vec<(LeafId, Tensor)>); // ascending by id

impl Gradients {
    /// The gradient of the leaf `id`; `None` where the scalar did not depend on it.
    #[inline]
    pub fn get(&self, id: LeafId) -> Option<&Tensor> {
        self.find(id).ok().map(|at| &self.0[at].1)
    }

    #[inline]
    fn find(&self, id: LeafId) -> std::result::Result<usize, usize> {
        self.0.binary_search_by_key(&id, |entry| entry.0)
    }

    /// Looks gradients up one after the other: at once where the ids come in ascending order, as those of a model's parameters mostly do.
    pub fn lookup<'g>(&'g self) -> impl FnMut(LeafId) -> Option<&'g Tensor> {
        let mut next = 0;
        move |id| {
            let at = match self.0.get(next) {
                Some((known, _)) if *known == id => next,
                _ => self.find(id).ok()?,
            };
            next = at + 1;
            Some(&self.0[at].1)
        }
    }

    /// The gradient of a variable.
    pub fn of(&self, variable: &Var) -> Option<&Tensor> {
        self.get(variable.id()?)
    }

    /// Takes the gradient of the leaf `id` out.
    pub fn remove(&mut self, id: LeafId) -> Option<Tensor> {
        self.find(id).ok().map(|at| self.0.remove(at).1)
    }

    /// Files a gradient under `id`, in place of the one that was there.
    pub fn insert(&mut self, id: LeafId, gradient: Tensor) {
        match self.find(id) {
            Ok(at) => self.0[at].1 = gradient,
            Err(at) => self.0.insert(at, (id, gradient)),
        }
    }

    /// All gradients, by ascending id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (LeafId, &Tensor)> {
        self.0.iter().map(|(id, gradient)| (*id, gradient))
    }

    /// How many leaves have a gradient.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no leaf has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds other gradients of the same model. A leaf that has a gradient in one of the two alone keeps it. Sums of half types are
    /// f32, so that many small parts are not lost.
    ///
    /// # Errors
    /// Gradients of another model: none of their leaves is known here, or one has another shape, dtype or device. Nothing is changed
    /// then.
    pub fn add_assign(&mut self, other: Gradients) -> Result<()> {
        self.check_kin(&other)?;
        if self.is_empty() {
            *self = other;
            return Ok(());
        }
        for (id, gradient) in other.0 {
            match self.find(id) {
                Ok(at) => add(&mut self.0[at].1, &gradient)?,
                Err(at) => self.0.insert(at, (id, gradient)),
            }
        }
        Ok(())
    }

    /// Fails where `other` cannot be of the same model.
    fn check_kin(&self, other: &Gradients) -> Result<()> {
        let refused = |message: String| Err(Error::value("gradients.add_assign", message));
        let mut known = 0;
        for (id, gradient) in other.iter() {
            let Some(own) = self.get(id) else { continue };
            known += 1;
            if own.shape() != gradient.shape() || wide(own) != wide(gradient) || own.device() != gradient.device() {
                return refused(format!(
                    "gradients {} {} on {} and {} {} on {} of one parameter cannot be added up",
                    own.dtype(),
                    own.shape(),
                    own.device(),
                    gradient.dtype(),
                    gradient.shape(),
                    gradient.device()
                ));
            }
        }
        if known == 0 && !self.is_empty() && !other.is_empty() {
            return refused("these gradients are of another model: they have no parameter in common".to_owned());
        }
        Ok(())
    }

    /// Multiplies every gradient by this number.
    ///
    /// # Errors
    /// Out of memory.
    pub fn scale(&mut self, factor: f64) -> Result<()> {
        self.0.iter_mut().try_for_each(|(_, gradient)| gradient.mul_scalar_assign(factor))
    }

    /// What `f` makes of each gradient.
    ///
    /// # Errors
    /// The first one of `f`.
    pub fn try_map(self, mut f: impl FnMut(Tensor) -> Result<Tensor>) -> Result<Self> {
        self.0.into_iter().map(|(id, gradient)| Ok((id, f(gradient)?))).collect()
    }

    /// √Σg² over all gradients, right for gradients of every type and size: no square overflows or vanishes. Waits for the device.
    ///
    /// # Errors
    /// A fault of the device that surfaced, out of memory.
    pub fn norm(&self) -> Result<f64> {
        let norms = self.iter().map(|(_, gradient)| norm(gradient)).collect::<Result<Vec<f64>>>()?;
        // Scaled by the largest, as f64 gradients may be beyond the root of what f64 holds.
        let largest = norms.iter().copied().fold(0.0, f64::max);
        if largest == 0.0 || !norms.iter().all(|norm| norm.is_finite()) {
            return Ok(norms.iter().sum());
        }
        Ok(largest * norms.iter().map(|norm| (norm / largest).powi(2)).sum::<f64>().sqrt())
    }
}

/// In any order; of two gradients of one leaf the last one counts.
impl FromIterator<(LeafId, Tensor)> for Gradients {
    fn from_iter<I: IntoIterator<Item = (LeafId, Tensor)>>(gradients: I) -> Self {
        let gradients = gradients.into_iter();
        let mut all = Gradients(Vec::with_capacity(gradients.size_hint().0));
        for (id, gradient) in gradients {
            match all.0.last() {
                Some((last, _)) if *last >= id => all.insert(id, gradient),
                _ => all.0.push((id, gradient)),
            }
        }
        all
    }
}

/// The dtype that sums of such gradients have.
fn wide(gradient: &Tensor) -> DType {
    gradient.dtype().computed_in()
}

/// sum += gradient
fn add(sum: &mut Tensor, gradient: &Tensor) -> Result<()> {
    let dtype = wide(sum);
    if sum.dtype() != dtype {
        *sum = sum.to_dtype(dtype)?;
    }
    sum.add_assign(&gradient.to_dtype(dtype)?)
}

/// √Σg² of one gradient.
fn norm(gradient: &Tensor) -> Result<f64> {
    let square_sum = |x: &Tensor| x.mul(x)?.sum_all()?.item();
    // The squares of half types are beyond them; f32 has room for them, and mostly for its own.
    let wide = match gradient.dtype() {
        DType::F16 | DType::BF16 => gradient.to_dtype(DType::F32)?,
        _ => gradient.clone(),
    };
    let (least, most) = if wide.dtype() == DType::F64 { (1e-280, f64::MAX) } else { (1e-20, f32::MAX.into()) };
    let sum = square_sum(&wide)?;
    if (least..=most).contains(&sum) || wide.elements() == 0 {
        return Ok(sum.sqrt());
    }
    let wide = wide.to_dtype(DType::F64)?;
    let largest = wide.abs()?.max(..)?.item()?;
    if largest == 0.0 || !largest.is_finite() {
        return Ok(largest);
    }
    // A power of two, whose products are exact, and which is a normal number itself.
    let exponent = largest.log2().floor().clamp(-1000.0, 1000.0);
    let scale = exponent.exp2();
    Ok(square_sum(&wide.mul_scalar(1.0 / scale)?)?.sqrt() * scale)
}
