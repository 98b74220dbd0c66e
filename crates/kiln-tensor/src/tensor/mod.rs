//! `Tensor`: elements of one type in a shape, on a device.

mod attention;
mod axes;
mod blend;
mod choice;
mod conv;
mod count;
mod cross_entropy;
mod custom;
mod display;
mod distances;
mod dropout;
mod elementwise;
mod in_place;
mod index;
mod integers;
mod laws;
mod linear_cross_entropy;
mod make;
mod matmul;
mod normalization;
mod operators;
mod orthogonal;
mod pad;
mod pool;
mod random;
mod recurrent;
mod reduce;
mod row_norm;
mod scan;
mod softmax;
mod sort;
mod unique;
mod update;
mod views;

pub use attention::{
    Attended, AttentionGradients, AttentionOptions, AttentionReach, HeadOrder, PackedSequences, QueryPlace,
};
pub use axes::{Axes, IntoAxes, IntoAxis, Several, axis_index};
pub use blend::{taps, transposed_taps};
pub use custom::{CustomOp, HostOperand, HostOutput};
pub use index::Cut;
pub(crate) use index::label_outside;
pub use linear_cross_entropy::{CrossEntropyOptions, LinearCrossEntropy, VocabularyTarget};
pub use matmul::MatmulOptions;
pub use normalization::{Normalization, NormalizeGradients};
pub use pool::Maxima;
pub use recurrent::{RecurrentGradients, RecurrentStates, RecurrentSteps};
pub use row_norm::{RowNorm, RowNormed};
pub use scan::ScanOp;
pub use softmax::SoftmaxKind;
pub use sort::Order;
pub use unique::Unique;
pub use update::{UpdatePart, UpdateSlot, UpdateTensors};

/// Calls `$callback! { { "name", Variant, module::Call, field } … }` with every coarse operation: its name, its variant of
/// [`Call`](crate::Call), the struct of its call, which stands with the operation, and the field there whose dtype is that of the
/// operation. The enum, the exports and every backend's dispatch come from this list.
#[macro_export]
macro_rules! for_each_call {
    ($callback:path) => {
        $callback! {
            { "dropout", Dropout, dropout::DropoutCall, out }
            { "softmax", Softmax, softmax::SoftmaxCall, out }
            { "softmax_grad", SoftmaxGrad, softmax::SoftmaxGradCall, out }
            { "logsumexp", Logsumexp, softmax::LogsumexpCall, out }
            { "cross_entropy", CrossEntropy, cross_entropy::CrossEntropyCall, out }
            { "cross_entropy_grad", CrossEntropyGrad, cross_entropy::CrossEntropyGradCall, out }
            { "attention", Attention, attention::AttentionCall, out }
            { "attention_grad", AttentionGrad, attention::AttentionGradCall, dquery }
            { "conv", Conv, conv::ConvCall, out }
            { "conv_grad_input", ConvGradInput, conv::ConvGradInputCall, out }
            { "conv_grad_weight", ConvGradWeight, conv::ConvGradWeightCall, out }
            { "max_pool", MaxPool, pool::MaxPoolCall, out }
            { "max_pool_grad", MaxPoolGrad, pool::MaxPoolGradCall, out }
            { "moments", Moments, normalization::MomentsCall, x }
            { "normalize", Normalize, normalization::NormalizeCall, out }
            { "normalize_grad", NormalizeGrad, normalization::NormalizeGradCall, dx }
            { "row_norm", RowNorm, row_norm::RowNormCall, out }
            { "row_norm_grad", RowNormGrad, row_norm::RowNormGradCall, dx }
            { "recurrent", Recurrent, recurrent::RecurrentCall, states }
            { "recurrent_grad", RecurrentGrad, recurrent::RecurrentGradCall, dh0 }
            { "update", Update, update::UpdateCall, constants }
            { "sort", Sort, sort::SortCall, x }
            { "kth", Kth, sort::KthCall, x }
            { "search", Search, sort::SearchCall, x }
            { "scan", Scan, scan::ScanCall, x }
            { "scan_extrema", ScanExtrema, scan::ScanExtremaCall, x }
            { "linear_scan", LinearScan, scan::LinearScanCall, a }
            { "distances", Distances, distances::DistancesCall, x }
            { "blend", Blend, blend::BlendCall, out }
            { "custom", Custom, custom::CustomCall, out }
        }
    };
}

