//! Indexing as NumPy does it: what [`idx!`](crate::idx) makes, and what it means for a shape.

use crate::derived::named;
use crate::derived::shape::index_outside;
use crate::{Arithmetic, Cut, DType, Device, Error, ErrorKind, IntoAxis, MAX_RANK, Result, Shape, Tensor};
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

/// One item of an index. [`idx!`](crate::idx) makes them of integers, ranges, index tensors and masks.
#[derive(Clone, Debug)]
pub enum IndexItem {
    /// One index of an axis, which goes; a negative one counts from the end.
    At(isize),
    /// A range of an axis, whose ends may be missing and count from the axis's end where they are negative.
    Range {
        /// The first index.
        start: Option<isize>,
        /// The one after the last.
        end: Option<isize>,
        /// Every so many-th; from the range's end for a negative step.
        step: isize,
    },
    /// A new axis of size 1.
    New,
    /// As many whole axes as the other items leave.
    Ellipsis,
    /// Indices of an axis (integers, any shape; negative ones count from the end), or a mask (bool) over as many axes as it has.
    Tensor(Tensor),
}

/// An index for [`get`](crate::Tensor::get), [`put`](crate::Tensor::put) and [`assign`](crate::Tensor::assign): an item for each axis,
/// axes without one are taken whole.
///
/// | item | takes |
/// |---|---|
/// | `2`, `-1` | one index; the axis goes |
/// | `1..3`, `..`, `-2..`, `..=4` | a range; negative ends count from the axis's end |
/// | `..;2`, `1..;-1` | every second index of a range; from the range's end for a negative step, so `..;-1` is the other way round |
/// | `new` | a new axis of size 1 |
/// | `...` | as many whole axes as the other items leave |
/// | `&tensor` (integers) | these indices, of any shape; negative ones count from the end |
/// | `&mask` (bool) | where the mask holds, along as many axes as it has; read on the host |
///
/// Several index tensors are broadcast and name elements together, as in NumPy. Their axes come where the first one's was, or first
/// of all where others stand between them. An index or range that leaves its axis is refused, as everywhere in Kiln; NumPy cuts
/// ranges. The form is that of ndarray's `s![]`, which Rust users know, with NumPy's `...`, and with tensors.
///
/// ```
/// use kiln_tensor::{Device, Tensor, idx};
/// let x = Tensor::arange(24, &Device::cpu())?.reshape([2, 3, 4])?;
/// assert_eq!(x.get(idx![.., -1, ..;2])?.to_vec::<i64>()?, [8, 10, 20, 22]);
/// assert_eq!(x.get(idx![1.., ..;-1, new, ...])?.dims(), [1, 3, 1, 4]);
/// assert_eq!(x.get(idx![..., 0])?.dims(), [2, 3]);
/// let (rows, columns) = (Tensor::from_slice(&[0i64, -1], [2], &Device::cpu())?, Tensor::from_slice(&[1i64, 3], [2], &Device::cpu())?);
/// assert_eq!(x.get(idx![1, &rows, &columns])?.to_vec::<i64>()?, [13, 23]);
/// let odd = Tensor::from_slice(&[false, true, false], [3], &Device::cpu())?;
/// assert_eq!(x.get(idx![0, &odd])?.to_vec::<i64>()?, [4, 5, 6, 7]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[macro_export]
macro_rules! idx {
    ($($items:tt)*) => { $crate::idx_items!([] $($items)*) };
}

/// The items of [`idx!`](crate::idx), one after the other.
#[doc(hidden)]
#[macro_export]
macro_rules! idx_items {
    ([$($done:expr,)*]) => { $crate::IndexItem::list([$($done),*]) };
    ([$($done:expr,)*] ... $(, $($rest:tt)*)?) => {
        $crate::idx_items!([$($done,)* $crate::IndexItem::Ellipsis,] $($($rest)*)?)
    };
    ([$($done:expr,)*] new $(, $($rest:tt)*)?) => {
        $crate::idx_items!([$($done,)* $crate::IndexItem::New,] $($($rest)*)?)
    };
    ([$($done:expr,)*] $range:expr ; $step:expr $(, $($rest:tt)*)?) => {
        $crate::idx_items!([$($done,)* $crate::IndexItem::from($range).by($step),] $($($rest)*)?)
    };
    ([$($done:expr,)*] $item:expr $(, $($rest:tt)*)?) => {
        $crate::idx_items!([$($done,)* $crate::IndexItem::from($item),] $($($rest)*)?)
    };
}

impl IndexItem {
    /// A range with another step; what is no range stays.
    #[must_use]
    pub fn by(self, step: isize) -> Self {
        match self {
            IndexItem::Range { start, end, .. } => IndexItem::Range { start, end, step },
            other => other,
        }
    }

