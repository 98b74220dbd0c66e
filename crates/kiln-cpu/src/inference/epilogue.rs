//! What follows a convolution: steps on a pixel's channels while they are in registers or in the first-level cache.

use super::int8::quantize::QuantizedTo;
use super::layout::padded_row;
use crate::Simd;
use crate::check;
use crate::gemm::vector::{Sums, Vector};
use crate::normalization::Normalizer;
use std::ops::Range;

/// A step on a pixel's output channels. Rows of channels have [`padded`](super::padded)`(C)` floats, with zeros after the channels.
#[derive(Clone, Copy)]
pub enum Step<'a> {
    /// y + bias: one number for each channel.
    Bias(&'a [f32]),
    /// (y − mean)·scale + shift, as [`normalize`](crate::normalization::normalize) computes it. [`Scaling`] makes the rows.
    Normalize {
        /// Subtracted first; zeros where there is no mean.
        mean: &'a [f32],
        /// Multiplied with; ones where there is no scale.
        scale: &'a [f32],
        /// Added in the same rounding; zeros where there is no shift.
        shift: &'a [f32],
    },
    /// y + residual: another map of the output's shape.
    Residual(&'a [f32]),
    /// max(y, 0); NaN stays NaN.
    Relu,
    /// min(y, most); NaN stays NaN.
    AtMost(f32),
    /// y·row: one row of channels for each image, such as the gates of squeeze-and-excitation.
    Scale(&'a [f32]),
    /// An elementwise function, given pieces of pixels.
    Map(&'a (dyn Fn(&mut [f32]) + Sync)),
}

/// Steps in the order in which they are applied to a convolution's sums.
///
/// The longest prefix of at most one [`Step::Bias`] or [`Step::Normalize`], then at most one [`Step::Residual`], then at most one
/// [`Step::Relu`], then at most one [`Step::AtMost`] costs next to nothing.
#[derive(Clone, Copy, Default)]
pub struct Epilogue<'a> {
    pub(super) steps: &'a [Step<'a>],
}

impl<'a> Epilogue<'a> {
    /// These steps; with none, the sums are the output.
    pub fn new(steps: &'a [Step<'a>]) -> Self {
        Epilogue { steps }
    }
}

/// The rows of [`Step::Normalize`] that a batch normalization comes down to in evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// The means.
    pub mean: Vec<f32>,
    /// weight / √(variance + ε), with the rounding of [`normalize`](crate::normalization::normalize).
    pub scale: Vec<f32>,
    /// The biases.
    pub shift: Vec<f32>,
}

impl Scaling {
    /// The rows of a normalization; whether a rectifier follows is not part of them.
    ///
    /// # Panics
    /// A weight or a bias of another length than the moments have channels.
    pub fn new(by: &Normalizer<'_, f32>) -> Self {
        let channels = by.moments.len() / 2;
        for (name, row) in [("weight", by.weight), ("bias", by.bias)] {
            check::length("Scaling::new", name, row.map_or(channels, <[f32]>::len), channels);
        }
        let row = |of: &dyn Fn(usize) -> f32| padded_row(&(0..channels).map(of).collect::<Vec<_>>());
        Scaling {
            mean: row(&|channel| by.mean(channel)),
            scale: row(&|channel| by.scale(channel)),
            shift: row(&|channel| by.shift(channel)),
        }
    }

    /// The step with these rows.
    pub fn step(&self) -> Step<'_> {
        Step::Normalize { mean: &self.mean, scale: &self.scale, shift: &self.shift }
    }
}

/// The steps that are applied to registers before they are stored. Addresses are those of channel 0; null says that there is no
/// such step.
#[derive(Clone, Copy)]
pub(super) struct Fused {
    mean: *const f32,
    scale: *const f32,
    shift: *const f32,
    residual: *const f32,
    relu: bool,
    most: f32,
}

impl Fused {
    /// No step.
    pub(super) const NOTHING: Fused = Fused {
        mean: std::ptr::null(),
        scale: std::ptr::null(),
        shift: std::ptr::null(),
        residual: std::ptr::null(),
        relu: false,
        most: f32::INFINITY,
    };

    /// The map that is added, if there is one.
    pub(super) fn residual(&self) -> Option<*const f32> {
        (!self.residual.is_null()).then_some(self.residual)
    }

