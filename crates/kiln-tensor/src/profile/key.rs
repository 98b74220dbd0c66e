//! What operations are added up by.

use super::place::Place;
use std::hash::{Hash, Hasher};
use std::ptr;

/// A kind of operation at a place. Names are told apart by where they lie: two of the same letters are added up by the report.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) operation: &'static str,
    pub(super) of: &'static str,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place && ptr::eq(self.operation, other.operation) && ptr::eq(self.of, other.of)
    }
}
impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.place.scope) << 8 | self.place.phase as u64);
        state.write_u64(self.operation.as_ptr() as u64);
        state.write_u64(self.of.as_ptr() as u64);
    }
}

/// A hash of a few nanoseconds: it is computed for every operation.
#[derive(Default)]
pub(super) struct Mix(u64);

impl Mix {
    pub(super) fn new(seed: u64) -> Mix {
        Mix(seed)
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|&word| self.write_u64(u64::from_le_bytes(word)));
        rest.iter().for_each(|&byte| self.write_u64(byte.into()));
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
