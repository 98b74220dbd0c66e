//! Indices in row-major order.

/// Most axes that an odometer counts.
pub(crate) const MAX_RANK: usize = 8;

/// An index into a shape that counts up in row-major order, with the offset that it means.
pub(crate) struct Odometer<'a> {
    shape: &'a [usize],
    strides: &'a [isize],
    index: [usize; MAX_RANK],
    offset: isize,
}

impl<'a> Odometer<'a> {
    /// At element `start` in row-major order.
    pub(crate) fn at(shape: &'a [usize], strides: &'a [isize], start: usize) -> Self {
        let (mut index, mut offset, mut rest) = ([0; MAX_RANK], 0, start);
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis].max(1);
            rest /= shape[axis].max(1);
            offset += index[axis] as isize * strides[axis];
        }
        Odometer { shape, strides, index, offset }
    }

    /// Elements from the first to the present one.
    pub(crate) fn offset(&self) -> isize {
        self.offset
    }

    /// Goes `count` elements on, in runs along the last axis: `f(done before, offset, stride, length)`.
    #[inline]
    pub(crate) fn runs(&mut self, count: usize, mut f: impl FnMut(usize, isize, isize, usize)) {
        let Some(last) = self.shape.len().checked_sub(1) else {
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
