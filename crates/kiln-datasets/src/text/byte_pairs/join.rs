//! The tokens of a piece of text by known pairs.

use super::{Joined, NONE, Pairs};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A token with its neighbors' places. A token that was joined to the one before is `GONE`.
struct Link {
    token: u32,
    before: Option<usize>,
    after: Option<usize>,
}

/// Neither a token nor a byte without one.
const GONE: u32 = NONE - 1;

/// Pieces up to this are joined by looking at all of their tokens each time: words.
const SHORT: usize = 32;

/// Adds what becomes of a piece's tokens where pairs are joined: of all that are there the one of the lowest rank, and of equal ones
/// the first, again and again.
pub(super) fn join(piece: impl ExactSizeIterator<Item = u32>, pairs: &Pairs, to: &mut Vec<u32>) {
    match piece.len() {
        ..=SHORT => join_short(piece, pairs, to),
        _ => join_long(piece, pairs, to),
    }
}

/// Joins the last tokens of `to`, of a piece that is put there, in n² steps of n tokens.
fn join_short(piece: impl ExactSizeIterator<Item = u32>, pairs: &Pairs, to: &mut Vec<u32>) {
    let (start, mut count) = (to.len(), piece.len());
    to.extend(piece);
    let tokens = &mut to[start..];
    let pair = |tokens: &[u32], at: usize| pairs.get(&(tokens[at], tokens[at + 1])).copied().unwrap_or(Joined::NOT);
    // What becomes of the pair that begins at each token.
    let mut joined = [Joined::NOT; SHORT];
    for (at, joined) in joined.iter_mut().enumerate().take(count.saturating_sub(1)) {
        *joined = pair(tokens, at);
    }
    while count > 1 {
        let best = (0..count - 1).fold(0, |best, at| if joined[at].rank < joined[best].rank { at } else { best });
        if joined[best].rank == Joined::NOT.rank {
            break;
        }
        tokens[best] = joined[best].token;
        tokens.copy_within(best + 2..count, best + 1);
        joined.copy_within(best + 1..count, best);
        count -= 1;
        joined[count - 1] = Joined::NOT;
        for at in [best.wrapping_sub(1), best] {
            if at < count - 1 {
                joined[at] = pair(&tokens[..count], at);
            }
        }
    }
    to.truncate(start + count);
}

/// As [`join_short`], in n log n steps.
fn join_long(piece: impl Iterator<Item = u32>, pairs: &Pairs, to: &mut Vec<u32>) {
    let mut links: Vec<Link> =
        piece.enumerate().map(|(at, token)| Link { token, before: at.checked_sub(1), after: Some(at + 1) }).collect();
    let Some(last) = links.last_mut() else { return };
    last.after = None;
    let mut waiting = BinaryHeap::new();
    (0..links.len()).for_each(|at| consider(&links, at, pairs, &mut waiting));
    while let Some(Reverse((rank, at))) = waiting.pop() {
        // Since it was put here, one of the pair's tokens may have been joined to another.
        let Some(after) = links[at].after else { continue };
        let Some(joined) = pairs.get(&(links[at].token, links[after].token)).filter(|joined| joined.rank == rank)
        else {
            continue;
        };
        links[at].token = joined.token;
        links[at].after = links[after].after;
        links[after].token = GONE;
        if let Some(next) = links[at].after {
            links[next].before = Some(at);
        }
        consider(&links, at, pairs, &mut waiting);
        if let Some(before) = links[at].before {
            consider(&links, before, pairs, &mut waiting);
        }
    }
    to.extend(links.iter().map(|link| link.token).filter(|&token| token != GONE));
}

/// Puts the pair that begins at a place with those that wait, where there is such a pair.
fn consider(links: &[Link], at: usize, pairs: &Pairs, waiting: &mut BinaryHeap<Reverse<(u32, usize)>>) {
    let Some(after) = links[at].after else { return };
    if let Some(joined) = pairs.get(&(links[at].token, links[after].token)) {
        waiting.push(Reverse((joined.rank, at)));
    }
}

#[cfg(test)]
mod tests {
    use super::{Joined, Pairs, SHORT, join_long, join_short};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_ways_join_alike(
            piece in prop::collection::vec(0u32..4, 0..SHORT + 1), merges in prop::collection::vec((0u32..12, 0u32..12), 0..20),
        ) {
            let mut pairs = Pairs::default();
            for (rank, pair) in (0u32..).zip(merges) {
                pairs.entry(pair).or_insert(Joined { rank, token: 4 + rank % 10 });
            }
            let (mut short, mut long) = (vec![7], vec![7]);
            join_short(piece.iter().copied(), &pairs, &mut short);
            join_long(piece.into_iter(), &pairs, &mut long);
            prop_assert_eq!(short, long);
        }
    }
}
