//! Direct convolutions: the bits of the separate operations.

use super::layout::map_of;
use super::steps::{Kind, Operands, kinds};
use crate::conv::{form, forms, lengths, plane, rounding};
use kiln_cpu::conv::{Conv, forward};
use kiln_cpu::gemm::{GemmEpilogue, Matrix, MatrixMut, matmul};
use kiln_cpu::inference::{Epilogue, Filter, Step, Way};
use kiln_cpu::{Isa, team};
use proptest::prelude::*;

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// The output's map; scratch memory for so many threads.
pub(super) fn run(filter: &Filter, packed: &[f32], x: &[f32], kinds: &[Kind], threads: usize) -> Vec<f32> {
    let c = filter.form();
    let (channels, pixels) = (c.groups * c.outputs, c.out_plane());
    let map = map_of(x, c.groups * c.inputs, c.plane());
    // What is there must not matter.
    let mut y = vec![f32::NAN; kiln_cpu::inference::map_len(c.batch, channels, pixels)];
    let mut scratch = vec![f32::NAN; filter.scratch(threads)];
    Operands::new(c).with(kinds, |epilogue| filter.run(packed, &map, &mut y, &mut scratch, epilogue));
    y
}

pub(super) fn packed(filter: &Filter, w: &[f32], scale: Option<&[f32]>) -> Vec<f32> {
    let mut packed = vec![f32::NAN; filter.room()];
    filter.pack(w, scale, &mut packed);
    packed
}

