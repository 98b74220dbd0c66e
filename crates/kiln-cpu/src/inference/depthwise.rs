//! Depthwise convolutions: each channel under a kernel of its own, with the sums of [`conv::forward`](crate::conv::forward).

use super::epilogue::Target;
use super::field::reach;
use super::layout::{GROUP, padded};
use super::panels::part;
use crate::conv::Conv;
use crate::gemm::vector::{Sums, Vector};
use crate::gemm::{equal_parts, worth_a_region};
use crate::{Isa, Kernel, Simd, team};
use kiln_math::K_BLOCK;
use std::ops::Range;

/// Whether a form is computed this way: one input and one output channel a group, and a sum in one block.
pub(super) fn suits(form: &Conv) -> bool {
    form.is_depthwise() && form.outputs == 1 && form.taps() <= K_BLOCK
}

/// Floats that the packed weights take: those of a tap are adjacent.
pub(super) fn room(form: &Conv) -> usize {
    form.taps() * padded(form.groups)
}

/// Packs weights (channels, 1, kernel…), those of channel j times `scale[j]`.
pub(super) fn pack(form: &Conv, weight: &[f32], scale: Option<&[f32]>, to: &mut [f32]) {
    let (taps, row) = (form.taps(), padded(form.groups));
    to.fill(0.0);
    for (i, weight) in weight.iter().enumerate() {
        let (channel, tap) = (i / taps, i % taps);
        to[tap * row + channel] = weight * scale.map_or(1.0, |scale| scale[channel]);
    }
}

pub(super) fn run(isa: Isa, form: &Conv, packed: &[f32], x: &[f32], target: &Target<'_>) {
    let (lines, groups) = (form.batch * form.out[0] * form.out[1], target.pitch / GROUP);
    let work = lines * form.out[2] * target.pitch * form.taps();
    let threads = if worth_a_region(work) { team::threads() } else { 1 };
    // Lines where every thread gets several, else channels.
    let (by_lines, by_groups) = if lines >= 4 * threads { (threads, 1) } else { (1, threads.min(groups)) };
    team::parallel(by_lines * by_groups, |task| {
        let (lines, groups) = (part(lines, task % by_lines, by_lines), part(groups, task / by_lines, by_groups));
        let channels = groups.start * GROUP..groups.end * GROUP;
        isa.run(Part { form, packed, x, target, lines, channels });
    });
}

/// The taps along an axis by which an output meets an input.
fn taps_met(form: &Conv, axis: usize, output: usize) -> Range<usize> {
    let (at, before, step) = (output * form.stride[axis], form.before[axis], form.dilation[axis]);
    let first = before.saturating_sub(at).div_ceil(step);
    let end = (form.size[axis] + before).saturating_sub(at).div_ceil(step).min(form.kernel[axis]);
    first.min(end)..end
}

/// Some lines, and some channels.
struct Part<'a> {
    form: &'a Conv,
    packed: &'a [f32],
    x: &'a [f32],
    target: &'a Target<'a>,
    lines: Range<usize>,
    channels: Range<usize>,
}

impl Kernel for Part<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let form = self.form;
        let width = form.out[2];
        // Outputs that meet an input by each tap of a line.
        let begin = form.before[2].div_ceil(form.stride[2]).min(width);
        let inside = (form.size[2] + form.before[2]).checked_sub(reach(form, 2));
        let end = inside.map_or(0, |most| most / form.stride[2] + 1).clamp(begin, width);
        for number in self.lines.clone() {
            let line = Line::new(&self, number);
            for output in (0..begin).chain(end..width) {
                self.outputs::<S, 1, 4>(&line, output, taps_met(form, 2, output));
            }
            for (first, count) in equal_parts(end - begin, 8) {
                let (first, all) = (begin + first, 0..form.kernel[2]);
                // Sums enough that no product waits for the one before.
                match count {
                    8 => self.outputs::<S, 8, 1>(&line, first, all),
                    7 => self.outputs::<S, 7, 1>(&line, first, all),
                    6 => self.outputs::<S, 6, 1>(&line, first, all),
                    5 => self.outputs::<S, 5, 1>(&line, first, all),
                    4 => self.outputs::<S, 4, 2>(&line, first, all),
                    3 => self.outputs::<S, 3, 2>(&line, first, all),
                    2 => self.outputs::<S, 2, 4>(&line, first, all),
                    _ => self.outputs::<S, 1, 4>(&line, first, all),
                }
            }
        }
    }
}

