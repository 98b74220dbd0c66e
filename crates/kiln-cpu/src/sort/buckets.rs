//! Long rows of values, first put into buckets by their leading digit, each of which then stays in a core's cache.

use super::key::{Key, Sortable};
use super::select::{BUCKETS, DIGIT, counted};
use crate::operand::Output;
use crate::{Isa, team};

/// Sorts a row by all threads; `keys` and `spare` have its length. False where so many elements have the same leading digit that buckets
/// would not help, and nothing is written.
pub(super) fn sort_row<T: Sortable>(
    isa: Isa,
    out: &mut [T],
    x: &[T],
    (key, element): (impl Fn(T) -> T::Key + Copy + Sync, impl Fn(T::Key) -> T + Sync),
    keys: &mut [T::Key],
    spare: &mut [T::Key],
) -> bool {
    let shift = T::Key::BITS.saturating_sub(DIGIT);
    let parts: Vec<&[T]> = x.chunks(x.len().div_ceil(team::threads()).max(1)).collect();
    let mut places = counted(&parts, key, shift);
    // Where each part's keys of each bucket go, and where the buckets begin.
    let (mut starts, mut next) = (Vec::with_capacity(BUCKETS + 1), 0u32);
    for bucket in 0..BUCKETS {
        starts.push(next as usize);
        for counts in &mut places {
            next += std::mem::replace(&mut counts[bucket], next);
        }
    }
    starts.push(x.len());
    if starts.windows(2).any(|bucket| bucket[1] - bucket[0] > x.len() / 4) {
        return false;
    }
    let (out, keys, spare) = (Output::from_slice(out), Output::from_slice(keys), Output::from_slice(spare));
    team::parallel(parts.len(), |part| {
        let mut next = places[part].clone();
        for &x in parts[part] {
            let key = key(x);
            let place = &mut next[key.digit(shift, BUCKETS - 1)];
            debug_assert!((*place as usize) < keys.len());
            // SAFETY: the counts are those of these very elements, so each has a place of its own within the array.
            unsafe { *keys.first().add(*place as usize) = key };
            *place += 1;
        }
    });
    team::parallel(BUCKETS, |bucket| {
        let (first, length) = (starts[bucket], starts[bucket + 1] - starts[bucket]);
        // SAFETY: this bucket's own parts.
        let (out, keys, spare) =
            unsafe { (out.part(first, length), keys.part(first, length), spare.part(first, length)) };
        for (to, &key) in out.iter_mut().zip(T::Key::sorted(isa, keys, spare)) {
            *to = element(key);
        }
    });
    true
}