/// Holds a form to the separate operations, on every instruction set.
fn check(c: &Conv, kinds: &[Kind], scaled: bool) {
    let [x, w] = [0, 1].map(|operand| rounding(lengths(c)[operand], operand as u64 + 1));
    let scale = rounding(c.groups * c.outputs, 5);
    let each = c.inputs * c.taps();
    let folded: Vec<f32> = w.iter().enumerate().map(|(i, w)| if scaled { w * scale[i / each] } else { *w }).collect();
    for &isa in Isa::available() {
        let mut want = vec![0.0; lengths(c)[2]];
        forward(isa, c, &x, &folded, &mut want, &GemmEpilogue::default());
        Operands::new(c).separately(isa, kinds, &mut want);
        let want = bits(&map_of(&want, c.groups * c.outputs, c.out_plane()));
        let filter = Filter::new(isa, Way::Direct, c);
        let packed = packed(&filter, &w, scaled.then_some(&scale[..]));
        assert!(bits(&run(&filter, &packed, &x, kinds, 1)) == want, "{isa:?} {c:?} {kinds:?} scaled {scaled}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_convolution_and_its_steps_have_the_bits_of_each_after_the_other(c in forms(), kinds in kinds(), scaled in any::<bool>()) {
        check(&c, &kinds, scaled);
    }
}

#[test]
fn forms_of_known_networks() {
    use Kind::*;
    let block = [Normalize, Residual, Relu];
    // The first layer, more channels than a block, strides larger than the kernel, maps of one pixel, grouped, three axes.
    check(&plane([2, 1, 3, 64], 31, 7, 2, 3), &[Normalize, Relu], false);
    check(&plane([1, 1, 17, 96], 14, 3, 1, 1), &block, false);
    check(&plane([3, 1, 300, 72], 7, 3, 2, 1), &block, true);
    check(&plane([2, 1, 700, 40], 7, 1, 1, 0), &block, false);
    check(&plane([2, 1, 1100, 9], 8, 1, 2, 0), &[Bias, Map], false);
    check(&plane([2, 1, 5, 7], 13, 1, 3, 0), &block, false);
    check(&plane([5, 1, 24, 17], 1, 1, 1, 0), &[Bias], false);
    check(&plane([2, 8, 4, 4], 14, 3, 1, 1), &[Normalize, Map, Scale], false);
    check(&plane([2, 2, 32, 64], 9, 3, 1, 1), &block, false);
    // Depthwise, with a multiplier, with more taps than a block, and of three axes.
    check(&plane([2, 20, 1, 1], 19, 3, 1, 1), &block, true);
    check(&plane([1, 48, 1, 1], 12, 5, 2, 2), &[Normalize, Map, Scale], false);
    check(&plane([2, 7, 1, 3], 12, 3, 2, 1), &block, false);
    check(&form(2, [1, 2, 1, 1], [[1; 6], [30, 24, 1, 1, 3, 2], [40, 23, 2, 1, 1, 9]]).unwrap(), &block, false);
    check(&form(3, [2, 3, 1, 1], [[4, 2, 1, 1, 1, 0], [5, 3, 2, 2, 2, 1], [6, 5, 1, 1, 2, 2]]).unwrap(), &block, false);
    check(&plane([1, 3, 1, 1], 2, 1, 5, 0), &block, false);
    check(
        &form(3, [2, 1, 18, 20], [[4, 2, 1, 1, 1, 0], [5, 3, 2, 1, 1, 1], [6, 5, 1, 1, 2, 2]]).unwrap(),
        &block,
        false,
    );
    check(&form(2, [1, 1, 64, 16], [[1; 6], [11, 3, 2, 2, 1, 4], [13, 5, 3, 1, 2, 0]]).unwrap(), &block, false);
    check(&plane([0, 1, 3, 4], 6, 3, 1, 1), &block, false);
}

#[test]
fn bits_do_not_depend_on_threads_or_instruction_sets() {
    for c in [
        plane([1, 1, 130, 200], 14, 3, 1, 1),
        plane([2, 1, 512, 130], 7, 1, 1, 0),
        plane([4, 1, 3, 64], 64, 7, 2, 3),
        plane([6, 1, 64, 64], 28, 1, 1, 0),
        plane([2, 4, 32, 36], 28, 3, 1, 1),
        plane([3, 1, 64, 128], 28, 1, 2, 0),
        plane([40, 1, 1200, 300], 1, 1, 1, 0),
        plane([6, 64, 1, 1], 28, 3, 1, 1),
        plane([1, 200, 1, 1], 5, 5, 1, 2),
    ] {
        let [x, w] = [0, 1].map(|operand| rounding(lengths(&c)[operand], operand as u64 + 1));
        let all = |isa: Isa, threads: usize| {
            let filter = Filter::new(isa, Way::Direct, &c);
            let packed = packed(&filter, &w, None);
            bits(&run(&filter, &packed, &x, &[Kind::Normalize, Kind::Residual, Kind::Map], threads))
        };
        let want = all(Isa::best(), 1);
        for threads in [1, 2, 3, 7] {
            let pool = team::ThreadPool::new(threads);
            // Scratch memory for fewer threads does, and for more.
            for room in [1, 2, threads, 20] {
                assert!(team::run_in(&pool, || all(Isa::best(), room)) == want, "{threads} threads {room} {c:?}");
            }
        }
        for &isa in Isa::available().iter().filter(|isa| isa.fused() && Isa::best().fused()) {
            assert!(all(isa, 1) == want, "{isa:?} {c:?}");
        }
    }
}

#[test]
fn a_dense_layer_is_the_matrix_product() {
    for [rows, inputs, outputs] in [[1, 784, 128], [1, 128, 10], [5, 300, 17], [33, 513, 70], [1, 1, 1], [0, 4, 3]] {
        let (x, w) = (rounding(rows * inputs, 1), rounding(outputs * inputs, 2));
        for &isa in Isa::available() {
            let mut want = vec![0.0; rows * outputs];
            let (a, b) =
                (Matrix::row_major(&x, rows, inputs).unwrap(), Matrix::row_major(&w, outputs, inputs).unwrap());
            let c = MatrixMut::row_major(&mut want, rows, outputs).unwrap();
            matmul(isa, a, b.t(), c, GemmEpilogue::default()).unwrap();
            let filter = Filter::dense(isa, rows, inputs, outputs);
            let got = run(&filter, &packed(&filter, &w, None), &x, &[], 1);
            assert_eq!(bits(&got), bits(&map_of(&want, outputs, 1)), "{isa:?} {rows} {inputs} {outputs}");
        }
    }
}

#[test]
fn infinities_stay_where_they_are() {
    // 3 of 16 channels are padding, and so are lines and columns.
    let c = plane([1, 1, 3, 5], 9, 3, 1, 1);
    let mut x = rounding(3 * 81, 1);
    (x[0], x[80], x[81 + 40]) = (f32::INFINITY, f32::NAN, f32::NEG_INFINITY);
    check_values(&c, &x);
    let c = plane([2, 1, 20, 5], 9, 1, 1, 0);
    let mut x = rounding(2 * 20 * 81, 1);
    (x[0], x[80]) = (f32::INFINITY, f32::NAN);
    check_values(&c, &x);
}

/// Values as those of the separate operation, of an input that is not finite.
fn check_values(c: &Conv, x: &[f32]) {
    let w = rounding(lengths(c)[1], 2);
    for &isa in Isa::available() {
        let mut want = vec![0.0; lengths(c)[2]];
        forward(isa, c, x, &w, &mut want, &GemmEpilogue::default());
        let want = map_of(&want, c.outputs, c.out_plane());
        let filter = Filter::new(isa, Way::Direct, c);
        let got = run(&filter, &packed(&filter, &w, None), x, &[], 1);
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!(got == want || got.is_nan() && want.is_nan(), "{isa:?} {i}: {got} {want}");
        }
    }
}

