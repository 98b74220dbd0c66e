//! Matrix products, as `gemm_torch.py` counts them: 2·M·K·N over the best time.

use crate::timing::best_of_half_a_second;
use kiln::prelude::*;
use serde_json::{Map, Value, json};

/// (M, K, N)
const SIZES: [[usize; 3]; 12] = [
    [32, 784, 128],
    [64, 784, 128],
    [784, 64, 128],
    [256, 256, 256],
    [512, 512, 512],
    [1024, 1024, 1024],
    [2048, 2048, 2048],
    [96, 363, 4096],
    [256, 2400, 4096],
    [64, 4096, 4096],
    [4096, 64, 4096],
    [1000, 1000, 1000],
];

/// (M, K, N) that are for a GPU.
const LARGE: [[usize; 3]; 2] = [[4096; 3], [8192; 3]];

/// Which operands are transposed, and what is added to a size's name then.
const TRANSPOSED: [([bool; 2], &str); 4] = [([false; 2], ""), ([false, true], " NT"), ([true, false], " TN"), ([true; 2], " TT")];

fn rate([m, k, n]: [usize; 3], transposed: [bool; 2], dtype: DType, device: &Device) -> Result<f64> {
    let normal = |shape, index| {
        Tensor::normal(shape, 0.0, 1.0, DType::F32, device, RandomStream::new(0, Purpose::Data, index))?.to_dtype(dtype)
    };
    let operand = |rows, cols, transposed, index| {
        if transposed { normal([cols, rows], index)?.transpose(0, 1) } else { normal([rows, cols], index) }
    };
    let (a, b) = (operand(m, k, transposed[0], 0)?, operand(k, n, transposed[1], 1)?);
    let time = best_of_half_a_second(|| {
        // The output is a fresh tensor whose memory the allocator kept from the time before.
        a.matmul(&b)?;
        device.synchronize()
    })?;
    Ok((2e-8 * (m * k * n) as f64 / time).round() / 10.0)
}

/// GFLOP/s by dtype and shape.
pub(crate) fn rates(device: &Device) -> Result<Value> {
    let mut rates = Map::new();
    kiln::tensor::Device::cpu().session(|| -> Result<()> {
        for (dtype, name) in [(DType::F32, "float32"), (DType::BF16, "bfloat16")] {
            let large = if device.name().starts_with("cuda") { &LARGE[..] } else { &[] };
            for &size @ [m, k, n] in SIZES.iter().chain(large) {
                for (transposed, form) in TRANSPOSED {
                    let rate = rate(size, transposed, dtype, device)?;
                    rates.insert(format!("{name} {m}x{k}x{n}{form}"), json!(rate));
                }
            }
        }
        Ok(())
    })?;
    Ok(json!({"task": "gemm", "gflops": rates}))
}
