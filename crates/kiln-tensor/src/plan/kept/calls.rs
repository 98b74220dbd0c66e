//! Operands of recurrent layers and attention.

use super::super::recorder::Recorder;
use super::{Access, BufferId, Kept, KeptView, Memory};
use crate::{Attention, AttentionReach, PackedSequences, Recurrence, View};

/// The layer of a recurrent call.
impl Kept for Recurrence<KeptView> {
    type Lent<'m> = Recurrence<View<'m>>;

    fn visit(lent: &Recurrence<View<'_>>, visit: &mut dyn FnMut(Access)) {
        KeptView::visit(&lent.weight, visit);
        for operand in [&lent.unit_weights, &lent.mask, &lent.keep, &lent.h0, &lent.c0] {
            Option::<KeptView>::visit(operand, visit);
        }
    }
    fn keep(lent: &Recurrence<View<'_>>, recorder: &Recorder) -> Self {
        lent.map(&mut |view| KeptView::keep(view, recorder))
    }
    fn lend<'m>(&'m self, memory: &'m Memory) -> Recurrence<View<'m>> {
        self.map(&mut |view| view.lend(memory))
    }
    fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
        self.weight.buffers(visit);
        for operand in [&self.unit_weights, &self.mask, &self.keep, &self.h0, &self.c0] {
            operand.buffers(visit);
        }
    }
}

impl<T> Recurrence<T> {
    /// The same layer over other operands.
    fn map<'a, U>(&'a self, of: &mut dyn FnMut(&'a T) -> U) -> Recurrence<U> {
        Recurrence {
            cell: self.cell,
            reverse: self.reverse,
            weight: of(&self.weight),
            unit_weights: self.unit_weights.as_ref().map(&mut *of),
            mask: self.mask.as_ref().map(&mut *of),
            keep: self.keep.as_ref().map(&mut *of),
            h0: self.h0.as_ref().map(&mut *of),
            c0: self.c0.as_ref().map(&mut *of),
        }
    }
}

/// Which keys a query sees.
#[derive(Clone, Debug)]
struct KeptReach {
    queries: usize,
    keys: usize,
    causal: bool,
    window: Option<usize>,
    packed: Option<PackedSequences>,
}

impl KeptReach {
    fn of(lent: &AttentionReach<'_>) -> Self {
        let &AttentionReach { queries, keys, causal, window, packed } = lent;
        KeptReach { queries, keys, causal, window, packed: packed.cloned() }
    }
    fn lend(&self) -> AttentionReach<'_> {
        let &KeptReach { queries, keys, causal, window, ref packed } = self;
        AttentionReach { queries, keys, causal, window, packed: packed.as_ref() }
    }
}

/// The operands of an attention without dropout.
#[derive(Clone, Debug)]
pub(crate) struct KeptAttention {
    query: KeptView,
    key: KeptView,
    value: KeptView,
    mask: Option<KeptView>,
    scale: f64,
    reach: KeptReach,
    slopes: Option<Vec<f64>>,
}

impl Kept for KeptAttention {
    type Lent<'m> = Attention<'m>;

    fn visit(lent: &Attention<'_>, visit: &mut dyn FnMut(Access)) {
        [&lent.query, &lent.key, &lent.value].into_iter().for_each(|view| KeptView::visit(view, visit));
        Option::<KeptView>::visit(&lent.mask, visit);
    }
    fn keep(lent: &Attention<'_>, recorder: &Recorder) -> Self {
        KeptAttention {
            query: Kept::keep(&lent.query, recorder),
            key: Kept::keep(&lent.key, recorder),
            value: Kept::keep(&lent.value, recorder),
            mask: Kept::keep(&lent.mask, recorder),
            scale: lent.scale,
            reach: KeptReach::of(&lent.reach),
            slopes: lent.slopes.map(<[f64]>::to_vec),
        }
    }
    fn lend<'m>(&'m self, memory: &'m Memory) -> Attention<'m> {
        Attention {
            query: self.query.lend(memory),
            key: self.key.lend(memory),
            value: self.value.lend(memory),
            mask: self.mask.lend(memory),
            scale: self.scale,
            reach: self.reach.lend(),
            slopes: self.slopes.as_deref(),
            dropout: None,
        }
    }
    fn buffers(&self, visit: &mut dyn FnMut(BufferId, bool)) {
        [&self.query, &self.key, &self.value].into_iter().for_each(|view| view.buffers(visit));
        self.mask.buffers(visit);
    }
}
