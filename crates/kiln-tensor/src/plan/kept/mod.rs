//! Operands of recorded steps: what a view or an output was, with the number of its buffer instead of an address.

mod calls;

pub(crate) use calls::KeptAttention;

use super::recorder::Recorder;
use crate::{
    ArgReduceOp, Axes, CompareOp, Convolution, DType, DeviceBuffer, Epilogue, HeadOrder, Layout, Normalization, Order,
    Out, RecurrentCell, ReduceOp, RowNorm, ScanOp, ScatterOp, Shape, SoftmaxKind, Taps, UnaryCall, View, Window,
};
use kiln_math::{BinaryOp, IntegerOp};

/// The number of a buffer in a recording.
pub(crate) type BufferId = usize;

/// The memory of all buffers of a recording, by number.
pub(crate) type Memory = [DeviceBuffer];

/// What an argument of a call does with memory.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    /// Reads from the buffer.
    Read(DeviceBuffer),
    /// Writes so many bytes from an offset on, or elements here and there (None).
    Write(DeviceBuffer, Option<(usize, usize)>),
}

/// An argument of a primitive or of a call as a recording keeps it.
pub(crate) trait Kept: Sized {
    /// The argument as the primitive takes it.
    type Lent<'m>
    where
        Self: 'm;

    /// Tells what the argument does with memory.
    fn visit(lent: &Self::Lent<'_>, visit: &mut dyn FnMut(Access));

    /// The argument without addresses.
    fn keep(lent: &Self::Lent<'_>, recorder: &Recorder) -> Self;

    /// The argument in this memory.
    fn lend<'m>(&'m self, memory: &'m Memory) -> Self::Lent<'m>;

    /// Calls `visit` with each buffer, and whether it is written.
    fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool));
}

/// Elements that a step reads.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct KeptView {
    pub(crate) buffer: BufferId,
    pub(crate) dtype: DType,
    pub(crate) layout: Layout,
}

impl Kept for KeptView {
    type Lent<'m> = View<'m>;

    fn visit(lent: &View<'_>, visit: &mut dyn FnMut(Access)) {
        visit(Access::Read(lent.buffer));
    }
    fn keep(lent: &View<'_>, recorder: &Recorder) -> Self {
        KeptView { buffer: recorder.read(lent.buffer), dtype: lent.dtype, layout: *lent.layout }
    }
    fn lend<'m>(&'m self, memory: &'m Memory) -> View<'m> {
        View { buffer: memory[self.buffer], dtype: self.dtype, layout: &self.layout }
    }
    fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
        visit(self.buffer, false);
    }
}

/// Elements that a step writes, row-major.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct KeptOut {
    pub(crate) buffer: BufferId,
    pub(crate) dtype: DType,
    pub(crate) shape: Shape,
    pub(crate) offset: usize,
}

impl Kept for KeptOut {
    type Lent<'m> = Out<'m>;

    fn visit(lent: &Out<'_>, visit: &mut dyn FnMut(Access)) {
        let size = lent.dtype.size();
        visit(Access::Write(lent.buffer, Some((lent.offset * size, lent.elements() * size))));
    }
    fn keep(lent: &Out<'_>, recorder: &Recorder) -> Self {
        let buffer = recorder.written(lent.buffer);
        KeptOut { buffer, dtype: lent.dtype, shape: *lent.shape, offset: lent.offset }
    }
    fn lend<'m>(&'m self, memory: &'m Memory) -> Out<'m> {
        Out { buffer: memory[self.buffer], dtype: self.dtype, shape: &self.shape, offset: self.offset }
    }
    fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
        visit(self.buffer, true);
    }
}

/// Elements that a step writes where they lie: a slice that is assigned.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct KeptTarget(pub(crate) KeptView);

impl Kept for KeptTarget {
    type Lent<'m> = View<'m>;

    fn visit(lent: &View<'_>, visit: &mut dyn FnMut(Access)) {
        let size = lent.dtype.size();
        let range = (lent.layout.offset() * size, lent.layout.shape().elements() * size);
        visit(Access::Write(lent.buffer, lent.layout.is_contiguous().then_some(range)));
    }
    fn keep(lent: &View<'_>, recorder: &Recorder) -> Self {
        let buffer = recorder.written(lent.buffer);
        KeptTarget(KeptView { buffer, dtype: lent.dtype, layout: *lent.layout })
    }
    fn lend<'m>(&'m self, memory: &'m Memory) -> View<'m> {
        self.0.lend(memory)
    }
    fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
        visit(self.0.buffer, true);
    }
}