#[test]
fn one_row_has_the_bits_and_steps_of_many() {
    // Several panels beside each other, some of them not whole; more terms than a block.
    for [inputs, outputs] in [[700, 200], [256, 128], [257, 300], [3, 1000]] {
        let [x, w] = [rounding(inputs, 1), rounding(inputs * outputs, 2)];
        for &isa in Isa::available() {
            let kinds = [Kind::Normalize, Kind::Residual, Kind::Relu, Kind::Scale, Kind::Map];
            for steps in [&kinds[..3], &kinds] {
                let filter = Filter::dense(isa, 1, inputs, outputs);
                let mut want = vec![0.0; outputs];
                forward(isa, filter.form(), &x, &w, &mut want, &GemmEpilogue::default());
                Operands::new(filter.form()).separately(isa, steps, &mut want);
                let got = run(&filter, &packed(&filter, &w, None), &x, steps, 1);
                assert_eq!(bits(&got), bits(&map_of(&want, outputs, 1)), "{isa:?} {inputs} {outputs}");
            }
        }
    }
}

/// Whether `f` refuses its arguments with a message that has these words.
fn refused(words: &str, f: impl FnOnce()) {
    let message = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains(words), "{message}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let isa = Isa::best();
    let c = plane([1, 1, 3, 4], 6, 3, 1, 1);
    let filter = Filter::new(isa, Way::Direct, &c);
    let (w, x, y) = (vec![0.0; 108], vec![0.0; 36 * 16], vec![0.0; 36 * 16]);
    let (packed, scratch) = (packed(&filter, &w, None), vec![0.0; filter.scratch(1)]);
    let run = |packed: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32], steps: &[Step<'_>]| {
        filter.run(packed, x, y, scratch, &Epilogue::new(steps));
    };
    refused("`weight` has 107 elements", || filter.pack(&w[1..], None, &mut packed.clone()));
    refused("`scale` has 3 elements", || filter.pack(&w, Some(&[1.0; 3]), &mut packed.clone()));
    refused("`to` has", || filter.pack(&w, None, &mut packed.clone()[1..]));
    refused("`packed` has", || run(&packed[1..], &x, &mut y.clone(), &mut scratch.clone(), &[]));
    refused("`x` has 575 elements", || run(&packed, &x[1..], &mut y.clone(), &mut scratch.clone(), &[]));
    refused("`y` has 575 elements", || run(&packed, &x, &mut y.clone()[1..], &mut scratch.clone(), &[]));
    refused("`scratch` has 0 floats", || run(&packed, &x, &mut y.clone(), &mut [], &[]));
    let short = [0.0; 4];
    for (words, step) in [
        ("`bias` has 4 elements", Step::Bias(&short)),
        ("`scale` has 4 elements", Step::Normalize { mean: &x[..16], scale: &short, shift: &x[..16] }),
        ("`residual` has 4 elements", Step::Residual(&short)),
        ("`rows` has 4 elements", Step::Scale(&short)),
    ] {
        refused(words, || run(&packed, &x, &mut y.clone(), &mut scratch.clone(), &[step]));
    }
    let strided = plane([1, 1, 3, 4], 6, 3, 2, 1);
    assert!(!Way::WinogradF2.suits(&strided) && Way::WinogradF4.suits(&c));
    refused("WinogradF4 does not suit", || drop(Filter::new(isa, Way::WinogradF4, &strided)));
}
