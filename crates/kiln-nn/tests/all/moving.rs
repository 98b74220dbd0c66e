//! Layers that crop, repeat, resample and combine, and sequences of images: what they refuse, what becomes of masks and states, and
//! what they cost.

use kiln_autograd::Var;
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_tensor::{DType, Device, Padding, Tensor};

fn random(dims: &[usize], seed: u64) -> Tensor {
    let stream = RandomStream::new(seed, Purpose::Data, 0);
    Tensor::uniform(dims, -1.0, 1.0, DType::F32, &Device::cpu(), stream).unwrap()
}

/// Why a layer is not built for samples of this shape.
fn refusal(mut layer: impl AnyLayer, sample: impl Into<Shapes>) -> String {
    layer.build_any(&sample.into(), &mut Init::new(1, &Device::cpu())).unwrap_err().to_string()
}

#[test]
fn shapes_that_do_not_fit() {
    assert_eq!(
        refusal(Cropping2d::new([(3, 4), (0, 0)]), [2, 7, 5]),
        "cropping: 3 and 4 elements are to be cropped from the ends of spatial axis 1, which has 7: nothing would be left"
    );
    assert_eq!(
        refusal(Cropping1d::new([1, 2]), [2, 7]),
        "cropping: cropping [(1, 1), (2, 2)] is for 2 spatial axes, there are 1"
    );
    assert_eq!(
        refusal(Upsample3d::new([2, 0, 1]), [1, 2, 2, 2]),
        "upsample: size 2×0×1 is out of range: it must be 1 or more"
    );
    assert_eq!(
        refusal(PixelShuffle::new(3), [12, 2, 2]),
        "pixel_shuffle: 12 channels are not divisible by 3² = 9, the pixels of a block"
    );
    assert_eq!(refusal(PixelShuffle::new(0), [12, 2, 2]), "pixel_shuffle: a factor of 1 or more is expected, got 0");
    assert_eq!(
        refusal(PixelUnshuffle::new(2), [3, 4, 5]),
        "pixel_unshuffle: maps of 4×5 pixels are not divisible by 2"
    );
    assert_eq!(refusal(RepeatVector::new(0), [4]), "repeat_vector: 0 steps: at least 1 is needed");
    assert!(refusal(RepeatVector::new(2), [4, 3]).ends_with("put Flatten before this layer"));
    assert!(refusal(ConvLstm2d::new(2, 3), [4, 3, 8]).contains("samples of shape (steps, C, H, W) are expected"));
    assert!(refusal(SqueezeExcitation::new(0), [4, 3, 8]).contains("both must be above 0"));
}

#[test]
fn inputs_of_dot_that_do_not_fit() {
    let of = |a: &[usize], b: &[usize]| {
        let one = |dims: &[usize]| Shapes::One(kiln_tensor::Shape::new(dims).unwrap());
        Shapes::Many(vec![one(a), one(b)])
    };
    assert_eq!(
        refusal(Dot::new([2, 1]), of(&[3, 4], &[5, 6])),
        "dot: axis 2 of (1, 3, 4) and axis 1 of (1, 5, 6) are summed over together: they must be equal"
    );
    assert_eq!(refusal(Dot::new(0), of(&[3], &[3])), "dot: axis 0 of (1, 3): an axis from 1 to 1 is expected");
    assert_eq!(refusal(Dot::new(-3), of(&[3], &[3])), "dot: axis -3 of (1, 3): an axis from 1 to 1 is expected");
    assert!(refusal(Dot::new(1), of(&[], &[])).contains("samples of one number each have no axis to sum over"));
    assert!(refusal(Dot::new([1, 1, 1]), of(&[3], &[3])).contains("one axis or two are expected"));
    let (x, y) = (Var::constant(random(&[2, 3], 1)), Var::constant(random(&[4, 3], 2)));
    let error = Dot::new(1).forward((x, y), &Ctx::eval()).unwrap_err().to_string();
    assert_eq!(error, "dot: (2, 3) and (4, 3) are of different numbers of samples");
    assert!(refusal(Average::new(), of(&[3], &[4])).contains("values of one shape are needed"));
}

/// A mask of the first two of three steps of one sequence.
fn masked(dims: &[usize]) -> Value {
    let mask = Tensor::from_slice(&[true, true, false], [1, 3], &Device::cpu()).unwrap();
    Sequence::new(Var::constant(random(dims, 3)), mask).into()
}

