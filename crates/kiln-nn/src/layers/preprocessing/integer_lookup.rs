//! Integers as indices.

use super::tables::Tables;
use super::vocabulary::{Counts, Vocabulary};
use super::{Adapt, integers};
use crate::{Ctx, Describe, Init, Layer, LayerPrecision, Module};
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// What an index of what is unknown becomes on the way back, as in Keras.
const UNKNOWN: i64 = -1;

/// The index of each integer in a vocabulary, i64 (Keras's `IntegerLookup`): years, postal codes and other numbers that are names,
/// for an [`Embedding`](crate::Embedding) or a [`CategoryEncoding`](crate::CategoryEncoding) of [`size`](IntegerLookup::size)
/// categories.
///
/// Index 0 is that of the [`mask`](IntegerLookup::mask), where there is one; then come those of integers that are not in the
/// vocabulary, by default one; then the vocabulary. Without an index for what is unknown, it is an error where the host sees it,
/// and −1 on a device.
///
/// ```
/// use kiln_nn::{Adapt, Ctx, IntegerLookup, Sequential};
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let years = Tensor::from_slice(&[1984i64, 2001, 1984], [3, 1], &Device::cpu())?;
/// let mut layer = IntegerLookup::new();
/// layer.adapt(&years)?;
/// let model = Sequential::new().push(layer).build([1], &Device::cpu(), 1)?;
/// let years = Tensor::from_slice(&[2001i64, 1984, 1789], [3, 1], &Device::cpu())?;
/// assert_eq!(model.forward(&years, &Ctx::eval())?.tensor().to_vec::<i64>()?, [2, 1, 0]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct IntegerLookup {
    #[module(skip)]
    #[serde(flatten)]
    entries: Vocabulary<i64>,
    #[serde(default)]
    invert: bool,
    #[module(skip)]
    #[serde(skip)]
    tables: Tables,
}

impl Default for IntegerLookup {
    fn default() -> Self {
        IntegerLookup::new()
    }
}

impl IntegerLookup {
    /// An empty vocabulary that is to be adapted to data.
    pub fn new() -> Self {
        IntegerLookup { entries: Vocabulary::new(), invert: false, tables: Tables::default() }
    }

    /// Of this vocabulary, in this order.
    ///
    /// # Errors
    /// An integer that is there twice.
    pub fn of(vocabulary: &[i64]) -> Result<Self> {
        let mut layer = IntegerLookup::new();
        layer.entries.set(vocabulary.to_vec())?;
        Ok(layer)
    }

    /// The number of indices for integers that are not in the vocabulary, by default 1. With 0 they are an error; with several the
    /// remainder chooses one.
    #[must_use]
    pub fn oov_indices(mut self, count: usize) -> Self {
        self.entries.settings.oov_indices = count;
        self.tables = Tables::default();
        self
    }

    /// The value used for padding and for what is missing; its index is 0. It is not a part of the vocabulary.
    #[must_use]
    pub fn mask(mut self, mask: i64) -> Self {
        self.entries.settings.mask = Some(mask);
        self.tables = Tables::default();
        self
    }

    /// The largest number of indices; `adapt` keeps the most frequent entries.
    #[must_use]
    pub fn max_size(mut self, size: usize) -> Self {
        self.entries.settings.max_size = Some(size);
        self
    }

    /// Whether to go back, from indices to integers; what is unknown becomes −1.
    #[must_use]
    pub fn invert(mut self, invert: bool) -> Self {
        self.invert = invert;
        self.tables = Tables::default();
        self
    }

    /// The vocabulary, without the mask and what is unknown.
    pub fn vocabulary(&self) -> &[i64] {
        &self.entries.settings.vocabulary
    }

    /// The number of indices.
    pub fn size(&self) -> usize {
        self.entries.size()
    }

