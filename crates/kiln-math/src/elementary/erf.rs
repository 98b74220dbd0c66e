//! The error function: at most 1.1 units of the last place off, in f32 and f64.

use super::{MulAdd, exp, exp_f64, polynomial, polynomial_f64, select};

/// erf x
#[inline(always)]
pub fn erf<M: MulAdd>(x: f32) -> f32 {
    let t = x.abs();
    let s = x * x;
    let r = M::mul_add(-1.728_534_7e-5, t, 3.831_971_3e-4);
    let u = M::mul_add(-3.883_964_4e-3, t, 2.425_462_2e-2);
    let r = M::mul_add(r, s, u);
    let r = M::mul_add(r, t, -1.067_778_8e-1);
    let r = M::mul_add(r, t, -6.348_467e-1);
    let r = M::mul_add(r, t, -1.287_175_1e-1);
    let r = M::mul_add(r, t, -t);
    let big = select(t > 4.0, 1.0, 1.0 - exp::<M>(r)).copysign(x);
    let p = polynomial::<M, 6>(
        s,
        [-5.967_617e-4, 4.991_194_2e-3, -2.676_813_5e-2, 1.128_199_2e-1, -3.761_253_4e-1, 1.283_791_7e-1],
    );
    let small = M::mul_add(p, x, x);
    select(t > 0.927_734_4, big, small)
}

/// erf x: x · P(x²) up to 1; then 1 − e^(−x²) · Q((x − 3)/(x + 3)), where Q is erfc x · e^(x²).
#[inline(always)]
pub fn erf_f64<M: MulAdd>(x: f64) -> f64 {
    let t = x.abs();
    let p = polynomial_f64::<M, 13>(
        x * x,
        [
            5.957_176_147_748_911e-11,
            -1.137_284_885_679_167_4e-9,
            1.465_977_527_404_743_6e-8,
            -1.635_031_270_105_469_5e-7,
            1.646_100_048_412_136_8e-6,
            -1.492_559_526_683_118_2e-5,
            1.205_533_111_164_271e-4,
            -8.548_326_980_833_79e-4,
            5.223_977_624_818_014_5e-3,
            -2.686_617_064_507_679_2e-2,
            1.128_379_167_095_487_9e-1,
            -3.761_263_890_318_375e-1,
            1.283_791_670_955_126e-1,
        ],
    );
    let small = M::mul_add_f64(p, x, x);
    let t = select(t > 6.0, 6.0, t);
    let q = polynomial_f64::<M, 15>(
        (t - 3.0) / (t + 3.0),
        [
            1.280_190_086_296_266_2e-6,
            2.023_603_179_641_757e-6,
            -8.008_021_319_412_685e-6,
            -1.284_889_451_252_353e-5,
            6.406_182_073_530_546e-5,
            4.525_472_635_483_354e-5,
            -5.970_623_517_093_284e-4,
            7.077_464_443_901_538e-4,
            4.269_136_347_508_256e-3,
            -2.439_249_931_827_319_4e-2,
            7.166_583_719_774_874e-2,
            -1.501_159_365_007_874_4e-1,
            2.456_038_017_123_319_5e-1,
            -3.262_335_600_430_371_6e-1,
            1.790_011_511_813_899_6e-1,
        ],
    );
    let big = (1.0 - exp_f64::<M>(-t * t) * q).copysign(x);
    // NaN takes the first way and stays.
    select(t > 1.0, big, small)
}
