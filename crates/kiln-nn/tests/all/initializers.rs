//! First values: bounds and moments by Keras's formulas, and streams fixed by seed and path.

use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Shape};

const FANS: Fans = Fans { input: 300, output: 200 };

fn draw(initializer: Initializer, dtype: DType) -> Vec<f64> {
    let shape = Shape::new(&[300, 200]).unwrap();
    let stream = RandomStream::new(1, Purpose::Init, 0);
    initializer.tensor(&shape, FANS, dtype, &Device::cpu(), stream).unwrap().to_f64_vec().unwrap()
}

fn scaling(scale: f64, mode: FanMode, distribution: VarianceLaw) -> Initializer {
    Initializer::VarianceScaling { scale, mode, distribution }
}

/// Mean and standard deviation, which for n = 60000 are known to about std/√n.
fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, variance.sqrt())
}

#[test]
fn uniform_initializers_fill_their_interval() {
    for (initializer, bound) in [
        (Initializer::GlorotUniform, (6.0f64 / 500.0).sqrt()),
        (Initializer::HeUniform, (6.0f64 / 300.0).sqrt()),
        (Initializer::LecunUniform, (3.0f64 / 300.0).sqrt()),
        (Initializer::FanInUniform, 1.0 / 300.0f64.sqrt()),
        (Initializer::Uniform { low: -0.25, high: 0.25 }, 0.25),
        (scaling(1.5, FanMode::FanOut, VarianceLaw::Uniform), (4.5f64 / 200.0).sqrt()),
    ] {
        for dtype in [DType::F32, DType::F64] {
            let values = draw(initializer, dtype);
            let (mean, std) = moments(&values);
            let largest = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            // f32 rounds the bound itself.
            assert!(
                largest <= bound * (1.0 + 1e-6) && largest > bound * 0.999,
                "{initializer:?}: {largest} of {bound}"
            );
            assert!(mean.abs() < 5.0 * bound / 3f64.sqrt() / 60_000f64.sqrt(), "{initializer:?}: mean {mean}");
            assert!((std / (bound / 3f64.sqrt()) - 1.0).abs() < 0.01, "{initializer:?}: std {std}");
        }
    }
}

#[test]
fn normal_initializers_have_their_moments() {
    for (initializer, mean, std, truncated_at) in [
        (Initializer::GlorotNormal, 0.0, (2.0f64 / 500.0).sqrt(), Some((2.0f64 / 500.0).sqrt() / 0.879_625_661)),
        (Initializer::HeNormal, 0.0, (2.0f64 / 300.0).sqrt(), Some((2.0f64 / 300.0).sqrt() / 0.879_625_661)),
        (Initializer::LecunNormal, 0.0, (1.0f64 / 300.0).sqrt(), Some((1.0f64 / 300.0).sqrt() / 0.879_625_661)),
        (Initializer::Normal { mean: 1.0, std: 0.5 }, 1.0, 0.5, None),
        (Initializer::TruncatedNormal { mean: -1.0, std: 0.5 }, -1.0, 0.5 * 0.879_625_661, Some(0.5)),
        (
            scaling(0.5, FanMode::FanOut, VarianceLaw::TruncatedNormal),
            0.0,
            0.0025f64.sqrt(),
            Some(0.0025f64.sqrt() / 0.879_625_661),
        ),
        (scaling(5.0, FanMode::FanAvg, VarianceLaw::UntruncatedNormal), 0.0, 0.02f64.sqrt(), None),
    ] {
        for dtype in [DType::F32, DType::F64, DType::BF16] {
            let values = draw(initializer, dtype);
            let (found_mean, found_std) = moments(&values);
            assert!((found_mean - mean).abs() < 5.0 * std / 60_000f64.sqrt(), "{initializer:?}: mean {found_mean}");
            assert!((found_std / std - 1.0).abs() < 0.015, "{initializer:?} {dtype}: std {found_std}, expected {std}");
            let furthest = values.iter().fold(0.0f64, |m, v| m.max((v - mean).abs()));
            match truncated_at {
                Some(std) => assert!(furthest < 2.01 * std && furthest > 1.9 * std, "{initializer:?}: {furthest}"),
                None => assert!(furthest > 3.0 * std, "{initializer:?}: {furthest}"),
            }
        }
    }
}

#[test]
fn constants() {
    for (initializer, value) in [(Initializer::Zeros, 0.0), (Initializer::Ones, 1.0), (Initializer::Constant(0.5), 0.5)]
    {
        assert!(draw(initializer, DType::F32).iter().all(|&v| v == value));
    }
}

/// Glorot's, He's and LeCun's initializers are variance scalings by name: the same numbers.
#[test]
fn named_variance_scalings() {
    use {FanMode::*, VarianceLaw::*};
    for (named, scaled) in [
        (Initializer::GlorotUniform, scaling(1.0, FanAvg, Uniform)),
        (Initializer::GlorotNormal, scaling(1.0, FanAvg, TruncatedNormal)),
        (Initializer::HeUniform, scaling(2.0, FanIn, Uniform)),
        (Initializer::HeNormal, scaling(2.0, FanIn, TruncatedNormal)),
        (Initializer::LecunUniform, scaling(1.0, FanIn, Uniform)),
        (Initializer::LecunNormal, scaling(1.0, FanIn, TruncatedNormal)),
    ] {
        assert_eq!(draw(named, DType::F32), draw(scaled, DType::F32), "{named:?}");
    }
}