    /// Applies the steps to columns from `column` on of pixels that begin `pitch` floats apart, the first at float `at` of the map.
    ///
    /// # Safety
    /// The rows and the residual have these columns; the instruction set of `V` is available.
    #[inline(always)]
    pub(super) unsafe fn apply<V: Vector<Lane = f32>, const MR: usize, const NV: usize>(
        &self,
        sums: &mut [[V; NV]; MR],
        column: usize,
        (at, pitch): (usize, usize),
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            let row = |of: *const f32, j: usize| V::load(of.add(column + j * V::LANES));
            if !self.scale.is_null() {
                for j in 0..NV {
                    let (mean, scale, shift) = (row(self.mean, j), row(self.scale, j), row(self.shift, j));
                    for sums in sums.iter_mut() {
                        sums[j] = shift.fma(sums[j].sub(mean), scale);
                    }
                }
            } else if !self.shift.is_null() {
                for j in 0..NV {
                    let shift = row(self.shift, j);
                    for sums in sums.iter_mut() {
                        sums[j] = sums[j].add(shift);
                    }
                }
            }
            if !self.residual.is_null() {
                for (i, sums) in sums.iter_mut().enumerate() {
                    for (j, sum) in sums.iter_mut().enumerate() {
                        let at = at + i * pitch + column + j * V::LANES;
                        *sum = sum.add(V::load(self.residual.add(at)));
                    }
                }
            }
            if self.relu {
                for sums in sums.iter_mut() {
                    for sum in sums.iter_mut() {
                        *sum = sum.relu();
                    }
                }
            }
            if self.most < f32::INFINITY {
                let most = V::splat(&self.most);
                for sums in sums.iter_mut() {
                    for sum in sums.iter_mut() {
                        *sum = sum.at_most(most);
                    }
                }
            }
        }
    }
}

/// The steps that registers go through, and those that follow.
pub(super) fn fuse<'a, 'b>(mut steps: &'b [Step<'a>]) -> (Fused, &'b [Step<'a>]) {
    let mut fused = Fused::NOTHING;
    match steps {
        [Step::Bias(bias), rest @ ..] => (fused.shift, steps) = (bias.as_ptr(), rest),
        [Step::Normalize { mean, scale, shift }, rest @ ..] => {
            (fused.mean, fused.scale, fused.shift) = (mean.as_ptr(), scale.as_ptr(), shift.as_ptr());
            steps = rest;
        }
        _ => {}
    }
    if let [Step::Residual(residual), rest @ ..] = steps {
        (fused.residual, steps) = (residual.as_ptr(), rest);
    }
    if let [Step::Relu, rest @ ..] = steps {
        (fused.relu, steps) = (true, rest);
    }
    if let &[Step::AtMost(most), ref rest @ ..] = steps {
        (fused.most, steps) = (most, rest);
    }
    (fused, steps)
}

/// The map that is written, and what becomes of its pixels.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// Null where floats are wanted only as long as it takes to quantize them.
    pub(super) y: *mut f32,
    /// From a pixel to the next.
    pub(super) pitch: usize,
    pub(super) channels: usize,
    /// Pixels of an image.
    pub(super) plane: usize,
    /// The steps that registers go through.
    pub(super) fused: Fused,
    /// The steps that follow.
    pub(super) rest: &'a [Step<'a>],
    /// All steps.
    pub(super) steps: &'a [Step<'a>],
    /// Where the pixels go as integers.
    pub(super) quantized: Option<QuantizedTo>,
}

// SAFETY: addresses only; whoever writes there vouches for the part being its own.
unsafe impl Sync for Target<'_> {}

