//! The steps of a plan over NHWC maps: from buffers to the kernels' slices.

use crate::UnaryCall;
use crate::plan::kept::{BufferId, Memory};
use crate::plan::maps::{After, MapOperation, MapShape};
use kiln_cpu::inference::{self, Epilogue, Step};
use kiln_cpu::{Isa, elementwise};

/// The most steps that follow a sum.
pub(crate) const MOST_STEPS: usize = 8;

/// Floats of a buffer that a step reads.
///
/// # Safety
/// The buffer has so many, and nobody writes them.
unsafe fn read(memory: &Memory, buffer: BufferId, count: usize) -> &[f32] {
    debug_assert!(memory[buffer].bytes >= 4 * count);
    // SAFETY: the caller's promise; buffers are aligned to a float and never null.
    unsafe { std::slice::from_raw_parts(memory[buffer].address as *const f32, count) }
}

/// Floats of a buffer that a step writes.
///
/// # Safety
/// The buffer has so many, and nobody else uses them.
#[allow(clippy::mut_from_ref)] // each step's outputs are apart from its operands
unsafe fn write(memory: &Memory, buffer: BufferId, count: usize) -> &mut [f32] {
    debug_assert!(memory[buffer].bytes >= 4 * count);
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(memory[buffer].address as *mut f32, count) }
}

/// The least and the largest of so many floats of a buffer. NaN does not count.
///
/// # Safety
/// The buffer is host memory of so many floats, and nobody writes them.
pub(crate) unsafe fn range(memory: &Memory, buffer: BufferId, count: usize) -> (f32, f32) {
    // SAFETY: the caller's promise.
    let floats = unsafe { read(memory, buffer, count) };
    floats.iter().fold((0.0, 0.0), |(least, most), &x| (x.min(least), x.max(most)))
}

/// Runs a step.
///
/// # Safety
/// The buffers are host memory as large as the shapes say, outputs apart from operands.
pub(crate) unsafe fn run(isa: Isa, operation: &MapOperation, memory: &Memory) {
    // SAFETY: the caller's promise.
    unsafe {
        match operation {
            MapOperation::Enter { shape, x, out } => {
                let planes = shape.batch * shape.channels * shape.pixels;
                let x = &read(memory, x.buffer, x.layout.offset() + planes)[x.layout.offset()..];
                inference::to_nhwc(isa, x, (shape.channels, shape.pixels), write(memory, *out, shape.len()));
            }
            MapOperation::Leave { shape, x, out } => {
                let planes = shape.batch * shape.channels * shape.pixels;
                let out = write(memory, out.buffer, planes);
                inference::from_nhwc(isa, read(memory, *x, shape.len()), (shape.channels, shape.pixels), out);
            }
            MapOperation::Filter { filter, packed, x, out, scratch, after } => {
                let form = filter.form();
                let shape = |channels, pixels| MapShape { batch: form.batch, channels, pixels };
                let from = shape(form.groups * form.inputs, form.plane());
                let to = shape(form.groups * form.outputs, form.out_plane());
                let packed = read(memory, *packed, filter.room());
                let (x, out) = (read(memory, *x, from.len()), write(memory, *out, to.len()));
                let scratch = write(memory, scratch.0, scratch.1);
                with_steps(isa, after, to, memory, |epilogue| filter.run(packed, x, out, scratch, epilogue));
            }
            MapOperation::Quantize { shape, words, by, x, out } => {
                let (x, out) = (read(memory, *x, shape.len()), write(memory, *out, shape.of(*words).len()));
                inference::quantize(isa, *words, (shape.channels, shape.pixels), *by, x, out);
            }
            MapOperation::QuantizedFilter { filter, packed, x, out, quantized, scratch, after } => {
                let form = filter.form();
                let to = MapShape { batch: form.batch, channels: form.outputs, pixels: form.out_plane() };
                let packed = read(memory, *packed, filter.room());
                let x = read(memory, *x, filter.input_len());
                let out = out.map(|out| write(memory, out, to.len()));
                let scratch = write(memory, scratch.0, scratch.1);
                let quantized = quantized.map(|(by, words)| (by, write(memory, words, to.of(filter.words()).len())));
                with_steps(isa, after, to, memory, |epilogue| {
                    filter.run(packed, x, out, scratch, epilogue, quantized);
                });
            }
            MapOperation::MaxPool { pool, shape, x, out } => {
                let to = MapShape { pixels: pool.outputs(), ..*shape };
                let (x, out) = (read(memory, *x, shape.len()), write(memory, *out, to.len()));
                inference::max_pool(isa, pool, (shape.batch, shape.channels), x, out);
            }
            MapOperation::Mean { shape, x, out } => {
                let to = MapShape { pixels: 1, ..*shape };
                let (x, out) = (read(memory, *x, shape.len()), write(memory, *out, to.len()));
                inference::global_average_pool(isa, (shape.channels, shape.pixels), x, out);
            }
            MapOperation::Apply { shape, x, out, after } => {
                let (x, out) = (read(memory, *x, shape.len()), write(memory, *out, shape.len()));
                with_steps(isa, after, *shape, memory, |epilogue| {
                    inference::apply(isa, (shape.channels, shape.pixels), x, out, epilogue);
                });
            }
        }
    }
}

/// Calls `f` with steps as the kernels take them.
///
/// # Safety
/// As for [`run`].
unsafe fn with_steps(isa: Isa, after: &[After], shape: MapShape, memory: &Memory, f: impl FnOnce(&Epilogue<'_>)) {
    let call = after.iter().find_map(|after| if let After::Map(call) = after { Some(*call) } else { None });
    let UnaryCall { op, params } = call.unwrap_or(UnaryCall::from(kiln_math::UnaryOp::Relu));
    let map = move |x: &mut [f32]| elementwise::unary_in_place(isa, op, params, x);
    let row = MapShape { batch: 1, pixels: 1, ..shape }.len();
    let mut steps = [Step::Relu; MOST_STEPS];
    for (step, after) in steps.iter_mut().zip(after) {
        // SAFETY: the caller's promise.
        *step = unsafe {
            match *after {
                After::Bias(bias) => Step::Bias(read(memory, bias, row)),
                After::Normalize([mean, scale, shift]) => Step::Normalize {
                    mean: read(memory, mean, row),
                    scale: read(memory, scale, row),
                    shift: read(memory, shift, row),
                },
                After::Residual(map) => Step::Residual(read(memory, map, shape.len())),
                After::Relu => Step::Relu,
                After::AtMost(most) => Step::AtMost(most),
                After::Scale(rows) => Step::Scale(read(memory, rows, shape.batch * row)),
                After::Map(_) => Step::Map(&map),
            }
        };
    }
    f(&Epilogue::new(&steps[..after.len().min(MOST_STEPS)]));
}
