//! `+ - * /` and negation: sugar that panics at the caller's line with the words that the methods return.

use super::Tensor;
use std::ops::{Add, Div, Mul, Neg, Sub};

#[track_caller]
#[allow(clippy::panic)] // the documented difference of operators to methods
fn or_panic(result: crate::Result<Tensor>) -> Tensor {
    match result {
        Ok(tensor) => tensor,
        Err(error) => panic!("{error}"),
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident, |$x:ident, $c:ident| $scalar:expr);+) => {$(
        impl $trait<&Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                or_panic(Tensor::$method(self, other))
            }
        }
        impl $trait<f64> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, $c: f64) -> Tensor {
                let $x = self;
                or_panic($scalar)
            }
        }
    )+};
}
operators!(
    Add add, |x, c| x.add_scalar(c);
    Sub sub, |x, c| x.add_scalar(-c);
    Mul mul, |x, c| x.mul_scalar(c);
    Div div, |x, c| x.mul_scalar(1.0 / c)
);

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        or_panic(Tensor::neg(self))
    }
}
