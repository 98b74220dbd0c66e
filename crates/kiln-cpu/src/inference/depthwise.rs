//! Depthwise convolutions: each channel under a kernel of its own, with the sums of [`conv::forward`](crate::conv::forward).

use super::epilogue::Target;
use super::field::reach;
use super::layout::{GROUP, padded};
use super::panels::part;
use crate::conv::Conv;
use crate::gemm::vector::Sums;
use crate::gemm::{equal_parts, worth_a_region};
use crate::{Isa, Kernel, Simd, team};
use kiln_math::K_BLOCK;
use std::ops::Range;

/// Whether a form is computed this way: one input and one output channel a group.
pub(super) fn suits(form: &Conv) -> bool {
    form.is_depthwise() && form.outputs == 1
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
                self.outputs::<S, 1>(&line, output, taps_met(form, 2, output));
            }
            for (first, count) in equal_parts(end - begin, 8) {
                let (first, all) = (begin + first, 0..form.kernel[2]);
                match count {
                    8 => self.outputs::<S, 8>(&line, first, all),
                    7 => self.outputs::<S, 7>(&line, first, all),
                    6 => self.outputs::<S, 6>(&line, first, all),
                    5 => self.outputs::<S, 5>(&line, first, all),
                    4 => self.outputs::<S, 4>(&line, first, all),
                    3 => self.outputs::<S, 3>(&line, first, all),
                    2 => self.outputs::<S, 2>(&line, first, all),
                    _ => self.outputs::<S, 1>(&line, first, all),
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

impl Part<'_> {
    /// `N` neighboring outputs of a line, which meet inputs by the same taps.
    #[inline(always)]
    fn outputs<S: Simd, const N: usize>(&self, line: &Line, output: usize, widths: Range<usize>) {
        let (form, target) = (self.form, self.target);
        let ([deep, high, wide], [_, rows, columns]) = (form.size, form.kernel);
        let (pixel, first) = (target.pitch, line.first + output);
        // SAFETY: the instruction set is the kernel's.
        let zero = unsafe { S::Register::zero() };
        for channel in self.channels.clone().step_by(S::WIDTH_F32) {
            let mut whole = [[zero; 1]; N];
            for block in (0..form.taps()).step_by(K_BLOCK) {
                let mut sums = [[zero; 1]; N];
                for depth in line.depths.clone() {
                    let z = line.depth * form.stride[0] + depth * form.dilation[0] - form.before[0];
                    for height in line.heights.clone() {
                        let y = line.height * form.stride[1] + height * form.dilation[1] - form.before[1];
                        let tap = (depth * rows + height) * columns;
                        let taps = widths.start.max(block.saturating_sub(tap))
                            ..widths.end.min((block + K_BLOCK).saturating_sub(tap));
                        for width in taps {
                            let x = output * form.stride[2] + width * form.dilation[2] - form.before[2];
                            let at = (((line.image * deep + z) * high + y) * wide + x) * pixel + channel;
                            // SAFETY: the first and the last of these inputs are in the map, as the taps meet them; a pixel has
                            // whole registers, and so have the weights of a tap. The instruction set is the kernel's.
                            unsafe {
                                let weight =
                                    S::Register::load(self.packed.as_ptr().add((tap + width) * pixel + channel));
                                let from = self.x.as_ptr().add(at);
                                for (i, sum) in sums.iter_mut().enumerate() {
                                    let x = S::Register::load(from.add(i * form.stride[2] * pixel));
                                    sum[0] = sum[0].fma(weight, x);
                                }
                            }
                        }
                    }
                }
                for (whole, sum) in whole.iter_mut().zip(sums) {
                    // SAFETY: the instruction set is the kernel's.
                    whole[0] = if block == 0 { sum[0] } else { unsafe { whole[0].add(sum[0]) } };
                }
            }
            // SAFETY: these channels of the outputs are this task's own; the steps' rows were checked.
            unsafe {
                target.fused.apply(&mut whole, channel, (first * pixel, pixel));
                for (i, sum) in whole.into_iter().enumerate() {
                    sum[0].store(target.y.add((first + i) * pixel + channel));
                }
            }
        }
        if target.has_more(&self.channels) {
            // SAFETY: as above.
            unsafe { target.finish::<S>(target.rest, first..first + N, self.channels.clone()) };
        }
    }
}
