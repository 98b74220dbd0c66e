//! The tables of a profile.

use super::{Phase, Profile, Roofline, Row};
use crate::grouped;
use std::fmt::Write;

impl Profile {
    /// The profile as text: what it came to, a table with a row for each layer, and one with a row for each operation. Times are
    /// milliseconds, those of each phase that took any in a column of its own; GFLOP/s are over the time in operations whose FLOPs are
    /// counted; `roofline %` is the [share of what the machine could do](Row::share_of_roofline); `new MB` are megabytes (10⁶ bytes) that
    /// were allocated, `held MB` the most that all tensors held meanwhile. A dash is what is not counted, or 0.
    pub fn table(&self, roofline: Option<&Roofline>) -> String {
        let (total, mut out) = (self.total(), String::new());
        let operations = if total.calls == 1 { "operation" } else { "operations" };
        let _ = writeln!(
            out,
            "profile: {} {operations} took {:.3} s of {:.3} s; tensors held {:.1} MB at most",
            grouped(total.calls),
            total.nanoseconds as f64 / 1e9,
            self.seconds(),
            self.peak_bytes() as f64 / 1e6
        );
        if let Some(Roofline { gflops, gigabytes_per_second }) = roofline {
            let (product, copy) = (format!("{gflops:.1} GFLOP/s"), format!("{gigabytes_per_second:.1} GB/s"));
            let _ = writeln!(out, "this machine: {product} in a large f32 matrix product, {copy} in a large copy");
        }
        for (title, rows) in [("layer", self.layers()), ("operation", self.operations())] {
            out.push('\n');
            self.rows_of(title, &rows, roofline, &mut out);
        }
        out
    }

    fn rows_of(&self, title: &str, rows: &[Row], roofline: Option<&Roofline>, out: &mut String) {
        let some = |phase: &Phase| rows.iter().any(|row| row.seconds_in(*phase) > 0.0);
        let shown: Vec<Phase> = Phase::ALL.into_iter().filter(some).collect();
        let mut titles: Vec<String> = [title, "total ms", "%"].map(str::to_owned).to_vec();
        titles.extend(shown.iter().map(|phase| phase.name().to_owned()));
        titles.extend(["calls", "GFLOP/s", "GB/s"].map(str::to_owned));
        titles.extend(roofline.map(|_| "roofline %".to_owned()));
        titles.extend(["allocations", "new MB", "held MB"].map(str::to_owned));
        let mut lines = vec![titles];
        lines.extend(rows.iter().map(|row| self.line(row, &shown, roofline)));
        let columns = lines[0].len();
        let mut between = vec!["between operations".to_owned()];
        let rest = self.nanoseconds.saturating_sub(self.total().nanoseconds) as f64 / 1e9;
        between.extend([milliseconds(rest), self.percent(rest)]);
        between.resize(columns, "-".to_owned());
        lines.push(between);
        write_lines(&lines, out);
    }

    fn line(&self, row: &Row, phases: &[Phase], roofline: Option<&Roofline>) -> Vec<String> {
        let (total, seconds) = (&row.total, row.total.nanoseconds as f64 / 1e9);
        let mut line = vec![row.name.clone(), milliseconds(seconds), self.percent(seconds)];
        line.extend(phases.iter().map(|&phase| milliseconds(row.seconds_in(phase))));
        line.extend([grouped(total.calls), or_dash(total.gflops()), or_dash(total.gigabytes_per_second())]);
        let share = |roofline| row.share_of_roofline(roofline).map(|share| 100.0 * share);
        line.extend(roofline.map(|roofline| or_dash(share(roofline))));
        let megabytes = |bytes: u64| or_dash((bytes > 0).then_some(bytes as f64 / 1e6));
        let allocations = if total.allocations == 0 { "-".to_owned() } else { grouped(total.allocations) };
        line.extend([allocations, megabytes(total.allocated_bytes), megabytes(total.peak_bytes)]);
        line
    }

    fn percent(&self, seconds: f64) -> String {
        or_dash((self.nanoseconds > 0).then(|| 100.0 * seconds / self.seconds()))
    }
}

/// The first column to the left, the others to the right.
fn write_lines(lines: &[Vec<String>], out: &mut String) {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for line in lines {
        for (column, (text, &width)) in line.iter().zip(&widths).enumerate() {
            let _ = if column == 0 { write!(out, "{text:<width$}") } else { write!(out, "  {text:>width$}") };
        }
        out.push('\n');
    }
}

fn milliseconds(seconds: f64) -> String {
    if seconds > 0.0 { format!("{:.2}", 1e3 * seconds) } else { "-".to_owned() }
}

fn or_dash(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.1}"))
}
