//! Traces for chrome://tracing and Perfetto.

use super::Profile;
use super::names::label;
use super::recorder::Event;
use super::report::joined;
use std::collections::HashMap;
use std::fmt::Write;

impl Profile {
    /// How many events the trace has no room for: those after the first ones.
    pub fn events_left_out(&self) -> u64 {
        self.left_out
    }

    /// How many events the trace has.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// The events as JSON in Chrome's trace event format, which <https://ui.perfetto.dev> and chrome://tracing show: an event of type
    /// `X` for each operation and each layer around operations, with `ts` and `dur` in microseconds, `cat` the phase, and in `args` the
    /// layer, FLOPs, bytes and allocations. `otherData` says how many events were left out.
    pub fn chrome_trace(&self) -> String {
        let mut out = String::with_capacity(160 * self.events.len() + 300);
        let process = std::process::id();
        let _ = write!(
            out,
            "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"events\":{},\"events_left_out\":{}}},\"traceEvents\":[\n\
             {{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":{process},\"tid\":1,\"args\":{{\"name\":\"kiln\"}}}}",
            self.events.len(),
            self.left_out
        );
        let mut names = HashMap::new();
        for event in &self.events {
            let layer = names.entry(event.place.scope).or_insert_with(|| escaped(&label(event.place.scope)));
            self.write_event(event, layer, process, &mut out);
        }
        out.push_str("\n]}\n");
        out
    }

    fn write_event(&self, event: &Event, layer: &str, process: u32, out: &mut String) {
        let name = event.work.map_or_else(|| layer.to_owned(), |work| escaped(&joined(work.operation, work.of)));
        let phase = event.place.phase;
        // A layer that was not left before the end was left at the end.
        let nanoseconds = event.time.unwrap_or_else(|| self.nanoseconds.saturating_sub(event.begin));
        let _ = write!(
            out,
            ",\n{{\"ph\":\"X\",\"name\":\"{name}\",\"cat\":\"{}\",\"pid\":{process},\"tid\":1,\"ts\":{},\"dur\":{},\"args\":{{",
            phase.name(),
            Microseconds(event.begin),
            Microseconds(nanoseconds)
        );
        if let Some(work) = event.work {
            let _ = write!(out, "\"layer\":\"{layer}\",\"bytes\":{},\"allocations\":{}", work.bytes, event.allocations);
            if let Some(flops) = work.flops {
                let _ = write!(out, ",\"flops\":{flops}");
            }
        }
        out.push_str("}}");
    }
}

/// Nanoseconds as microseconds with all their digits, so that events lie within those around them.
struct Microseconds(u64);

impl std::fmt::Display for Microseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A text inside of a JSON string.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out
}