/// A line of outputs.
struct Line {
    image: usize,
    depth: usize,
    height: usize,
    /// The taps that meet inputs.
    depths: Range<usize>,
    heights: Range<usize>,
    /// The first pixel's number among those of all images.
    first: usize,
}

impl Line {
    #[inline(always)]
    fn new(part: &Part<'_>, number: usize) -> Line {
        let [deep, high, wide] = part.form.out;
        let (image, depth, height) = (number / (deep * high), number / high % deep, number % high);
        let (depths, heights) = (taps_met(part.form, 0, depth), taps_met(part.form, 1, height));
        Line { image, depth, height, depths, heights, first: number * wide }
    }
}

/// The floats from a tap, or an output, to the next.
#[derive(Clone, Copy)]
struct Steps {
    depth: usize,
    height: usize,
    width: usize,
}

/// The inputs and weights of neighboring outputs that meet inputs by the same taps.
struct Window {
    /// The first output's pixel among those of all images.
    first: usize,
    /// The input that the first output meets by the first tap, and that tap's weights.
    x: *const f32,
    weight: *const f32,
    /// From tap to tap in the inputs, and in the weights.
    x_steps: Steps,
    weight_steps: Steps,
    /// From output to output in the inputs.
    next: usize,
    /// Taps that are met along each axis.
    taps: [usize; 3],
    /// Lines that no line of outputs before has met, and pixels from output to output.
    new: [usize; 2],
    pixel: usize,
}

impl Part<'_> {
    #[inline(always)]
    fn window(&self, line: &Line, output: usize, widths: Range<usize>) -> Window {
        let (form, pixel) = (self.form, self.target.pitch);
        let ([deep, high, wide], [_, rows, columns]) = (form.size, form.kernel);
        let tap = [line.depths.start, line.heights.start, widths.start];
        let at = [line.depth, line.height, output];
        // Wraps where no tap is met: then nothing is read.
        let place = |axis: usize| {
            (at[axis] * form.stride[axis] + tap[axis] * form.dilation[axis]).wrapping_sub(form.before[axis])
        };
        let first = [deep, high, wide].into_iter().enumerate();
        let x = first.fold(line.image, |whole, (axis, size)| whole.wrapping_mul(size).wrapping_add(place(axis)));
        let weights = (tap[0] * rows + tap[1]) * columns + tap[2];
        let [by_depth, by_height, by_width] = form.dilation;
        Window {
            first: line.first + output,
            x: self.x.as_ptr().wrapping_add(x.wrapping_mul(pixel)),
            weight: self.packed.as_ptr().wrapping_add(weights * pixel),
            x_steps: Steps {
                depth: by_depth * high * wide * pixel,
                height: by_height * wide * pixel,
                width: by_width * pixel,
            },
            weight_steps: Steps { depth: rows * columns * pixel, height: columns * pixel, width: pixel },
            next: form.stride[2] * pixel,
            taps: [line.depths.len(), line.heights.len(), widths.len()],
            new: [form.stride[1].min(line.heights.len()), form.stride[2]],
            pixel,
        }
    }

    /// `N` neighboring outputs of a line, `R` registers of channels at a time.
    #[inline(always)]
    fn outputs<S: Simd, const N: usize, const R: usize>(&self, line: &Line, output: usize, widths: Range<usize>) {
        let (window, target) = (self.window(line, output, widths), self.target);
        let (channels, lanes) = (self.channels.clone(), S::WIDTH_F32);
        let together = channels.start + channels.len() / (R * lanes) * (R * lanes);
        for channel in (channels.start..together).step_by(R * lanes) {
            self.registers::<S, N, R>(&window, channel);
        }
        for channel in (together..channels.end).step_by(lanes) {
            self.registers::<S, N, 1>(&window, channel);
        }
        if target.has_more(&channels) {
            // SAFETY: these channels of the outputs are this task's own; the steps' rows were checked; the instruction set is the
            // kernel's.
            unsafe { target.finish::<S>(target.rest, window.first..window.first + N, channels) };
        }
    }

    /// `R` registers of `N` outputs.
    #[inline(always)]
    fn registers<S: Simd, const N: usize, const R: usize>(&self, window: &Window, channel: usize) {
        let (target, pixel) = (self.target, self.target.pitch);
        let to = target.y.wrapping_add(window.first * pixel + channel);
        for register in (0..R).filter(|register| (channel + register * S::WIDTH_F32).is_multiple_of(GROUP)) {
            window.fetch_next::<S, N>(channel + register * S::WIDTH_F32);
            for output in N..2 * N {
                S::Register::prefetch(to.wrapping_add(output * pixel + register * S::WIDTH_F32));
            }
        }
        // SAFETY: the first and the last of the inputs by these taps are in the map; a pixel has whole registers, and so have the
        // weights of a tap. These channels of the outputs are this task's own; the steps' rows were checked. The instruction set is
        // the kernel's.
        unsafe {
            let mut sums = window.sums::<S, N, R>(channel);
            target.fused.apply(&mut sums, channel, (window.first * pixel, pixel));
            for (output, sums) in sums.into_iter().enumerate() {
                for (register, sum) in sums.into_iter().enumerate() {
                    sum.store(to.add(output * pixel + register * S::WIDTH_F32));
                }
            }
        }
    }
}

