//! How many launches an operation takes.

use kiln_cuda::Simulated;
use kiln_math::update::{CONSTANTS, Step};
use kiln_tensor::{ConvOptions, DType, Device, MatmulOptions, Tensor, UpdateRule, UpdateTensors};

/// Launches of a family of kernels, whatever its tiles.
fn launches(gpu: &Simulated, family: &str) -> u64 {
    [1, 4, 8].iter().map(|tile| gpu.launches(&format!("{family}_f32_{tile}"))).sum()
}

/// Numbers that differ from one another.
fn numbers<const N: usize>(shape: [usize; N], device: &Device) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 64.0).collect();
    Tensor::from_slice(&values, shape, device).unwrap()
}

/// The same on a GPU and on the CPU, bit for bit.
fn assert_same(on_gpu: &Tensor, on_cpu: &Tensor) {
    assert_eq!(on_gpu.shape(), on_cpu.shape());
    assert_eq!(on_gpu.to_vec::<f32>().unwrap(), on_cpu.to_vec::<f32>().unwrap());
}

#[test]
fn the_matrices_of_a_batch_are_one_launch() {
    let gpu = Simulated::new();
    // Queries times transposed keys of 8 sequences and 12 heads, then a product that repeats one factor for all sequences.
    let scores = |device: &Device| {
        let heads = numbers([8, 5, 12, 7], device).permute(&[0, 2, 1, 3]).unwrap();
        heads.matmul(&numbers([8, 12, 7, 6], device)).unwrap()
    };
    let shared = |device: &Device| numbers([8, 12, 5, 7], device).matmul(&numbers([12, 7, 3], device)).unwrap();
    let (on_gpu, on_cpu) = (gpu.device(), Device::cpu());
    let (first, second) = (scores(&on_gpu), shared(&on_gpu));
    assert_eq!(launches(&gpu, "matmul"), 2);
    assert_same(&first, &scores(&on_cpu));
    assert_same(&second, &shared(&on_cpu));
}

#[test]
fn more_matrices_than_a_grid_may_have_are_two_launches() {
    let gpu = Simulated::new();
    let device = gpu.device();
    // Sums of nothing, and the bias.
    let (a, b) = (numbers([65_537, 1, 0], &device), numbers([65_537, 0, 1], &device));
    let bias = Tensor::from_slice(&[3.0f32], [1], &device).unwrap();
    let y = a.matmul_with(&b, MatmulOptions { bias: Some(&bias), activation: None }).unwrap();
    assert_eq!(launches(&gpu, "matmul"), 2);
    assert_eq!(y.to_vec::<f32>().unwrap(), [3.0; 65_537]);
}

#[test]
fn the_size_of_a_product_decides_on_its_tiles() {
    for (size, tile) in [(40, 1), (200, 4), (450, 8)] {
        let gpu = Simulated::new();
        let device = gpu.device();
        numbers([size, 3], &device).matmul(&numbers([3, size], &device)).unwrap();
        assert_eq!(gpu.launches(&format!("matmul_f32_{tile}")), 1, "{size}");
    }
}

#[test]
fn the_groups_of_a_convolution_are_one_launch() {
    let gpu = Simulated::new();
    let options = ConvOptions { groups: 6, ..ConvOptions::default() };
    let conv = |device: &Device| {
        let (x, weight) = (numbers([2, 12, 9, 9], device), numbers([18, 2, 3, 3], device));
        x.conv(&weight, &options, MatmulOptions::default()).unwrap()
    };
    let y = conv(&gpu.device());
    assert_eq!(launches(&gpu, "conv"), 1);
    assert_same(&y, &conv(&Device::cpu()));
}

#[test]
fn sums_by_index_sort_the_index_once() {
    let gpu = Simulated::new();
    let index: Vec<i64> = (0..1000).map(|i| i * i * 31 % 7).collect();
    let sum = |device: &Device| {
        let index = Tensor::from_slice(&index, [1000], device).unwrap();
        let mut sums = numbers([2, 7, 3], device);
        sums.scatter_add(1, &index, &numbers([2, 1000, 3], device)).unwrap();
        sums
    };
    let sums = sum(&gpu.device());
    let launches = ["sort_chunks", "merge_runs", "scatter_add_f32"].map(|kernel| gpu.launches(kernel));
    assert_eq!(launches, [1, 2, 1]);
    assert_same(&sums, &sum(&Device::cpu()));
}

/// A step over 100 tensors, and one more with other gradients; of every third the gradient is bf16, where it is `mixed`.
fn steps(rule: UpdateRule, mixed: bool, device: &Device) -> Vec<Tensor> {
    // Sizes around those of a block, and none.
    let tensors = |shift: usize, half: bool| -> Vec<Tensor> {
        let tensor = |i: usize| {
            let values: Vec<f32> =
                (0..[0, 1, 255, 1024, 1025, 3000][i % 6]).map(|i| ((i + shift) * 37 % 101) as f32 / 128.0).collect();
            let dtype = if half && i.is_multiple_of(3) { DType::BF16 } else { DType::F32 };
            Tensor::from_slice(&values, [values.len()], device).unwrap().to_dtype(dtype).unwrap()
        };
        (0..100).map(tensor).collect()
    };
    let mut parameters = tensors(0, false);
    let gradients = [1, 5].map(|shift| tensors(shift, mixed));
    let [mut first, mut second, mut third] = [2, 3, 4].map(|shift| tensors(shift, false));
    let at = Step { learning_rate: 0.01, weight_decay: 0.1, number: 3.0, smallest: f32::MIN_POSITIVE.into() };
    let (kept, constants) = rule.example(0, &at);
    let constants = Tensor::from_slice(&constants.map(|c| c as f32), [1, CONSTANTS], device).unwrap();
    for gradients in &gradients {
        let slots = parameters.iter_mut().zip(gradients).zip(first.iter_mut().zip(&mut second).zip(&mut third));
        let mut slots: Vec<_> = slots
            .map(|((parameter, gradient), ((a, b), c))| {
                let states = [kept[0].then_some(a), kept[1].then_some(b), kept[2].then_some(c)];
                UpdateTensors { parameter, gradient, states, row: 0 }
            })
            .collect();
        Tensor::update(rule, &constants, None, &mut slots).unwrap();
    }
    [parameters, first, second, third].concat()
}

#[test]
fn an_optimizers_step_is_one_launch() {
    let gpu = Simulated::new();
    for &rule in UpdateRule::ALL {
        for mixed in [false, true] {
            let on_gpu = steps(rule, mixed, &gpu.device());
            on_gpu.iter().zip(&steps(rule, mixed, &Device::cpu())).for_each(|(gpu, cpu)| assert_same(gpu, cpu));
        }
        // Two steps of one type, and two where some of the gradients are of another.
        let launches = ["f32", "mixed"].map(|kind| gpu.launches(&format!("{}_{kind}", rule.kernel())));
        assert_eq!(launches, [2 + 2, 2], "{rule:?}");
    }
}
