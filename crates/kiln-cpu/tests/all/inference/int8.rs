//! Convolutions of integers against sums in f64.

use super::layout::map_of;
use crate::conv::{forms, lengths, plane, rounding};
use kiln_cpu::conv::Conv;
use kiln_cpu::inference::{
    Epilogue, Quantization, QuantizedFilter, Step, Words, map_len, padded, quantize, weight_scales,
};
use kiln_cpu::{Isa, team};
use proptest::prelude::*;

/// The numbers that a map's integers stand for.
fn rounded(x: &[f32], by: Quantization) -> Vec<f64> {
    let integer = |x: f32| (x * by.scale.recip() + f32::from(by.zero)).clamp(0.0, 255.0).round_ties_even();
    x.iter().map(|&x| f64::from(by.scale) * f64::from(integer(x) - f32::from(by.zero))).collect()
}

/// The convolution in f64 of x (N, C, …) and w (O, C, …), with a bias.
fn naive(c: &Conv, x: &[f64], w: &[f64], bias: &[f32]) -> Vec<f64> {
    let taps = c.taps();
    let mut y = vec![0.0; lengths(c)[2]];
    for (at, y) in y.iter_mut().enumerate() {
        let (pixel, channel, image) =
            (at % c.out_plane(), at / c.out_plane() % c.outputs, at / c.out_plane() / c.outputs);
        let place = [pixel / c.out[2] / c.out[1], pixel / c.out[2] % c.out[1], pixel % c.out[2]];
        *y = f64::from(bias[channel]);
        for tap in 0..taps {
            let of = [tap / c.kernel[2] / c.kernel[1], tap / c.kernel[2] % c.kernel[1], tap % c.kernel[2]];
            let from = [0, 1, 2].map(|a| (place[a] * c.stride[a] + of[a] * c.dilation[a]).wrapping_sub(c.before[a]));
            if (0..3).any(|a| from[a] >= c.size[a]) {
                continue;
            }
            let from = (from[0] * c.size[1] + from[1]) * c.size[2] + from[2];
            for input in 0..c.inputs {
                let weight = w[(channel * c.inputs + input) * taps + tap];
                *y += weight * x[(image * c.inputs + input) * c.plane() + from];
            }
        }
    }
    y
}

struct Case {
    c: Conv,
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    input: Quantization,
    output: Quantization,
}

impl Case {
    fn new(c: Conv, input: Quantization) -> Case {
        let [x, w] = [0, 1].map(|operand| rounding(lengths(&c)[operand], operand as u64 + 1));
        let output = Quantization::of_range(-0.5, 3.0);
        Case { x, w, bias: rounding(c.outputs, 3), input, output, c }
    }

    /// The output's map, and its words.
    fn run(&self, isa: Isa, threads: usize) -> (Vec<f32>, Vec<f32>, Words) {
        let c = &self.c;
        let filter = QuantizedFilter::new(isa, c, self.input.zero);
        let mut packed = vec![f32::NAN; filter.room()];
        let scales = weight_scales(&self.w, c.outputs);
        let rescale = filter.pack(&self.w, &scales, self.input, Some(&self.bias), &mut packed);
        let mut x = vec![f32::NAN; filter.input_len()];
        let map = map_of(&self.x, c.inputs, c.plane());
        quantize(isa, filter.words(), (c.inputs, c.plane()), self.input, &map, &mut x);
        let mut y = vec![f32::NAN; map_len(c.batch, c.outputs, c.out_plane())];
        let mut quantized = vec![0.0; map_len(c.batch, filter.words().of_channels(c.outputs), c.out_plane())];
        let mut scratch = vec![f32::NAN; filter.scratch(threads)];
        let steps = [rescale.step(), Step::Relu];
        let to = Some((self.output, &mut quantized[..]));
        filter.run(&packed, &x, Some(&mut y), &mut scratch, &Epilogue::new(&steps), to);
        // Integers without floats are the same, whatever follows the sums.
        let residual: Vec<f32> = (0..y.len()).map(|i| (i % 7) as f32 * 0.1).collect();
        let rows = vec![0.5; map_len(c.batch, c.outputs, 1)];
        let halve = |piece: &mut [f32]| piece.iter_mut().for_each(|x| *x = *x * 0.5 + 0.1);
        let more = [rescale.step(), Step::Relu, Step::Scale(&rows), Step::Map(&halve), Step::Residual(&residual)];
        for steps in [&steps[..], &[rescale.step(), Step::Residual(&residual), Step::Relu], &more] {
            let epilogue = Epilogue::new(steps);
            let [mut both, mut alone] = [vec![0.0; quantized.len()], vec![0.0; quantized.len()]];
            let mut y = vec![f32::NAN; y.len()];
            filter.run(&packed, &x, Some(&mut y), &mut scratch, &epilogue, Some((self.output, &mut both)));
            filter.run(&packed, &x, None, &mut scratch, &epilogue, Some((self.output, &mut alone)));
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(bits(&alone) == bits(&both), "{isa:?} {c:?}");
            let mut again = vec![0.0; quantized.len()];
            quantize(isa, filter.words(), (c.outputs, c.out_plane()), self.output, &y, &mut again);
            assert!(bits(&both) == bits(&again), "{isa:?} {c:?}");
        }
        (y, quantized, filter.words())
    }

