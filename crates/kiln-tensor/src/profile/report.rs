//! What a profile has seen.

use super::key::Key;
use super::names::label;
use super::recorder::Event;
use super::{Phase, Roofline};
use std::cmp::Reverse;
use std::collections::HashMap;

/// What some operations came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// How many there were.
    pub calls: u64,
    /// Time in them.
    pub nanoseconds: u64,
    /// FLOPs, of those whose FLOPs are counted.
    pub flops: u64,
    /// Those of them that are of products in another type than f32.
    pub other_flops: u64,
    /// Time in those whose FLOPs are counted.
    pub counted_nanoseconds: u64,
    /// Bytes of operands and results.
    pub bytes: u64,
    /// Allocations of tensors' memory since the operation before.
    pub allocations: u64,
    /// Bytes that were asked for.
    pub allocated_bytes: u64,
    /// The most that all tensors of the device held at one of these allocations, in bytes.
    pub peak_bytes: u64,
}

impl Totals {
    /// Adds what others came to.
    pub fn add(&mut self, other: &Totals) {
        self.calls += other.calls;
        self.nanoseconds += other.nanoseconds;
        self.flops += other.flops;
        self.other_flops += other.other_flops;
        self.counted_nanoseconds += other.counted_nanoseconds;
        self.bytes += other.bytes;
        self.allocations += other.allocations;
        self.allocated_bytes += other.allocated_bytes;
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
    }

    /// 10⁹ FLOPs a second, of the operations whose FLOPs are counted; none where there are no FLOPs.
    pub fn gflops(&self) -> Option<f64> {
        rate(self.flops, self.counted_nanoseconds)
    }

    /// 10⁹ bytes a second; none where there are no bytes.
    pub fn gigabytes_per_second(&self) -> Option<f64> {
        rate(self.bytes, self.nanoseconds)
    }
}

fn rate(count: u64, nanoseconds: u64) -> Option<f64> {
    (count > 0 && nanoseconds > 0).then(|| count as f64 / nanoseconds as f64)
}

/// One kind of operation in one layer and one phase.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The operation: `matmul`, `relu gradient`, `update Adam`.
    pub operation: String,
    /// The layer: its path and its type, `features.0 (Conv2d)`. Empty outside of layers.
    pub layer: String,
    /// The part of the step.
    pub phase: Phase,
    /// What it came to.
    pub totals: Totals,
}

/// A row of a table: a layer in all phases, or an operation in all layers.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The layer or the operation.
    pub name: String,
    /// What it came to in all.
    pub total: Totals,
    /// Seconds in each phase, in the order of [`Phase::ALL`].
    pub seconds: [f64; 5],
    records: Vec<Totals>,
}

impl Row {
    fn new(name: String) -> Self {
        Row { name, total: Totals::default(), seconds: [0.0; 5], records: Vec::new() }
    }

    /// Seconds in a phase.
    pub fn seconds_in(&self, phase: Phase) -> f64 {
        self.seconds[phase as usize]
    }

    /// The time that this would take at the machine's peak, divided by the time that it took; see the [module](super). An operation whose
    /// FLOPs are not counted goes by its bytes alone. None where there are products in another type than f32, for which no peak is measured.
    pub fn share_of_roofline(&self, roofline: &Roofline) -> Option<f64> {
        let ideal: f64 = self.records.iter().map(|record| roofline.nanoseconds(record.flops, record.bytes)).sum();
        (ideal > 0.0 && self.total.nanoseconds > 0 && self.total.other_flops == 0)
            .then(|| ideal / self.total.nanoseconds as f64)
    }
}

/// What a profile has seen: totals of all operations, and the first events for a trace.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    pub(super) nanoseconds: u64,
    peak: usize,
    records: Vec<Record>,
    pub(super) events: Vec<Event>,
    pub(super) left_out: u64,
}

impl Profile {
    pub(super) fn new(
        nanoseconds: u64,
        peak: usize,
        rows: impl Iterator<Item = (Key, Totals)>,
        events: Vec<Event>,
        left_out: u64,
    ) -> Self {
        let mut records: Vec<Record> = Vec::new();
        let mut places: HashMap<(u32, Phase, String), usize> = HashMap::new();
        for (Key { place, operation, of }, totals) in rows {
            let operation = joined(operation, of);
            let at = *places.entry((place.scope, place.phase, operation.clone())).or_insert(records.len());
            match records.get_mut(at) {
                Some(known) => known.totals.add(&totals),
                None => {
                    let (layer, phase) = (label(place.scope), place.phase);
                    records.push(Record { operation, layer, phase, totals });
                }
            }
        }
        Profile { nanoseconds, peak, records, events, left_out }
    }

    /// Seconds from its start to its end.
    pub fn seconds(&self) -> f64 {
        self.nanoseconds as f64 / 1e9
    }

    /// The most that tensors of a device held at an allocation of this thread, in bytes.
    pub fn peak_bytes(&self) -> usize {
        self.peak
    }

    /// Each kind of operation in each layer and phase, in the order in which they were first run.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// All operations.
    pub fn total(&self) -> Totals {
        let mut total = Totals::default();
        self.records.iter().for_each(|record| total.add(&record.totals));
        total
    }

    /// A row for each layer, in the order in which they first ran; losses and the optimizer are rows too, and so is what belongs to none.
    pub fn layers(&self) -> Vec<Row> {
        self.rows(|record| if record.layer.is_empty() { "outside of layers" } else { &record.layer })
    }

    /// A row for each operation, that which took longest first.
    pub fn operations(&self) -> Vec<Row> {
        let mut rows = self.rows(|record| &record.operation);
        rows.sort_by_key(|row| Reverse(row.total.nanoseconds));
        rows
    }

    fn rows<'p>(&'p self, name: impl Fn(&'p Record) -> &'p str) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for record in &self.records {
            let name = name(record);
            let at = *places.entry(name).or_insert_with(|| {
                rows.push(Row::new(name.to_owned()));
                rows.len() - 1
            });
            let row = &mut rows[at];
            row.total.add(&record.totals);
            row.seconds[record.phase as usize] += record.totals.nanoseconds as f64 / 1e9;
            row.records.push(record.totals);
        }
        rows
    }
}

/// `relu` and `gradient` as `relu gradient`.
pub(super) fn joined(operation: &str, of: &str) -> String {
    if of.is_empty() { operation.to_owned() } else { format!("{operation} {of}") }
}
