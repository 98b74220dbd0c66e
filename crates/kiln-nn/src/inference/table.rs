//! A plan's steps as a table.

use kiln_tensor::{Plan, PlanStep};
use std::fmt::Write;
use std::time::Duration;

pub(super) fn table(plan: &Plan, steps: &[PlanStep], times: &[Duration]) -> String {
    let widest = |of: &dyn Fn(&PlanStep) -> usize, least: usize| steps.iter().map(of).max().unwrap_or(0).max(least);
    let (layers, kernels) = (widest(&|step| step.layer.len(), 5), widest(&|step| step.kernel.len(), 6));
    let mut table =
        format!("{:layers$}  {:kernels$}  layout  {:>9}  {:>9}  {:>8}\n", "layer", "kernel", "MFLOP", "µs", "GFLOP/s");
    for (step, time) in steps.iter().zip(times) {
        let micros = time.as_secs_f64() * 1e6;
        let flops = step.flops.unwrap_or(0) as f64;
        let rate = if flops > 0.0 { format!("{:.0}", flops / micros / 1e3) } else { String::new() };
        let PlanStep { layer, kernel, layout, .. } = step;
        let _ = writeln!(
            table,
            "{layer:layers$}  {kernel:kernels$}  {layout:6}  {:9.2}  {micros:9.1}  {rate:>8}",
            flops / 1e6
        );
    }
    let total: Duration = times.iter().sum();
    let _ = writeln!(
        table,
        "{} steps, {:.1} MFLOP, {:.3} ms; {:.1} MB between layers, {:.1} MB of weights",
        steps.len(),
        plan.flops() as f64 / 1e6,
        total.as_secs_f64() * 1e3,
        plan.arena_bytes() as f64 / 1e6,
        plan.constant_bytes() as f64 / 1e6
    );
    table
}
