//! How a product is cut up: over threads, into blocks for the caches, and what is packed.
//!
//! None of it changes a bit of the result.

use super::kernels::Kernels;
use crate::team;
use kiln_math::K_BLOCK;

/// Rows of B that are read at once, from end to end, where few rows of A meet a large B that is not packed.
const STREAMED: usize = 16;
/// Columns of B packed at once where A has to be swept more than once, or B comes from memory.
const NC: usize = 512;
/// A run of k that is packed at once, whole blocks of the sum: a panel of B, 512 × 64 f32, is 128 KiB of a core's second-level
/// cache.
const KC: usize = 2 * K_BLOCK;
/// What a group of panels may take where k cannot be cut.
const GROUP_BYTES: usize = 1 << 20;
/// What is swept of A with one group of panels before the next rows.
const A_BYTES: usize = 480 << 10;
/// The same where k is short, and A's rows are little more than a cache line each.
const A_SHORT_BYTES: usize = 16 << 10;
/// B is read where it lies up to this size, if its columns are adjacent and no more than so many rows of A meet it:
/// packing, which costs as much as six rows, brings aligned loads and no conflicts in the caches.
const DIRECT_BYTES: usize = 420 << 10;
const DIRECT_ROWS: usize = 96;
const DIRECT_K: usize = 32;

/// A is packed where its columns lie along its memory, so far apart: of a power of two like this, a core's second-level
/// cache has places for 128 lines or 256, a tile needs one of each column, and the next tiles the same ones again.
const COLLIDING: usize = 8 << 10;
/// Columns of a panel up to which such an A is packed whatever its columns' distance, if a thread's part of it meets so many panels: so few columns do not
/// hide what reading a line for each column of A costs.
const NARROW: usize = 16;
const MANY_PANELS: usize = 5;
/// From this size on A comes from memory.
const FAR_BYTES: usize = 8 << 20;

/// The cut of one product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Blocks of rows and of columns that C is dealt out in.
    pub(super) grid: (usize, usize),
    /// The longest run of k that is packed at once, [`KC`] or, where B has fewer columns than a panel, a multiple of it; a block
    /// of the sum where B is streamed.
    pub(super) kc: usize,
    /// How many rows of B are read at once within a block, where it is streamed.
    pub(super) streamed: Option<usize>,
    pub(super) nc: usize,
    pub(super) mc: usize,
    pub(super) pack_a: bool,
    pub(super) pack_b: bool,
    /// Whether one row meets columns of B where they lie, along k.
    pub(super) by_columns: bool,
}

/// What the plan depends on.
pub(super) struct Facts {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    /// Whether A and B are bf16 that are multiplied by pairs; `k` counts these, and strides elements.
    pub(super) pairs: bool,
    pub(super) a_strides: (isize, isize),
    pub(super) b_strides: (isize, isize),
    /// From a column of C to the next.
    pub(super) c_column: isize,
    /// Whether A and B are numbers that are multiplied where they lie; whether C can hold intermediate sums. Where it cannot,
    /// all of k is one run.
    pub(super) native: (bool, bool),
}

impl Facts {
    /// Whether A's rows are adjacent.
    fn by_columns(&self) -> bool {
        self.a_strides.0 == 1 && self.a_strides.1 != 1
    }
}

