//! Memory that attention keeps from one call to the next.

use crate::gemm::scratch::{ScratchBuffer, with_kept};
use std::cell::Cell;

/// What the threads of a call share, or a task of a whole head has for itself.
#[derive(Default)]
pub(super) struct Head {
    /// Keys and values in panels.
    pub(super) keys: ScratchBuffer,
    pub(super) values: ScratchBuffer,
    /// Sums that become gradients.
    pub(super) query_grad: ScratchBuffer,
    pub(super) key_grad: ScratchBuffer,
    pub(super) value_grad: ScratchBuffer,
    /// What blocks of keys give for few queries.
    pub(super) partial: ScratchBuffer,
    /// A number for each row.
    pub(super) lse: ScratchBuffer,
    pub(super) delta: ScratchBuffer,
}

/// What a block of queries takes, on one thread.
#[derive(Default)]
pub(super) struct Local {
    /// Converted rows.
    pub(super) rows: ScratchBuffer,
    pub(super) grad_rows: ScratchBuffer,
    pub(super) out_rows: ScratchBuffer,
    pub(super) key_rows: ScratchBuffer,
    pub(super) value_rows: ScratchBuffer,
    /// Panels of a block of keys, values, queries and gradients.
    pub(super) keys_across: ScratchBuffer,
    pub(super) values_across: ScratchBuffer,
    pub(super) keys: ScratchBuffer,
    pub(super) queries: ScratchBuffer,
    pub(super) grads: ScratchBuffer,
    /// Scores or probabilities, and their gradients.
    pub(super) scores: ScratchBuffer,
    pub(super) score_grads: ScratchBuffer,
    pub(super) factors: ScratchBuffer,
    /// The output of a block, and its rows' numbers.
    pub(super) out: ScratchBuffer,
    pub(super) sums: ScratchBuffer,
}

thread_local! {
    static HEAD: Cell<Option<Box<Head>>> = const { Cell::new(None) };
    static LOCAL: Cell<Option<Box<Local>>> = const { Cell::new(None) };
}

pub(super) fn head<R>(f: impl FnOnce(&mut Head) -> R) -> R {
    with_kept(&HEAD, f)
}

pub(super) fn local<R>(f: impl FnOnce(&mut Local) -> R) -> R {
    with_kept(&LOCAL, f)
}
