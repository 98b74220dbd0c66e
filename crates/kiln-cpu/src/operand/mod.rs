//! What elementwise kernels read and write: strided operands seen as runs of blocks.
//!
//! A kernel only ever meets contiguous blocks of 512 numbers. An operand that is contiguous lends them in place; one
//! that is strided, broadcast or of a half type is copied into a block on the stack first, which stays in the L1 cache.

mod blocks;
mod convert;
mod number;
mod odometer;
mod stored;
mod strided;

pub(crate) use blocks::{BLOCK, Blocks, Room};
pub use number::{InRegisters, Number};
pub(crate) use odometer::{MAX_RANK, Odometer};
pub use stored::{Stored, StoredAs};
pub(crate) use stored::{as_numbers, write_numbers};
pub use strided::{Output, Strided};
