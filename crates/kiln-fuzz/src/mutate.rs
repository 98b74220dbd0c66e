//! Random changes of an input, from a seed: the same seed gives the same inputs on every machine.

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Numbers at which sizes and counts go wrong.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    7,
    0x7f,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// A changed copy of `input`, of at most `longest` bytes; now and then it takes a part of `other` or one of `words`.
pub(crate) fn mutated(input: &[u8], other: &[u8], words: &[&[u8]], longest: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let end = at + random.below(bytes.len() - at + 1).min(64);
        match random.below(10) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => bytes[at] = random.next() as u8,
            3 => drop(bytes.drain(at..end)),
            4 => drop(bytes.splice(at..at, (0..=random.below(8)).map(|_| random.next() as u8).collect::<Vec<_>>())),
            5 => {
                let part = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                drop(bytes.splice(to..to, part));
            }
            6 | 7 => {
                // A number of 1, 2, 4 or 8 bytes, big- or little-endian.
                let width = 1 << random.below(4);
                let number = EDGES[random.below(EDGES.len())].wrapping_add((random.below(3) as u64).wrapping_sub(1));
                let (big, little) = (number.to_be_bytes(), number.to_le_bytes());
                let number = if random.below(2) == 0 { &big[8 - width..] } else { &little[..width] };
                if at + width <= bytes.len() {
                    bytes[at..at + width].copy_from_slice(number);
                }
            }
            8 if !words.is_empty() => {
                let word = words[random.below(words.len())];
                let over = if random.below(2) == 0 { at } else { end };
                drop(bytes.splice(at..over, word.iter().copied()));
            }
            _ => {
                let from = random.below(other.len() + 1);
                let to = from + random.below(other.len() - from + 1);
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
    bytes.truncate(longest);
    bytes
}
