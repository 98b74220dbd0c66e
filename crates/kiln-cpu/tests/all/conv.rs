//! Convolutions against a naive sum in f64, over forms, instruction sets and numbers of threads.

use half::bf16;
use kiln_cpu::conv::{Conv, forward, forward_bf16, grad_input, grad_input_bf16, grad_weight, grad_weight_bf16};
use kiln_cpu::gemm::{Bias, GemmActivation, GemmEpilogue};
use kiln_cpu::{Isa, team};
use kiln_math::{K_BLOCK, taps_in_block};
use proptest::prelude::*;

/// Numbers in [−1, 1) with few bits, so that sums of products are exact in f32 and any order of them gives the same.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 59) as f32 / 16.0 - 1.0
        })
        .collect()
}

/// Calls `f(x, w, y)` with the positions of all that meet.
fn each(c: &Conv, mut f: impl FnMut(usize, usize, usize)) {
    let flat = |at: [usize; 3], size: [usize; 3]| (at[0] * size[1] + at[1]) * size[2] + at[2];
    let positions = |size: [usize; 3]| {
        (0..size.iter().product::<usize>()).map(move |i| [i / size[2] / size[1], i / size[2] % size[1], i % size[2]])
    };
    for n in 0..c.batch {
        for g in 0..c.groups {
            for o in 0..c.outputs {
                for p in positions(c.out) {
                    for k in positions(c.kernel) {
                        let at: [isize; 3] = std::array::from_fn(|a| {
                            (p[a] * c.stride[a] + k[a] * c.dilation[a]) as isize - c.before[a] as isize
                        });
                        if (0..3).any(|a| at[a] < 0 || at[a] >= c.size[a] as isize) {
                            continue;
                        }
                        for i in 0..c.inputs {
                            let channel = (n * c.groups + g) * c.inputs + i;
                            let result = (n * c.groups + g) * c.outputs + o;
                            let weight = (g * c.outputs + o) * c.inputs + i;
                            f(
                                channel * c.plane() + flat(at.map(|a| a as usize), c.size),
                                weight * c.taps() + flat(k, c.kernel),
                                result * c.out_plane() + flat(p, c.out),
                            );
                        }
                    }
                }
            }
        }
    }
}

pub(crate) fn lengths(c: &Conv) -> [usize; 3] {
    let (i, o) = (c.batch * c.groups * c.inputs, c.batch * c.groups * c.outputs);
    [i * c.plane(), c.groups * c.outputs * c.inputs * c.taps(), o * c.out_plane()]
}

/// y, dx, dw of random operands.
fn naive(c: &Conv) -> [Vec<f32>; 6] {
    let [x, w, dy] = [0, 1, 2].map(|operand| numbers(lengths(c)[operand], operand as u64 + 1));
    let (mut y, mut dx, mut dw) = (vec![0f64; dy.len()], vec![0f64; x.len()], vec![0f64; w.len()]);
    each(c, |i, k, o| {
        y[o] += f64::from(x[i]) * f64::from(w[k]);
        dx[i] += f64::from(dy[o]) * f64::from(w[k]);
        dw[k] += f64::from(dy[o]) * f64::from(x[i]);
    });
    let single = |v: Vec<f64>| v.into_iter().map(|v| v as f32).collect();
    [x, w, dy, single(y), single(dx), single(dw)]
}

fn check(c: &Conv) {
    let [x, w, dy, y, dx, dw] = naive(c);
    for &isa in Isa::available() {
        // What was there must not matter.
        let mut out = vec![f32::NAN; y.len()];
        forward(isa, c, &x, &w, &mut out, &GemmEpilogue::default());
        assert_eq!(out, y, "forward {c:?} {isa:?}");
        let mut out = vec![f32::NAN; x.len()];
        grad_input(isa, c, &dy, &w, &mut out);
        assert_eq!(out, dx, "gradient of the input {c:?} {isa:?}");
        let mut out = vec![f32::NAN; w.len()];
        grad_weight(isa, c, &x, &dy, &mut out);
        assert_eq!(out, dw, "gradient of the weight {c:?} {isa:?}");
        if c.by_bf16_dots(isa) {
            check_bf16(isa, c, [&x, &w, &dy], [&y, &dx, &dw]);
        }
    }
}