    /// The integer of each index.
    fn back(&self, x: &Tensor) -> Result<Tensor> {
        if let Ok(indices) = x.as_slice::<i64>() {
            indices.iter().try_for_each(|&index| self.entries.entry(index).map(drop))?;
        }
        let all = self.tables.on(x.device(), || {
            let integer = |index| Ok(*self.entries.entry(index as i64)?.unwrap_or(&UNKNOWN));
            Ok([(0..self.size()).map(integer).collect::<Result<_>>()?])
        })?;
        all[0].index_select(0, &x.reshape([x.elements()])?)?.reshape(x.shape())
    }

    /// The integers that have an index, sorted, and the index of each.
    fn sorted(&self, special: i64) -> [Vec<i64>; 2] {
        let settings = &self.entries.settings;
        let mut known: Vec<(i64, i64)> =
            settings.vocabulary.iter().copied().zip((0..).map(|place| special.saturating_add(place))).collect();
        known.extend(settings.mask.map(|mask| (mask, 0)));
        known.sort_unstable();
        let (integers, indices) = known.into_iter().unzip();
        [integers, indices]
    }

    /// The index of each integer, found in the sorted vocabulary where x lies.
    fn there(&self, x: &Tensor) -> Result<Tensor> {
        let (special, device) = (i64::try_from(self.entries.special()).unwrap_or(i64::MAX), x.device());
        let [integers, indices] = self.tables.on(device, || Ok(self.sorted(special)))?;
        let n = integers.elements();
        let flat = x.reshape([x.elements()])?;
        let places = integers.searchsorted(&flat, false)?.clamp(0.0, n as f64 - 1.0)?;
        let found = integers.index_select(0, &places)?.eq(&flat)?;
        let unknown = match self.entries.settings.oov_indices {
            0 => {
                self.expect_known(&flat, &found)?;
                Tensor::full((), -1.0, DType::I64, device)?
            }
            1 => Tensor::full((), special as f64 - 1.0, DType::I64, device)?,
            several => {
                let several = i64::try_from(several).unwrap_or(i64::MAX);
                let share = flat.remainder(&Tensor::scalar(several, device)?)?;
                share.add(&Tensor::scalar(special - several, device)?)?
            }
        };
        Tensor::select(&found, &indices.index_select(0, &places)?, &unknown)?.reshape(x.shape())
    }

    /// An error where an integer is not in the vocabulary, as far as the host can see.
    fn expect_known(&self, x: &Tensor, found: &Tensor) -> Result<()> {
        let (Ok(x), Ok(found)) = (x.as_slice::<i64>(), found.as_slice::<bool>()) else { return Ok(()) };
        match x.iter().zip(found).find(|(_, found)| !**found) {
            Some((unknown, _)) => Err(self.entries.unknown(unknown)),
            None => Ok(()),
        }
    }
}

impl Adapt for IntegerLookup {
    type Seen = Counts<i64>;

    fn see(&self, seen: &mut Counts<i64>, batch: &Tensor) -> Result<()> {
        for value in integers("adapt", &Var::constant(batch.clone()))?.to_vec::<i64>()? {
            *seen.0.entry(value).or_default() += 1;
        }
        Ok(())
    }

    fn learn(&mut self, seen: Counts<i64>) -> Result<()> {
        self.entries.learn(seen)?;
        self.tables = Tables::default();
        Ok(())
    }
}

impl Layer for IntegerLookup {
    type Input = Var;
    type Output = Var;

    /// Data as it comes may need more than a half type's 8 or 11 bits.
    fn precision(&self) -> LayerPrecision {
        LayerPrecision::Full
    }

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        let x = integers("integer_lookup", &x)?;
        Ok(Var::constant(if self.invert { self.back(&x)? } else { self.there(&x)? }))
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        if self.vocabulary().is_empty() {
            let message = "the vocabulary is empty: call `adapt` with the training data first, or give it with `IntegerLookup::of`";
            return Err(Error::new(ErrorKind::Build, "integer_lookup", message));
        }
        self.entries.check()?;
        Ok(*input)
    }
}
