//! The state of the block that an OS thread simulates.

use super::fault::{SimFault, Site};
use super::launch::Geometry;
use super::shadow::SharedMemory;
use super::thread::{Thread, WARP};
use crate::Span;
use std::cell::{Cell, RefCell};
use std::panic::{Location, resume_unwind};
use std::sync::Arc;

/// Where threads wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// All threads of the block.
    Block,
    /// All threads of the warp, in the function of this name.
    Warp(&'static str),
}

/// A thread's waiting: two threads meet where both are equal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) meeting: Meeting,
    pub(crate) site: &'static Location<'static>,
}

impl PartialEq for Wait {
    fn eq(&self, other: &Wait) -> bool {
        // One call has one address in nearly all builds, which saves comparing file names.
        self.meeting == other.meeting && (std::ptr::eq(self.site, other.site) || self.site == other.site)
    }
}

/// What a thread gives to its warp. A lane may come to the next exchange before a slower one has read this one, but never
/// to the one after that: two values are enough.
#[derive(Default)]
struct Slot {
    values: [Cell<u64>; 2],
    turn: Cell<usize>,
}

/// Views that are remembered: more than most kernels have.
const FOUND: usize = 8;

/// One block of a launch, on one OS thread.
pub(crate) struct Block {
    pub(crate) kernel: &'static str,
    pub(crate) geometry: Geometry,
    pub(crate) index: Cell<[u32; 3]>,
    pub(crate) thread: Cell<Thread>,
    pub(crate) shared: RefCell<SharedMemory>,
    slots: Vec<Slot>,
    /// The memory that the launch was given.
    spans: Arc<[Span]>,
    /// The memory that this block was given by the entries of tables that it has read.
    given: RefCell<Vec<Span>>,
    /// Views that were found within both.
    found: [Cell<Option<Span>>; FOUND],
    /// The way out of the coroutine that runs now.
    #[cfg(feature = "sim")]
    pub(crate) yielder: Cell<*const corosensei::Yielder<(), Wait>>,
}

/// The values that the lanes of a warp gave to one exchange.
pub(crate) struct Exchanged<'a> {
    slots: &'a [Slot],
    turn: usize,
    /// Threads of this warp: fewer than 32 in a block's last.
    pub(crate) lanes: u32,
}

impl Exchanged<'_> {
    pub(crate) fn value(&self, lane: u32) -> u64 {
        self.slots[lane as usize].values[self.turn].get()
    }
}

impl Block {
    /// A block of a launch of this geometry that was given this memory; `shared` may have served another.
    pub(crate) fn new(kernel: &'static str, geometry: Geometry, spans: Arc<[Span]>, mut shared: SharedMemory) -> Block {
        let threads = geometry.threads_per_block() as usize;
        shared.fit(geometry.shared_bytes as usize, threads.div_ceil(WARP as usize));
        Block {
            kernel,
            geometry,
            index: Cell::default(),
            thread: Cell::default(),
            shared: RefCell::new(shared),
            slots: (0..threads).map(|_| Slot::default()).collect(),
            spans,
            given: RefCell::default(),
            found: Default::default(),
            #[cfg(feature = "sim")]
            yielder: Cell::new(std::ptr::null()),
        }
    }

    /// The place of the thread with this number.
    pub(crate) fn thread_index(&self, linear: u32) -> [u32; 3] {
        let [width, height, _] = self.geometry.block;
        [linear % width, linear / width % height, linear / width / height]
    }

    /// Goes on to the next thread, without the divisions of [`thread_index`](Self::thread_index).
    #[cfg(feature = "sim")]
    pub(crate) fn advance(&self, thread: &mut Thread) {
        let [width, height, _] = self.geometry.block;
        let [x, y, z] = &mut thread.index;
        thread.linear += 1;
        *x += 1;
        if *x == width {
            (*x, *y) = (0, *y + 1);
            if *y == height {
                (*y, *z) = (0, *z + 1);
            }
        }
    }

    /// Begins with a block: it has read no table yet.
    #[cfg(feature = "sim")]
    pub(crate) fn begin(&self, index: [u32; 3]) {
        self.index.set(index);
        self.shared.borrow_mut().begin();
        if !self.given.borrow().is_empty() {
            self.given.borrow_mut().clear();
            self.found.iter().for_each(|found| found.set(None));
        }
    }