/// The same by dot products of bf16, which hold these numbers exactly.
fn check_bf16(isa: Isa, c: &Conv, operands: [&[f32]; 3], [y, dx, dw]: [&[f32]; 3]) {
    let [x, w, dy] = operands.map(|of| of.iter().map(|&x| bf16::from_f32(x)).collect::<Vec<_>>());
    let room = |words: [usize; 2]| vec![f32::NAN; words[0] + words[1]];
    let mut out = vec![f32::NAN; y.len()];
    forward_bf16(isa, c, (&x, &w), &mut room(c.forward_words()), &mut out, &GemmEpilogue::default());
    assert_eq!(out, y, "forward by dot products {c:?}");
    let mut out = vec![f32::NAN; x.len()];
    grad_input_bf16(isa, c, (&dy, &w), &mut room(c.grad_input_words()), &mut out);
    assert_eq!(out, dx, "gradient of the input by dot products {c:?}");
    let mut out = vec![f32::NAN; w.len()];
    grad_weight_bf16(isa, c, (&x, &dy), &mut room(c.grad_weight_words()), &mut out);
    assert_eq!(out, dw, "gradient of the weight by dot products {c:?}");
}

/// The form with these along every axis that is there.
pub(crate) fn form(rank: usize, [batch, groups, inputs, outputs]: [usize; 4], axes: [[usize; 6]; 3]) -> Option<Conv> {
    let mut c = Conv {
        batch,
        groups,
        inputs,
        outputs,
        size: [1; 3],
        out: [1; 3],
        kernel: [1; 3],
        stride: [1; 3],
        dilation: [1; 3],
        before: [0; 3],
    };
    for (axis, &[size, kernel, stride, dilation, before, after]) in axes.iter().enumerate().skip(3 - rank) {
        let extent = (kernel - 1) * dilation + 1;
        let covered = (size + before + after).checked_sub(extent)?;
        (c.size[axis], c.kernel[axis], c.stride[axis], c.dilation[axis], c.before[axis]) =
            (size, kernel, stride, dilation, before);
        c.out[axis] = covered / stride + 1;
    }
    Some(c)
}

/// Whether the naive sum is done soon.
pub(crate) fn is_small(c: &Conv) -> bool {
    lengths(c)[2] * c.inputs * c.taps() < 2_000_000 && lengths(c).iter().all(|&elements| elements < 30_000)
}

pub(crate) fn axis() -> impl Strategy<Value = [usize; 6]> {
    (1_usize..14, 1_usize..6, 1_usize..4, 1_usize..3, 0_usize..4, 0_usize..4)
        .prop_map(|(size, kernel, stride, dilation, before, after)| [size, kernel, stride, dilation, before, after])
}

pub(crate) fn forms() -> impl Strategy<Value = Conv> {
    let channels = prop_oneof![3 => 1_usize..6, 1 => 15_usize..40];
    let counts = (
        prop_oneof![3 => 0_usize..4, 1 => 8_usize..20],
        prop_oneof![3 => Just(1_usize), 1 => 2_usize..5],
        channels.clone(),
        prop_oneof![3 => channels, 1 => 60_usize..100],
    );
    (1_usize..4, counts, [axis(), axis(), axis()])
        .prop_filter_map("too large", |(rank, (n, g, i, o), axes)| form(rank, [n, g, i, o], axes).filter(is_small))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_form_is_the_naive_sum(c in forms()) {
        check(&c);
    }
}

pub(crate) fn plane(sizes: [usize; 4], size: usize, kernel: usize, stride: usize, pad: usize) -> Conv {
    let axis = [size, kernel, stride, 1, pad, pad];
    form(2, sizes, [axis; 3]).unwrap()
}