#[test]
fn masks_go_on_where_steps_stay_steps() {
    let kept = |layer: &dyn AnyLayer, dims: &[usize]| {
        layer.forward_any(masked(dims), &Ctx::train(0, 0)).unwrap().mask().is_some()
    };
    for layer in [&GaussianNoise::new(0.1) as &dyn AnyLayer, &DropPath::new(0.1), &AlphaDropout::new(0.1)] {
        assert!(kept(layer, &[1, 3, 2]), "{}", layer.name());
    }
    assert!(kept(&Identity::new(), &[1, 3, 2]) && kept(&Lambda::new(|x: Var| x.exp()), &[1, 3, 2]));
    for layer in [&Cropping1d::new(0) as &dyn AnyLayer, &Upsample1d::new(1), &ZeroPad1d::new(0)] {
        assert!(!kept(layer, &[1, 3, 2]), "{}", layer.name());
    }
    let mut lstm = ConvLstm2d::new(2, 2);
    lstm.build_any(&Shapes::from([3, 1, 3, 3]), &mut Init::new(1, &Device::cpu())).unwrap();
    assert!(!kept(&lstm, &[1, 3, 1, 3, 3]) && kept(&lstm.return_sequences(true), &[1, 3, 1, 3, 3]));
    let both = Value::Many(vec![masked(&[1, 3, 2]), masked(&[1, 3, 2])]);
    assert!(Maximum::new().forward_any(both.clone(), &Ctx::eval()).unwrap().mask().is_some());
    assert!(Dot::new(-1).forward_any(both, &Ctx::eval()).unwrap().mask().is_none());
}

#[test]
fn steps_that_do_not_count_may_be_anything() {
    let layer = ConvLstm2d::new(2, 2).build_for([3, 1, 3, 3]);
    let x = random(&[1, 3, 1, 3, 3], 4);
    let short = layer.forward(Sequence::from(&Var::constant(x.slice(1, 0..2).unwrap())), &Ctx::eval()).unwrap();
    let mut values = x.to_vec::<f32>().unwrap();
    values[18..].fill(f32::NAN);
    let x = Var::constant(Tensor::from_vec(values, [1, 3, 1, 3, 3], &Device::cpu()).unwrap());
    let mask = Tensor::from_slice(&[true, true, false], [1, 3], &Device::cpu()).unwrap();
    let ctx = Ctx::eval().recording(true);
    let y = layer.forward(Sequence::new(x, mask), &ctx).unwrap();
    assert_eq!(y.values.tensor().to_vec::<f32>().unwrap(), short.values.tensor().to_vec::<f32>().unwrap());
    let gradients = y.values.sum_all().unwrap().backward().unwrap();
    let weight = gradients.get(layer.weight().unwrap().id()).unwrap().to_vec::<f32>().unwrap();
    assert!(weight.iter().all(|v| v.is_finite()), "{weight:?}");
    let mask = Tensor::from_slice(&[true, false], [1, 2], &Device::cpu()).unwrap();
    let odd = layer.forward(Sequence::new(Var::constant(random(&[1, 3, 1, 3, 3], 4)), mask), &ctx);
    assert!(odd.unwrap_err().to_string().contains("the mask is bool (1, 2), expected bool (batch, steps)"));
}

/// A layer that is built for these samples.
trait BuildFor: Layer + Sized {
    fn build_for(self, sample: impl Into<Shapes>) -> Self;
}

impl<L: Layer> BuildFor for L {
    fn build_for(mut self, sample: impl Into<Shapes>) -> Self {
        self.build_any(&sample.into(), &mut Init::new(1, &Device::cpu())).unwrap();
        self
    }
}