    /// The block may use this memory from now on, as an entry of a table says.
    pub(crate) fn give(&self, span: Span) {
        let mut given = self.given.borrow_mut();
        if span.bytes > 0 && !given.contains(&span) {
            given.push(span);
        }
    }

    /// Stops where a view is not of memory that this launch was given: a kernel can have kept it from an earlier launch, whose memory
    /// may be gone.
    #[inline]
    pub(crate) fn check_view(&self, view: Span, site: &'static Location<'static>) {
        // Buffers lie at multiples of 256 bytes.
        let found = &self.found[(view.address >> 8) as usize % FOUND];
        if found.get() != Some(view) {
            if !self.spans.iter().chain(&*self.given.borrow()).any(|span| contains(span, &view)) {
                let how = if view.written { "writes" } else { "reads" };
                self.fault(format!("{how} through a view that its launch was not given"), site);
            }
            found.set(Some(view));
        }
    }

    /// Lets the other threads run until all whom the meeting concerns are at it.
    #[inline]
    pub(crate) fn wait(&self, meeting: Meeting, site: &'static Location<'static>) {
        #[cfg(feature = "sim")]
        {
            let (thread, yielder) = (self.thread.get(), self.yielder.get());
            // SAFETY: the scheduler sets the yielder before it runs a body, and it lives as long as the coroutine does.
            unsafe { &*yielder }.suspend(Wait { meeting, site });
            self.thread.set(thread);
            self.yielder.set(yielder);
        }
        #[cfg(not(feature = "sim"))]
        let _ = (meeting, site);
    }

    /// Gives a value to the warp; when all its lanes have, their values.
    #[inline]
    pub(crate) fn exchange(&self, meeting: Meeting, value: u64, site: &'static Location<'static>) -> Exchanged<'_> {
        let own = self.thread.get().linear as usize;
        let turn = self.slots[own].turn.get();
        self.slots[own].values[turn].set(value);
        self.slots[own].turn.set(1 - turn);
        self.wait(meeting, site);
        let first = own - own % WARP as usize;
        let slots = &self.slots[first..self.slots.len().min(first + WARP as usize)];
        Exchanged { slots, turn, lanes: slots.len() as u32 }
    }

    /// The fault of the thread that runs now.
    pub(crate) fn fault_here(&self, what: String, site: Option<Site>) -> SimFault {
        SimFault { kernel: self.kernel, block: self.index.get(), thread: self.thread.get().index, site, what }
    }

    /// Ends the launch with a fault: unwinds out of the thread's coroutine, past the panic hook.
    #[cold]
    pub(crate) fn fault(&self, what: String, site: &'static Location<'static>) -> ! {
        resume_unwind(Box::new(self.fault_here(what, Some(site.into()))))
    }
}

/// Whether a view may be used where this memory is given.
fn contains(given: &Span, view: &Span) -> bool {
    let end = |span: &Span| u128::from(span.address) + u128::from(span.bytes);
    given.address <= view.address && end(view) <= end(given) && (given.written || !view.written)
}

thread_local! {
    /// The block that this OS thread simulates.
    static CURRENT: Cell<*const Block> = const { Cell::new(std::ptr::null()) };
}

/// Whether a kernel runs on this OS thread.
#[inline]
pub(crate) fn inside() -> bool {
    CURRENT.try_with(|current| !current.get().is_null()).unwrap_or(false)
}

/// The block that runs on this OS thread.
#[inline]
pub(crate) fn current<R>(f: impl FnOnce(&Block) -> R) -> R {
    let block = CURRENT.with(Cell::get);
    if block.is_null() {
        outside();
    }
    // SAFETY: `enter` keeps the block alive while the pointer is set.
    f(unsafe { &*block })
}

// There is no thread whose index could be given, and nobody to whom an error could be returned.
#[allow(clippy::panic)]
#[cold]
fn outside() -> ! {
    panic!("a function of kernels was called outside of a kernel: launch the kernel on a simulator instead");
}

/// Runs `f` with this block as the current one.
#[cfg(feature = "sim")]
pub(crate) fn enter<R>(block: &Block, f: impl FnOnce() -> R) -> R {
    /// Leaves the block also where `f` panics.
    struct Leave(*const Block);
    impl Drop for Leave {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _leave = Leave(CURRENT.replace(block));
    f()
}

/// Ends the launch with a fault of the current thread.
#[cold]
pub(crate) fn fault(what: String, site: &'static Location<'static>) -> ! {
    current(|block| block.fault(what, site))
}