macro_rules! exports {
    ($({ $name:literal, $variant:ident, $module:ident::$call:ident, $field:ident })+) => {
        /// The coarse operations' calls.
        pub(crate) mod calls {
            pub use super::attention::Attention;
            pub use super::recurrent::Recurrence;
            $(pub use super::$module::$call;)+
        }
    };
}
for_each_call!(exports);

/// The composed form of each coarse operation, which stands with it: made of fine operations, over [`crate::Arithmetic`].
pub mod composed {
    pub use super::attention::composed as attention;
    pub use super::blend::composed as blend;
    pub use super::conv::composed::{conv, conv_grad_input, conv_grad_weight};
    pub use super::cross_entropy::composed as cross_entropy;
    pub use super::distances::composed as distances;
    pub use super::dropout::composed as dropout;
    pub use super::linear_cross_entropy::composed as linear_cross_entropy;
    pub use super::normalization::{composed as normalize, composed_moments as moments};
    pub use super::pool::composed as max_pool;
    pub use super::recurrent::composed as recurrent;
    pub use super::row_norm::composed as row_norm;
    pub use super::softmax::{composed as softmax, composed_logsumexp as logsumexp};
    pub use super::sort::composed_kth as kth;
}

use crate::storage::Storage;
use crate::{DType, Device, Element, Error, ErrorKind, Layout, Out, Result, Shape, View};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Elements of one type in a shape, on a device.
///
/// Cheap to clone: clones and views share their memory, which is only ever written where it has one owner.
#[derive(Clone)]
pub struct Tensor {
    storage: Arc<Storage>,
    layout: Layout,
    dtype: DType,
}

impl Tensor {
    /// A fresh row-major uninitialized tensor for an operation's output.
    #[inline(always)] // a call would copy the tensor once more: a small operation feels it
    pub(crate) fn output(shape: &Shape, dtype: DType, device: &Device) -> Result<Self> {
        let storage = Storage::new(shape, dtype, device)?;
        Ok(Tensor { storage: Arc::new(storage), layout: Layout::contiguous(*shape), dtype })
    }

    #[inline]
    pub(crate) fn with_layout(&self, layout: Layout) -> Self {
        Tensor { storage: self.storage.clone(), layout, dtype: self.dtype }
    }

