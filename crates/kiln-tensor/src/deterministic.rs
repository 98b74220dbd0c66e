//! Whether speed may depend on the processor's own way of adding.

use kiln_cpu::Isa;
use kiln_cpu::gemm::{bf16_dots, use_bf16_dots};

/// With `true`, results have the same bits on every processor with fused multiply-add: products of bf16 are computed by conversion to
/// f32, also where the processor has dot products of bf16, which are about twice as fast and add in another order. What f32 and f64
/// compute does not depend on it, and no result depends on the number of threads in either case.
///
/// It holds for the whole process. Without a call the environment variable `KILN_BF16` decides: `convert` is `true`.
///
/// ```
/// kiln_tensor::set_deterministic(true);
/// assert!(!kiln_tensor::cpu_multiplies_bf16());
/// ```
pub fn set_deterministic(yes: bool) {
    use_bf16_dots(!yes);
}

/// Whether the CPU's products of bf16 are computed by its own instructions for them: AVX-512 BF16 so far. Elsewhere they are computed
/// by conversion to f32, which saves memory but no time.
pub fn cpu_multiplies_bf16() -> bool {
    bf16_dots(Isa::best())
}
