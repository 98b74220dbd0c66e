//! A block's shared memory and its shadow: who touched each word last, and when, so that a missing barrier is found.
//!
//! Time is a counter that goes on at every barrier. Two accesses of different threads are ordered where a barrier of the block,
//! or of the warp that both are in, came between them; where they are not and one of them writes, they race. So a race is found
//! whatever the order in which the simulator runs the threads.

use super::fault::Site;
use super::thread::{Thread, WARP};
use std::panic::Location;

/// How an access touches an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    Read,
    Write,
    /// Reads and writes at once; does not race with its like.
    Atomic,
}

/// Which threads read a word since it was last written or a barrier went by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Readers {
    #[default]
    None,
    Thread(u32),
    Warp(u32),
    Many,
}

/// What is known of one word.
#[derive(Clone, Copy, Default)]
struct Word {
    /// When it was last written; 0 where never.
    written: u64,
    /// When it was last read.
    read: u64,
    writer: u32,
    readers: Readers,
    atomic: bool,
    write_site: Option<&'static Location<'static>>,
    read_site: Option<&'static Location<'static>>,
}

/// Bytes that one shadow word stands for, as a power of two, until a smaller element is touched.
const COARSE: u32 = 2;

/// The dynamic shared memory of one block.
pub(crate) struct SharedMemory {
    bytes: Vec<u8>,
    words: Vec<Word>,
    /// Bytes that a shadow word stands for, as a power of two.
    granule: u32,
    /// The time now.
    now: u64,
    /// When the block began: what was written before is another block's.
    begun: u64,
    /// When all threads of the block met last.
    met: u64,
    /// When the threads of each warp met last.
    warps_met: Vec<u64>,
}

impl Default for SharedMemory {
    fn default() -> Self {
        SharedMemory {
            bytes: Vec::new(),
            words: Vec::new(),
            granule: COARSE,
            now: 1,
            begun: 1,
            met: 1,
            warps_met: Vec::new(),
        }
    }
}

impl SharedMemory {
    /// For a launch with `bytes` of shared memory and blocks of `warps` warps. What is known of earlier launches stays: it is
    /// older than any block to come, and clearing it would cost more than a small launch does.
    pub(crate) fn fit(&mut self, bytes: usize, warps: usize) {
        self.bytes.resize(bytes, 0);
        if self.granule != COARSE {
            self.granule = COARSE;
            self.words.clear();
        }
        self.words.resize(bytes.div_ceil(1 << COARSE), Word::default());
        self.warps_met.resize(warps, 0);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A new block: its shared memory holds nothing that may be read.
    pub(crate) fn begin(&mut self) {
        self.meet();
        self.begun = self.now;
    }

    /// All threads of the block have met.
    pub(crate) fn meet(&mut self) {
        self.now += 1;
        self.met = self.now;
    }

    /// All threads of a warp have met.
    pub(crate) fn meet_warp(&mut self, warp: usize) {
        self.now += 1;
        self.warps_met[warp] = self.now;
    }

    /// Copies `N` bytes out. The caller has checked the range.
    pub(crate) fn read<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| self.bytes[at + i])
    }

    /// Copies bytes in. The caller has checked the range.
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Notes an access of `size` bytes by a thread; an error says what is wrong with it.
    pub(crate) fn touch(
        &mut self,
        touch: Touch,
        at: usize,
        size: usize,
        thread: Thread,
        site: &'static Location<'static>,
    ) -> Result<(), Misuse> {
        if size < 1 << COARSE && self.granule == COARSE {
            self.refine();
        }
        let warp = thread.linear / WARP;
        let warp_met = self.warps_met[warp as usize];
        let (met, begun, now) = (self.met, self.begun, self.now);
        for word in &mut self.words[at >> self.granule..=(at + size - 1) >> self.granule] {
            if touch != Touch::Write && word.written < begun {
                return Err(Misuse::Uninitialized);
            }
            let other_wrote = word.written >= met
                && word.writer != thread.linear
                && !(word.writer / WARP == warp && word.written < warp_met);
            if other_wrote && !(touch == Touch::Atomic && word.atomic) {
                return Err(Misuse::race("wrote", Some(word.writer), word.write_site));
            }
            let read_before_warp_met = word.read < warp_met;
            if touch == Touch::Read {
                word.readers = match word.readers {
                    _ if word.read < met => Readers::Thread(thread.linear),
                    Readers::None => Readers::Thread(thread.linear),
                    Readers::Thread(reader) if reader == thread.linear => word.readers,
                    Readers::Thread(reader) if reader / WARP == warp && read_before_warp_met => {
                        Readers::Thread(thread.linear)
                    }
                    Readers::Warp(reader) if reader == warp && read_before_warp_met => Readers::Thread(thread.linear),
                    Readers::Thread(reader) if reader / WARP == warp => Readers::Warp(warp),
                    Readers::Warp(reader) if reader == warp => word.readers,
                    _ => Readers::Many,
                };
                (word.read, word.read_site) = (now, Some(site));
            } else {
                let reader = match word.readers {
                    _ if word.read < met => None,
                    Readers::None => None,
                    Readers::Thread(reader) if reader == thread.linear => None,
                    Readers::Thread(reader) if reader / WARP == warp && read_before_warp_met => None,
                    Readers::Warp(reader) if reader == warp && read_before_warp_met => None,
                    Readers::Thread(reader) => Some(Some(reader)),
                    Readers::Warp(_) | Readers::Many => Some(None),
                };
                if let Some(reader) = reader {
                    return Err(Misuse::race("read", reader, word.read_site));
                }
                *word = Word {
                    written: now,
                    read: 0,
                    writer: thread.linear,
                    readers: Readers::None,
                    atomic: touch == Touch::Atomic,
                    write_site: Some(site),
                    read_site: None,
                };
            }
        }
        Ok(())
    }

    /// From now on every byte has a shadow word of its own: neighbors in four bytes may belong to different threads.
    fn refine(&mut self) {
        self.words = self.words.iter().flat_map(|word| [*word; 1 << COARSE]).take(self.bytes.len()).collect();
        self.granule = 0;
    }
}

/// What is wrong with an access.
pub(crate) enum Misuse {
    /// It reads what no thread of the block has written.
    Uninitialized,
    /// Another thread did `verb` it, and no barrier came between.
    Race { verb: &'static str, thread: Option<u32>, site: Option<Site> },
}

impl Misuse {
    fn race(verb: &'static str, thread: Option<u32>, site: Option<&'static Location<'static>>) -> Misuse {
        Misuse::Race { verb, thread, site: site.map(Site::from) }
    }
}