#[test]
fn identities_and_sparse_weights() {
    let identity = draw(Initializer::Identity { gain: 0.5 }, DType::F32);
    let on_diagonal = |at: usize| if at / 200 == at % 200 { 0.5 } else { 0.0 };
    assert!(identity.iter().enumerate().all(|(at, &w)| w == on_diagonal(at)));

    let sparse = draw(Initializer::Sparse { sparsity: 0.1, std: 0.25 }, DType::F32);
    let zeros = |column: usize| sparse.iter().skip(column).step_by(200).filter(|&&w| w == 0.0).count();
    assert!((0..200).all(|column| zeros(column) == 30), "⌈0.1 · 300⌉ of each column");
    let rows = |column: usize| (0..300).filter(|row| sparse[row * 200 + column] == 0.0).collect::<Vec<usize>>();
    assert_ne!(rows(0), rows(1));
    let others: Vec<f64> = sparse.iter().copied().filter(|&w| w != 0.0).collect();
    let (mean, std) = moments(&others);
    assert!(mean.abs() < 0.006 && (std / 0.25 - 1.0).abs() < 0.015, "{mean} {std}");

    let stream = RandomStream::new(1, Purpose::Init, 0);
    let error = |initializer: Initializer, shape: &[usize]| {
        let shape = Shape::new(shape).unwrap();
        initializer.tensor(&shape, FANS, DType::F32, &Device::cpu(), stream).unwrap_err().to_string()
    };
    assert!(error(Initializer::Identity { gain: 1.0 }, &[3]).contains("two axes"));
    assert!(error(Initializer::Sparse { sparsity: 0.1, std: 1.0 }, &[3, 2, 2]).contains("two axes"));
    assert!(error(Initializer::Dirac { groups: 1 }, &[3, 2]).contains("of a convolution"));
    assert!(error(Initializer::Dirac { groups: 2 }, &[3, 2, 2]).contains("must divide the 3 filters"));
}

#[test]
fn what_is_no_distribution_is_refused() {
    let shape = Shape::new(&[2]).unwrap();
    for initializer in [
        Initializer::Uniform { low: 1.0, high: 0.0 },
        Initializer::Uniform { low: f64::NEG_INFINITY, high: 0.0 },
        Initializer::Normal { mean: f64::NAN, std: 1.0 },
        Initializer::Normal { mean: 0.0, std: -1.0 },
        Initializer::TruncatedNormal { mean: 0.0, std: f64::INFINITY },
        Initializer::Sparse { sparsity: 1.5, std: 1.0 },
        scaling(0.0, FanMode::FanIn, VarianceLaw::Uniform),
    ] {
        let stream = RandomStream::new(1, Purpose::Init, 0);
        assert!(initializer.tensor(&shape, FANS, DType::F32, &Device::cpu(), stream).is_err(), "{initializer:?}");
    }
}

fn weights(model: &dyn Module) -> Vec<Vec<f64>> {
    model
        .parameters()
        .iter()
        .filter(|(p, _)| p.ends_with("weight"))
        .map(|(_, p)| p.value().to_f64_vec().unwrap())
        .collect()
}

#[test]
fn values_depend_on_seed_and_path_alone() {
    let model = |layers: usize, seed| {
        let mut model = Sequential::new();
        (0..layers).for_each(|_| model.add(Dense::new(4)));
        model.build(4, &Device::cpu(), seed).unwrap()
    };
    let (two, three, other) = (weights(&model(2, 1)), weights(&model(3, 1)), weights(&model(2, 2)));
    assert_eq!(two, three[..2], "a layer more changes none before it");
    assert_ne!(two[0], two[1], "layers of the same shape differ");
    assert_ne!(two, other);
    assert_eq!(two, weights(&model(2, 1)));
}

#[test]
fn layers_made_without_paths_differ_too() {
    let mut init = Init::new(1, &Device::cpu());
    let (a, b) = (Dense::with_sizes(4, 4, &mut init).unwrap(), Dense::with_sizes(4, 4, &mut init).unwrap());
    assert_ne!(weights(&a), weights(&b));
}

/// The fans of kernels as Keras counts them, seen in the bounds of √(6 / fan_in).
#[test]
fn kernels_have_keras_fans() {
    fn bound(layer: impl Layer + 'static, path: &str, input: &[usize]) -> f64 {
        let model = Sequential::new().push(layer).build(input, &Device::cpu(), 1).unwrap();
        let values = model.state_dict()[path].to_f64_vec().unwrap();
        values.iter().fold(0.0f64, |m, v| m.max(v.abs()))
    }
    let he = Initializer::HeUniform;
    let of = |fan_in: f64| (6.0 / fan_in).sqrt();
    let input = [16, 9, 9];
    for (found, expected) in [
        (bound(Conv2d::new(64, 3).kernel_initializer(he), "0.weight", &input), of(9.0 * 16.0)),
        (bound(Conv2d::new(64, 3).groups(4).kernel_initializer(he), "0.weight", &input), of(9.0 * 4.0)),
        (bound(DepthwiseConv2d::new(3).multiplier(8).kernel_initializer(he), "0.weight", &input), of(9.0 * 16.0)),
        (bound(ConvTranspose2d::new(64, 3).kernel_initializer(he), "0.weight", &input), of(9.0 * 64.0)),
        (bound(SeparableConv2d::new(64, 3).kernel_initializer(he), "0.pointwise.weight", &input), of(16.0)),
        // Glorot's of fan_in and fan_out, the default.
        (bound(Conv2d::new(64, 3), "0.weight", &input), of(9.0 * (16.0 + 64.0))),
    ] {
        assert!(found <= expected && found > 0.98 * expected, "{found} of {expected}");
    }
}