#[test]
fn forms_of_known_networks() {
    // AlexNet's on small images: strided with few channels, small maps with many images.
    check(&plane([9, 1, 3, 33], 17, 11, 4, 5));
    check(&plane([10, 1, 20, 70], 4, 5, 1, 2));
    check(&plane([17, 1, 40, 30], 2, 3, 1, 1));
    // ResNet's: the first layer, a block, a strided shortcut, one pixel by one.
    check(&plane([2, 1, 3, 24], 21, 7, 2, 3));
    check(&plane([8, 1, 3, 24], 21, 7, 2, 3));
    // Few channels: groups, dilation, padding of each side, what no output meets, one axis and three.
    check(&form(2, [9, 2, 2, 17], [[1; 6], [11, 3, 2, 2, 1, 4], [13, 5, 3, 1, 2, 0]]).unwrap());
    check(&form(2, [8, 1, 1, 16], [[1; 6], [8, 2, 3, 1, 0, 0], [12, 5, 4, 2, 0, 1]]).unwrap());
    check(&form(1, [12, 1, 4, 70], [[1; 6], [1; 6], [60, 5, 1, 1, 2, 2]]).unwrap());
    check(&form(3, [8, 1, 2, 16], [[4, 2, 1, 1, 1, 0], [5, 3, 2, 1, 1, 1], [6, 5, 1, 1, 2, 2]]).unwrap());
    check(&plane([2, 1, 18, 20], 14, 3, 1, 1));
    check(&plane([2, 1, 16, 32], 8, 1, 2, 0));
    check(&plane([3, 1, 33, 17], 9, 1, 1, 0));
    // Depthwise, with and without a multiplier, and grouped.
    check(&plane([2, 20, 1, 1], 19, 3, 1, 1));
    check(&plane([2, 7, 1, 3], 12, 3, 2, 1));
    check(&plane([2, 4, 6, 5], 9, 3, 1, 1));
}

#[test]
fn empty_batches_have_no_output_and_no_gradient() {
    for c in [plane([0, 1, 3, 4], 6, 3, 1, 1), plane([0, 3, 1, 1], 6, 3, 1, 1), plane([0, 1, 3, 4], 9, 1, 1, 0)] {
        check(&c);
    }
}

#[test]
fn what_the_padding_alone_meets_is_zero_and_infinities_stay_where_they_are() {
    // A kernel of one tap at stride 2 leaves inputs that nothing meets.
    check(&plane([1, 1, 2, 2], 5, 1, 2, 0));
    // The whole window in the padding.
    check(&form(1, [2, 1, 2, 3], [[1, 2, 1, 1, 3, 3]; 3]).unwrap());
    let c = plane([1, 1, 1, 1], 9, 3, 1, 1);
    let mut x = numbers(81, 1);
    (x[0], x[80]) = (f32::INFINITY, f32::NAN);
    let mut y = vec![0.0; 81];
    forward(Isa::best(), &c, &x, &[1.0; 9], &mut y, &GemmEpilogue::default());
    for (i, y) in y.iter().enumerate() {
        let near = |at: usize| (i / 9).abs_diff(at / 9) <= 1 && (i % 9).abs_diff(at % 9) <= 1;
        assert_eq!((y.is_infinite(), y.is_nan()), (near(0), near(80)), "{i}");
    }
    // Depthwise, 7 wide, without padding: the last column is not met by a kernel's first.
    let c = plane([1, 2, 1, 1], 7, 3, 1, 0);
    let mut x = numbers(98, 1);
    x[6] = f32::INFINITY;
    let mut dw = vec![0.0; 18];
    grad_weight(Isa::best(), &c, &x, &[1.0; 50], &mut dw);
    let infinite: Vec<usize> = (0..18).filter(|&i| !dw[i].is_finite()).collect();
    assert_eq!(infinite, [2]);
}

#[test]
fn bias_and_activation_end_each_element() {
    for c in [
        plane([2, 1, 3, 20], 11, 3, 1, 1),
        plane([9, 1, 18, 70], 3, 3, 1, 1),
        plane([2, 2, 5, 4], 9, 1, 1, 0),
        plane([2, 5, 1, 2], 6, 3, 1, 1),
    ] {
        let [x, w, _, y, ..] = naive(&c);
        let bias = numbers(c.groups * c.outputs, 9);
        let results = c.groups * c.outputs;
        let want: Vec<f32> =
            y.iter().enumerate().map(|(i, y)| (y + bias[i / c.out_plane() % results]).max(0.0)).collect();
        let double = |row: &mut [f32]| row.iter_mut().for_each(|x| *x *= 2.0);
        for (activation, factor) in [(GemmActivation::Relu, 1.0), (GemmActivation::Map(&double), 2.0)] {
            let mut out = vec![f32::NAN; y.len()];
            let epilogue = GemmEpilogue::default().with_bias(Bias::Row(&bias)).with_activation(activation);
            forward(Isa::best(), &c, &x, &w, &mut out, &epilogue);
            if factor == 1.0 {
                assert_eq!(out, want, "{c:?}");
            } else {
                for (i, out) in out.iter().enumerate() {
                    assert_eq!(*out, 2.0 * (y[i] + bias[i / c.out_plane() % results]), "{c:?}");
                }
            }
        }
    }
}

