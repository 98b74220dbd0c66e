//! The lists of elementwise operations, from which kernels, methods, rules, tests and docs are generated.

use super::{Binary, Unary};
use crate::Real;

/// Calls `$callback! { {"documentation", Type, method, (constants)} … }` with every unary operation.
#[macro_export]
macro_rules! for_each_unary {
    ($callback:path) => {
        $callback! {
            { "−x", Neg, neg, () }
            { "|x|", Abs, abs, () }
            { "−1, 0 or 1, the sign of x.", Sign, sign, () }
            { "x²", Square, square, () }
            { "√x", Sqrt, sqrt, () }
            { "1/√x", Rsqrt, rsqrt, () }
            { "1/x", Recip, recip, () }
            { "eˣ", Exp, exp, () }
            { "2ˣ", Exp2, exp2, () }
            { "eˣ − 1, accurate near 0.", Expm1, expm1, () }
            { "ln x", Ln, ln, () }
            { "ln(1 + x), accurate near 0.", Ln1p, ln_1p, () }
            { "sin x", Sin, sin, () }
            { "cos x", Cos, cos, () }
            { "tan x", Tan, tan, () }
            { "sinh x", Sinh, sinh, () }
            { "cosh x", Cosh, cosh, () }
            { "tanh x", Tanh, tanh, () }
            { "The error function.", Erf, erf, () }
            { "1/(1 + e⁻ˣ)", Sigmoid, sigmoid, () }
            { "ln of the sigmoid: −ln(1 + e⁻ˣ).", LogSigmoid, log_sigmoid, () }
            { "ln(1 + eˣ)", Softplus, softplus, () }
            { "x/(1 + |x|)", Softsign, softsign, () }
            { "The rectified linear unit: max(x, 0).", Relu, relu, () }
            { "min(max(x, 0), 6)", Relu6, relu6, () }
            { "x where positive, else slope·x.", LeakyRelu, leaky_relu, (slope) }
            { "The exponential linear unit: x where positive, else alpha·(eˣ − 1).", Elu, elu, (alpha) }
            { "The continuously differentiable ELU: x where positive, else alpha·(exp(x/alpha) − 1).", Celu, celu, (alpha) }
            { "The self-normalizing exponential linear unit.", Selu, selu, () }
            { "The Gaussian error linear unit: x·Φ(x).", Gelu, gelu, () }
            { "GELU by its tanh form.", GeluTanh, gelu_tanh, () }
            { "x·sigmoid(x), also called swish.", Silu, silu, () }
            { "x·tanh(softplus(x))", Mish, mish, () }
            { "min(max(x/6 + 1/2, 0), 1)", HardSigmoid, hard_sigmoid, () }
            { "x·hard_sigmoid(x)", HardSwish, hard_swish, () }
            { "⌊x⌋", Floor, floor, () }
            { "⌈x⌉", Ceil, ceil, () }
            { "The nearest integer, halves to even.", Round, round, () }
            { "scale·x + shift, rounded once.", Affine, affine, (scale, shift) }
            { "x kept between low and high.", Clamp, clamp, (low, high) }
            { "x to the power of a constant.", Powf, powf, (exponent) }
        }
    };
}

/// Calls `$callback! { {"documentation", Type, method} … }` with every binary operation.
#[macro_export]
macro_rules! for_each_binary {
    ($callback:path) => {
        $callback! {
            { "a + b", Add, add }
            { "a − b", Sub, sub }
            { "a·b, element by element.", Mul, mul }
            { "a/b", Div, div }
            { "The larger of a and b; NaN where either is.", Maximum, maximum }
            { "The smaller of a and b; NaN where either is.", Minimum, minimum }
            { "a to the power of b.", Pow, pow }
        }
    };
}

macro_rules! unary_enum {
    ($({ $doc:literal, $op:ident, $method:ident, ($($param:ident),*) })+) => {
        /// A unary operation of the list.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum UnaryOp { $(#[doc = $doc] $op),+ }

        impl UnaryOp {
            /// All of them.
            pub const ALL: &'static [UnaryOp] = &[$(UnaryOp::$op),+];
            /// The name, that of the method.
            pub const fn name(self) -> &'static str {
                match self { $(UnaryOp::$op => stringify!($method)),+ }
            }
            /// How many constants it takes, at most 2.
            pub const fn params(self) -> usize {
                match self { $(UnaryOp::$op => <[&str]>::len(&[$(stringify!($param)),*])),+ }
            }
            /// The formula, for people.
            pub const fn formula(self) -> &'static str {
                match self { $(UnaryOp::$op => <super::$op as Unary>::FORMULA),+ }
            }
            /// Where tests take their points from.
            pub const fn domain(self) -> (f64, f64) {
                match self { $(UnaryOp::$op => <super::$op as Unary>::DOMAIN),+ }
            }
            /// f(x)
            #[inline]
            pub fn f<R: Real>(self, x: R, p: [R; 2]) -> R {
                match self { $(UnaryOp::$op => <super::$op as Unary>::f(x, p)),+ }
            }
            /// f′(x), where y = f(x)
            #[inline]
            pub fn df<R: Real>(self, x: R, y: R, p: [R; 2]) -> R {
                match self { $(UnaryOp::$op => <super::$op as Unary>::df(x, y, p)),+ }
            }
        }
    };
}
for_each_unary!(unary_enum);

macro_rules! binary_enum {
    ($({ $doc:literal, $op:ident, $method:ident })+) => {
        /// A binary operation of the list.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum BinaryOp { $(#[doc = $doc] $op),+ }

        impl BinaryOp {
            /// All of them.
            pub const ALL: &'static [BinaryOp] = &[$(BinaryOp::$op),+];
            /// The name, that of the method.
            pub const fn name(self) -> &'static str {
                match self { $(BinaryOp::$op => stringify!($method)),+ }
            }
            /// The formula, for people.
            pub const fn formula(self) -> &'static str {
                match self { $(BinaryOp::$op => <super::$op as Binary>::FORMULA),+ }
            }
            /// Where tests take their points from.
            pub const fn domains(self) -> ((f64, f64), (f64, f64)) {
                match self { $(BinaryOp::$op => <super::$op as Binary>::DOMAINS),+ }
            }
            /// f(a, b)
            #[inline]
            pub fn f<R: Real>(self, a: R, b: R) -> R {
                match self { $(BinaryOp::$op => <super::$op as Binary>::f(a, b)),+ }
            }
            /// (∂y/∂a, ∂y/∂b), where y = f(a, b)
            #[inline]
            pub fn df<R: Real>(self, a: R, b: R, y: R) -> (R, R) {
                match self { $(BinaryOp::$op => <super::$op as Binary>::df(a, b, y)),+ }
            }
        }
    };
}
for_each_binary!(binary_enum);
