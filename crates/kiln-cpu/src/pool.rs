//! Maxima of windows over planes, and the way back.
//!
//! What is kept of a maximum is the number of its tap, in as few bytes as the kernel's size needs: one up to 256 taps, two up to
//! 65,536. Bytes lie as planes, the lowest ones of all outputs first.

mod windows;

use crate::operand::{Number, StoredAs};
use crate::{Isa, team};
use std::marker::PhantomData;
use std::ops::Range;
use windows::{Maxima, Windows, with_room};

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

/// Comparisons that are worth a second thread.
const PARALLEL: usize = 1 << 16;

impl Pool {
    /// Elements of an input plane.
    pub fn plane(&self) -> usize {
        self.size.iter().product()
    }

    /// Elements of an output plane.
    pub fn outputs(&self) -> usize {
        self.out.iter().product()
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Bytes that the number of a tap takes.
    pub fn tap_bytes(&self) -> usize {
        let most = self.taps().saturating_sub(1);
        (usize::BITS - most.leading_zeros()).div_ceil(8).max(1) as usize
    }

    /// The element of an axis that an output meets at a tap, if it meets one.
    fn at(&self, axis: usize, output: usize, tap: usize) -> Option<usize> {
        let at = (output * self.stride[axis] + tap * self.dilation[axis]).checked_sub(self.before[axis])?;
        (at < self.size[axis]).then_some(at)
    }

    /// The first tap along an axis at which an output meets an element.
    pub(crate) fn first_tap(&self, axis: usize, output: usize) -> usize {
        self.before[axis].saturating_sub(output * self.stride[axis]).div_ceil(self.dilation[axis])
    }

    /// # Panics
    /// A form that makes no sense, numbers beyond those of elements, windows that meet nothing.
    pub(crate) fn check(&self) {
        assert!((0..3).all(|axis| self.kernel[axis] * self.stride[axis] * self.dilation[axis] > 0), "a size of 0");
        for axis in 0..3 {
            let reach = |count: usize, step: usize| count.saturating_sub(1).checked_mul(step);
            let farthest = reach(self.out[axis], self.stride[axis])
                .zip(reach(self.kernel[axis], self.dilation[axis]))
                .and_then(|(output, tap)| output.checked_add(tap));
            let inside = self.size[axis].checked_add(self.before[axis]);
            assert!(farthest.is_some() && inside.is_some(), "sizes beyond all numbers");
            let meets = |output: usize| {
                let tap = self.first_tap(axis, output);
                tap < self.kernel[axis] && self.at(axis, output, tap).is_some()
            };
            assert!((0..self.out[axis]).all(meets), "a window that meets no element");
        }
        let most = |sizes: [usize; 3]| sizes.into_iter().try_fold(1_usize, usize::checked_mul);
        let counts = [self.size, self.out, self.kernel].map(most);
        assert!(counts.iter().all(Option::is_some), "sizes beyond all numbers");
        assert!(u32::try_from(self.taps()).is_ok(), "{} taps", self.taps());
    }
}

/// The number of planes that slices are of.
///
/// # Panics
/// Slices that do not fit each other.
fn planes(pool: &Pool, inputs: usize, outputs: usize, taps: Option<usize>) -> usize {
    pool.check();
    let planes = outputs.checked_div(pool.outputs()).unwrap_or(0);
    let fits = outputs == planes * pool.outputs() && (inputs == planes * pool.plane() || outputs == 0);
    let taps_fit = taps.is_none_or(|taps| taps == outputs * pool.tap_bytes());
    assert!(fits && taps_fit, "slices of {inputs} inputs, {outputs} outputs and {taps:?} bytes for {pool:?}");
    planes
}

/// Pieces that each task has to itself.
fn by_pieces(pieces: usize, work: usize, f: impl Fn(Range<usize>) + Sync) {
    if pieces.saturating_mul(work) < PARALLEL {
        return f(0..pieces);
    }
    let tasks = pieces.min(4 * team::threads());
    team::parallel(tasks, |task| f(task * pieces / tasks..(task + 1) * pieces / tasks));
}

/// An address that tasks on several threads write through, each elements of its own.
struct Shared<T>(*mut T, usize);
// SAFETY: only an address; each task takes elements of its own.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn new(of: &mut [T]) -> Self {
        Shared(of.as_mut_ptr(), of.len())
    }

    /// # Safety
    /// Nobody else has these elements.
    #[allow(clippy::mut_from_ref)] // each element once
    unsafe fn take(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.1);
        // SAFETY: inside, and the caller's alone.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(range.start), range.len()) }
    }
}

/// Numbers of taps, a byte plane after the other.
struct Taps {
    bytes: Shared<u8>,
    outputs: usize,
}

