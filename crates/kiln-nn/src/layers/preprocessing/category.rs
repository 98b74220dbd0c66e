//! Categories as numbers that a layer can multiply.

use super::integers;
use crate::{Ctx, Describe, Init, Layer, LayerPrecision, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// Categories, integers from 0 to `categories` − 1, as rows of numbers (Keras's `CategoryEncoding`), f32, or the type that the pass
/// computes in.
///
/// [`one_hot`](CategoryEncoding::one_hot) makes (N, categories) of (N,) and of (N, 1), and (N, k, categories) of (N, k);
/// [`multi_hot`](CategoryEncoding::multi_hot) and [`count`](CategoryEncoding::count) make (N, categories) of (N, k). A category
/// out of range is an error where the host sees it; on a device its row is 0.
///
/// ```
/// use kiln_nn::{CategoryEncoding, Ctx, Sequential};
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(CategoryEncoding::count(4)).build([3], &Device::cpu(), 1)?;
/// let categories = Tensor::from_slice(&[2i64, 0, 2], [1, 3], &Device::cpu())?;
/// assert_eq!(model.forward(categories, &Ctx::eval())?.tensor().to_vec::<f32>()?, [1.0, 0.0, 2.0, 0.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings, elementwise)]
pub struct CategoryEncoding {
    categories: usize,
    #[module(skip)]
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    OneHot,
    MultiHot,
    Count,
}

impl CategoryEncoding {
    /// A row with a 1 for each category.
    pub fn one_hot(categories: usize) -> Self {
        CategoryEncoding { categories, mode: Mode::OneHot }
    }

    /// One row for each sample, with a 1 for every category that it has.
    pub fn multi_hot(categories: usize) -> Self {
        CategoryEncoding { categories, mode: Mode::MultiHot }
    }

    /// One row for each sample: how often it has each category.
    pub fn count(categories: usize) -> Self {
        CategoryEncoding { categories, mode: Mode::Count }
    }

    /// The sizes of axes that are encoded, with the last one taken away where each element gets no row of its own.
    fn leading<'s>(&self, sizes: &'s [usize]) -> &'s [usize] {
        match sizes.split_last() {
            Some((1, leading)) => leading,
            Some((_, leading)) if self.mode != Mode::OneHot => leading,
            _ => sizes,
        }
    }

    fn check(&self, categories: &Tensor) -> Result<()> {
        let Ok(values) = categories.as_slice::<i64>() else { return Ok(()) };
        match values.iter().find(|&&value| value < 0 || value as u64 >= self.categories as u64) {
            None => Ok(()),
            Some(value) => {
                let message = format!("{value} is not among the categories, 0 to {}", self.categories.saturating_sub(1));
                Err(Error::new(ErrorKind::Index, "category_encoding", message))
            }
        }
    }
}

impl Layer for CategoryEncoding {
    type Input = Var;
    type Output = Var;

    /// Data as it comes may need more than a half type's 8 or 11 bits.
    fn precision(&self) -> LayerPrecision {
        LayerPrecision::Full
    }

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let Some((&samples, sizes)) = x.dims().split_first() else {
            return Err(Error::shape("category_encoding", "a batch (N, …) is expected, got one number"));
        };
        let categories = integers("category_encoding", &x)?;
        self.check(&categories)?;
        let leading = self.leading(sizes);
        let each = categories.elements() / (samples * leading.iter().product::<usize>()).max(1);
        let rows = Shape::new(&[&[samples], leading, &[each, 1]].concat())?;
        let all = Tensor::arange(self.categories, x.device())?;
        let hot = categories.reshape(rows)?.eq(&all)?.to_dtype(ctx.mode().compute.unwrap_or(DType::F32))?;
        Ok(Var::constant(match self.mode {
            Mode::MultiHot if each > 0 => hot.max(-2)?,
            _ => hot.sum(-2)?,
        }))
    }

    fn mask(&self) -> MaskRule {
        if self.mode == Mode::OneHot { MaskRule::Keep } else { MaskRule::Drop }
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        if self.categories == 0 {
            return Err(Error::value("category_encoding", "there must be 1 category or more"));
        }
        Shape::new(&[self.leading(input), &[self.categories]].concat())
    }
}
