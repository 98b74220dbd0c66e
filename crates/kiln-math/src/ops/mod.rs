//! The elementwise operations: each a type with its formula, value and derivative.
//!
//! To add one: its struct with an `impl Unary` (or `Binary`) in the file of its family, and a line in `list.rs`.

mod activations;
mod binary;
mod division;
mod integers;
mod inverse;
mod list;
mod powers;
mod rounding;
mod shrinkage;
mod special;
mod trigonometric;

pub use activations::*;
pub use binary::*;
pub use division::*;
pub use integers::{Integer, IntegerOp};
pub use inverse::*;
pub use list::{BinaryOp, UnaryOp};
pub use powers::*;
pub use rounding::*;
pub use shrinkage::*;
pub use special::*;
pub use trigonometric::*;

use crate::Real;

/// An elementwise operation of one operand.
pub trait Unary {
    /// The formula, for people.
    const FORMULA: &'static str;
    /// Where tests take their points from.
    const DOMAIN: (f64, f64);
    /// y = f(x); `p` holds the operation's constants, unused ones are 0.
    fn f<R: Real>(x: R, p: [R; 2]) -> R;
    /// dy/dx at x, where y = f(x).
    fn df<R: Real>(x: R, y: R, p: [R; 2]) -> R;
}

/// An elementwise operation of two operands.
pub trait Binary {
    /// The formula, for people.
    const FORMULA: &'static str;
    /// Where tests take their points from.
    const DOMAINS: ((f64, f64), (f64, f64));
    /// y = f(a, b)
    fn f<R: Real>(a: R, b: R) -> R;
    /// (∂y/∂a, ∂y/∂b), where y = f(a, b)
    fn df<R: Real>(a: R, b: R, y: R) -> (R, R);
}

/// Defines the type of a unary operation.
macro_rules! unary {
    ($(#[$doc:meta])* $name:ident, $formula:literal, $domain:expr, f: |$x:pat_param, $p:pat_param| $f:expr, df: |$dx:pat_param, $dy:pat_param, $dp:pat_param| $df:expr $(,)?) => {
        $(#[$doc])*
        #[doc = ""]
        #[doc = $formula]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl $crate::ops::Unary for $name {
            const FORMULA: &'static str = $formula;
            const DOMAIN: (f64, f64) = $domain;
            #[inline(always)]
            fn f<R: $crate::Real>($x: R, $p: [R; 2]) -> R {
                $f
            }
            #[inline(always)]
            fn df<R: $crate::Real>($dx: R, $dy: R, $dp: [R; 2]) -> R {
                $df
            }
        }
    };
}
use unary;
