//! The tokens of a piece of text by known pairs.

use super::{Joined, NONE, Pair};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// A token with its neighbors' places. A token that was joined to the one before is `GONE`.
struct Link {
    token: u32,
    before: Option<usize>,
    after: Option<usize>,
}

/// Neither a token nor a byte without one.
const GONE: u32 = NONE - 1;

/// Adds what becomes of a piece's tokens where pairs are joined: of all that are there the one of the lowest rank, and of equal ones
/// the first, again and again. That takes n log n steps of n tokens.
pub(super) fn join(piece: impl Iterator<Item = u32>, pairs: &HashMap<Pair, Joined>, to: &mut Vec<u32>) {
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
fn consider(links: &[Link], at: usize, pairs: &HashMap<Pair, Joined>, waiting: &mut BinaryHeap<Reverse<(u32, usize)>>) {
    let Some(after) = links[at].after else { return };
    if let Some(joined) = pairs.get(&(links[at].token, links[after].token)) {
        waiting.push(Reverse((joined.rank, at)));
    }
}
