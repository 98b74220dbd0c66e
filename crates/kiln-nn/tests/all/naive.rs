//! Layers, losses and files over random shapes, against a few plain loops.

use kiln_autograd::Var;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Shape, Tensor};
use proptest::prelude::*;

fn random(shape: &[usize], seed: u64) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    Tensor::uniform(shape, -2.0, 2.0, DType::F64, &Device::cpu(), RandomStream::new(seed, Purpose::Data, 0)).unwrap()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= 1e-12 * (1.0 + e.abs()), "{f} for {e}");
    }
}

/// y[r][o] = activation(Σ x[r][i]·w[o][i] + b[o])
fn dense(x: &[f64], w: &[f64], b: Option<&[f64]>, inputs: usize, units: usize, activation: fn(f64) -> f64) -> Vec<f64> {
    let mut y = Vec::new();
    for row in x.chunks(inputs) {
        for o in 0..units {
            let sum: f64 = (0..inputs).map(|i| row[i] * w[o * inputs + i]).sum();
            y.push(activation(sum + b.map_or(0.0, |b| b[o])));
        }
    }
    y
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exp: Vec<f64> = row.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|e| e / sum).collect()
}

/// Along one axis: size, kernel, stride, dilation, zeros before and after.
type Along = (usize, usize, usize, usize, usize, usize);

fn along() -> impl Strategy<Value = Along> {
    (1usize..8, 1usize..4, 1usize..4, 1usize..3, 0usize..3, 0usize..3)
        .prop_filter("the kernel fits", |&(size, kernel, _, dilation, before, after)| {
            size + before + after > (kernel - 1) * dilation
        })
}

/// Outputs along an axis, by the definition: how often the kernel fits.
fn outputs((size, kernel, stride, dilation, before, after): Along) -> usize {
    (0..).take_while(|o| o * stride + (kernel - 1) * dilation < size + before + after).count()
}