impl Taps {
    /// # Safety
    /// Nobody else has those of the outputs from `first` on.
    unsafe fn write(&self, first: usize, taps: &[u32]) {
        for byte in 0..self.bytes.1 / self.outputs {
            let at = byte * self.outputs + first;
            // SAFETY: as the caller promises.
            let to = unsafe { self.bytes.take(at..at + taps.len()) };
            for (to, tap) in to.iter_mut().zip(taps) {
                *to = (tap >> (8 * byte)) as u8;
            }
        }
    }
}

/// y (planes, out) = the largest x (planes, size) in each window: the first of equals, or the last NaN; and where `taps` are asked
/// for, (bytes, planes, out), the numbers of the taps that meet it.
///
/// # Panics
/// Slices that do not fit, a form that makes no sense, a window that meets no element.
pub fn max_pool<T: Number, X: StoredAs<T>>(isa: Isa, pool: &Pool, x: &[X], y: &mut [X], taps: Option<&mut [u8]>) {
    let planes = planes(pool, x.len(), y.len(), taps.as_deref().map(<[u8]>::len));
    if y.is_empty() {
        return;
    }
    let outputs = pool.outputs();
    let taps = taps.map(|taps| Taps { bytes: Shared::new(taps), outputs: planes * outputs });
    let (y, taps) = (Shared::new(y), taps.as_ref());
    let windows = Windows::new(pool, planes);
    let fields = windows.fields(planes);
    by_pieces(fields, planes * outputs * pool.taps() / fields, |fields| {
        with_room(|room| {
            isa.run(Maxima { windows: &windows, x, y: &y, planes, fields, taps, room, number: PhantomData })
        });
    });
}

/// dx (planes, size) = 0, plus dy (planes, out) where the taps (bytes, planes, out) meet x; what comes to one element is added in
/// the order of outputs.
///
/// # Panics
/// Slices that do not fit, a form that makes no sense, taps that no kernel has or that meet no element of the plane.
pub fn max_pool_grad<T: Number>(pool: &Pool, dx: &mut [T], dy: &[T], taps: &[u8]) {
    let planes = planes(pool, dx.len(), dy.len(), Some(taps.len()));
    if dy.is_empty() {
        return dx.fill(T::default());
    }
    let ([_, rows, columns], [_, k1, k2]) = (pool.size, pool.kernel);
    let flat =
        |at: [usize; 3]| (at[0].wrapping_mul(rows).wrapping_add(at[1])).wrapping_mul(columns).wrapping_add(at[2]);
    // From where the kernel begins, perhaps before the plane, to each of its taps; what no kernel has leads out of every plane.
    let mut steps = vec![usize::MAX / 2; pool.taps().max(256)];
    for (tap, step) in steps.iter_mut().enumerate().take(pool.taps()) {
        let tap = [tap / k2 / k1, tap / k2 % k1, tap % k2];
        *step = flat(std::array::from_fn(|axis| (tap[axis] * pool.dilation[axis]).wrapping_sub(pool.before[axis])));
    }
    // Where the kernel begins at each line's first output.
    let lines = (0..pool.out[0] * pool.out[1]).map(|line| [line / pool.out[1], line % pool.out[1]]);
    let begins: Vec<usize> = lines.map(|[p, q]| flat([p * pool.stride[0], q * pool.stride[1], 0])).collect();
    let (plane, outputs, bytes) = (pool.plane(), pool.outputs(), pool.tap_bytes());
    let dx = Shared::new(dx);
    by_pieces(planes, plane + outputs, |range| {
        for number in range {
            // SAFETY: the task's own plane.
            let dx = unsafe { dx.take(number * plane..(number + 1) * plane) };
            let first = number * outputs;
            let dy = &dy[first..][..outputs];
            if let (1, Some(steps)) = (bytes, steps.first_chunk::<256>()) {
                let taps = &taps[first..][..outputs];
                add_up(pool, dx, dy, &begins, taps.iter().map(|&tap| steps[usize::from(tap)]));
                continue;
            }
            let tap = |output: usize| {
                let byte = |byte: usize| usize::from(taps[byte * planes * outputs + output]) << (8 * byte);
                (0..bytes).map(byte).sum::<usize>()
            };
            let steps =
                (first..first + outputs).map(|output| steps.get(tap(output)).copied().unwrap_or(usize::MAX / 2));
            add_up(pool, dx, dy, &begins, steps);
        }
    });
}

/// dx = 0, plus each dy where its kernel begins and so many elements further.
fn add_up<T: Number>(pool: &Pool, dx: &mut [T], dy: &[T], begins: &[usize], steps: impl Iterator<Item = usize>) {
    dx.fill(T::default());
    let (columns, stride) = (pool.out[2], pool.stride[2]);
    let mut begins = begins.iter();
    let (mut begin, mut left) = (0, 0);
    for (&dy, step) in dy.iter().zip(steps) {
        if left == 0 {
            (begin, left) = (begins.next().copied().unwrap_or_default(), columns);
        }
        let dx = &mut dx[usize::wrapping_add(begin, step)];
        *dx = *dx + dy;
        (begin, left) = (begin.wrapping_add(stride), left - 1);
    }
}
