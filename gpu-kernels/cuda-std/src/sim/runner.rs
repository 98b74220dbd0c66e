//! Runs one block: its threads are coroutines on one OS thread, and a meeting is a switch between them.
//!
//! A coroutine goes on with the next thread of the warp when its own has ended, so that threads which meet no other share one
//! coroutine and cost a call each. Where a thread waits, the next one gets a coroutine of its own.

use super::panics::fault_of;
use crate::host::block::{Block, Meeting, Wait, enter};
use crate::host::fault::{Index, SimFault, Site};
use crate::host::shadow::SharedMemory;
use crate::host::thread::{Thread, WARP};
use crate::host::warp::SYNC_WARP;
use crate::{Launch, Span};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Bytes of a simulated thread's stack; the system gives memory to what is touched of it.
const STACK: usize = 128 << 10;

type Fiber = Coroutine<(), Wait, (), DefaultStack>;

/// What became of a thread that was started.
enum State {
    Ended,
    Waits(Wait, Fiber),
}

/// What a runner needs that is costly to make.
#[derive(Default)]
pub(super) struct Memory {
    stacks: Vec<DefaultStack>,
    shared: SharedMemory,
}

/// Runs blocks of one launch, one after the other.
pub(super) struct Runner {
    block: Block,
    threads: Vec<State>,
    stacks: Vec<DefaultStack>,
}

impl Runner {
    /// A runner for blocks of this launch, which was given the memory `spans`, with what an earlier runner left.
    pub(super) fn new(launch: &Launch<'_>, spans: Arc<[Span]>, memory: Memory) -> Runner {
        let Memory { stacks, shared } = memory;
        let block = Block::new(launch.kernel().name(), launch.geometry(), spans, shared);
        Runner { block, threads: Vec::new(), stacks }
    }

    /// The memory, for another runner.
    pub(super) fn into_memory(self) -> Memory {
        Memory { stacks: self.stacks, shared: self.block.shared.into_inner() }
    }

    /// Runs the block of this index: `body` is called once for each of its threads.
    pub(super) fn run(&mut self, index: [u32; 3], body: &dyn Fn()) -> Result<(), Box<SimFault>> {
        let Runner { block, threads, stacks } = self;
        let block = &*block;
        block.begin(index);
        let unstarted = Unstarted { next: Cell::new(0), end: Cell::new(0) };
        let mut running = Running { block, unstarted: &unstarted, body, threads, stacks };
        enter(block, || {
            let result = catch_unwind(AssertUnwindSafe(|| running.run()));
            running.end();
            result.unwrap_or_else(|payload| Err(fault_of(payload, block)))
        })
    }
}

/// The threads of the current warp that no coroutine has begun with.
struct Unstarted {
    next: Cell<u32>,
    end: Cell<u32>,
}

/// A block that runs. Coroutines borrow `block`, `unstarted` and `body`; `end` ends them all.
struct Running<'a> {
    block: &'a Block,
    unstarted: &'a Unstarted,
    body: &'a dyn Fn(),
    /// The threads that were started, by their number.
    threads: &'a mut Vec<State>,
    stacks: &'a mut Vec<DefaultStack>,
}