/// Numbers whose sums round, so that their order shows.
pub(crate) fn rounding(count: usize, seed: u64) -> Vec<f32> {
    numbers(count, seed).iter().enumerate().map(|(i, x)| x * (1.0 + (i % 97) as f32 / 96.5)).collect()
}

/// y by definition: the terms by tap and channel, in blocks of whole taps, a tap of many channels in blocks of its own.
fn by_blocks(c: &Conv, x: &[f32], w: &[f32]) -> Vec<f32> {
    let each_tap = taps_in_block(c.inputs);
    let mut y: Vec<(usize, f32, Vec<f32>)> = vec![(usize::MAX, 0.0, Vec::new()); lengths(c)[2]];
    // `each` goes through an output's terms in that order, and leaves out those of the padding.
    each(c, |i, k, o| {
        let (tap, channel) = (k % c.taps(), k / c.taps() % c.inputs);
        let block = tap / each_tap * c.inputs.div_ceil(K_BLOCK) + if each_tap == 1 { channel / K_BLOCK } else { 0 };
        let (current, chain, blocks) = &mut y[o];
        if *current != block {
            if *current != usize::MAX {
                blocks.push(*chain);
            }
            (*current, *chain) = (block, 0.0);
        }
        *chain = x[i].mul_add(w[k], *chain);
    });
    let sum = |(_, chain, mut blocks): (usize, f32, Vec<f32>)| {
        blocks.push(chain);
        blocks.into_iter().reduce(|sum, block| sum + block).unwrap_or(0.0)
    };
    y.into_iter().map(sum).collect()
}

#[test]
fn an_output_is_blocks_of_taps_added_in_order() {
    for c in [
        plane([2, 1, 100, 20], 9, 3, 1, 1),
        plane([9, 1, 300, 20], 3, 3, 1, 1),
        plane([8, 1, 700, 17], 2, 2, 1, 1),
        plane([1, 1, 700, 17], 4, 2, 1, 1),
        plane([2, 1, 1100, 9], 8, 1, 1, 0),
        form(2, [1, 2, 1, 2], [[1; 6], [30, 24, 1, 1, 3, 2], [40, 23, 2, 1, 1, 9]]).unwrap(),
        form(1, [2, 1, 3, 5], [[1; 6], [1; 6], [500, 400, 1, 1, 7, 0]]).unwrap(),
    ] {
        let [x, w] = [0, 1].map(|operand| rounding(lengths(&c)[operand], operand as u64 + 1));
        let want = by_blocks(&c, &x, &w);
        for &isa in Isa::available().iter().filter(|isa| isa.fused()) {
            let mut y = vec![f32::NAN; want.len()];
            forward(isa, &c, &x, &w, &mut y, &GemmEpilogue::default());
            assert!(y == want, "{isa:?} {c:?}");
        }
    }
}

#[test]
fn weights_of_many_positions_keep_their_digits() {
    // A gradient for each way of summing; equal terms, whose errors as one chain all have one sign.
    for c in [
        plane([4, 1, 16, 16], 160, 3, 1, 1),
        plane([1600, 1, 16, 16], 8, 3, 1, 1),
        plane([8, 1, 2, 16], 110, 5, 1, 2),
        plane([4, 1, 16, 16], 160, 1, 1, 0),
        plane([1, 2, 1, 1], 320, 3, 1, 1),
        form(1, [1, 2, 1, 1], [[1; 6], [1; 6], [100_000, 1, 1, 1, 0, 0]]).unwrap(),
    ] {
        let [x, w, dy] = lengths(&c);
        let mut dw = vec![0.0_f32; w];
        grad_weight(Isa::best(), &c, &vec![0.1; x], &vec![0.1; dy], &mut dw);
        let taps = c.taps();
        // The middle tap meets an input at every position.
        let exact = f64::from(0.1_f32) * f64::from(0.1_f32) * (c.batch * c.out_plane()) as f64;
        let error = (f64::from(dw[taps / 2]) - exact).abs() / exact;
        assert!(error < 2e-5, "{c:?}: {error:e}");
    }
}

