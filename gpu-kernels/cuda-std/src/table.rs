//! Parameters in device memory, where a launch has more of them than it takes by value.

use crate::parameters::accessors;
use crate::{Parameter, Span};
use core::marker::PhantomData;

/// Entries of parameters in device memory, which a kernel reads by their number: an address and a length.
///
/// An entry may hold views, of a tensor among many for example. A thread that has read an entry may use its views, as if the launch
/// had been given them by value. The simulator checks the reads of the table and each access through its views, as it does those
/// of [`Global`](crate::Global).
///
/// ```
/// # #[cfg(feature = "sim")] {
/// use cuda_std::*;
///
/// kernel! {
///     /// Adds 1 to the first element of each of many buffers.
///     #[max_threads = 32]
///     pub fn increment(buffers: Table<GlobalMut<f32>>) {
///         let i = thread_idx_x() as usize;
///         if i < buffers.len() {
///             let buffer = buffers.get(i);
///             buffer.set(0, buffer.get(0) + 1.0);
///         }
///     }
/// }
///
/// let (mut a, mut b) = ([1.0f32], [2.0f32]);
/// let address = |buffer: &mut [f32; 1]| buffer.as_mut_ptr().expose_provenance() as u64;
/// // SAFETY: the simulator's memory is the host's; the buffers and their table outlive the launch.
/// let views = unsafe { [GlobalMut::<f32>::from_raw(address(&mut a), 1), GlobalMut::from_raw(address(&mut b), 1)] };
/// // SAFETY: as above, and the views are those of two live buffers.
/// let buffers = unsafe { Table::from_raw(views.as_ptr().expose_provenance() as u64, views.len()) };
/// increment { buffers }.launch(&Simulator::new(), Geometry::linear(1, 32))?;
/// assert_eq!([a, b], [[2.0], [3.0]]);
/// # }
/// # Ok::<(), cuda_std::LaunchError>(())
/// ```
#[derive(Debug)]
#[repr(C)]
pub struct Table<P> {
    address: u64,
    len: u64,
    entry: PhantomData<P>,
}

impl<P> Clone for Table<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Table<P> {}

impl<P: Parameter> Table<P> {
    /// The `len` entries at an address of the device.
    ///
    /// # Safety
    /// The address is a multiple of the entries' alignment. While a launch runs that was given the table, so many entries lie there
    /// as [`Table::bytes`] gave them, nothing writes them, and each view in them is what its own `from_raw` asks for.
    #[must_use]
    pub const unsafe fn from_raw(address: u64, len: usize) -> Self {
        Table { address, len: len as u64, entry: PhantomData }
    }

    accessors!("entries");

    /// The bytes of entries, as they lie in the device's memory.
    #[must_use]
    pub fn bytes(entries: &[P]) -> &[u8] {
        const { assert!(P::BYTES == size_of::<P>(), "a table's entries have padding after their last field") };
        // SAFETY: a parameter has no padding between its fields, nor after them, as is checked here.
        unsafe { core::slice::from_raw_parts(entries.as_ptr().cast(), size_of_val(entries)) }
    }
}

// SAFETY: two numbers of 64 bits.
unsafe impl<P: Parameter> Parameter for Table<P> {
    const BYTES: usize = size_of::<Self>();

    /// The table itself: the views in its entries are known where a thread reads them.
    fn views(&self, visit: &mut dyn FnMut(Span)) {
        let bytes = self.len.saturating_mul(size_of::<P>() as u64);
        visit(Span { address: self.address, bytes, written: false });
    }
}
