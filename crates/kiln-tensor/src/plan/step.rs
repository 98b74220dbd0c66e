//! The steps of a recording: the primitives and coarse operations that a forward pass consists of.

use super::kept::{
    Access, BufferId, Kept, KeptAttention, KeptEpilogue, KeptInPlace, KeptOut, KeptTarget, KeptView, Memory,
};
use super::maps::MapOperation;
use super::memory;
use super::recorder::Recorder;
use crate::{
    ArgReduceOp, AttentionCall, Axes, BlendCall, Call, CompareOp, ConvCall, ConvGradInputCall, Convolution, Device,
    DistancesCall, Error, ErrorKind, HeadOrder, KthCall, LinearScanCall, LogsumexpCall, MaxPoolCall, MomentsCall,
    Normalization, NormalizeCall, Order, Ran, Recurrence, RecurrentCall, ReduceOp, Result, RowNorm, RowNormCall,
    ScanCall, ScanExtremaCall, ScanOp, ScatterOp, SearchCall, SoftmaxCall, SoftmaxKind, SortCall, Taps, UnaryCall,
    Window,
};
use kiln_math::{BinaryOp, IntegerOp};

macro_rules! steps {
    (primitives { $($name:ident { $($field:ident: $kept:ty),* $(,)? })+ }
     calls { $($variant:ident $call:ident { $($operand:ident: $operand_kept:ty),* $(,)? })+ }) => {
        /// What a step does.
        #[allow(non_camel_case_types, clippy::large_enum_variant)] // the primitives' names; steps are few
        #[derive(Clone, Debug)]
        pub(crate) enum Operation {
            $($name { $($field: $kept),* },)+
            $($variant { $($operand: $operand_kept),* },)+
            /// The buffer becomes a copy of a constant, before parts of it are written.
            Load { to: BufferId, from: BufferId, bytes: usize },
            /// A step over NHWC maps.
            Map(MapOperation),
            /// Fails where an index along an axis of `size` elements is out of range.
            CheckIndex { operation: &'static str, index: KeptView, size: usize },
        }

        /// One function for each primitive that can be recorded, of the recorder, whether the output's elements are read too, and the
        /// primitive's arguments.
        pub(super) mod note {
            use super::*;
            $(
                pub(crate) fn $name(recorder: &mut Recorder, keeps: bool $(, $field: &<$kept as Kept>::Lent<'_>)*)
                    -> Result<()> {
                    let mut accesses = Vec::new();
                    $(<$kept as Kept>::visit($field, &mut |access| accesses.push(access));)*
                    recorder.note(&accesses, keeps, |recorder| {
                        Operation::$name { $($field: <$kept as Kept>::keep($field, recorder)),* }
                    })
                }
            )+

            /// A coarse operation.
            ///
            /// # Errors
            /// One that cannot be recorded.
            pub(crate) fn call(recorder: &mut Recorder, call: &Call<'_>) -> Result<()> {
                match call {
                    $(Call::$variant(call) => {
                        let mut accesses: Vec<Access> = Vec::new();
                        $(<$operand_kept as Kept>::visit(&call.$operand, &mut |access| accesses.push(access));)*
                        recorder.note(&accesses, false, |recorder| {
                            Operation::$variant { $($operand: Kept::keep(&call.$operand, recorder)),* }
                        })
                    })+
                    other => Err(super::unknown(other.name().0)),
                }
            }
        }

        impl Operation {
            /// Runs the step in this memory.
            pub(super) fn run(&self, device: &Device, memory: &Memory) -> Result<()> {
                match self {
                    $(Operation::$name { $($field),* } => device.$name($($field.lend(memory)),*),)+
                    $(Operation::$variant { $($operand),* } => {
                        let call = Call::$variant($call { $($operand: $operand.lend(memory)),* });
                        match device.run(&call)? {
                            Ran::Done => Ok(()),
                            Ran::NotHere => Err(unknown(call.name().0)),
                        }
                    })+
                    &Operation::Load { to, from, bytes } => memory::load(device, memory[to], memory[from], bytes),
                    Operation::Map(map) => device.run_map(map, memory),
                    Operation::CheckIndex { operation, index, size } => {
                        device.check_index(operation, &index.lend(memory), *size)
                    }
                }
            }

            /// Calls `visit` with each buffer, and whether it is written.
            pub(crate) fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
                match self {
                    $(Operation::$name { $($field),* } => { $($field.buffers(visit);)* })+
                    $(Operation::$variant { $($operand),* } => { $($operand.buffers(visit);)* })+
                    Operation::Load { to, from, .. } => {
                        visit(*from, false);
                        visit(*to, true);
                    }
                    Operation::Map(map) => map.buffers(visit),
                    Operation::CheckIndex { index, .. } => index.buffers(visit),
                }
            }
        }
    };
}

steps! {
    primitives {
        fill { out: KeptOut, value: f64 }
        copy { out: KeptTarget, x: KeptView }
        unary { call: UnaryCall, out: KeptOut, x: KeptView }
        binary { op: BinaryOp, out: KeptOut, a: KeptView, b: KeptView }
        integers { op: IntegerOp, out: KeptOut, a: KeptView, b: KeptView }
        compare { op: CompareOp, out: KeptOut, a: KeptView, b: KeptView }
        select { out: KeptOut, condition: KeptView, a: KeptView, b: KeptView }
        reduce { op: ReduceOp, out: KeptOut, x: KeptView, axes: Vec<usize> }
        arg_reduce { op: ArgReduceOp, out: KeptOut, x: KeptView, axis: usize }
        matmul { out: KeptOut, a: KeptView, b: KeptView, epilogue: KeptEpilogue }
        gather { out: KeptOut, x: KeptView, index: KeptView, axis: usize }
        scatter { op: ScatterOp, out: KeptOut, y: KeptView, index: KeptView, axis: usize }
    }
    calls {
        Softmax SoftmaxCall { kind: SoftmaxKind, out: KeptOut, x: KeptView }
        Logsumexp LogsumexpCall { out: KeptOut, x: KeptView }
        Attention AttentionCall { operands: KeptAttention, out: KeptOut, order: HeadOrder, log_sum: KeptOut }
        Conv ConvCall { conv: Convolution, out: KeptOut, x: KeptView, weight: KeptView, epilogue: KeptEpilogue }
        ConvGradInput ConvGradInputCall { conv: Convolution, out: KeptOut, dy: KeptView, weight: KeptView }
        MaxPool MaxPoolCall { window: Window, out: KeptOut, taps: Option<KeptOut>, x: KeptView }
        Moments MomentsCall { out: KeptOut, x: KeptView }
        Normalize NormalizeCall {
            form: Normalization,
            out: KeptOut,
            x: KeptView,
            moments: KeptView,
            weight: Option<KeptView>,
            bias: Option<KeptView>,
        }
        RowNorm RowNormCall {
            form: RowNorm,
            out: KeptOut,
            sum: Option<KeptOut>,
            moments: KeptOut,
            x: KeptView,
            residual: Option<KeptView>,
            weight: Option<KeptView>,
            bias: Option<KeptView>,
        }
        Recurrent RecurrentCall { layer: Recurrence<KeptView>, gates: KeptInPlace, states: KeptOut, inner: Option<KeptOut> }
        Distances DistancesCall { out: KeptOut, x: KeptView, center: Option<KeptView>, axes: Axes, squared: bool }
        Sort SortCall { values: Option<KeptOut>, positions: Option<KeptOut>, x: KeptView, order: Order }
        Kth KthCall { values: KeptOut, positions: KeptOut, x: KeptView, rank: usize }
        Search SearchCall { out: KeptOut, sorted: KeptView, x: KeptView, right: bool }
        Scan ScanCall { op: ScanOp, out: KeptOut, x: KeptView, axis: usize }
        ScanExtrema ScanExtremaCall { values: KeptOut, positions: KeptOut, x: KeptView, axis: usize, smallest: bool }
        LinearScan LinearScanCall { out: KeptOut, a: KeptView, b: KeptView, axis: usize }
        Blend BlendCall { out: KeptOut, x: KeptView, axis: usize, taps: Taps }
    }
}

/// The error of an operation that a plan cannot have.
#[cold]
pub(super) fn unknown(operation: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "compile",
        format!("`{operation}` can't be part of a compiled plan: run the model with `forward`"),
    )
}
