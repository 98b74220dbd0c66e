//! Where a direct convolution reads its input: the map itself, or lines of it between the padding's zeros.

use super::layout::padded;
use crate::conv::Conv;

/// How the pixels that a tile multiplies lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// One tap, one pixel after the other: an output pixel is the product of the input pixel at its place.
    Pixels,
    /// No padding: taps are read in the map.
    Map,
    /// Lines with their padding, the channels of a group without zeros between pixels.
    Field,
}

/// Floats from pixel to pixel, from line to line, and from one tap along the depth to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pitches {
    pub(super) pixel: usize,
    pub(super) line: usize,
    pub(super) depth: usize,
}

impl Source {
    pub(super) fn of(form: &Conv) -> Source {
        let met = |axis: usize| (form.out[axis].max(1) - 1) * form.stride[axis] + reach(form, axis);
        if form.before != [0; 3] || (0..3).any(|axis| met(axis) > form.size[axis]) {
            return Source::Field;
        }
        if form.taps() == 1 {
            return if form.stride == [1; 3] && form.out == form.size { Source::Pixels } else { Source::Map };
        }
        // Taps of a line that lie one after the other are one run of the sum; zeros between them would end it.
        let together = form.groups == 1 && form.inputs == padded(form.inputs);
        if together || form.kernel[2] == 1 { Source::Map } else { Source::Field }
    }
}

/// Inputs from the first tap of an axis to the last.
pub(super) fn reach(form: &Conv, axis: usize) -> usize {
    (form.kernel[axis].max(1) - 1) * form.dilation[axis] + 1
}

/// Inputs that `outputs` neighbors of an axis meet, from the first to the last.
pub(super) fn met(form: &Conv, axis: usize, outputs: usize) -> usize {
    (outputs.max(1) - 1) * form.stride[axis] + reach(form, axis)
}

/// The field of some lines: for each tap along the depth the lines from the first that is met to the last.
pub(super) struct Field<'a> {
    pub(super) form: &'a Conv,
    pub(super) x: &'a [f32],
    pub(super) pitches: Pitches,
    /// What stands for 0 in the padding.
    pub(super) zero: f32,
}

impl Field<'_> {
    /// Fills the field of the output lines `heights` (first, count) at `depth` of image `n` with the channels of a group.
    ///
    /// # Safety
    /// `to` has room for the field, which is this call's alone.
    pub(super) unsafe fn fill(&self, (n, group): (usize, usize), depth: usize, heights: (usize, usize), to: *mut f32) {
        let form = self.form;
        let [depths, lines, _] = form.size;
        for slice in 0..form.kernel[0] {
            let z = (depth * form.stride[0] + slice * form.dilation[0]).wrapping_sub(form.before[0]);
            for line in 0..met(form, 1, heights.1) {
                let y = (heights.0 * form.stride[1] + line).wrapping_sub(form.before[1]);
                // SAFETY: a line of the field.
                let to = unsafe {
                    let first = to.add(slice * self.pitches.depth + line * self.pitches.line);
                    std::slice::from_raw_parts_mut(first, self.pitches.line)
                };
                if z < depths && y < lines {
                    self.line((n * depths + z) * lines + y, group, to);
                } else {
                    to.fill(self.zero);
                }
            }
        }
    }

    /// Line number `line` of all images, between the zeros before and after it.
    fn line(&self, line: usize, group: usize, to: &mut [f32]) {
        let (form, columns) = (self.form, self.form.size[2]);
        let (channels, row) = (form.inputs, padded(form.groups * form.inputs));
        let before = (form.before[2] * channels).min(to.len());
        let (zeros, to) = to.split_at_mut(before);
        zeros.fill(self.zero);
        let count = (columns * channels).min(to.len());
        let (to, after) = to.split_at_mut(count);
        after.fill(self.zero);
        let from = &self.x[line * columns * row..][..columns * row];
        if channels == row {
            return to.copy_from_slice(&from[..count]);
        }
        for (to, from) in to.chunks_exact_mut(channels.max(1)).zip(from.chunks_exact(row)) {
            let from = &from[group * channels..][..channels];
            if channels < 16 {
                // So few that a call of memcpy would take longer.
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
            } else {
                to.copy_from_slice(from);
            }
        }
    }
}