#[test]
fn states_are_carried_from_batch_to_batch() {
    let layer = ConvLstm2d::new(2, 3).padding(Padding::Same).stateful(true).build_for([4, 1, 3, 3]);
    let whole = layer.clone().stateful(false);
    let x = random(&[2, 4, 1, 3, 3], 5);
    let run = |layer: &ConvLstm2d, range: std::ops::Range<usize>| {
        let part = Var::constant(x.slice(1, range).unwrap());
        layer.forward(Sequence::from(&part), &Ctx::eval()).unwrap().values.tensor().to_vec::<f32>().unwrap()
    };
    let first = run(&layer, 0..2);
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close(&run(&layer, 2..4), &run(&whole, 0..4)));
    assert_eq!(layer.carried_states().len(), 2);
    layer.reset_states();
    assert!(close(&run(&layer, 0..2), &first));
    // A batch of another size begins anew.
    let one = Var::constant(x.slice(0, 0..1).unwrap());
    layer.forward(Sequence::from(&one), &Ctx::eval()).unwrap();
    assert_eq!(layer.carried_states().values().next().unwrap().dims()[0], 1);
    // Images of another size too.
    let wide = Var::constant(random(&[1, 2, 1, 3, 4], 6));
    let carried = layer.forward(Sequence::from(&wide), &Ctx::eval()).unwrap().values;
    let fresh = whole.forward(Sequence::from(&wide), &Ctx::eval()).unwrap().values;
    assert_eq!(carried.tensor().to_vec::<f32>().unwrap(), fresh.tensor().to_vec::<f32>().unwrap());
}

#[test]
fn corners_are_aligned_in_any_order_of_settings_and_not_of_the_nearest() {
    let x = Var::constant(random(&[1, 1, 3, 3], 7));
    let y = |layer: Upsample2d| layer.forward(x.clone(), &Ctx::eval()).unwrap().tensor().to_vec::<f32>().unwrap();
    let up = || Upsample2d::new(2);
    assert_eq!(y(up().align_corners().bicubic()), y(up().bicubic().align_corners()));
    assert_eq!(y(up().align_corners().bilinear()), y(up().bilinear().align_corners()));
    assert_ne!(y(up().bicubic()), y(up().bicubic().align_corners()));
    assert!(refusal(up().align_corners(), [1, 3, 3]).contains("align_corners needs an interpolation"));
}

#[test]
fn flops_count_products() {
    let flops = |mut layer: Box<dyn AnyLayer>, sample: &[usize]| {
        let shape = kiln_tensor::Shape::new(sample).unwrap();
        let output = layer.build_any(&shape.into(), &mut Init::new(1, &Device::cpu())).unwrap();
        layer.flops(&output)
    };
    // Two matrices of 8 · 2, once a sample.
    assert_eq!(flops(Box::new(SqueezeExcitation::new(2)), &[8, 5, 5]), 2 * 2 * 16);
    // Five steps of 4 · 4 positions, of 4 · 3 rows of 2 · 9 and 3 · 9 taps.
    let lstm = ConvLstm2d::new(3, 3);
    assert_eq!(flops(Box::new(lstm.clone()), &[5, 2, 6, 6]), 2 * 5 * 16 * 12 * (18 + 27));
    assert_eq!(flops(Box::new(lstm.return_sequences(true)), &[5, 2, 6, 6]), 2 * 5 * 16 * 12 * (18 + 27));
    assert_eq!(flops(Box::new(Upsample2d::new(2).bicubic()), &[2, 6, 6]), 0);
    // As the convolution that it transposes: 27 · 8 weights at 2 · 3 · 4 positions.
    assert_eq!(flops(Box::new(ConvTranspose3d::new(4, 3).stride(2)), &[2, 2, 3, 4]), 2 * 216 * 24);
}

#[test]
fn a_function_takes_several_values() {
    let layer = Lambda::new(|(x, y): (Var, Var)| x.mul(&y));
    let (x, y) = (Var::constant(random(&[2, 3], 6)), Var::constant(random(&[2, 3], 7)));
    let product = layer.forward((x.clone(), y.clone()), &Ctx::eval()).unwrap();
    assert_eq!(product.tensor().to_f64_vec().unwrap(), x.mul(&y).unwrap().tensor().to_f64_vec().unwrap());
    assert_eq!(format!("{layer:?}"), "Lambda");
}

#[test]
fn shuffles_undo_each_other() {
    for blocks_first in [false, true] {
        let x = random(&[2, 3, 4, 6], 8);
        let (there, back) =
            (PixelUnshuffle::new(2).blocks_first(blocks_first), PixelShuffle::new(2).blocks_first(blocks_first));
        let y = there.forward(Var::constant(x.clone()), &Ctx::eval()).unwrap();
        let again = back.forward(y, &Ctx::eval()).unwrap();
        assert_eq!(again.tensor().to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());
    }
}