#[test]
fn windows_in_the_padding_alone_have_no_gradient() {
    // With few channels and many images, whose gradient is unfolded.
    let c = form(1, [8, 1, 1, 16], [[1; 6], [1; 6], [1, 2, 5, 1, 3, 0]]).unwrap();
    check(&c);
}

/// Whether `f` refuses its arguments with a message that has these words.
fn refused(words: &str, f: impl FnOnce()) {
    let message = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
    let message =
        message.downcast_ref::<String>().cloned().unwrap_or_else(|| (*message.downcast_ref::<&str>().unwrap()).into());
    assert!(message.contains(words), "{message}");
}

#[test]
fn slices_of_other_lengths_are_refused() {
    let isa = Isa::best();
    for c in [plane([1, 1, 3, 4], 6, 3, 1, 1), plane([1, 3, 1, 1], 6, 3, 1, 1), plane([1, 1, 3, 4], 9, 1, 1, 0)] {
        let [x, w, y] = lengths(&c).map(|length| vec![0.0_f32; length]);
        let plain = GemmEpilogue::default();
        refused("takes slices of", || forward(isa, &c, &x[1..], &w, &mut y.clone(), &plain));
        refused("takes slices of", || forward(isa, &c, &x, &w[1..], &mut y.clone(), &plain));
        refused("takes slices of", || forward(isa, &c, &x, &w, &mut y.clone()[1..], &plain));
        refused("takes slices of", || grad_input(isa, &c, &y[1..], &w, &mut x.clone()));
        refused("takes slices of", || grad_input(isa, &c, &y, &w, &mut x.clone()[1..]));
        refused("takes slices of", || grad_weight(isa, &c, &x, &y, &mut w.clone()[1..]));
        let short = plain.with_bias(Bias::Row(&x[..1]));
        refused("a bias of as many numbers, got 1", || forward(isa, &c, &x, &w, &mut y.clone(), &short));
        refused("does not accumulate", || forward(isa, &c, &x, &w, &mut y.clone(), &GemmEpilogue::accumulate()));
    }
    // Sizes whose product is more than there are addresses: it must not come out as that of nothing.
    let huge = Conv { batch: 1 << 32, size: [1, 1 << 32, 1], out: [1, 1 << 32, 1], ..plane([1, 1, 1, 1], 1, 1, 1, 0) };
    refused("takes slices of None", || forward(isa, &huge, &[], &[0.0], &mut [], &GemmEpilogue::default()));
    let still = Conv { stride: [1, 0, 1], ..plane([1, 1, 1, 1], 1, 1, 1, 0) };
    refused("stride or dilation of 0", || forward(isa, &still, &[0.0], &[0.0], &mut [0.0], &GemmEpilogue::default()));
}

#[test]
fn bits_do_not_depend_on_threads_or_instruction_sets() {
    for c in [
        // A stage whose size hangs on the width of panels must not cut sums; nor must partial sums.
        plane([40, 1, 1, 16], 12, 5, 1, 2),
        plane([9, 1, 3, 17], 40, 5, 2, 2),
        plane([3, 1, 130, 20], 11, 3, 1, 1),
        plane([16, 1, 24, 40], 12, 3, 1, 1),
        plane([33, 1, 40, 96], 4, 3, 1, 1),
        plane([6, 1, 3, 20], 32, 7, 2, 3),
        plane([16, 1, 3, 20], 32, 7, 2, 3),
        plane([8, 1, 40, 64], 10, 1, 1, 0),
        plane([16, 30, 1, 1], 24, 3, 1, 1),
    ] {
        let [x, w, dy] = [0, 1, 2].map(|operand| rounding(lengths(&c)[operand], operand as u64 + 1));
        let all = |isa: Isa| {
            let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
            forward(isa, &c, &x, &w, &mut y, &GemmEpilogue::default());
            grad_input(isa, &c, &dy, &w, &mut dx);
            grad_weight(isa, &c, &x, &dy, &mut dw);
            [y, dx, dw].map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        let want = all(Isa::best());
        for threads in [1, 2, 3, 7] {
            let pool = team::ThreadPool::new(threads);
            let got = team::run_in(&pool, || all(Isa::best()));
            assert!(got == want, "{threads} threads {c:?}");
        }
        for &isa in Isa::available().iter().filter(|isa| isa.fused() && Isa::best().fused()) {
            assert!(all(isa) == want, "{isa:?} {c:?}");
        }
    }
}
