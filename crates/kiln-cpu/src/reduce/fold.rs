//! Reductions as types: how a result takes one more element, and how two results are combined.

use kiln_math::Real;
use std::marker::PhantomData;

/// A reduction as a type.
pub(crate) trait Fold: Copy + Send + Sync {
    const IDENTITY: f64;
    fn combine<R: Real>(a: R, b: R) -> R;
    /// A result so far with one more element; `center` is the result's own number, which most reductions have no use for.
    #[inline(always)]
    fn take<R: Real>(so_far: R, x: R, _center: R) -> R {
        Self::combine(so_far, x)
    }
}

macro_rules! folds {
    ($($(#[$doc:meta])* $name:ident $identity:expr, |$a:ident, $b:ident| $combine:expr
        $(, |$so_far:ident, $x:ident, $center:ident| $take:expr)?;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name;
        impl Fold for $name {
            const IDENTITY: f64 = $identity;
            #[inline(always)]
            fn combine<R: Real>($a: R, $b: R) -> R {
                $combine
            }
            $(
                #[inline(always)]
                fn take<R: Real>($so_far: R, $x: R, $center: R) -> R {
                    $take
                }
            )?
        }
    )+};
}
folds! {
    /// Σ x
    Sum 0.0, |a, b| a + b;
    /// The largest; NaN wins.
    Max f64::NEG_INFINITY, |a, b| a.maximum(b);
    /// The smallest; NaN wins.
    Min f64::INFINITY, |a, b| a.minimum(b);
    /// Π x
    Prod 1.0, |a, b| a * b;
    /// Σ (x − center)
    Distances 0.0, |a, b| a + b, |so_far, x, center| so_far + (x - center);
    /// Σ (x − center)²
    Squares 0.0, |a, b| a + b, |so_far, x, center| {
        let distance = x - center;
        distance.mul_add(distance, so_far)
    };
}

/// The reduction of results, which are combined as they are.
#[derive(Clone, Copy)]
pub(super) struct Again<F>(PhantomData<F>);
impl<F: Fold> Fold for Again<F> {
    const IDENTITY: f64 = F::IDENTITY;
    #[inline(always)]
    fn combine<R: Real>(a: R, b: R) -> R {
        F::combine(a, b)
    }
}