/// The element of an axis that a tap meets at an output, unless it is padding.
fn met((size, _, stride, dilation, before, _): Along, output: usize, tap: usize) -> Option<usize> {
    (output * stride + tap * dilation).checked_sub(before).filter(|&at| at < size)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn convolution_layers(rows in along(), columns in along(), n in 1usize..3, groups in 1usize..3, per_group in 1usize..4,
                          filters in 1usize..4, bias: bool, relu: bool, seed: u64) {
        let (channels, filters) = (groups * per_group, groups * filters);
        let activation = if relu { Activation::Relu } else { Activation::Linear };
        let layer = Conv2d::new(filters, [rows.1, columns.1])
            .stride([rows.2, columns.2])
            .dilation([rows.3, columns.3])
            .padding([(rows.4, rows.5), (columns.4, columns.5)])
            .groups(groups)
            .use_bias(bias)
            .bias_initializer(Initializer::Uniform { low: -1.0, high: 1.0 })
            .activation(activation);
        let mut init = Init::new(seed, &Device::cpu()).dtype(DType::F64);
        let model = Sequential::new().channels_first().push(layer);
        let model = model.build_with([channels, rows.0, columns.0], &mut init).unwrap();
        let (high, wide) = (outputs(rows), outputs(columns));
        prop_assert_eq!(&model.output_shapes()[0], &[filters, high, wide]);
        let x = random(&[n, channels, rows.0, columns.0], seed);
        let y = model.forward(&x, &Ctx::eval()).unwrap();
        let state = model.state_dict();
        prop_assert_eq!(state["0.weight"].dims(), [filters, per_group, rows.1, columns.1]);
        let w = state["0.weight"].to_f64_vec().unwrap();
        let b = state.get("0.bias").map(|b| b.to_f64_vec().unwrap());
        let x = x.to_f64_vec().unwrap();
        let mut expected = Vec::new();
        for (sample, f) in (0..n).flat_map(|sample| (0..filters).map(move |f| (sample, f))) {
            for (r, c) in (0..high).flat_map(|r| (0..wide).map(move |c| (r, c))) {
                let mut sum = b.as_ref().map_or(0.0, |b| b[f]);
                for (i, kr, kc) in (0..per_group * rows.1 * columns.1)
                    .map(|at| (at / (rows.1 * columns.1), at / columns.1 % rows.1, at % columns.1)) {
                    if let (Some(row), Some(column)) = (met(rows, r, kr), met(columns, c, kc)) {
                        let channel = f / (filters / groups) * per_group + i;
                        sum += x[((sample * channels + channel) * rows.0 + row) * columns.0 + column]
                            * w[((f * per_group + i) * rows.1 + kr) * columns.1 + kc];
                    }
                }
                expected.push(if relu { sum.max(0.0) } else { sum });
            }
        }
        close(&y.tensor().to_f64_vec().unwrap(), &expected);
        // Two operations for each weight at each position.
        let products = (w.len() * high * wide) as u64;
        prop_assert_eq!(model.flops(&model.output_shapes()[0]), 2 * products);
    }

    #[test]
    fn pooling_layers(axis in along(), n in 1usize..3, channels in 1usize..4, seed: u64) {
        let (size, kernel, stride, _, before, after) = axis;
        prop_assume!(before < kernel && after < kernel);
        let axis = (size, kernel, stride, 1, before, after);
        prop_assume!(size + before + after >= kernel);
        let x = random(&[n, channels, size], seed);
        let values = x.to_f64_vec().unwrap();
        let met = |line: &[f64], o: usize| (0..kernel).filter_map(|k| met(axis, o, k).map(|at| line[at])).collect::<Vec<_>>();
        let each = |f: &dyn Fn(Vec<f64>) -> f64| -> Vec<f64> {
            values.chunks(size).flat_map(|line| (0..outputs(axis)).map(move |o| met(line, o))).map(f).collect()
        };
        let run = |layer: &dyn AnyLayer| layer.forward_any(Value::from(&x), &Ctx::eval()).unwrap().var().unwrap().tensor().to_f64_vec().unwrap();
        let padding = [(before, after)];
        close(&run(&MaxPool1d::new(kernel).stride(stride).padding(padding)),
              &each(&|met| met.into_iter().fold(f64::NEG_INFINITY, f64::max)));
        close(&run(&AvgPool1d::new(kernel).stride(stride).padding(padding)),
              &each(&|met| met.iter().sum::<f64>() / kernel as f64));
        close(&run(&AvgPool1d::new(kernel).stride(stride).padding(padding).count_include_pad(false)),
              &each(&|met| met.iter().sum::<f64>() / met.len() as f64));
        close(&run(&LpPool1d::new(kernel).stride(stride).padding(padding)),
              &each(&|met| met.iter().map(|x| x * x).sum::<f64>().sqrt()));
    }

    #[test]
    fn dense_layers(leading in prop::collection::vec(1usize..5, 1..4), inputs in 1usize..40, units in 1usize..40,
                    bias: bool, relu: bool, seed: u64) {
        let (activation, plain): (_, fn(f64) -> f64) =
            if relu { (Activation::Relu, |v| v.max(0.0)) } else { (Activation::Tanh, f64::tanh) };
        let mut init = Init::new(seed, &Device::cpu()).dtype(DType::F64);
        let layer = Dense::new(units)
            .use_bias(bias)
            .activation(activation)
            .bias_initializer(Initializer::Uniform { low: -1.0, high: 1.0 })
            .with_input(inputs, &mut init)
            .unwrap();
        let shape = [&leading[..], &[inputs]].concat();
        let x = random(&shape, seed);
        let y = layer.forward(Var::from(&x), &Ctx::eval()).unwrap();
        prop_assert_eq!(y.dims(), [&leading[..], &[units]].concat());
        let w = layer.weight().unwrap().value().to_f64_vec().unwrap();
        let b = layer.bias().map(|b| b.value().to_f64_vec().unwrap());
        let expected = dense(&x.to_f64_vec().unwrap(), &w, b.as_deref(), inputs, units, plain);
        close(&y.tensor().to_f64_vec().unwrap(), &expected);
        prop_assert_eq!(layer.parameter_count(), inputs * units + if bias { units } else { 0 });

        // Strided input: the same rows in another order in memory.
        let transposed = random(&[inputs, 3], seed).t().unwrap();
        let y = layer.forward(Var::from(&transposed), &Ctx::eval()).unwrap();
        let expected = dense(&transposed.to_f64_vec().unwrap(), &w, b.as_deref(), inputs, units, plain);
        close(&y.tensor().to_f64_vec().unwrap(), &expected);
    }

    #[test]
    fn classification_losses(rows in 1usize..9, classes in 1usize..12, seed: u64) {
        let logits = random(&[rows, classes], seed);
        let values = logits.to_f64_vec().unwrap();
        let labels: Vec<i64> = (0..rows).map(|r| ((seed >> (r % 32)) % classes as u64) as i64).collect();
        let expected: Vec<f64> = values.chunks(classes).zip(&labels).map(|(row, &l)| -softmax(row)[l as usize].ln()).collect();
        let cpu = Device::cpu();
        let bytes: Vec<u8> = labels.iter().map(|&l| l as u8).collect();
        let column = Tensor::from_slice(&labels, [rows, 1], &cpu).unwrap();
        for target in [column.reshape(rows).unwrap(), column, Tensor::from_slice(&bytes, rows, &cpu).unwrap()] {
            let x = Var::from(&logits);
            let loss = SparseCategoricalCrossentropy::from_logits().per_sample(&x, &target).unwrap();
            close(&loss.tensor().to_f64_vec().unwrap(), &expected);
            let p = x.softmax(-1).unwrap();
            let loss = SparseCategoricalCrossentropy::new().per_sample(&p, &target).unwrap();
            close(&loss.tensor().to_f64_vec().unwrap(), &expected);
        }
        let one_hot: Vec<bool> = labels.iter().flat_map(|&l| (0..classes).map(move |c| c as i64 == l)).collect();
        let target = Tensor::from_slice(&one_hot, [rows, classes], &cpu).unwrap();
        let loss = CategoricalCrossentropy::from_logits().per_sample(&Var::from(&logits), &target).unwrap();
        close(&loss.tensor().to_f64_vec().unwrap(), &expected);
    }

    #[test]
    fn losses_between_numbers(shape in prop::collection::vec(1usize..5, 1..4), seed: u64) {
        // Targets of the binary cross-entropy are in [0, 1].
        let (p, t) = (random(&shape, seed), random(&shape, seed ^ 1).sigmoid().unwrap());
        let per = shape[1..].iter().product::<usize>();
        let (ps, ts) = (p.to_f64_vec().unwrap(), t.to_f64_vec().unwrap());
        let mean = |f: fn(f64, f64) -> f64| -> Vec<f64> {
            let each: Vec<f64> = ps.iter().zip(&ts).map(|(p, t)| f(*p, *t)).collect();
            each.chunks(per).map(|sample| sample.iter().sum::<f64>() / per as f64).collect()
        };
        let cases: [(Box<dyn Loss>, Vec<f64>); 3] = [
            (Box::new(MeanSquaredError::new()), mean(|p, t| (p - t) * (p - t))),
            (Box::new(MeanAbsoluteError::new()), mean(|p, t| (p - t).abs())),
            (Box::new(BinaryCrossentropy::from_logits()), mean(|p, t| {
                let s = 1.0 / (1.0 + (-p).exp());
                -t * s.ln() - (1.0 - t) * (1.0 - s).ln()
            })),
        ];
        for (loss, expected) in cases {
            close(&loss.per_sample(&Var::from(&p), &t).unwrap().tensor().to_f64_vec().unwrap(), &expected);
            let total = expected.iter().sum::<f64>() / expected.len() as f64;
            close(&[loss.forward(&Var::from(&p), &t).unwrap().item().unwrap()], &[total]);
        }
    }

    #[test]
    fn safetensors_bytes(entries in prop::collection::btree_map("[a-z0-9._\"é\\\\]{0,12}", (prop::collection::vec(0usize..4, 0..4), any::<u32>()), 0..6)) {
        prop_assume!(!entries.contains_key("__metadata__"));
        let cpu = Device::cpu();
        let tensors: StateDict = entries
            .iter()
            .map(|(name, (shape, bits))| {
                // Any bits: NaN with a payload, denormal numbers, −0.
                let count: usize = shape.iter().product();
                let values: Vec<f32> = (0..count).map(|i| f32::from_bits(bits.wrapping_mul(2 * i as u32 + 1))).collect();
                (name.clone(), Tensor::from_slice(&values, Shape::new(shape).unwrap(), &cpu).unwrap())
            })
            .collect();
        let bytes = safetensors::encode(&tensors).unwrap();
        let read = safetensors::decode(&bytes, &cpu).unwrap();
        let bits = |t: &Tensor| t.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        prop_assert_eq!(read.len(), tensors.len());
        for (name, tensor) in &tensors {
            prop_assert_eq!(read[name].shape(), tensor.shape());
            prop_assert_eq!(bits(&read[name]), bits(tensor));
        }
        // Cut anywhere, it is refused.
        for cut in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            prop_assert!(safetensors::decode(&bytes[..cut.min(bytes.len() - 1)], &cpu).is_err());
        }
    }
}

#[test]
fn probabilities_of_zero_give_a_finite_loss() {
    let cpu = Device::cpu();
    let p = Var::from(Tensor::from_slice(&[0.0f32, 1.0], [1, 2], &cpu).unwrap());
    let label = Tensor::from_slice(&[0i64], [1], &cpu).unwrap();
    let loss = SparseCategoricalCrossentropy::new().forward(&p, &label).unwrap().item().unwrap();
    assert!(loss.is_finite() && loss > 80.0, "{loss}");
    let target = Tensor::from_slice(&[1.0f32, 0.0], [1, 2], &cpu).unwrap();
    assert!(BinaryCrossentropy::new().forward(&p, &target).unwrap().item().unwrap().is_finite());
}
