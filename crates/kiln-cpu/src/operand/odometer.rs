//! Indices in row-major order.

/// Most axes that an odometer counts.
pub(crate) const MAX_RANK: usize = 8;

/// An index into a shape that counts up in row-major order, with the offset that it means.
pub(crate) struct Odometer {
    /// Sizes and strides of the axes that are left where neighbors that lie in memory like one, as those that broadcasting repeats, are
    /// counted as one: runs are longer.
    shape: [usize; MAX_RANK],
    strides: [isize; MAX_RANK],
    rank: usize,
    index: [usize; MAX_RANK],
    offset: isize,
}

impl Odometer {
    /// At element `start` in row-major order.
    pub(crate) fn at(shape: &[usize], strides: &[isize], start: usize) -> Self {
        let (mut sizes, mut steps, mut rank) = ([1; MAX_RANK], [0; MAX_RANK], 0);
        for (&size, &stride) in shape.iter().zip(strides).filter(|&(&size, _)| size != 1) {
            if rank > 0 && steps[rank - 1] == stride * size as isize {
                sizes[rank - 1] *= size;
            } else {
                sizes[rank] = size;
                rank += 1;
            }
            steps[rank - 1] = stride;
        }
        let (mut index, mut offset, mut rest) = ([0; MAX_RANK], 0, start);
        for axis in (0..rank).rev() {
            index[axis] = rest % sizes[axis].max(1);
            rest /= sizes[axis].max(1);
            offset += index[axis] as isize * steps[axis];
        }
        Odometer { shape: sizes, strides: steps, rank, index, offset }
    }

    /// Elements from the first to the present one.
    pub(crate) fn offset(&self) -> isize {
        self.offset
    }

    /// Goes `count` elements on, in runs along the last axis: `f(done before, offset, stride, length)`.
    #[inline]
    pub(crate) fn runs(&mut self, count: usize, mut f: impl FnMut(usize, isize, isize, usize)) {
        let Some(last) = self.rank.checked_sub(1) else {
            (0..count).for_each(|done| f(done, self.offset, 0, 1));
            return;
        };
        let (size, stride) = (self.shape[last], self.strides[last]);
        let mut done = 0;
        while done < count {
            let run = (size - self.index[last]).min(count - done);
            f(done, self.offset, stride, run);
            done += run;
            self.index[last] += run;
            self.offset += run as isize * stride;
            if self.index[last] == size {
                self.carry(last);
            }
        }
    }

    /// Axis `axis` has run full: back to 0, and one up before it.
    #[inline]
    fn carry(&mut self, mut axis: usize) {
        loop {
            self.offset -= self.index[axis] as isize * self.strides[axis];
            self.index[axis] = 0;
            if axis == 0 {
                return;
            }
            axis -= 1;
            self.index[axis] += 1;
            self.offset += self.strides[axis];
            if self.index[axis] < self.shape[axis] {
                return;
            }
        }
    }
}
