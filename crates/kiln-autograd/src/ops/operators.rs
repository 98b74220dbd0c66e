//! `+ - * /` and negation on Vars: sugar for notebooks and examples, which panics at the caller's line with the same
//! words that the methods return.

use crate::Var;
use std::ops::{Add, Div, Mul, Neg, Sub};

#[track_caller]
#[allow(clippy::panic)] // the documented difference of operators to methods
fn or_panic(result: kiln_tensor::Result<Var>) -> Var {
    match result {
        Ok(var) => var,
        Err(error) => panic!("{error}"),
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident, |$x:ident, $c:ident| $scalar:expr);+) => {$(
        impl $trait<&Var> for &Var {
            type Output = Var;
            #[track_caller]
            fn $method(self, other: &Var) -> Var {
                or_panic(Var::$method(self, other))
            }
        }
        impl $trait<Var> for Var {
            type Output = Var;
            #[track_caller]
            fn $method(self, other: Var) -> Var {
                or_panic(Var::$method(&self, &other))
            }
        }
        impl $trait<f64> for &Var {
            type Output = Var;
            #[track_caller]
            fn $method(self, $c: f64) -> Var {
                let $x = self;
                or_panic($scalar)
            }
        }
        impl $trait<f64> for Var {
            type Output = Var;
            #[track_caller]
            fn $method(self, $c: f64) -> Var {
                let $x = &self;
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

impl Neg for &Var {
    type Output = Var;
    #[track_caller]
    fn neg(self) -> Var {
        or_panic(Var::neg(self))
    }
}

impl Neg for Var {
    type Output = Var;
    #[track_caller]
    fn neg(self) -> Var {
        or_panic(Var::neg(&self))
    }
}