impl Window {
    /// The sums of `R` registers of `N` outputs from `channel` on.
    ///
    /// # Safety
    /// The taps that are met reach inputs in the map; the instruction set is available.
    #[inline(always)]
    unsafe fn sums<S: Simd, const N: usize, const R: usize>(&self, channel: usize) -> [[S::Register; R]; N] {
        let [depths, heights, widths] = self.taps;
        // SAFETY: the instruction set is available.
        let mut sums = unsafe { [[S::Register::zero(); R]; N] };
        let (mut x_depth, mut weight_depth) = (self.x.wrapping_add(channel), self.weight.wrapping_add(channel));
        for _ in 0..depths {
            let (mut x_height, mut weight_height) = (x_depth, weight_depth);
            for _ in 0..heights {
                let (mut x, mut weight) = (x_height, weight_height);
                for _ in 0..widths {
                    // SAFETY: as the caller promises.
                    unsafe { self.add::<S, N, R>(&mut sums, x, weight) };
                    x = x.wrapping_add(self.x_steps.width);
                    weight = weight.wrapping_add(self.weight_steps.width);
                }
                x_height = x_height.wrapping_add(self.x_steps.height);
                weight_height = weight_height.wrapping_add(self.weight_steps.height);
            }
            x_depth = x_depth.wrapping_add(self.x_steps.depth);
            weight_depth = weight_depth.wrapping_add(self.weight_steps.depth);
        }
        sums
    }

    /// Asks for the inputs of the next `N` outputs in the lines that are new.
    #[inline(always)]
    fn fetch_next<S: Simd, const N: usize>(&self, channel: usize) {
        let [lines, pixels] = self.new;
        let mut line =
            self.x.wrapping_add((self.taps[1] - lines) * self.x_steps.height + (N + 1) * self.next + channel);
        for _ in 0..lines {
            let mut at = line;
            for _ in 0..N * pixels {
                S::Register::prefetch(at);
                at = at.wrapping_add(self.pixel);
            }
            line = line.wrapping_add(self.x_steps.height);
        }
    }

    /// Adds a tap's products.
    ///
    /// # Safety
    /// `R` registers are at `weight`, and at `x` and the inputs of the other outputs.
    #[inline(always)]
    unsafe fn add<S: Simd, const N: usize, const R: usize>(
        &self,
        sums: &mut [[S::Register; R]; N],
        x: *const f32,
        weight: *const f32,
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            for register in 0..R {
                let offset = register * S::WIDTH_F32;
                let weight = S::Register::load(weight.add(offset));
                for (output, sums) in sums.iter_mut().enumerate() {
                    let x = S::Register::load(x.add(output * self.next + offset));
                    sums[register] = sums[register].fma(weight, x);
                }
            }
        }
    }
}
