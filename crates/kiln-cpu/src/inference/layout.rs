//! NHWC maps from planes, and back.

use super::slots::Place;
use crate::gemm::GemmFloat;
use crate::{Isa, Kernel, Simd, check, team};

/// Floats that a pixel's channels are padded to a multiple of: the widest register.
pub(super) const GROUP: usize = 16;
/// Pixels that are moved at a time: what they take stays in the first-level cache.
const PIXELS: usize = 64;
/// Floats that are worth a second thread.
const PARALLEL: usize = 1 << 15;
/// Up to so many channels a pixel is put together by itself: there are no blocks to transpose.
const FEW: usize = 4;

/// The floats of a pixel of so many channels: the next multiple of 16. The floats after the channels are 0.
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(GROUP)
}

/// The floats of a map of `batch` images of `pixels` pixels each.
///
/// # Panics
/// More floats than memory can hold.
pub fn map_len(batch: usize, channels: usize, pixels: usize) -> usize {
    check::elements("map_len", &[batch, pixels, padded(channels)])
}

/// A row of channels with the zeros of a pixel after them, as the steps of an [`Epilogue`](super::Epilogue) take it.
pub fn padded_row(row: &[f32]) -> Vec<f32> {
    let mut padded_row = row.to_vec();
    padded_row.resize(padded(row.len()), 0.0);
    padded_row
}

/// The images that a call is about.
///
/// # Panics
/// Slices that are not whole images of these sizes, or not as many.
fn images(function: &str, (channels, pixels): (usize, usize), planes: usize, map: usize) -> usize {
    let images = check::rows(function, "planes", planes, check::elements(function, &[channels, pixels]));
    check::length(function, "map", map, map_len(images, channels, pixels));
    images
}

/// Calls `part(image, first pixel, pixels)` for parts of all images, on the team where that pays.
fn by_parts(images: usize, (channels, pixels): (usize, usize), part: impl Fn(usize, usize, usize) + Sync) {
    let each = pixels.div_ceil(PIXELS);
    let one = |task: usize| {
        let first = task % each * PIXELS;
        part(task / each, first, PIXELS.min(pixels - first));
    };
    if images * pixels * padded(channels) < PARALLEL {
        (0..images * each).for_each(one);
    } else {
        team::parallel(images * each, one);
    }
}

/// Pixels of a few planes, `plane` floats from one plane to the next.
struct FewChannels<'a> {
    planes: &'a [f32],
    plane: usize,
    first: usize,
    to: &'a mut [f32],
}

impl Kernel for FewChannels<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let channels = self.planes.len() / self.plane;
        let (pixels, _) = self.to.as_chunks_mut::<GROUP>();
        for (pixel, to) in (self.first..).zip(pixels) {
            let mut row = [0.0; GROUP];
            for (channel, x) in row.iter_mut().enumerate().take(channels.min(FEW)) {
                *x = self.planes[channel * self.plane + pixel];
            }
            *to = row;
        }
    }
}

/// Planes (N, channels, pixels) become a map of as many images.
///
/// # Panics
/// Slices that are not whole images of these sizes, or not as many.
pub fn to_nhwc(isa: Isa, planes: &[f32], (channels, pixels): (usize, usize), map: &mut [f32]) {
    let images = images("to_nhwc", (channels, pixels), planes.len(), map.len());
    if pixels == 1 && channels > 0 {
        return map.chunks_exact_mut(padded(channels)).zip(planes.chunks_exact(channels)).for_each(|(to, from)| {
            let (row, padding) = to.split_at_mut(channels);
            row.copy_from_slice(from);
            padding.fill(0.0);
        });
    }
    let (row, kernels, to) = (padded(channels), f32::kernels(isa).0, Place(map.as_mut_ptr()));
    by_parts(images, (channels, pixels), |image, first, count| {
        let planes = &planes[image * channels * pixels..][..channels * pixels];
        let place = to.at((image * pixels + first) * row);
        if channels <= FEW {
            // SAFETY: these pixels are this part's own.
            let to = unsafe { std::slice::from_raw_parts_mut(place, count * row) };
            return isa.run(FewChannels { planes, plane: pixels, first, to });
        }
        // SAFETY: `count` pixels of each plane from `first` on are readable; the same pixels of the map are this part's own.
        unsafe {
            let from = planes.as_ptr().add(first);
            (kernels.transpose)(from, pixels as isize, count, (channels, row), place, row as isize);
        }
    });
}

/// A map becomes planes (N, channels, pixels).
///
/// # Panics
/// Slices that are not whole images of these sizes, or not as many.
pub fn from_nhwc(isa: Isa, map: &[f32], (channels, pixels): (usize, usize), planes: &mut [f32]) {
    let images = images("from_nhwc", (channels, pixels), planes.len(), map.len());
    if pixels == 1 && channels > 0 {
        let rows = map.chunks_exact(padded(channels)).zip(planes.chunks_exact_mut(channels));
        return rows.for_each(|(from, to)| to.copy_from_slice(&from[..channels]));
    }
    let (row, kernels, to) = (padded(channels), f32::kernels(isa).0, Place(planes.as_mut_ptr()));
    by_parts(images, (channels, pixels), |image, first, count| {
        let place = to.at(image * channels * pixels + first);
        let from = &map[(image * pixels + first) * row..][..count * row];
        // SAFETY: `count` pixels of the map are readable; the same pixels of each plane are this part's own.
        unsafe {
            (kernels.transpose)(from.as_ptr(), row as isize, channels, (count, count), place, pixels as isize);
        }
    });
}
