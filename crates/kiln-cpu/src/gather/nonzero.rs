//! The positions of what is true.

use crate::operand::{BLOCK, MAX_RANK, Output};
use crate::{check, team};

/// Elements that are counted, and written, at a time.
const CHUNK: usize = 1 << 15;

/// Which elements of a mask are true: counted, so that there can be room for them.
pub struct Nonzero<'a> {
    mask: &'a [bool],
    /// How many are true before each chunk, and in all.
    starts: Vec<usize>,
}

impl<'a> Nonzero<'a> {
    /// Counts.
    pub fn new(mask: &'a [bool]) -> Self {
        let mut starts = vec![0; mask.len().div_ceil(CHUNK) + 1];
        let counts = Output::from_slice(&mut starts[1..]);
        team::parallel(counts.len(), |i| {
            let chunk = &mask[i * CHUNK..mask.len().min((i + 1) * CHUNK)];
            let mut count = 0;
            for block in chunk.chunks(128) {
                // As bytes, of which so many do not overflow one.
                count += usize::from(block.iter().map(|&on| u8::from(on)).sum::<u8>());
            }
            // SAFETY: this task's own count.
            let own = unsafe { counts.part(i, 1) };
            own[0] = count;
        });
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Nonzero { mask, starts }
    }

    /// How many are true.
    pub fn count(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Where they are, counted in row-major order, ascending.
    ///
    /// # Panics
    /// Where there is room for another number of them.
    pub fn write(&self, to: &mut [i64]) {
        self.each_block(1, to, |places, to| to.copy_from_slice(places));
    }

    /// Where they are as rows of indices of a shape, which has as many elements as the mask and at least one axis.
    ///
    /// # Panics
    /// Where there is room for another number of indices.
    pub fn write_indices(&self, shape: &[usize], to: &mut [i64]) {
        match shape {
            [] => {}
            [_] => self.write(to),
            [.., _] => self.each_block(shape.len(), to, |places, to| unravel(places, shape, to)),
        }
    }

    /// Calls `write(places, rows)` for places that follow one another and their rows of `rank` numbers.
    fn each_block(&self, rank: usize, to: &mut [i64], write: impl Fn(&[i64], &mut [i64]) + Sync) {
        check::length("nonzero", "out", to.len(), check::elements("nonzero", &[self.count(), rank]));
        let to = Output::from_slice(to);
        team::parallel(self.starts.len() - 1, |i| {
            let (start, end) = (self.starts[i], self.starts[i + 1]);
            // SAFETY: this chunk's own part of the output.
            let mut to = unsafe { to.part(start * rank, (end - start) * rank) };
            let first = i * CHUNK;
            let chunk = &self.mask[first..self.mask.len().min(first + CHUNK)];
            let mut places = [0; BLOCK];
            for (block, mask) in chunk.chunks(BLOCK).enumerate() {
                // All are put down, and those that are not meant are overwritten: no branch depends on the mask.
                let mut count = 0;
                for (place, &on) in mask.iter().enumerate() {
                    places[count] = (first + block * BLOCK + place) as i64;
                    count += usize::from(on);
                }
                let (now, rest) = to.split_at_mut(count * rank);
                write(&places[..count], now);
                to = rest;
            }
        });
    }
}

/// Ascending positions in row-major order as rows of indices.
fn unravel(positions: &[i64], shape: &[usize], to: &mut [i64]) {
    let Some((&size, leading)) = shape.split_last() else { return };
    let rank = shape.len();
    // Where the line of the last axis begins, and ends, that the last position was in.
    let (mut start, mut end) = (0, 0);
    let mut index = [0; MAX_RANK];
    let index = &mut index[..rank];
    for (row, &position) in to.chunks_exact_mut(rank).zip(positions) {
        if position >= end {
            let mut rest = position / size as i64;
            (start, end) = (rest * size as i64, (rest + 1) * size as i64);
            for (index, &size) in index.iter_mut().zip(leading).rev() {
                *index = rest % size as i64;
                rest /= size as i64;
            }
        }
        index[rank - 1] = position - start;
        row.copy_from_slice(index);
    }
}