    /// The items of an index.
    #[doc(hidden)]
    pub fn list<const N: usize>(items: [IndexItem; N]) -> [IndexItem; N] {
        items
    }

    fn range(start: Option<isize>, end: Option<isize>) -> Self {
        IndexItem::Range { start, end, step: 1 }
    }

    /// Up to an index and with it: −1 is the last one.
    fn including(start: Option<isize>, last: isize) -> Self {
        IndexItem::range(start, if last == -1 { None } else { Some(last.saturating_add(1)) })
    }
}

macro_rules! from_integers {
    ($($T:ty)+) => { $(
        impl From<$T> for IndexItem {
            fn from(at: $T) -> Self {
                IndexItem::At(at.into_axis())
            }
        }
    )+ };
}
from_integers!(i32 isize usize);

impl<I: IntoAxis> From<Range<I>> for IndexItem {
    fn from(range: Range<I>) -> Self {
        IndexItem::range(Some(range.start.into_axis()), Some(range.end.into_axis()))
    }
}
impl<I: IntoAxis> From<RangeFrom<I>> for IndexItem {
    fn from(range: RangeFrom<I>) -> Self {
        IndexItem::range(Some(range.start.into_axis()), None)
    }
}
impl<I: IntoAxis> From<RangeTo<I>> for IndexItem {
    fn from(range: RangeTo<I>) -> Self {
        IndexItem::range(None, Some(range.end.into_axis()))
    }
}
impl<I: IntoAxis> From<RangeInclusive<I>> for IndexItem {
    fn from(range: RangeInclusive<I>) -> Self {
        IndexItem::including(Some(range.start().into_axis()), range.end().into_axis())
    }
}
impl<I: IntoAxis> From<RangeToInclusive<I>> for IndexItem {
    fn from(range: RangeToInclusive<I>) -> Self {
        IndexItem::including(None, range.end.into_axis())
    }
}
impl From<RangeFull> for IndexItem {
    fn from(_: RangeFull) -> Self {
        IndexItem::range(None, None)
    }
}
impl From<&Tensor> for IndexItem {
    fn from(tensor: &Tensor) -> Self {
        IndexItem::Tensor(tensor.clone())
    }
}
impl From<Tensor> for IndexItem {
    fn from(tensor: Tensor) -> Self {
        IndexItem::Tensor(tensor)
    }
}

/// An index of a shape, resolved: first cuts along axes, then the remaining axes in their new shape, then index tensors.
pub(crate) struct Plan {
    /// What is cut, in the axes of the shape itself.
    pub(crate) cuts: Vec<Cut>,
    /// The shape after the cuts, without the axes of single indices, and with the new ones.
    pub(crate) dims: Shape,
    /// Indices of the axes of `dims`, none of them negative.
    pub(crate) tensors: Vec<(usize, Tensor)>,
}

/// Index tensors as one: `order` brings their axes together, `merged` makes them one, `axis`, of which `index` takes elements.
pub(crate) struct Rows {
    pub(crate) order: Vec<usize>,
    pub(crate) merged: Shape,
    pub(crate) axis: usize,
    pub(crate) index: Tensor,
    /// The result's shape.
    pub(crate) picked: Shape,
}

/// How many axes of a shape an item is for.
fn consumed(operation: &'static str, item: &IndexItem) -> Result<usize> {
    match item {
        IndexItem::At(_) | IndexItem::Range { .. } => Ok(1),
        IndexItem::New | IndexItem::Ellipsis => Ok(0),
        IndexItem::Tensor(tensor) => match tensor.dtype() {
            dtype if dtype.is_integer() => Ok(1),
            DType::Bool if tensor.rank() > 0 => Ok(tensor.rank()),
            DType::Bool => {
                Err(Error::shape(operation, "a mask without axes names nothing: use `masked_fill` or `select`"))
            }
            other => Err(Error::new(
                ErrorKind::DType,
                operation,
                format!(
                    "an index tensor is of integers, or bool for a mask, this one is {other}: convert it with `to_dtype`"
                ),
            )),
        },
    }
}