/// Elements that a step reads and then overwrites.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct KeptInPlace(KeptOut);

impl Kept for KeptInPlace {
    type Lent<'m> = Out<'m>;

    fn visit(lent: &Out<'_>, visit: &mut dyn FnMut(Access)) {
        // As a part of the buffer: what it holds matters.
        visit(Access::Write(lent.buffer, None));
    }
    fn keep(lent: &Out<'_>, recorder: &Recorder) -> Self {
        KeptInPlace(KeptOut::keep(lent, recorder))
    }
    fn lend<'m>(&'m self, memory: &'m Memory) -> Out<'m> {
        self.0.lend(memory)
    }
    fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
        self.0.buffers(visit);
    }
}

impl<K: Kept> Kept for Option<K> {
    type Lent<'m>
        = Option<K::Lent<'m>>
    where
        K: 'm;

    fn visit(lent: &Self::Lent<'_>, visit: &mut dyn FnMut(Access)) {
        if let Some(lent) = lent {
            K::visit(lent, visit);
        }
    }
    fn keep(lent: &Self::Lent<'_>, recorder: &Recorder) -> Self {
        lent.as_ref().map(|lent| K::keep(lent, recorder))
    }
    fn lend<'m>(&'m self, memory: &'m Memory) -> Self::Lent<'m> {
        self.as_ref().map(|kept| kept.lend(memory))
    }
    fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
        if let Some(kept) = self {
            kept.buffers(visit);
        }
    }
}

/// What a matrix product or a convolution does with its sums.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct KeptEpilogue {
    pub(crate) bias: Option<KeptView>,
    pub(crate) activation: Option<UnaryCall>,
    accumulate: bool,
}

impl KeptEpilogue {
    /// Whether sums are added to what the output holds.
    pub(crate) fn accumulates(&self) -> bool {
        self.accumulate
    }
}

impl Kept for KeptEpilogue {
    type Lent<'m> = Epilogue<'m>;

    fn visit(lent: &Epilogue<'_>, visit: &mut dyn FnMut(Access)) {
        Option::<KeptView>::visit(&lent.bias, visit);
    }
    fn keep(lent: &Epilogue<'_>, recorder: &Recorder) -> Self {
        let &Epilogue { activation, accumulate, .. } = lent;
        KeptEpilogue { bias: Kept::keep(&lent.bias, recorder), activation, accumulate }
    }
    fn lend<'m>(&'m self, memory: &'m Memory) -> Epilogue<'m> {
        Epilogue { bias: self.bias.lend(memory), activation: self.activation, accumulate: self.accumulate }
    }
    fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
        self.bias.buffers(visit);
    }
}

/// Axes of a reduction.
impl Kept for Vec<usize> {
    type Lent<'m> = &'m [usize];

    fn visit(_: &&[usize], _: &mut dyn FnMut(Access)) {}
    fn keep(lent: &&[usize], _: &Recorder) -> Self {
        lent.to_vec()
    }
    fn lend<'m>(&'m self, _: &'m Memory) -> &'m [usize] {
        self
    }
    fn buffers(&self, _: &mut dyn FnMut(BufferId, bool)) {}
}

/// The taps of a resampling.
impl Kept for Taps {
    type Lent<'m> = &'m Taps;

    fn visit(_: &&Taps, _: &mut dyn FnMut(Access)) {}
    fn keep(lent: &&Taps, _: &Recorder) -> Self {
        (*lent).clone()
    }
    fn lend<'m>(&'m self, _: &'m Memory) -> &'m Taps {
        self
    }
    fn buffers(&self, _: &mut dyn FnMut(BufferId, bool)) {}
}

macro_rules! plain {
    ($($type:ty),+) => {
        $(
            impl Kept for $type {
                type Lent<'m> = $type;

                fn visit(_: &$type, _: &mut dyn FnMut(Access)) {}
                fn keep(lent: &$type, _: &Recorder) -> Self {
                    *lent
                }
                fn lend<'m>(&'m self, _: &'m Memory) -> $type {
                    *self
                }
                fn buffers(&self, _: &mut dyn FnMut(BufferId, bool)) {}
            }
        )+
    };
}
plain!(
    f64,
    usize,
    bool,
    UnaryCall,
    BinaryOp,
    IntegerOp,
    CompareOp,
    ReduceOp,
    ArgReduceOp,
    ScatterOp,
    Convolution,
    Window,
    SoftmaxKind,
    Normalization,
    HeadOrder,
    RecurrentCell,
    RowNorm,
    Order,
    ScanOp,
    Axes
);
