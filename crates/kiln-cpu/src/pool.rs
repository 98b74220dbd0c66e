//! Maxima of windows over planes, and the way back.

use crate::operand::Number;
use crate::{Isa, Kernel, Simd, team};
use std::ops::Range;

/// The form of a pooling. Spatial axes are three; those that are absent have size 1, and a kernel of 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Size of an input plane.
    pub size: [usize; 3],
    /// Size of an output plane.
    pub out: [usize; 3],
    /// Taps.
    pub kernel: [usize; 3],
    /// From one output to the next.
    pub stride: [usize; 3],
    /// From one tap to the next.
    pub dilation: [usize; 3],
    /// What lies before each axis, and is never chosen.
    pub before: [usize; 3],
}

/// Outputs that are computed at once.
const LANES: usize = 16;
/// Comparisons that are worth a second thread.
const PARALLEL: usize = 1 << 16;

/// For groups of outputs, tap after tap, the places in the plane that they meet. A tap in the padding is given the place of
/// the one before it, or of the first that meets something: it changes nothing.
struct Places {
    groups: Vec<[u32; LANES]>,
    taps: usize,
}

impl Places {
    fn new(pool: &Pool) -> Self {
        let (outputs, taps) = (pool.out.iter().product::<usize>(), pool.kernel.iter().product::<usize>());
        let parts = |i: usize, of: [usize; 3]| [i / of[2] / of[1], i / of[2] % of[1], i % of[2]];
        let met = |output: usize, tap: usize| {
            let (p, k) = (parts(output, pool.out), parts(tap, pool.kernel));
            let mut place = 0;
            for axis in 0..3 {
                let at =
                    (p[axis] * pool.stride[axis] + k[axis] * pool.dilation[axis]).checked_sub(pool.before[axis])?;
                if at >= pool.size[axis] {
                    return None;
                }
                place = place * pool.size[axis] + at;
            }
            Some(place as u32)
        };
        let mut groups = vec![[0; LANES]; outputs.div_ceil(LANES) * taps];
        for output in 0..outputs {
            let mut last = (0..taps).find_map(|tap| met(output, tap)).unwrap_or(0);
            for tap in 0..taps {
                last = met(output, tap).unwrap_or(last);
                groups[output / LANES * taps + tap][output % LANES] = last;
            }
        }
        Places { groups, taps }
    }
}

/// The maxima of one plane.
struct Maxima<'a, T> {
    places: &'a Places,
    x: &'a [T],
    y: &'a mut [T],
    index: &'a mut [i64],
}

impl<T: Number> Kernel for Maxima<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Maxima { places, x, y, index } = self;
        for (number, group) in places.groups.chunks_exact(places.taps).enumerate() {
            let mut place = group[0];
            // SAFETY: places are those of elements of the plane, whose length was checked.
            let at = |place: u32| unsafe { *x.get_unchecked(place as usize) };
            let mut best = [T::default(); LANES];
            let mut first = true;
            for next in group {
                for i in 0..LANES {
                    let value = at(next[i]);
                    #[allow(clippy::eq_op)] // NaN differs from itself
                    let better = first | (value > best[i]) | (value != value);
                    best[i] = if better { value } else { best[i] };
                    place[i] = if better { next[i] } else { place[i] };
                }
                first = false;
            }
            let at = number * LANES;
            let count = LANES.min(y.len() - at);
            y[at..at + count].copy_from_slice(&best[..count]);
            for (index, place) in index[at..at + count].iter_mut().zip(place) {
                *index = i64::from(place);
            }
        }
    }
}

/// Pieces of planes that each task has to itself.
fn by_planes(planes: usize, work: usize, f: impl Fn(Range<usize>) + Sync) {
    if planes * work < PARALLEL {
        return f(0..planes);
    }
    let tasks = planes.min(4 * team::threads());
    team::parallel(tasks, |task| f(task * planes / tasks..(task + 1) * planes / tasks));
}

/// An address that tasks on several threads write through, each its own planes.
struct Planes<T>(*mut T, usize);
// SAFETY: only an address; each task takes planes of its own.
unsafe impl<T> Sync for Planes<T> {}

impl<T> Planes<T> {
    fn new(of: &mut [T], plane: usize) -> Self {
        Planes(of.as_mut_ptr(), plane)
    }

    /// # Safety
    /// The plane exists, and nobody else has it.
    #[allow(clippy::mut_from_ref)] // each plane once
    unsafe fn take(&self, number: usize) -> &mut [T] {
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(number * self.1), self.1) }
    }
}

/// y (planes, out) = the largest x (planes, size) in each window, `index` its place in the plane: the first of equals, or the last
/// NaN. Each window meets an element at least.
///
/// # Panics
/// Slices that do not fit the planes.
pub fn max_pool<T: Number>(isa: Isa, pool: &Pool, x: &[T], y: &mut [T], index: &mut [i64]) {
    let (plane, out) = (pool.size.iter().product::<usize>(), pool.out.iter().product::<usize>());
    if y.is_empty() {
        return;
    }
    let planes = y.len() / out;
    assert!(x.len() == planes * plane && y.len() == planes * out && index.len() == y.len(), "slices of other lengths");
    let places = Places::new(pool);
    let (y, index) = (Planes::new(y, out), Planes::new(index, out));
    by_planes(planes, out * places.taps, |range| {
        for number in range {
            // SAFETY: the task's own plane.
            let (y, index) = unsafe { (y.take(number), index.take(number)) };
            isa.run(Maxima { places: &places, x: &x[number * plane..][..plane], y, index });
        }
    });
}

/// dx (planes, `plane`) = 0, plus dy (planes, out) at `index`.
///
/// # Panics
/// Slices that do not fit, an index outside of the plane.
pub fn max_pool_grad<T: Number>(dx: &mut [T], dy: &[T], index: &[i64], plane: usize) {
    if dx.is_empty() {
        return;
    }
    let planes = dx.len() / plane;
    let out = dy.len() / planes;
    let dx = Planes::new(dx, plane);
    by_planes(planes, plane + out, |range| {
        for number in range {
            // SAFETY: the task's own plane.
            let dx = unsafe { dx.take(number) };
            dx.fill(T::default());
            for (&dy, &index) in dy[number * out..][..out].iter().zip(&index[number * out..][..out]) {
                let dx = &mut dx[index as usize];
                *dx = *dx + dy;
            }
        }
    });
}
