//! Which inputs an output meets along one axis.

use super::Conv;

/// A tap of the kernel, as the outputs of an axis see it: output j meets input `j·step + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    pub(super) offset: isize,
    /// Its place in the kernel.
    pub(super) index: usize,
}

/// One axis of a correlation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// Outputs.
    pub(super) count: usize,
    /// Inputs from one output to the next.
    pub(super) step: usize,
    /// In the order of the kernel.
    pub(super) taps: Vec<Tap>,
    /// Where output j is written: `first + j·apart`.
    pub(super) first: usize,
    pub(super) apart: usize,
}

impl Axis {
    /// y from x.
    pub(super) fn forward(conv: &Conv, axis: usize) -> Axis {
        let reach = |index: usize| (index * conv.dilation[axis]) as isize - conv.before[axis] as isize;
        let taps = (0..conv.kernel[axis]).map(|index| Tap { offset: reach(index), index }).collect();
        Axis { count: conv.out[axis], step: conv.stride[axis], taps, first: 0, apart: 1 }
    }

    /// dx from dy: input i takes from outputs p where p·stride + index·dilation − before = i. Inputs whose i + before leave
    /// the same rest by the stride meet the same taps, one output further on from each to the next.
    pub(super) fn backward(conv: &Conv, axis: usize) -> Vec<Axis> {
        let (stride, before, size) = (conv.stride[axis], conv.before[axis], conv.size[axis]);
        let class = |first: usize| {
            let reached = |index: usize| (first + before) as isize - (index * conv.dilation[axis]) as isize;
            let taps = (0..conv.kernel[axis])
                .filter(|&index| reached(index).rem_euclid(stride as isize) == 0)
                .map(|index| Tap { offset: reached(index).div_euclid(stride as isize), index })
                .collect();
            Axis { count: (size - first).div_ceil(stride), step: 1, taps, first, apart: stride }
        };
        (0..stride.min(size)).map(class).collect()
    }

    /// The smallest and the largest offset.
    pub(super) fn reach(&self) -> (isize, isize) {
        let offsets = self.taps.iter().map(|tap| tap.offset);
        (offsets.clone().min().unwrap_or(0), offsets.max().unwrap_or(0))
    }

    /// Inputs from the first that outputs `0..count` meet to the last.
    pub(super) fn met(&self, count: usize) -> usize {
        let (low, high) = self.reach();
        count.saturating_sub(1) * self.step + (high - low) as usize + 1
    }

    /// The input that an output meets by a tap, if it is one of `size`.
    pub(super) fn input(&self, output: usize, tap: Tap, size: usize) -> Option<usize> {
        let at = (output * self.step) as isize + tap.offset;
        (at >= 0 && at < size as isize).then_some(at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that meet, as (output, tap, input), by both descriptions.
    #[test]
    fn backward_turns_forward_round() {
        for (size, kernel, stride, dilation, before, after) in [
            (7, 3, 1, 1, 1, 1),
            (8, 3, 2, 1, 0, 1),
            (9, 4, 3, 2, 2, 0),
            (5, 1, 3, 1, 0, 0),
            (2, 5, 1, 1, 4, 2),
            (6, 2, 4, 3, 0, 0),
        ] {
            let out = (size + before + after - (kernel - 1) * dilation - 1) / stride + 1;
            let conv = Conv {
                batch: 1,
                groups: 1,
                inputs: 1,
                outputs: 1,
                size: [1, 1, size],
                out: [1, 1, out],
                kernel: [1, 1, kernel],
                stride: [1, 1, stride],
                dilation: [1, 1, dilation],
                before: [0, 0, before],
            };
            let axis = Axis::forward(&conv, 2);
            let mut met = Vec::new();
            for output in 0..out {
                for &tap in &axis.taps {
                    met.extend(axis.input(output, tap, size).map(|input| (output, tap.index, input)));
                }
            }
            let mut back = Vec::new();
            for axis in Axis::backward(&conv, 2) {
                for j in 0..axis.count {
                    for &tap in &axis.taps {
                        let input = axis.first + j * axis.apart;
                        back.extend(axis.input(j, tap, out).map(|output| (output, tap.index, input)));
                    }
                }
            }
            back.sort_unstable();
            assert_eq!(met, back);
        }
    }
}
