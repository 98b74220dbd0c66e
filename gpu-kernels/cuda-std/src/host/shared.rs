//! Typed windows on a block's dynamic shared memory.

use super::block::{Block, current, fault};
use super::fault::Index;
use super::shadow::{Misuse, Touch};
use crate::{DeviceCopy, Vector4, Word};
use std::marker::PhantomData;
use std::panic::Location;

/// A window on the block's dynamic shared memory: `len` elements from a byte offset on.
///
/// Shared memory holds nothing when a block begins. What a thread writes others may read after a
/// [`sync_threads`](crate::sync_threads), and what they read it may overwrite after another one.
#[derive(Clone, Copy, Debug)]
pub struct Shared<T> {
    base: usize,
    len: usize,
    element: PhantomData<T>,
}

impl<T: DeviceCopy> Shared<T> {
    /// The window of `len` elements from `byte_offset` on, which is a multiple of the element's size.
    ///
    /// Windows may overlap. The launch's `shared_bytes` must reach to the end of each.
    #[must_use]
    #[track_caller]
    pub fn at(byte_offset: usize, len: usize) -> Self {
        let end = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(byte_offset));
        let held = current(|block| block.shared.borrow().len());
        if end.is_none_or(|end| end > held) {
            let what =
                format!("makes a window of {len} elements from byte {byte_offset} in {held} bytes of shared memory");
            fault(what, Location::caller());
        }
        if !byte_offset.is_multiple_of(size_of::<T>()) {
            let what = format!("makes a window of {}-byte elements from byte {byte_offset}", size_of::<T>());
            fault(what, Location::caller());
        }
        Shared { base: byte_offset, len, element: PhantomData }
    }

    /// Elements of the window.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the window has no elements.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Element `i`.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn get(&self, i: usize) -> T {
        let site = Location::caller();
        current(|block| self.read(block, i, site))
    }

    /// Writes element `i`.
    #[inline]
    #[track_caller]
    pub fn set(&self, i: usize, value: T) {
        let site = Location::caller();
        current(|block| self.write(block, i, value, site));
    }

    fn read(&self, block: &Block, i: usize, site: &'static Location<'static>) -> T {
        let at = self.touch(block, Touch::Read, i, site);
        self.load(block, at)
    }

    fn write(&self, block: &Block, i: usize, value: T, site: &'static Location<'static>) {
        let at = self.touch(block, Touch::Write, i, site);
        self.store(block, at, value);
    }

    fn load(&self, block: &Block, at: usize) -> T {
        let shared = block.shared.borrow();
        T::narrow(match size_of::<T>() {
            1 => u64::from(u8::from_le_bytes(shared.read(at))),
            2 => u64::from(u16::from_le_bytes(shared.read(at))),
            4 => u64::from(u32::from_le_bytes(shared.read(at))),
            _ => u64::from_le_bytes(shared.read(at)),
        })
    }

    fn store(&self, block: &Block, at: usize, value: T) {
        block.shared.borrow_mut().write(at, &value.widen().to_le_bytes()[..size_of::<T>()]);
    }

    /// Checks an access to element `i` and notes it in the shadow; the element's place in bytes.
    fn touch(&self, block: &Block, touch: Touch, i: usize, site: &'static Location<'static>) -> usize {
        let verb = match touch {
            Touch::Read => "reads",
            Touch::Write => "writes",
            Touch::Atomic => "adds to",
        };
        if i >= self.len {
            let len = self.len;
            block.fault(format!("{verb} element {i} of a shared window of {len}"), site);
        }
        let at = self.base + i * size_of::<T>();
        let misuse = block.shared.borrow_mut().touch(touch, at, size_of::<T>(), block.thread.get(), site);
        match misuse {
            Ok(()) => at,
            Err(Misuse::Uninitialized) => {
                block.fault(format!("{verb} shared element {i}, which no thread of the block has written"), site)
            }
            Err(Misuse::Race { verb: other, thread, site: place }) => {
                let thread = thread.map_or("another thread".to_owned(), |thread| {
                    format!("thread {}", Index(block.thread_index(thread)))
                });
                let place = place.map_or(String::new(), |place| format!(" at {place}"));
                block.fault(
                    format!("{verb} shared element {i}, which {thread} {other}{place}, without a barrier between"),
                    site,
                )
            }
        }
    }
}

impl<T: Word> Shared<T> {
    /// Elements 4 `group` to 4 `group` + 3 at once; the window must begin at a multiple of 16 bytes.
    #[must_use]
    #[track_caller]
    pub fn get4(&self, group: usize) -> Vector4<T> {
        let site = Location::caller();
        current(|block| {
            self.aligned(block, site);
            Vector4::from(std::array::from_fn(|i| self.read(block, 4 * group + i, site)))
        })
    }

    /// Writes elements 4 `group` to 4 `group` + 3 at once; the window must begin at a multiple of 16 bytes.
    #[track_caller]
    pub fn set4(&self, group: usize, value: Vector4<T>) {
        let site = Location::caller();
        current(|block| {
            self.aligned(block, site);
            for (i, value) in <[T; 4]>::from(value).into_iter().enumerate() {
                self.write(block, 4 * group + i, value, site);
            }
        });
    }

    fn aligned(&self, block: &Block, site: &'static Location<'static>) {
        if !self.base.is_multiple_of(16) {
            let base = self.base;
            block.fault(
                format!("takes four elements at once from a shared window at byte {base}, not a multiple of 16"),
                site,
            );
        }
    }
}

impl Shared<u32> {
    /// Adds to element `i` as one step, and gives the sum it had before; the sum wraps.
    #[track_caller]
    pub fn atomic_add(&self, i: usize, value: u32) -> u32 {
        let site = Location::caller();
        current(|block| {
            let at = self.touch(block, Touch::Atomic, i, site);
            let before = self.load(block, at);
            self.store(block, at, before.wrapping_add(value));
            before
        })
    }
}
