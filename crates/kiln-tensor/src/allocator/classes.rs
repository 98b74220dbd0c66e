//! The sizes that buffers have.

/// Alignment of every buffer: a cache line, and the widest vector register.
pub(super) const ALIGN: usize = 64;
/// Classes a power of two is cut into, so that at most a fifth of a buffer is unused.
pub(super) const STEPS: usize = 4;
/// Beyond any memory: 256 TiB.
pub(super) const LARGEST: usize = 1 << 48;
/// Classes: sizes from 64 bytes up to the largest.
pub(super) const CLASSES: usize = (LARGEST.ilog2() - ALIGN.ilog2()) as usize * STEPS + 1;

/// The class of a size, and the size that its buffers have: a quarter, two, three or four on from a power of two.
#[inline]
pub(super) fn class(bytes: usize) -> (usize, usize) {
    if bytes <= ALIGN {
        return (0, ALIGN);
    }
    let log = (bytes - 1).ilog2();
    let quarter = log - STEPS.ilog2();
    let step = quarter.max(ALIGN.ilog2());
    let over = (bytes - (1 << log)).next_multiple_of(1 << step);
    let class = (log - ALIGN.ilog2()) as usize * STEPS + (over >> quarter);
    (class, (1 << log) + over)
}

/// The size of the buffers of a class.
pub(super) fn size_of_class(class: usize) -> usize {
    let base = ALIGN << (class / STEPS);
    base + base / STEPS * (class % STEPS)
}
