//! Small planes: a table says which elements all outputs meet, tap after tap.

use super::{Pool, Taps};
use crate::operand::Number;
use crate::{Kernel, Simd};

/// Outputs that are computed at once.
const LANES: usize = 16;

/// For a group of outputs, the places in the plane that they meet at a tap, and the numbers of the taps. A tap in the padding is
/// given those of the one before it, or of the first that meets something: it changes nothing.
#[derive(Clone, Copy)]
struct Meeting {
    place: [u32; LANES],
    tap: [u32; LANES],
}

/// The meetings of all outputs of a plane: of each group, tap after tap.
pub(super) struct Places {
    groups: Vec<Meeting>,
    taps: usize,
}

impl Places {
    /// Of a form that has been checked.
    pub(super) fn new(pool: &Pool) -> Self {
        let (outputs, taps) = (pool.outputs(), pool.taps());
        let parts = |i: usize, of: [usize; 3]| [i / of[2] / of[1], i / of[2] % of[1], i % of[2]];
        let met = |output: usize, tap: usize| {
            let (p, k) = (parts(output, pool.out), parts(tap, pool.kernel));
            let mut place = 0;
            for axis in 0..3 {
                place = place * pool.size[axis] + pool.at(axis, p[axis], k[axis])?;
            }
            Some((place as u32, tap as u32))
        };
        let mut groups = vec![Meeting { place: [0; LANES], tap: [0; LANES] }; outputs.div_ceil(LANES) * taps];
        for output in 0..outputs {
            let mut last = (0..taps).find_map(|tap| met(output, tap)).unwrap_or((0, 0));
            for tap in 0..taps {
                last = met(output, tap).unwrap_or(last);
                let (group, lane) = (&mut groups[output / LANES * taps + tap], output % LANES);
                (group.place[lane], group.tap[lane]) = last;
            }
        }
        Places { groups, taps }
    }
}

/// The maxima of one plane; `first` is its first output's number among those of all planes.
pub(super) struct Group<'a, T> {
    pub(super) places: &'a Places,
    pub(super) x: &'a [T],
    pub(super) y: &'a mut [T],
    pub(super) first: usize,
    pub(super) taps: Option<&'a Taps>,
}

impl<T: Number> Kernel for Group<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        match self.taps {
            Some(taps) => self.maxima::<true>(|first, tap| {
                // SAFETY: the plane is this task's, and so are its outputs' taps.
                unsafe { taps.write(first, tap) }
            }),
            None => self.maxima::<false>(|_, _| {}),
        }
    }
}

impl<T: Number> Group<'_, T> {
    #[inline(always)]
    fn maxima<const TAPS: bool>(self, mut keep: impl FnMut(usize, &[u32])) {
        let Group { places, x, y, first, .. } = self;
        for (number, group) in places.groups.chunks_exact(places.taps).enumerate() {
            // SAFETY: places are those of elements of the plane, whose length was checked; lanes without an output have the first.
            let at = |place: u32| unsafe { *x.get_unchecked(place as usize) };
            let mut tap = group[0].tap;
            // Nothing is above −∞ where all are: it stays with the first.
            let mut best = [T::from_f64(f64::NEG_INFINITY); LANES];
            for next in group {
                for i in 0..LANES {
                    let value = at(next.place[i]);
                    #[allow(clippy::eq_op)] // NaN differs from itself
                    let better = (value > best[i]) | (value != value);
                    best[i] = if better { value } else { best[i] };
                    if TAPS {
                        tap[i] = if better { next.tap[i] } else { tap[i] };
                    }
                }
            }
            let at = number * LANES;
            let count = LANES.min(y.len() - at);
            y[at..at + count].copy_from_slice(&best[..count]);
            if TAPS {
                keep(first + at, &tap[..count]);
            }
        }
    }
}