impl Plan {
    /// What an index means for a shape.
    ///
    /// # Errors
    /// As [`Tensor::get`].
    pub(crate) fn new(operation: &'static str, shape: &Shape, device: &Device, items: &[IndexItem]) -> Result<Self> {
        let ellipses = items.iter().filter(|item| matches!(item, IndexItem::Ellipsis)).count();
        if ellipses > 1 {
            return Err(Error::value(operation, "an index has one `...` at most: write `..` for single axes"));
        }
        let mut axes = 0;
        for item in items {
            axes += consumed(operation, item)?;
        }
        let Some(whole) = shape.rank().checked_sub(axes) else {
            return Err(Error::shape(
                operation,
                format!("an index of {axes} axes for {shape}, which has {}", shape.rank()),
            ));
        };
        let mut walk =
            Walk { operation, shape, device, axis: 0, dims: Vec::new(), cuts: Vec::new(), tensors: Vec::new() };
        for item in items {
            match item {
                IndexItem::Ellipsis => walk.whole(whole),
                item => walk.item(item)?,
            }
        }
        walk.whole(shape.rank() - walk.axis);
        Ok(Plan { cuts: walk.cuts, dims: named(operation, Shape::new(&walk.dims))?, tensors: walk.tensors })
    }

    /// The shape after the cuts, with all axes.
    pub(crate) fn cut_shape(&self, shape: &Shape) -> Shape {
        let mut out = *shape;
        for cut in &self.cuts {
            out.dims_mut()[cut.axis] = (cut.range.1 - cut.range.0).div_ceil(cut.step.unsigned_abs());
        }
        out
    }

    /// What the index names but for its tensors, in the shape `dims`.
    pub(crate) fn cut<A: Arithmetic>(&self, x: &A) -> Result<A> {
        let mut y = x.clone();
        for cut in &self.cuts {
            y = y.slice_by(cut.axis, cut.range.0..cut.range.1, cut.step)?;
        }
        if *y.shape() == self.dims { Ok(y) } else { y.reshape(self.dims) }
    }

    /// The index tensors as one, if there are any.
    ///
    /// # Errors
    /// Tensors that do not broadcast, more axes or elements than there can be.
    pub(crate) fn rows(&self, operation: &'static str) -> Result<Option<Rows>> {
        let Some((first, head)) = self.tensors.first() else { return Ok(None) };
        let mut shape = *head.shape();
        for (_, tensor) in &self.tensors[1..] {
            shape = crate::broadcast_shapes(operation, &shape, tensor.shape())?;
        }
        let axes: Vec<usize> = self.tensors.iter().map(|&(axis, _)| axis).collect();
        let together = axes.iter().zip(*first..).all(|(&axis, expected)| axis == expected);
        let axis = if together { *first } else { 0 };
        let others: Vec<usize> = (0..self.dims.rank()).filter(|axis| !axes.contains(axis)).collect();
        let order: Vec<usize> = others[..axis].iter().chain(&axes).chain(&others[axis..]).copied().collect();
        let with = |middle: &[usize]| {
            let before = others[..axis].iter().map(|&axis| self.dims[axis]);
            let after = others[axis..].iter().map(|&axis| self.dims[axis]);
            named(operation, Shape::new(&before.chain(middle.iter().copied()).chain(after).collect::<Vec<_>>()))
        };
        let sizes: Vec<usize> = axes.iter().map(|&axis| self.dims[axis]).collect();
        let index = linear(&self.tensors, &sizes)?.broadcast_to(shape)?.reshape([shape.elements()])?;
        Ok(Some(Rows { order, merged: with(&[sizes.iter().product()])?, axis, index, picked: with(&shape)? }))
    }
}

/// Indices of several axes of these sizes as one of all of them: Σ index · stride.
fn linear(tensors: &[(usize, Tensor)], sizes: &[usize]) -> Result<Tensor> {
    let [(_, only)] = tensors else {
        let mut sum: Option<Tensor> = None;
        for ((_, tensor), &size) in tensors.iter().zip(sizes) {
            // On a device each is looked up in its own axis, where one out of range is found: their sum might not be.
            let own = Tensor::arange(size, tensor.device())?.take(tensor)?;
            let scale = |sum: Tensor| sum.mul(&Tensor::scalar(size as i64, tensor.device())?)?.add(&own);
            sum = Some(match sum {
                None => own.clone(),
                Some(sum) => scale(sum)?,
            });
        }
        return sum.ok_or_else(|| Error::value("get", "no index tensors"));
    };
    Ok(only.clone())
}

/// The walk over an index's items.
struct Walk<'a> {
    operation: &'static str,
    shape: &'a Shape,
    device: &'a Device,
    axis: usize,
    dims: Vec<usize>,
    cuts: Vec<Cut>,
    tensors: Vec<(usize, Tensor)>,
}