    fn check(&self) {
        let c = &self.c;
        let scales = weight_scales(&self.w, c.outputs);
        let each = c.inputs * c.taps();
        let weight = |(at, w): (usize, &f32)| {
            let scale = scales[at / each];
            f64::from(scale) * f64::from((w / scale).round_ties_even())
        };
        let w: Vec<f64> = self.w.iter().enumerate().map(weight).collect();
        let want: Vec<f32> =
            naive(c, &rounded(&self.x, self.input), &w, &self.bias).into_iter().map(|y| y.max(0.0) as f32).collect();
        let want = map_of(&want, c.outputs, c.out_plane());
        let largest = want.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
        for &isa in Isa::available() {
            let (got, quantized, words) = self.run(isa, 1);
            for (at, (got, want)) in got.iter().zip(&want).enumerate() {
                // Zeros and sums of large integers are rounded to f32.
                assert!((got - want).abs() < 2e-5 * largest, "{isa:?} {at}: {got} {want} {c:?}");
            }
            let mut again = vec![0.0; quantized.len()];
            quantize(isa, words, (c.outputs, c.out_plane()), self.output, &got, &mut again);
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(bits(&quantized) == bits(&again), "{isa:?} {c:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn sums_are_those_of_the_integers(c in forms(), least in -2.0_f32..0.5, most in 0.1_f32..3.0) {
        Case::new(Conv { groups: 1, ..c }, Quantization::of_range(least, most)).check();
    }

    #[test]
    fn integers_are_the_nearest(values in proptest::collection::vec(-3.0_f32..3.0, 0..70), least in -3.0_f32..1.0, most in -1.0_f32..3.0) {
        let by = Quantization::of_range(least, most);
        prop_assert!((rounded(&[0.0], by)[0]).abs() < 1e-12);
        let channels = values.len();
        let map = map_of(&values, channels, 1);
        for &isa in Isa::available() {
            for words in [Words::Pairs, Words::Quads] {
                let mut y = vec![0.0; map_len(usize::from(channels > 0), words.of_channels(channels), 1)];
                quantize(isa, words, (channels, usize::from(channels > 0)), by, &map, &mut y);
                for (channel, want) in rounded(&values, by).into_iter().enumerate() {
                    let bits = y[channel / words.each()].to_bits() >> (channel % words.each() * (32 / words.each()));
                    let got = f64::from(by.scale) * (f64::from(bits & 255) - f64::from(by.zero));
                    // One of two neighbors where a number is halfway between them.
                    prop_assert!((got - want).abs() < f64::from(by.scale) * 1.001, "{got} {want}");
                    let end = |integer: f64| f64::from(by.scale) * (integer - f64::from(by.zero));
                    let inside = f64::from(values[channel]).clamp(end(0.0), end(255.0));
                    prop_assert!((got - inside).abs() <= f64::from(by.scale) * 0.501, "{got} {inside}");
                }
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads_or_instruction_sets() {
    for c in [
        plane([1, 1, 130, 200], 14, 3, 1, 1),
        plane([2, 1, 513, 130], 7, 1, 1, 0),
        plane([4, 1, 3, 64], 32, 7, 2, 3),
        plane([3, 1, 64, 128], 28, 1, 2, 0),
        plane([1, 1, 2048, 70], 1, 1, 1, 0),
        plane([1, 1, 512, 40], 7, 3, 1, 1),
        plane([0, 1, 3, 4], 6, 3, 1, 1),
    ] {
        let case = Case::new(c, Quantization::of_range(-0.7, 1.0));
        case.check();
        let bits = |(y, _, _): (Vec<f32>, Vec<f32>, Words)| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        let want = bits(case.run(Isa::best(), 1));
        for threads in [2, 3] {
            let pool = team::ThreadPool::new(threads);
            assert!(team::run_in(&pool, || bits(case.run(Isa::best(), threads))) == want, "{threads} threads {c:?}");
        }
        for &isa in Isa::available().iter().filter(|isa| isa.fused() && Isa::best().fused()) {
            assert!(bits(case.run(isa, 1)) == want, "{isa:?} {c:?}");
        }
    }
}

#[test]
fn ranges_without_numbers_and_numbers_out_of_range() {
    for (least, most) in [(0.0, 0.0), (f32::NAN, f32::NAN), (-f32::INFINITY, 1.0), (0.0, 1e-44)] {
        assert_eq!(Quantization::of_range(least, most), Quantization { scale: 1.0, zero: 0 });
    }
    let by = Quantization::of_range(-1.0, 1.0);
    let x = map_of(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -5.0, 0.0], 6, 1);
    for &isa in Isa::available() {
        let mut y = vec![0.0; padded(3)];
        quantize(isa, Words::Pairs, (6, 1), by, &x, &mut y);
        let integers: Vec<u32> = y[..3].iter().flat_map(|y| [y.to_bits() & 0xffff, y.to_bits() >> 16]).collect();
        assert_eq!(integers, [127, 255, 0, 255, 0, 127]);
    }
    assert_eq!(weight_scales(&[0.0, 0.0, -254.0, 1.0], 2), [1.0, 2.0]);
}
