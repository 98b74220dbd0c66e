//! How long sums of products are cut. CPU and GPU follow the same rule, so their results have the same bits.

/// Terms of a block. A sum of products is cut into blocks of so many terms, in their order: each block is a chain of fused
/// multiply-adds that starts from 0, and the blocks' results are added in order.
///
/// The error of one chain grows with its length. With blocks of this length it stays within twice that of the best libraries at
/// any length; with blocks of 512 it does not from 256 to 1024 terms.
pub const K_BLOCK: usize = 256;

/// Taps of a block of a convolution's sum, which goes through the taps and, at each, through `channels`. A block ends with a
/// tap; a tap of more than [`K_BLOCK`] channels is cut into blocks of its own.
#[inline(always)]
pub const fn taps_in_block(channels: usize) -> usize {
    if channels == 0 || channels > K_BLOCK { 1 } else { K_BLOCK / channels }
}