impl<'a> Target<'a> {
    /// A map of `pixels` pixels, `plane` an image.
    ///
    /// # Panics
    /// Rows and maps of other lengths.
    pub(super) fn new(
        function: &str,
        y: Option<&mut [f32]>,
        (pixels, plane): (usize, usize),
        channels: usize,
        epilogue: &Epilogue<'a>,
    ) -> Target<'a> {
        let pitch = super::padded(channels);
        let floats = check::elements(function, &[pixels, pitch]);
        let y = y.map_or(std::ptr::null_mut(), |y| {
            check::length(function, "y", y.len(), floats);
            y.as_mut_ptr()
        });
        for step in epilogue.steps {
            let expect = |what: &str, row: &[f32], count: usize| check::length(function, what, row.len(), count);
            match step {
                Step::Bias(bias) => expect("bias", bias, pitch),
                Step::Normalize { mean, scale, shift } => {
                    expect("mean", mean, pitch);
                    expect("scale", scale, pitch);
                    expect("shift", shift, pitch);
                }
                Step::Residual(residual) => expect("residual", residual, floats),
                Step::Scale(rows) => expect("rows", rows, pixels.checked_div(plane).unwrap_or(0) * pitch),
                Step::Relu | Step::AtMost(_) | Step::Map(_) => {}
            }
        }
        let (fused, rest) = fuse(epilogue.steps);
        Target { y, pitch, channels, plane, fused, rest, steps: epilogue.steps, quantized: None }
    }

    /// The same with pixels from `first` on at `y`.
    pub(super) fn at(self, y: *mut f32, first: usize) -> Self {
        Target { y: y.wrapping_sub(first * self.pitch), ..self }
    }

    /// Quantizes stored columns of whole words, where that is wanted.
    ///
    /// # Safety
    /// These columns of the pixels are stored, and as words this call's alone.
    #[inline(always)]
    pub(super) unsafe fn quantize(&self, pixels: Range<usize>, columns: Range<usize>) {
        if let Some(quantized) = &self.quantized {
            // SAFETY: as the caller promises.
            unsafe { quantized.store(self.y, pixels, columns) };
        }
    }

    /// Whether stored columns need more than what registers went through.
    pub(super) fn has_more(&self, columns: &Range<usize>) -> bool {
        !self.rest.is_empty() || columns.end > self.channels
    }

    /// Applies `steps` to stored columns, and leaves zeros behind the channels.
    ///
    /// # Safety
    /// These columns of the pixels are this call's alone. They begin at a multiple of the widest register, or of the one that the
    /// columns before were cut by, and are whole registers.
    #[inline(always)]
    pub(super) unsafe fn finish<S: Simd>(&self, mut steps: &[Step<'_>], pixels: Range<usize>, columns: Range<usize>) {
        let lanes = S::WIDTH_F32;
        // SAFETY: within the map; the steps' rows and maps were checked; the instruction set is the kernel's.
        unsafe {
            let at = |pixel: usize| pixel * self.pitch;
            while let [step, rest @ ..] = steps {
                let (fused, after) = fuse(steps);
                if after.len() < steps.len() {
                    for pixel in pixels.clone() {
                        for column in columns.clone().step_by(lanes) {
                            let to = self.y.wrapping_add(at(pixel) + column);
                            let mut sums = [[S::Register::load(to)]];
                            fused.apply(&mut sums, column, (at(pixel), self.pitch));
                            sums[0][0].store(to);
                        }
                    }
                    steps = after;
                    continue;
                }
                // Whole pixels without padding at once.
                if let (Step::Map(map), true) = (step, columns.len() == self.pitch && self.channels == self.pitch) {
                    map(std::slice::from_raw_parts_mut(
                        self.y.wrapping_add(at(pixels.start)),
                        pixels.len() * self.pitch,
                    ));
                    steps = rest;
                    continue;
                }
                for pixel in pixels.clone() {
                    match step {
                        Step::Scale(rows) => {
                            let rows = rows.as_ptr().add(pixel / self.plane * self.pitch);
                            for column in columns.clone().step_by(lanes) {
                                let to = self.y.wrapping_add(at(pixel) + column);
                                S::Register::load(to).mul(S::Register::load(rows.add(column))).store(to);
                            }
                        }
                        Step::Map(map) => {
                            let count = columns.end.min(self.channels).saturating_sub(columns.start);
                            map(std::slice::from_raw_parts_mut(self.y.wrapping_add(at(pixel) + columns.start), count));
                        }
                        _ => {}
                    }
                }
                steps = rest;
            }
            if columns.end > self.channels {
                let first = columns.start.max(self.channels);
                for pixel in pixels {
                    std::slice::from_raw_parts_mut(self.y.wrapping_add(at(pixel) + first), columns.end - first)
                        .fill(0.0);
                }
            }
        }
    }
}
