//! Models of half types: what they compute in f32, and what they keep in it.

use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::{DType, Device, Tensor};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

fn tensor(values: &[f64], shape: &[usize], dtype: DType) -> Tensor {
    Tensor::from_slice(values, shape, &Device::cpu()).unwrap().to_dtype(dtype).unwrap()
}

#[test]
fn batch_norm_keeps_its_statistics_in_f32() {
    for half in HALVES {
        let mut layer = BatchNorm2d::new().with_input(1, &mut Init::new(1, &Device::cpu())).unwrap();
        layer.to_dtype(half).unwrap();
        let dtypes = |layer: &BatchNorm2d| {
            let (mean, variance) = layer.running().unwrap();
            [layer.weight().unwrap().value().dtype(), mean.value().dtype(), variance.value().dtype()]
        };
        assert_eq!(dtypes(&layer), [half, DType::F32, DType::F32]);
        let built = BatchNorm2d::new().with_input(1, &mut Init::new(1, &Device::cpu()).dtype(half)).unwrap();
        assert_eq!(dtypes(&built), [half, DType::F32, DType::F32]);

        let x = tensor(&[600.0, -600.0, 0.0, 0.0], &[1, 1, 2, 2], half);
        let ctx = Ctx::train(0, 0);
        let y = layer.forward(Var::from(&x), &ctx).unwrap();
        assert_eq!(y.dtype(), half);
        let root = tensor(&[2f64.sqrt()], &[1], half).to_f64_vec().unwrap()[0];
        assert_eq!(y.tensor().to_f64_vec().unwrap(), [root, -root, 0.0, 0.0]);
        ctx.commit(&mut layer).unwrap();
        // The unbiased variance, 240,000, is more than f16 can hold.
        let variance = layer.running().unwrap().1.value().to_f64_vec().unwrap()[0];
        assert!((variance - 24_000.9).abs() < 0.01, "{variance}");
        // One more step changes the average by less than a half type could tell.
        for _ in 0..200 {
            let ctx = Ctx::train(0, 0);
            layer.forward(Var::from(&x), &ctx).unwrap();
            ctx.commit(&mut layer).unwrap();
        }
        let variance = layer.running().unwrap().1.value().to_f64_vec().unwrap()[0];
        assert!((variance - 240_000.0).abs() < 1.0, "{variance}");
        let y = layer.forward(Var::from(&x), &Ctx::eval()).unwrap().tensor().to_f64_vec().unwrap();
        let want = tensor(&[600.0 / 240_000f64.sqrt()], &[1], half).to_f64_vec().unwrap()[0];
        assert_eq!(y, [want, -want, 0.0, 0.0]);
    }
}

#[test]
fn layers_that_draw_or_repeat_take_half_types() {
    for half in HALVES {
        let x = Var::from(tensor(&[1.0; 64], &[2, 8, 4], half));
        let y = Dropout::new(0.5).forward(x.clone(), &Ctx::train(1, 0)).unwrap().tensor().to_f64_vec().unwrap();
        assert!(y.iter().all(|&y| y == 0.0 || y == 2.0) && y.contains(&2.0) && y.contains(&0.0), "{y:?}");
        for model in [Sequential::new().push(Lstm::new(3)), Sequential::new().push(Gru::new(3))] {
            let mut model = model.build([8, 4], &Device::cpu(), 1).unwrap();
            let single = Var::from(x.tensor().to_dtype(DType::F32).unwrap());
            let want = model.forward(&single, &Ctx::eval()).unwrap().tensor().to_f64_vec().unwrap();
            model.to_dtype(half).unwrap();
            let got = model.forward(&x, &Ctx::eval()).unwrap();
            assert_eq!(got.dtype(), half);
            for (got, want) in got.tensor().to_f64_vec().unwrap().iter().zip(&want) {
                // Weights of a half type are not those of f32.
                assert!((got - want).abs() < 0.02, "{got} {want}");
            }
        }
    }
}

#[test]
fn penalties_of_weights_whose_squares_half_types_cannot_hold() {
    let weight = Var::variable(tensor(&[300.0, -300.0], &[2], DType::F16));
    let penalty = L1L2::from(L2(0.01)).penalty(&weight).unwrap().unwrap();
    assert_eq!((penalty.dtype(), penalty.item().unwrap()), (DType::F16, 1800.0));
    let gradients = penalty.backward().unwrap();
    assert_eq!(gradients.of(&weight).unwrap().to_f64_vec().unwrap(), [6.0, -6.0]);
}
