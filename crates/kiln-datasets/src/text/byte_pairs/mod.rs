//! A token for each byte, and for pairs of tokens that came often.

mod join;
mod learn;
mod split;

pub(super) use learn::PairLearner;

use join::join;
use split::pieces;
use std::collections::HashMap;
use std::ops::Range;

/// Tokens of one byte.
const BYTES: u32 = 256;
/// The bytes that a token may have.
const LONGEST: usize = 1 << 16;

/// Two tokens that follow one another.
type Pair = (u32, u32);

/// The token of a byte: first those that are printable in Latin-1, then the others, as in GPT-2's vocabulary.
const TOKEN_OF: [u8; 256] = {
    let mut tokens = [0; 256];
    let (mut next, mut pass) = (0u8, 0);
    while pass < 2 {
        let mut byte = 0;
        while byte < 256 {
            let printable = matches!(byte as u8, 33..=126 | 161..=172 | 174..=255);
            if printable == (pass == 0) {
                tokens[byte] = next;
                next = next.wrapping_add(1);
            }
            byte += 1;
        }
        pass += 1;
    }
    tokens
};

/// The byte of a token: the inverse of `TOKEN_OF`.
const BYTE_OF: [u8; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        letters[TOKEN_OF[byte] as usize] = byte as u8;
        byte += 1;
    }
    letters
};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct BytePairs {
    /// Token 256 + i stands for the pair i.
    merges: Vec<Pair>,
    ranks: HashMap<Pair, u32>,
}

impl BytePairs {
    /// With these pairs, or what is wrong with them.
    pub(super) fn new(merges: Vec<Pair>) -> Result<Self, String> {
        let mut ranks = HashMap::with_capacity(merges.len());
        let mut lengths = vec![1usize; BYTES as usize];
        for (rank, &(left, right)) in (0u32..).zip(&merges) {
            let wrong = |what: &str| Err(format!("pair {rank} of tokens, {left} and {right}, {what}"));
            let (Some(a), Some(b)) = (lengths.get(left as usize), lengths.get(right as usize)) else {
                return wrong("has a token that comes after it");
            };
            let length = a + b;
            if length > LONGEST {
                return wrong(&format!("has more than {LONGEST} bytes"));
            }
            lengths.push(length);
            if ranks.insert((left, right), rank).is_some() {
                return wrong("is there twice");
            }
        }
        Ok(BytePairs { merges, ranks })
    }

    pub(super) fn into_merges(self) -> Vec<Pair> {
        self.merges
    }

    pub(super) fn len(&self) -> usize {
        BYTES as usize + self.merges.len()
    }

    /// The tokens of a text.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        // A piece that came before has the tokens that it had there.
        let mut known: HashMap<&str, Range<usize>> = HashMap::new();
        for piece in pieces(text) {
            if let Some(range) = known.get(piece) {
                tokens.extend_from_within(range.clone());
                continue;
            }
            let start = tokens.len();
            join(of_bytes(piece), &self.ranks, &mut tokens);
            known.insert(piece, start..tokens.len());
        }
        tokens
    }

    /// Adds the bytes of a token, which there is.
    pub(super) fn write(&self, token: usize, to: &mut Vec<u8>) {
        let mut left = vec![token];
        while let Some(token) = left.pop() {
            match token.checked_sub(BYTES as usize) {
                None => to.push(BYTE_OF[token]),
                Some(rank) => {
                    let (first, second) = self.merges[rank];
                    left.extend([second as usize, first as usize]);
                }
            }
        }
    }
}

/// The tokens of a text's bytes.
fn of_bytes(text: &str) -> impl Iterator<Item = u32> {
    text.bytes().map(|byte| u32::from(TOKEN_OF[usize::from(byte)]))
}
