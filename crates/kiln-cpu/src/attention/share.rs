//! How the threads share the work.

use super::Form;
use super::sequence::Sequence;
use crate::gemm::worth_a_region;
use crate::team;

/// The query heads that share a key head, of one sequence of a batch.
pub(super) struct Part {
    pub(super) sequence: usize,
    pub(super) batch: usize,
    pub(super) key_head: usize,
}

/// Calls `f` for all parts. Where there are many, each is one thread's, and so are as many equal ones as there are threads; else they
/// come one after the other and are parallel inside.
///
/// `products` says how often each pair of a query and a key is multiplied.
pub(super) fn run(form: &Form<'_>, products: usize, f: impl Fn(Part) + Sync) {
    let (sequences, heads) = (Sequence::count(form), form.key_heads);
    let parts = form.batch * heads * sequences;
    let part = |i: usize| {
        f(Part { sequence: i % sequences, batch: i / sequences / heads, key_head: i / sequences % heads });
    };
    let pairs = form.rows().saturating_mul(form.keys / sequences.max(1));
    let work = pairs.saturating_mul(products * (form.width + form.value_width));
    let threads = team::threads();
    if !worth_a_region(work) {
        team::serial(|| (0..parts).for_each(part));
    } else if parts >= 4 * threads || form.packed.is_none() && parts.is_multiple_of(threads) {
        team::parallel(parts, part);
    } else {
        (0..parts).for_each(part);
    }
}
