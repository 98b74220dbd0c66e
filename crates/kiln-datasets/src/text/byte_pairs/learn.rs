//! Learning which pairs of tokens are joined.

use super::{BYTES, ByPair, BytePairs, LONGEST, Pair, TOKEN_OF, pieces};
use crate::text::counts::Counts;
use kiln_tensor::{Error, ErrorKind, Result};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Counts the pieces of the texts that it sees.
pub(in crate::text) struct PairLearner {
    size: usize,
    counts: Counts,
}

impl PairLearner {
    pub(in crate::text) fn new(size: usize) -> Self {
        PairLearner { size, counts: Counts::default() }
    }

    pub(in crate::text) fn add(&mut self, text: &str) {
        pieces(text).for_each(|piece| self.counts.add(piece));
    }

    /// The vocabulary; `special` tokens are there beside it.
    pub(in crate::text) fn finish(self, special: usize) -> Result<BytePairs> {
        let smallest = BYTES as usize + special;
        let merges = self.size.checked_sub(smallest).ok_or_else(|| {
            let message = format!(
                "a vocabulary of {} tokens is too small: byte pairs need {smallest} or more, one for each byte",
                self.size
            );
            Error::value("Tokenizer", message)
        })?;
        let mut joined = Joined::new(&self.counts.into_sorted())?;
        while joined.merges.len() < merges && joined.join_next() {}
        BytePairs::new(joined.merges).map_err(|message| Error::new(ErrorKind::Format, "Tokenizer", message))
    }
}

/// The tokens of all different pieces, one piece after the other. Where tokens are joined, the first place has the new token, the
/// others are `GONE`. Pairs are tracked by place, so that joining one takes time by how often it occurs, not by the length of all.
struct Joined {
    tokens: Vec<u32>,
    before: Vec<u32>,
    after: Vec<u32>,
    /// How often the piece of each place is in the texts.
    counts: Vec<u64>,
    pairs: ByPair<Places>,
    /// Pairs by their counts, some of which are out of date: too high, never too low.
    waiting: BinaryHeap<(u64, Reverse<Pair>)>,
    /// Bytes of each token.
    lengths: Vec<usize>,
    merges: Vec<Pair>,
}

/// How often a pair is in the texts, and where it begins; some of these places are out of date.
#[derive(Default)]
struct Places {
    count: u64,
    starts: Vec<u32>,
}

const GONE: u32 = u32::MAX;
/// No place: before the first token of a piece and after its last.
const NONE: u32 = u32::MAX;

impl Joined {
    fn new(pieces: &[(Box<str>, u64)]) -> Result<Self> {
        let bytes: usize = pieces.iter().map(|(piece, _)| piece.len()).sum();
        if bytes >= NONE as usize {
            return Err(Error::value(
                "Tokenizer",
                format!("the different words of the texts have {bytes} bytes, 4 GiB or more"),
            ));
        }
        let mut joined = Joined {
            tokens: Vec::with_capacity(bytes),
            before: Vec::with_capacity(bytes),
            after: Vec::with_capacity(bytes),
            counts: Vec::with_capacity(bytes),
            pairs: ByPair::default(),
            waiting: BinaryHeap::new(),
            lengths: vec![1; BYTES as usize],
            merges: Vec::new(),
        };
        for (piece, count) in pieces {
            let (start, length) = (joined.tokens.len() as u32, piece.len() as u32);
            joined.tokens.extend(piece.bytes().map(|byte| u32::from(TOKEN_OF[usize::from(byte)])));
            joined.before.extend((start..start + length).map(|at| if at == start { NONE } else { at - 1 }));
            joined.after.extend((start + 1..=start + length).map(|at| if at == start + length { NONE } else { at }));
            joined.counts.extend(std::iter::repeat_n(*count, piece.len()));
            (start..start + length).for_each(|at| joined.found(at));
        }
        joined.waiting = joined.pairs.iter().map(|(&pair, places)| (places.count, Reverse(pair))).collect();
        Ok(joined)
    }

    /// The pair that begins at a place.
    fn pair(&self, at: u32) -> Option<Pair> {
        let after = self.after[at as usize];
        (after != NONE).then(|| (self.tokens[at as usize], self.tokens[after as usize]))
    }

    /// Counts the pair that begins at a place.
    fn found(&mut self, at: u32) {
        let Some(pair) = self.pair(at) else { return };
        let places = self.pairs.entry(pair).or_default();
        places.count += self.counts[at as usize];
        places.starts.push(at);
    }

    /// The pair that begins at a place will be no more.
    fn lost(&mut self, at: u32) {
        if let Some(places) = self.pair(at).and_then(|pair| self.pairs.get_mut(&pair)) {
            places.count -= self.counts[at as usize];
        }
    }

    /// Joins the most frequent pair, of equally frequent ones that of the smallest tokens; whether there is one that comes twice.
    fn join_next(&mut self) -> bool {
        while let Some((count, Reverse(pair))) = self.waiting.pop() {
            let now = self.pairs.get(&pair).map_or(0, |places| places.count);
            let length = self.lengths[pair.0 as usize] + self.lengths[pair.1 as usize];
            if now < 2 || length > LONGEST {
                continue;
            }
            if now == count {
                self.lengths.push(length);
                self.join(pair);
                return true;
            }
            self.waiting.push((now, Reverse(pair)));
        }
        false
    }

    /// Joins a pair wherever it is.
    fn join(&mut self, pair: Pair) {
        let token = BYTES + self.merges.len() as u32;
        self.merges.push(pair);
        // From left to right: of `aaa` the first two are joined. The pair is no more, so nobody counts it from now on.
        let mut starts = self.pairs.remove(&pair).unwrap_or_default().starts;
        starts.sort_unstable();
        let mut grown = Vec::new();
        for at in starts {
            if self.pair(at) != Some(pair) {
                continue;
            }
            let (before, second) = (self.before[at as usize], self.after[at as usize]);
            if before != NONE {
                self.lost(before);
            }
            self.lost(second);
            let next = self.after[second as usize];
            self.tokens[at as usize] = token;
            self.tokens[second as usize] = GONE;
            self.after[at as usize] = next;
            self.after[second as usize] = NONE;
            if next != NONE {
                self.before[next as usize] = at;
            }
            for start in [before, at].into_iter().filter(|&start| start != NONE) {
                self.found(start);
                grown.extend(self.pair(start));
            }
        }
        grown.sort_unstable();
        grown.dedup();
        let counted =
            grown.into_iter().map(|pair| (self.pairs.get(&pair).map_or(0, |places| places.count), Reverse(pair)));
        self.waiting.extend(counted.collect::<Vec<_>>());
    }
}
