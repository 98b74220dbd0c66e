//! Images with the channels of a pixel adjacent.

use super::scratch::Place;
use crate::gemm::GemmFloat;
use crate::gemm::kernels::Kernels;

/// Part of an image, (channels, plane) where it lies.
pub(super) struct Image<'a, T> {
    pub(super) of: &'a [T],
    pub(super) channels: usize,
    pub(super) size: [usize; 3],
}

impl<T: GemmFloat> Image<'_, T> {
    fn plane(&self) -> usize {
        self.size.iter().product()
    }

    /// All pixels in order, `channels` numbers each.
    ///
    /// # Safety
    /// `to` has room for the image, and is this call's alone.
    pub(super) unsafe fn pixels(&self, kernels: &'static Kernels<T>, to: *mut T) {
        let (plane, channels) = (self.plane(), self.channels);
        // SAFETY: the image is (channels, plane); the destination has room for (plane, channels).
        unsafe {
            (kernels.transpose)(self.of.as_ptr(), plane as isize, plane, (channels, channels), to, channels as isize);
        }
    }

    /// A row of `width` pixels from `left` on (which may be negative) of the rows `(depth, height)`; zeros where there is
    /// none.
    ///
    /// # Safety
    /// `to` has room for the row, and is this call's alone.
    pub(super) unsafe fn row(
        &self,
        kernels: &'static Kernels<T>,
        (depth, height): (isize, isize),
        (left, width): (isize, usize),
        to: *mut T,
    ) {
        let (channels, [depths, heights, widths]) = (self.channels, self.size);
        let inside = |at: isize, size: usize| at >= 0 && at < size as isize;
        let end = (left + width as isize).clamp(0, widths as isize) as usize;
        let start = left.max(0) as usize;
        // SAFETY: within the row's room; the pixels from `start` to `end` are the image's.
        unsafe {
            if !inside(depth, depths) || !inside(height, heights) || start >= end {
                return std::slice::from_raw_parts_mut(to, width * channels).fill(T::default());
            }
            let lead = (start as isize - left) as usize;
            std::slice::from_raw_parts_mut(to, lead * channels).fill(T::default());
            let count = end - start;
            let src = self.of.as_ptr().add((depth as usize * heights + height as usize) * widths + start);
            let stride = self.plane() as isize;
            let place = to.add(lead * channels);
            (kernels.transpose)(src, stride, count, (channels, channels), place, channels as isize);
            let done = (lead + count) * channels;
            std::slice::from_raw_parts_mut(to.add(done), width * channels - done).fill(T::default());
        }
    }
}

/// Results with adjacent channels, to the planes that they belong to.
pub(super) struct Planes<T> {
    /// Result 0 of the image's pixel 0.
    pub(super) to: Place<T>,
    /// Elements from one plane to the next.
    pub(super) plane: usize,
}

impl<T: GemmFloat> Planes<T> {
    /// Pixel i of `pixels`, at `from + i·apart`, goes to pixel `place(i)` of `results` planes. The places follow one another
    /// where `adjacent`.
    ///
    /// # Safety
    /// The results are readable, the planes' pixels this call's alone.
    pub(super) unsafe fn store(
        &self,
        kernels: &'static Kernels<T>,
        (from, apart): (*const T, usize),
        (pixels, results): (usize, usize),
        (place, step): (usize, usize),
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            if step == 1 {
                let to = self.to.at(place);
                return (kernels.transpose)(from, apart as isize, results, (pixels, pixels), to, self.plane as isize);
            }
            for i in 0..pixels {
                for j in 0..results {
                    *self.to.at(j * self.plane + place + i * step) = *from.add(i * apart + j);
                }
            }
        }
    }
}