    /// What a backend reads.
    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        View { buffer: self.storage.buffer(), dtype: self.dtype, layout: &self.layout }
    }

    /// What a backend writes: for tensors just made by [`Tensor::output`], or contiguous and of one owner.
    #[inline]
    pub(crate) fn out(&self) -> Out<'_> {
        debug_assert!(self.is_contiguous());
        Out {
            buffer: self.storage.buffer(),
            dtype: self.dtype,
            shape: self.layout.shape(),
            offset: self.layout.offset(),
        }
    }

    /// The shape.
    #[inline]
    pub fn shape(&self) -> &Shape {
        self.layout.shape()
    }

    /// Sizes of the axes.
    #[inline]
    pub fn dims(&self) -> &[usize] {
        self.layout.shape().dims()
    }

    /// Number of axes.
    #[inline]
    pub fn rank(&self) -> usize {
        self.layout.shape().rank()
    }

    /// Number of elements.
    #[inline]
    pub fn elements(&self) -> usize {
        self.layout.shape().elements()
    }

    /// Type of the elements.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the elements are.
    #[inline]
    pub fn device(&self) -> &Device {
        self.storage.device()
    }

    /// How the elements lie in memory.
    #[inline]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether the elements lie row-major without gaps.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.layout.is_contiguous()
    }

    /// Whether no other tensor shares this one's memory: then it can be written in place.
    #[inline]
    pub fn is_unique(&self) -> bool {
        let unique = Arc::strong_count(&self.storage) == 1;
        if unique {
            // What the last other owner read, on whatever thread, it read before this one writes.
            fence(Ordering::Acquire);
        }
        unique
    }

    /// A number that tensors sharing their memory have in common.
    pub fn storage_id(&self) -> usize {
        Arc::as_ptr(&self.storage) as usize
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// Another dtype than `T`'s; a fault of the device that surfaced.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.expect_dtype("to_vec", T::DTYPE)?;
        if let Ok(slice) = self.as_slice::<T>() {
            return Ok(slice.to_vec());
        }
        let source = self.contiguous()?;
        let count = self.elements();
        let mut data = staged(count, T::from_f64(0.0))?;
        let bytes = count * size_of::<T>();
        // SAFETY: the vector's elements are plain data of `bytes` bytes; what a device holds for `T` is a valid `T`
        // (bools are written as 0 and 1 only).
        let target = unsafe { std::slice::from_raw_parts_mut(data.as_mut_ptr().cast::<u8>(), bytes) };
        let offset = source.layout.offset() * size_of::<T>();
        self.device().download(target, source.storage.buffer(), offset)?;
        Ok(data)
    }

    /// The elements in row-major order, converted to f64.
    ///
    /// # Errors
    /// A fault of the device that surfaced.
    pub fn to_f64_vec(&self) -> Result<Vec<f64>> {
        self.to_dtype(DType::F64)?.to_vec()
    }

    /// The only element.
    ///
    /// # Errors
    /// More or fewer than one.
    pub fn item(&self) -> Result<f64> {
        if self.elements() != 1 {
            return Err(Error::shape("item", format!("{} has {} elements, not one", self.shape(), self.elements())));
        }
        match self.dtype {
            DType::F32 => self.to_vec::<f32>().map(|v| f64::from(v[0])),
            DType::F64 => self.to_vec::<f64>().map(|v| v[0]),
            _ => self.to_f64_vec().map(|v| v[0]),
        }
    }

    /// The elements in place, where the device's memory is the host's and they lie row-major.
    ///
    /// # Errors
    /// Another dtype than `T`'s, a strided view, or memory that is not the host's: use [`Tensor::to_vec`].
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.expect_dtype("as_slice", T::DTYPE)?;
        if !self.device().backend().is_host() || !self.is_contiguous() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "as_slice",
                "the elements do not lie row-major in the host's memory: use `to_vec`",
            ));
        }
        if self.elements() == 0 {
            return Ok(&[]);
        }
        if crate::profile::is_on() && crate::plan::recorder::is_on() {
            crate::plan::recorder::read_by_host(self.storage.buffer())?;
        }
        let first = (self.storage.buffer().address as *const T).wrapping_add(self.layout.offset());
        // SAFETY: the buffer is initialized host memory that holds this many elements of `T` from the offset on; nobody
        // writes to it while a tensor is borrowed (writing needs the only owner).
        Ok(unsafe { std::slice::from_raw_parts(first, self.elements()) })
    }

    #[inline]
    fn expect_dtype(&self, operation: &'static str, dtype: DType) -> Result<()> {
        if self.dtype == dtype { Ok(()) } else { Err(wrong_dtype(operation, self.dtype, dtype)) }
    }
}

#[cold]
fn wrong_dtype(operation: &'static str, found: DType, expected: DType) -> Error {
    Error::new(
        ErrorKind::DType,
        operation,
        format!("{expected} is expected, the tensor is {found}: convert with `to_dtype`"),
    )
}

/// Room for elements in the host's memory.
pub(crate) fn room<T>(count: usize) -> Result<Vec<T>> {
    let mut elements = Vec::new();
    crate::allocator::room(&mut elements, count)?;
    Ok(elements)
}

/// A copy of elements in the host's memory, before they are written.
pub(crate) fn staged<T: Clone>(count: usize, value: T) -> Result<Vec<T>> {
    let mut elements = room(count)?;
    elements.resize(count, value);
    Ok(elements)
}

/// Two operands of one operation: dtypes and devices must agree.
#[inline]
pub(crate) fn check_pair(operation: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype != b.dtype {
        return Err(pair_dtypes(operation, a, b));
    }
    check_device(operation, a, b)
}

/// Two operands must be on one device.
#[inline]
pub(crate) fn check_device(operation: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.device() == b.device() { Ok(()) } else { Err(pair_devices(operation, a, b)) }
}

#[cold]
fn pair_dtypes(operation: &'static str, a: &Tensor, b: &Tensor) -> Error {
    Error::new(
        ErrorKind::DType,
        operation,
        format!(
            "operands of dtypes {} {} and {} {}: convert one with `to_dtype`",
            a.dtype,
            a.shape(),
            b.dtype,
            b.shape()
        ),
    )
}

#[cold]
fn pair_devices(operation: &'static str, a: &Tensor, b: &Tensor) -> Error {
    Error::new(
        ErrorKind::Device,
        operation,
        format!(
            "operands on devices {} {} and {} {}: move one with `to_device`",
            a.device(),
            a.shape(),
            b.device(),
            b.shape()
        ),
    )
}
