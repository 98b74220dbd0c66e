//! Random windows over random planes, and what meets what there.

use super::cases::{Cases, output, values_of};
use crate::{DType, Device, MAX_SPATIAL, Shape, Tensor, Window};

/// A window over a plane of these sizes, and the sizes of its output.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) spatial: usize,
    pub(super) window: Window,
    pub(super) from: [usize; MAX_SPATIAL],
    pub(super) to: [usize; MAX_SPATIAL],
}

impl Plane {
    /// A plane of `spatial` axes, each of which gives at least one output; where `full`, each window meets an element.
    pub(super) fn random(cases: &mut Cases, spatial: usize, full: bool) -> Self {
        loop {
            let mut window = Window::default();
            let mut from = [1; MAX_SPATIAL];
            for (axis, size) in from.iter_mut().enumerate().skip(MAX_SPATIAL - spatial) {
                window.kernel[axis] = [1, 2, 3, 3, 4, 5][cases.below(6)];
                window.stride[axis] = [1, 1, 2, 3][cases.below(4)];
                window.dilation[axis] = [1, 1, 1, 2, 3][cases.below(5)];
                if cases.chance(2) {
                    window.padding[axis] = (cases.below(4), cases.below(4));
                }
                *size = [1, 1, 2, 3, 4, 5, 7, 8, 9, 13, 17][cases.below(if spatial == 3 { 7 } else { 11 })];
            }
            let shape = Window::shape(&[1, 1], from, spatial).unwrap();
            let Ok(to) = window.output_sizes("conformance", &shape) else { continue };
            let plane = Plane { spatial, window, from, to };
            let met: Vec<usize> = plane.meetings().iter().map(|meeting| meeting[0]).collect();
            if !full || (0..plane.outputs()).all(|output| met.contains(&output)) {
                return plane;
            }
        }
    }

    /// A plane of these very numbers, over the last axes.
    pub(super) fn of(
        from: &[usize],
        kernel: &[usize],
        stride: usize,
        dilation: usize,
        (before, after): (usize, usize),
    ) -> Self {
        let spatial = from.len();
        let own = MAX_SPATIAL - spatial..MAX_SPATIAL;
        let mut plane = Plane { spatial, window: Window::default(), from: [1; MAX_SPATIAL], to: [1; MAX_SPATIAL] };
        plane.from[own.clone()].copy_from_slice(from);
        plane.window.kernel[own.clone()].copy_from_slice(kernel);
        plane.window.stride[own.clone()].fill(stride);
        plane.window.dilation[own.clone()].fill(dilation);
        plane.window.padding[own].fill((before, after));
        plane.to = plane.window.output_sizes("conformance", &plane.shape_from(&[1, 1])).unwrap();
        plane
    }

    pub(super) fn inputs(&self) -> usize {
        self.from.iter().product()
    }

    pub(super) fn outputs(&self) -> usize {
        self.to.iter().product()
    }

    pub(super) fn shape_from(&self, leading: &[usize]) -> Shape {
        Window::shape(leading, self.from, self.spatial).unwrap()
    }

    pub(super) fn shape_to(&self, leading: &[usize]) -> Shape {
        Window::shape(leading, self.to, self.spatial).unwrap()
    }

    /// (output, tap, input): which output meets which input at which tap, each by its row-major number, in ascending order.
    pub(super) fn meetings(&self) -> Vec<[usize; 3]> {
        let flat = |at: [usize; 3], sizes: [usize; 3]| (at[0] * sizes[1] + at[1]) * sizes[2] + at[2];
        let places = |sizes: [usize; 3]| {
            (0..sizes.iter().product::<usize>())
                .map(move |i| [i / sizes[2] / sizes[1], i / sizes[2] % sizes[1], i % sizes[2]])
        };
        let window = &self.window;
        let mut meetings = Vec::new();
        for output in places(self.to) {
            for tap in places(window.kernel) {
                let place = |axis: usize| {
                    let padded = output[axis] * window.stride[axis] + tap[axis] * window.dilation[axis];
                    padded.checked_sub(window.padding[axis].0).filter(|&at| at < self.from[axis])
                };
                if let (Some(a), Some(b), Some(c)) = (place(0), place(1), place(2)) {
                    meetings.push([flat(output, self.to), flat(tap, window.kernel), flat([a, b, c], self.from)]);
                }
            }
        }
        meetings
    }
}

/// An output that lies inside a larger buffer, to see what is written beside it.
pub(super) struct Inside {
    whole: Tensor,
    pub(super) tensor: Tensor,
}

impl Inside {
    pub(super) fn new(cases: &mut Cases, shape: &Shape, dtype: DType, device: &Device) -> Self {
        let (before, after) = (cases.below(4), cases.below(40));
        let count = shape.elements();
        let whole = output(&Shape::new(&[before + count + after]).unwrap(), dtype, device);
        let tensor = whole.slice(0, before..before + count).unwrap().reshape(shape).unwrap();
        Inside { whole, tensor }
    }

    /// That nothing beside the output has changed.
    pub(super) fn check(&self, what: &str) {
        let before = self.tensor.layout().offset();
        let values = values_of(&self.whole);
        let beside = values[..before].iter().chain(&values[before + self.tensor.elements()..]);
        assert!(beside.into_iter().all(|&value| value == 77.0), "{what}: written beside the output");
    }
}