impl Walk<'_> {
    /// So many axes as they are.
    fn whole(&mut self, count: usize) {
        self.dims.extend(&self.shape[self.axis..self.axis + count]);
        self.axis += count;
    }

    fn item(&mut self, item: &IndexItem) -> Result<()> {
        match item {
            IndexItem::At(at) => {
                let size = self.shape[self.axis] as isize;
                if *at < -size || *at >= size {
                    return Err(index_outside(self.operation, *at, self.axis, self.shape));
                }
                let at = if *at < 0 { at + size } else { *at } as usize;
                self.cut((at, at + 1), 1);
            }
            IndexItem::Range { start, end, step } => {
                let range = self.range(*start, *end, *step)?;
                self.dims.push((range.1 - range.0).div_ceil(step.unsigned_abs()));
                self.cut(range, *step);
            }
            IndexItem::New => self.dims.push(1),
            IndexItem::Ellipsis => {}
            IndexItem::Tensor(tensor) if tensor.dtype() == DType::Bool => return self.mask(tensor),
            IndexItem::Tensor(tensor) => {
                let index = self.counted_from_start(tensor)?;
                self.tensors.push((self.dims.len(), index));
                self.whole(1);
            }
        }
        if self.dims.len() > MAX_RANK + 1 {
            return Err(Error::shape(
                self.operation,
                format!("an index gives {:?}…, at most {MAX_RANK} axes are supported", self.dims),
            ));
        }
        Ok(())
    }

    /// A range of this axis, which is done with.
    fn cut(&mut self, range: (usize, usize), step: isize) {
        if range != (0, self.shape[self.axis]) || step != 1 {
            self.cuts.push(Cut { axis: self.axis, range, step });
        }
        self.axis += 1;
    }

    /// The ends of a range of this axis, which must lie within it.
    fn range(&self, start: Option<isize>, end: Option<isize>, step: isize) -> Result<(usize, usize)> {
        let size = self.shape[self.axis];
        let place = |end: isize| if end < 0 { end.checked_add_unsigned(size) } else { Some(end) };
        let first = start.map_or(Some(0), place);
        let last = end.map_or(Some(size as isize), place);
        if let (Some(first @ 0..), Some(last @ 0..)) = (first, last)
            && first <= last
            && last as usize <= size
            && step != 0
        {
            return Ok((first as usize, last as usize));
        }
        let written = |end: Option<isize>| end.map_or_else(String::new, |end| end.to_string());
        Err(Error::shape(
            self.operation,
            format!(
                "range {}..{} by {step} does not fit axis {} of {}, which has {size} indices",
                written(start),
                written(end),
                self.axis,
                self.shape
            ),
        ))
    }

    /// Indices as i64 without negative ones, which count from the end.
    fn counted_from_start(&self, index: &Tensor) -> Result<Tensor> {
        if index.device() != self.device {
            return Err(Error::new(
                ErrorKind::Device,
                self.operation,
                format!(
                    "an index tensor on {} for a value on {}: move one with `to_device`",
                    index.device(),
                    self.device
                ),
            ));
        }
        let (size, index) = (self.shape[self.axis], index.to_dtype(DType::I64)?);
        if self.device.backend().is_host() {
            let values = index.to_vec::<i64>()?;
            if let Some((row, at)) =
                values.iter().enumerate().find(|&(_, &at)| at < -(size as i64) || at >= size as i64)
            {
                return Err(Error::new(
                    ErrorKind::Index,
                    self.operation,
                    format!("index {at} (number {row}) is out of range for axis {} of {}", self.axis, self.shape),
                ));
            }
            if values.iter().all(|&at| at >= 0) {
                return Ok(index);
            }
            let places: Vec<i64> = values.into_iter().map(|at| if at < 0 { at + size as i64 } else { at }).collect();
            return Tensor::from_slice(&places, index.shape(), self.device);
        }
        let zero = Tensor::scalar(0i64, self.device)?;
        let moved = index.add(&Tensor::scalar(size as i64, self.device)?)?;
        Tensor::select(&index.lt(&zero)?, &moved, &index)
    }

    /// The places of a mask as an index tensor for each of its axes.
    fn mask(&mut self, mask: &Tensor) -> Result<()> {
        let rank = mask.rank();
        let own = &self.shape[self.axis..self.axis + rank];
        if mask.dims() != own {
            return Err(Error::shape(
                self.operation,
                format!("a mask {} for axes {own:?} of {}: they must be of one shape", mask.shape(), self.shape),
            ));
        }
        if mask.device() != self.device {
            return Err(Error::new(
                ErrorKind::Device,
                self.operation,
                format!("a mask on {} for a value on {}: move one with `to_device`", mask.device(), self.device),
            ));
        }
        let places = mask.nonzero()?;
        for axis in 0..rank {
            self.tensors.push((self.dims.len(), places.index(1, axis)?.contiguous()?));
            self.whole(1);
        }
        Ok(())
    }
}