impl Plan {
    pub(super) fn new<T>(kernels: &Kernels<T>, f: &Facts) -> Plan {
        let size = size_of::<T>();
        let adjacent = f.b_strides.1 == 1 || f.n == 1;
        let small = f.n.saturating_mul(f.k).saturating_mul(size) <= DIRECT_BYTES;
        let pack_b =
            f.pairs || !adjacent || !(small && (f.m <= DIRECT_ROWS || f.k <= DIRECT_K) || f.m <= 2 * kernels.rows());
        let far = f.a_strides.1.unsigned_abs().saturating_mul(size);
        let grid = grid(kernels, f, pack_b);
        let narrow = kernels.panel() <= NARROW && f.n / grid.1 >= MANY_PANELS * kernels.panel();
        let apart = far.is_multiple_of(COLLIDING) || narrow;
        let pack_a = f.by_columns() && f.k >= KC && apart && pack_b && f.native.0;
        let kc = match (f.native.1, pack_b) {
            (true, true) => {
                let unfilled = kernels.panel() / f.n.next_multiple_of(kernels.lanes).min(kernels.panel());
                // A packed panel that one row meets once is to stay in the first-level cache.
                if f.m == 1 { K_BLOCK } else { KC * unfilled }
            }
            // Streamed, with chains that go on until a block ends.
            (true, false) if !small => K_BLOCK,
            _ => usize::MAX,
        };
        let streamed = (f.native.1 && !pack_b && !small).then_some(STREAMED);
        let nc = match (f.native.1, pack_b) {
            (true, true) => NC * 4 / size,
            (true, false) => usize::MAX,
            // With k in one run the panels are long: fewer at a time.
            (false, _) => (GROUP_BYTES / (f.k.max(1) * size * kernels.panel())).clamp(1, 8) * kernels.panel(),
        };
        // A block of A stays in the second-level cache while the panels pass, or where k is short in the first.
        let bytes = if f.k <= 128 { A_SHORT_BYTES } else { A_BYTES };
        let run = streamed.unwrap_or(kc);
        let mc = (bytes / (f.k.clamp(1, run) * size)).max(8 * kernels.rows());
        let mc = if f.m <= mc * 3 / 2 { usize::MAX } else { mc };
        let along_k = f.b_strides.0 == 1 && f.b_strides.1 != 1 && f.c_column == 1;
        let by_columns = f.m == 1 && along_k && f.k > 0 && f.native == (true, true);
        Plan { grid, kc, streamed, nc, mc, pack_a, pack_b, by_columns }
    }
}

/// Whether so many multiplications are worth a parallel region here: some microseconds where the workers are resident,
/// some tens where they may have to be woken.
pub(crate) fn worth_a_region(work: usize) -> bool {
    work >= if team::resident() { 100_000 } else { 2_000_000 }
}

/// Blocks of rows and columns, one a thread, or several where the product is large.
fn grid<T>(kernels: &Kernels<T>, f: &Facts, pack_b: bool) -> (usize, usize) {
    let work = f.m.saturating_mul(f.n).saturating_mul(f.k);
    if !worth_a_region(work) {
        return (1, 1);
    }
    let threads = team::threads();
    if threads == 1 {
        return (1, 1);
    }
    // A few blocks a thread let a free thread help one that was held up. Not where many columns of A lie along its memory: the
    // blocks' parts of these are short then, and what is fetched beyond them is another thread's.
    let long_columns = f.by_columns() && f.k >= KC;
    let tasks = if work / threads > 20_000_000 && !long_columns { threads * 4 } else { threads };
    let panels = f.n.div_ceil(kernels.panel());
    let tiles = f.m.div_ceil(kernels.rows());
    // Packing a row of B costs as much as some rows of A's products.
    let packing = match (pack_b, f.b_strides.1) {
        (false, _) => 0,
        (true, 1) => 6,
        (true, _) => 16,
    };
    // Each part reads all of its rows of A, which costs as much as a narrow panel's products where they come from memory.
    let far = f.m.saturating_mul(f.k).saturating_mul(size_of::<T>()) > FAR_BYTES;
    let reading = usize::from(far && kernels.panel() <= NARROW);
    let mut best = (usize::MAX, (1, 1));
    for by_cols in 1..=tasks.min(panels) {
        let by_rows = tasks.div_ceil(by_cols).min(tiles);
        let each = (tiles.div_ceil(by_rows) * kernels.rows() + packing) * panels.div_ceil(by_cols);
        let each = each + tiles.div_ceil(by_rows) * kernels.rows() * reading;
        let cost = each * (by_rows * by_cols).div_ceil(threads);
        if cost < best.0 {
            best = (cost, (by_rows, by_cols));
        }
    }
    best.1
}