impl Running<'_> {
    fn run(&mut self) -> Result<(), Box<SimFault>> {
        let threads = self.block.geometry.threads_per_block() as usize;
        let warps = || (0..threads).step_by(WARP as usize).map(|first| first..threads.min(first + WARP as usize));
        for warp in warps() {
            self.start(&warp)?;
            self.run_warp(&warp)?;
        }
        while self.threads.iter().any(|state| matches!(state, State::Waits(..))) {
            self.check_meeting(0..threads)?;
            self.block.shared.borrow_mut().meet();
            for warp in warps() {
                self.resume(&warp);
                self.run_warp(&warp)?;
            }
        }
        Ok(())
    }

    /// Starts the threads of a warp; each runs until it ends or waits.
    fn start(&mut self, warp: &Range<usize>) -> Result<(), Box<SimFault>> {
        let (block, unstarted, body) = (self.block, self.unstarted, self.body);
        unstarted.next.set(warp.start as u32);
        unstarted.end.set(warp.end as u32);
        while unstarted.next.get() < unstarted.end.get() {
            let stack = match self.stacks.pop().map_or_else(|| DefaultStack::new(STACK), Ok) {
                Ok(stack) => stack,
                Err(error) => {
                    let linear = unstarted.next.get();
                    return Err(self.fault(linear as usize, format!("gets no stack to run on: {error}"), None));
                }
            };
            let run = move |yielder: &Yielder<(), Wait>, ()| {
                block.yielder.set(yielder);
                let first = unstarted.next.get();
                let mut thread = Thread { linear: first, index: block.thread_index(first) };
                while thread.linear < unstarted.end.get() {
                    unstarted.next.set(thread.linear + 1);
                    block.thread.set(thread);
                    body();
                    // After a wait there is none left: the others were started meanwhile.
                    if unstarted.next.get() != thread.linear + 1 {
                        break;
                    }
                    block.advance(&mut thread);
                }
            };
            // SAFETY: what the coroutine borrows outlives it, as `end` is called before any of the borrows ends.
            let mut fiber: Fiber = unsafe { Coroutine::with_stack_unchecked(stack, run) };
            let result = fiber.resume(());
            // All threads that this coroutine began with have ended, but the last where it waits.
            self.threads.resize_with(unstarted.next.get() as usize, || State::Ended);
            match result {
                CoroutineResult::Yield(wait) => {
                    self.threads.pop();
                    self.threads.push(State::Waits(wait, fiber));
                }
                CoroutineResult::Return(()) => self.stacks.push(fiber.into_stack()),
            }
        }
        Ok(())
    }

    /// Runs the threads of a warp until none of them waits for the warp.
    fn run_warp(&mut self, warp: &Range<usize>) -> Result<(), Box<SimFault>> {
        loop {
            let waits = self.threads[warp.clone()].iter().find_map(|state| match state {
                State::Waits(Wait { meeting: Meeting::Warp(name), .. }, _) => Some(*name),
                _ => None,
            });
            let Some(name) = waits else { return Ok(()) };
            self.check_meeting(warp.clone())?;
            if name == SYNC_WARP {
                self.block.shared.borrow_mut().meet_warp(warp.start / WARP as usize);
            }
            self.resume(warp);
        }
    }

    /// Lets threads that have met go on, each until it ends or waits again.
    fn resume(&mut self, threads: &Range<usize>) {
        for state in &mut self.threads[threads.clone()] {
            let State::Waits(wait, fiber) = state else { continue };
            match fiber.resume(()) {
                CoroutineResult::Yield(next) => *wait = next,
                CoroutineResult::Return(()) => {
                    if let State::Waits(_, fiber) = std::mem::replace(state, State::Ended) {
                        self.stacks.push(fiber.into_stack());
                    }
                }
            }
        }
    }

    /// Whether these threads all wait at one call; otherwise they would wait for ever.
    fn check_meeting(&self, threads: Range<usize>) -> Result<(), Box<SimFault>> {
        let states = || self.threads[threads.clone()].iter().zip(threads.start..);
        let first = states().find_map(|(state, linear)| match state {
            State::Waits(wait, _) => Some((wait, linear)),
            State::Ended => None,
        });
        let Some((wait, waiting)) = first else { return Ok(()) };
        let other = states().find(|(state, _)| !matches!(state, State::Waits(other, _) if other == wait));
        let Some((state, other)) = other else { return Ok(()) };
        let other = Index(self.block.thread_index(other as u32));
        let elsewhere = match state {
            State::Ended => format!("thread {other} has ended"),
            State::Waits(Wait { meeting, site }, _) => {
                format!("thread {other} waits in {} at {}", name(*meeting), Site::from(*site))
            }
        };
        let what = format!("waits in {}, but {elsewhere}", name(wait.meeting));
        Err(self.fault(waiting, what, Some(wait.site.into())))
    }

    fn fault(&self, linear: usize, what: String, site: Option<Site>) -> Box<SimFault> {
        let linear = linear as u32;
        self.block.thread.set(Thread { linear, index: self.block.thread_index(linear) });
        Box::new(self.block.fault_here(what, site))
    }

    /// Unwinds the threads that still wait, as they do after a fault, and takes their stacks back.
    fn end(&mut self) {
        for state in self.threads.drain(..) {
            if let State::Waits(_, mut fiber) = state {
                fiber.force_unwind();
                self.stacks.push(fiber.into_stack());
            }
        }
    }
}

/// The function that threads meet in.
fn name(meeting: Meeting) -> &'static str {
    match meeting {
        Meeting::Block => "sync_threads",
        Meeting::Warp(name) => name,
    }
}
