//! Operands as runs of blocks.

use super::number::Number;
use super::odometer::Odometer;
use super::stored::Stored;
use super::strided::Strided;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Numbers in a block.
pub(crate) const BLOCK: usize = 512;

/// Room for a block on the stack. Not initialized: zeroing it would take longer than a small operation.
pub(crate) struct Room<T>(MaybeUninit<[T; BLOCK]>);

impl<T: Number> Room<T> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Room(MaybeUninit::uninit())
    }

    #[inline(always)]
    pub(crate) fn first(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }

    /// All of it, zeroed.
    #[inline]
    pub(crate) fn zeroed(&mut self) -> &mut [T; BLOCK] {
        self.0.write([T::default(); BLOCK])
    }
}

/// How the next block of an operand is obtained.
enum Way<T> {
    /// Contiguous and of the compute type: in place, from here on.
    InPlace(*const T),
    /// The same, but the elements are the output's: copied, since they are written while they are read.
    Aliased(*const T),
    /// One element that broadcasting repeats; whether the room is filled with it yet.
    Repeated(T, bool),
    /// Copied, from the index that the odometer shows.
    Copied(Odometer),
}

/// Blocks of an operand in row-major order, from some element on.
pub(crate) struct Blocks<'a, E: Stored> {
    first: *const E,
    way: Way<E>,
    /// Whether the room was initialized: conversions write to slices.
    ready: bool,
    /// Whose memory the operand is.
    of: PhantomData<&'a E>,
}

impl<'a, E: Stored> Blocks<'a, E> {
    /// From element `start` on; `output` is where the kernel's output begins, null where no operand can be it.
    #[inline]
    pub(crate) fn new(operand: Strided<'a, E>, start: usize, output: *const E) -> Self {
        let way = if E::IN_PLACE
            && let Some(slice) = operand.as_slice()
        {
            // SAFETY: `start` is at most the number of elements.
            let at = unsafe { slice.as_ptr().add(start) };
            if slice.as_ptr() == output { Way::Aliased(at) } else { Way::InPlace(at) }
        } else if let Some(value) = operand.as_scalar() {
            Way::Repeated(value, false)
        } else {
            Way::Copied(Odometer::at(operand.shape(), operand.strides(), start))
        };
        Blocks { first: operand.first_element(), way, ready: E::IN_PLACE, of: PhantomData }
    }

    /// The next `count` ≤ [`BLOCK`] elements, no more of them than the time before; good until the next call. `room` is the
    /// same one each time.
    #[inline]
    pub(crate) fn next<'r>(&mut self, count: usize, room: &'r mut Room<E::Compute>) -> &'r [E::Compute] {
        let to = room.first();
        match &mut self.way {
            Way::InPlace(at) => {
                let here = at.cast();
                // SAFETY: callers go through the operand's elements once; they are of the compute type (IN_PLACE), and a
                // kernel's operands live as long as its blocks.
                unsafe {
                    *at = at.add(count);
                    return std::slice::from_raw_parts(here, count);
                }
            }
            Way::Aliased(at) => {
                // SAFETY: as above; the room is apart from all operands.
                unsafe {
                    std::ptr::copy_nonoverlapping(at.cast(), to, count);
                    *at = at.add(count);
                }
            }
            Way::Repeated(value, filled) => {
                if !*filled {
                    // SAFETY: the room holds BLOCK ≥ count numbers; later calls ask for no more.
                    (0..count).for_each(|i| unsafe { to.add(i).write(value.load()) });
                    *filled = true;
                }
            }
            Way::Copied(odometer) => {
                if !self.ready {
                    room.zeroed();
                    self.ready = true;
                }
                let first = self.first;
                odometer.runs(count, |done, offset, stride, run| {
                    // SAFETY: the odometer stays within the shape, whose elements can be read, and within `count`.
                    unsafe {
                        let (from, to) = (first.offset(offset), to.add(done));
                        match stride {
                            1 if E::IN_PLACE => std::ptr::copy_nonoverlapping(from.cast(), to, run),
                            1 => E::load_all(
                                std::slice::from_raw_parts(from, run),
                                std::slice::from_raw_parts_mut(to, run),
                            ),
                            0 => {
                                let value = (*from).load();
                                (0..run).for_each(|i| to.add(i).write(value));
                            }
                            _ => (0..run).for_each(|i| to.add(i).write((*from.offset(i as isize * stride)).load())),
                        }
                    }
                });
            }
        }
        // SAFETY: `count` numbers have just been written there, or were by the first call.
        unsafe { std::slice::from_raw_parts(to, count) }
    }
}
