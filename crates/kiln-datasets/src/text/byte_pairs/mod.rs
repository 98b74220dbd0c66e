//! A token for each byte, and for pairs of tokens that came often.

mod bytes;
mod join;
mod learn;
mod letters;
mod split;
mod tokenizer_json;
mod vocabulary;

pub(super) use learn::PairLearner;
pub(super) use tokenizer_json::{other_kind, vocabulary};
pub(super) use vocabulary::Vocabulary;

use bytes::{BYTE_OF, BYTES, TOKEN_OF};
use join::join;
use kiln_tensor::{Error, ErrorKind, Result};
use split::pieces;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// The bytes that a token may have.
const LONGEST: usize = 1 << 16;
/// No token.
const NONE: u32 = u32::MAX;

/// Two tokens that follow one another.
type Pair = (u32, u32);

/// What a token stands for.
#[derive(Clone, PartialEq, Debug)]
enum Unit {
    Byte(u8),
    /// The tokens that it was joined of.
    Pair(Pair),
    /// A text that no pairs make.
    Text(Box<[u8]>),
}

/// What becomes of a pair.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Joined {
    /// Pairs of lower ranks are joined before.
    rank: u32,
    token: u32,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct BytePairs {
    units: Vec<Unit>,
    /// The token of each byte, or `NONE`.
    of_byte: Box<[u32; 256]>,
    joined: Pairs,
}

impl Joined {
    /// Of two tokens that no pair is made of.
    const NOT: Joined = Joined { rank: u32::MAX, token: NONE };
}

/// What becomes of pairs, by them.
type Pairs = ByPair<Joined>;

type ByPair<T> = HashMap<Pair, T, BuildHasherDefault<PairHasher>>;

/// A hash of two numbers that takes a multiplication: looking pairs up is most of encoding.
#[derive(Clone, Copy, Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(byte.into()));
    }

    fn write_u32(&mut self, number: u32) {
        // Of odd digits of the golden ratio; the multiplication moves what differs upward, the rotation to where tables look.
        self.0 = (self.0.rotate_left(29) ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

impl BytePairs {
    /// A vocabulary of all bytes in GPT-2's order, then these pairs, or what is wrong with them.
    pub(super) fn new(merges: Vec<Pair>) -> Result<Self, String> {
        let mut joined = Pairs::with_capacity_and_hasher(merges.len(), Default::default());
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
            if joined.insert((left, right), Joined { rank, token: BYTES + rank }).is_some() {
                return wrong("is there twice");
            }
        }
        let units = BYTE_OF.map(Unit::Byte).into_iter().chain(merges.into_iter().map(Unit::Pair)).collect();
        Ok(BytePairs { units, of_byte: Box::new(TOKEN_OF.map(u32::from)), joined })
    }

    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    /// The tokens of a text; none for a byte that has no token, which is an error unless `unknown` is allowed.
    pub(super) fn encode(&self, text: &str, unknown: bool) -> Result<Vec<Option<usize>>> {
        let mut tokens = Vec::new();
        // A piece that came before has the tokens that it had there.
        let mut known: HashMap<&str, Range<usize>> = HashMap::new();
        for piece in pieces(text) {
            if let Some(range) = known.get(piece) {
                tokens.extend_from_within(range.clone());
                continue;
            }
            let start = tokens.len();
            join(piece.bytes().map(|byte| self.of_byte[usize::from(byte)]), &self.joined, &mut tokens);
            if !unknown && tokens[start..].contains(&NONE) {
                return Err(self.lacks(piece));
            }
            known.insert(piece, start..tokens.len());
        }
        Ok(tokens.into_iter().map(|token| (token != NONE).then_some(token as usize)).collect())
    }

    #[cold]
    fn lacks(&self, piece: &str) -> Error {
        let byte = piece.bytes().find(|&byte| self.of_byte[usize::from(byte)] == NONE).unwrap_or_default();
        let message = format!(
            "{piece:?} has the byte {byte:#04x}, for which the vocabulary has no token: learn it with all 256 bytes, or call `with_unknown`"
        );
        Error::new(ErrorKind::Index, "Tokenizer", message)
    }

    /// Adds the bytes of a token, which there is.
    pub(super) fn write(&self, token: usize, to: &mut Vec<u8>) {
        let mut left = vec![token];
        while let Some(token) = left.pop() {
            match &self.units[token] {
                Unit::Byte(byte) => to.push(*byte),
                Unit::Text(text) => to.extend_from_slice(text),
                &Unit::Pair((first, second)) => left.extend([second as usize, first as usize]),
            }
        }
    }
}
