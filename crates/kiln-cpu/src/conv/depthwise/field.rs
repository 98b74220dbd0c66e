//! Planes between their zeros.

use super::super::taps::Axis;
use super::super::{Conv, Float};
use crate::Simd;
use crate::gemm::scratch::ScratchBuffer;
use crate::reduce::LANES;

/// As `to.copy_from_slice(from)`, of lines so short that the call would take longer.
pub(super) fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    /// In blocks; the last one over some of the one before.
    fn blocks<T: Copy, const N: usize>(to: &mut [T], from: &[T]) {
        for at in (0..from.len()).step_by(N) {
            let at = at.min(from.len() - N);
            if let (Some(to), Some(from)) = (to[at..].first_chunk_mut::<N>(), from[at..].first_chunk()) {
                *to = *from;
            }
        }
    }
    match from.len() {
        64.. => to.copy_from_slice(from),
        16.. => blocks::<T, 16>(to, from),
        8.. => blocks::<T, 8>(to, from),
        4.. => blocks::<T, 4>(to, from),
        _ => to.iter_mut().zip(from).for_each(|(to, &from)| *to = from),
    }
}

/// How a plane is laid out for the outputs of three axes.
pub(super) struct Field<'a> {
    pub(super) axes: &'a [Axis; 3],
    /// Size of the plane.
    size: [usize; 3],
    /// Lines of the field: depth × height × what the stride passes over.
    rows: [usize; 3],
    /// Elements of a line: the outputs in whole lanes, and what taps reach beyond.
    line: usize,
    /// What a line of each phase takes of a line of the plane.
    phases: Vec<Phase>,
    /// For each tap that there is, in the order of the kernel: its place there, and where it meets the first output.
    pub(super) taps: Vec<(usize, usize)>,
}

/// What the line of one phase of the stride takes of a line of the plane: `count` elements from `from` on, after so many zeros.
struct Phase {
    zeros: usize,
    from: usize,
    count: usize,
}

impl<'a> Field<'a> {
    pub(super) fn new(conv: &Conv, axes: &'a [Axis; 3], size: [usize; 3]) -> Self {
        let [deep, high, wide] = axes;
        let ((front, _), (top, _), (left, right)) = (deep.reach(), high.reach(), wide.reach());
        let rows = [deep.met(deep.count), high.met(high.count), wide.step];
        let line = wide.count.next_multiple_of(LANES) + (right - left) as usize / wide.step;
        let mut taps = Vec::new();
        for depth in &deep.taps {
            for height in &high.taps {
                for width in &wide.taps {
                    let index = (depth.index * conv.kernel[1] + height.index) * conv.kernel[2] + width.index;
                    let across = (width.offset - left) as usize;
                    let row = (depth.offset - front) as usize * rows[1] + (height.offset - top) as usize;
                    taps.push((index, (row * rows[2] + across % wide.step) * line + across / wide.step));
                }
            }
        }
        // Element j of a phase's line is number j·step + phase + left of the plane's.
        let phase = |phase: usize| {
            let first = phase as isize + left;
            let zeros = ((-first).max(0) as usize).div_ceil(wide.step).min(line);
            let from = ((first + (zeros * wide.step) as isize).max(0) as usize).min(size[2]);
            Phase { zeros, from, count: (size[2] - from).div_ceil(wide.step).min(line - zeros) }
        };
        let phases = (0..wide.step).map(phase).collect();
        Field { axes, size, rows, line, phases, taps }
    }

    pub(super) fn elements(&self) -> usize {
        self.rows.iter().product::<usize>() * self.line
    }

    /// Where the first output of line number `line` meets the field, by a tap at 0.
    pub(super) fn start(&self, line: usize) -> usize {
        let [deep, high, _] = self.axes;
        let row = line / high.count * deep.step * self.rows[1] + line % high.count * high.step;
        row * self.rows[2] * self.line
    }

    pub(super) fn lines(&self) -> usize {
        self.axes[0].count * self.axes[1].count
    }

    /// Room for a line of outputs.
    pub(super) fn row<T: Float>(&self) -> Vec<T> {
        vec![T::default(); self.axes[2].count.next_multiple_of(LANES)]
    }

    /// Room for planes, all zeros.
    pub(super) fn zeros<'b, T: Float>(&self, buffer: &'b mut ScratchBuffer) -> &'b mut [T] {
        let count = self.elements();
        let field: *mut T = buffer.room(count);
        // SAFETY: the buffer has room for so many numbers, of which 0 is all bits 0.
        unsafe {
            field.write_bytes(0, count);
            std::slice::from_raw_parts_mut(field, count)
        }
    }

    /// Lays out a plane where another one was, or zeros: what is between the lines stays.
    pub(super) fn fill<T: Float>(&self, plane: &[T], field: &mut [T]) {
        let [deep, high, wide] = self.axes;
        let [depths, heights, widths] = self.size;
        let ((front, _), (top, _)) = (deep.reach(), high.reach());
        let inside = |at: isize, size: usize| usize::try_from(at).ok().filter(|&at| at < size);
        for (row, lines) in field.chunks_exact_mut(self.rows[2] * self.line).enumerate() {
            let depth = inside((row / self.rows[1]) as isize + front, depths);
            let height = inside((row % self.rows[1]) as isize + top, heights);
            let Some((depth, height)) = depth.zip(height) else { continue };
            let source = &plane[(depth * heights + height) * widths..][..widths];
            for (&Phase { zeros, from, count }, line) in self.phases.iter().zip(lines.chunks_exact_mut(self.line)) {
                let there = &mut line[zeros..zeros + count];
                if wide.step == 1 {
                    copy(there, &source[from..from + count]);
                } else {
                    there.iter_mut().zip(source[from..].iter().step_by(wide.step)).for_each(|(to, &x)| *to = x);
                }
            }
        }
    }
}

/// A register's worth of numbers at `at`.
///
/// # Safety
/// They are there.
#[inline(always)]
pub(super) unsafe fn lanes_at<T: Float, S: Simd>(x: &[T], at: usize) -> [T::In<S>; LANES] {
    debug_assert!(at + LANES <= x.len());
    // SAFETY: as the caller promises; there is no alignment to keep.
    let x: [T; LANES] = unsafe { x.as_ptr().add(at).cast::<[T; LANES]>().read_unaligned() };
    x.map(T::enter::<S>)
}
