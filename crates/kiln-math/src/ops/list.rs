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
            { "log₂ x, the logarithm to base 2; exact of powers of 2.", Log2, log2, () }
            { "log₁₀ x, the logarithm to base 10; exact of powers of 10.", Log10, log10, () }
            { "ln(1 + x), accurate near 0.", Ln1p, ln_1p, () }
            { "sin x", Sin, sin, () }
            { "cos x", Cos, cos, () }
            { "tan x", Tan, tan, () }
            { "asin x, from −π/2 to π/2; NaN beyond ±1.", Asin, asin, () }
            { "acos x, from 0 to π; NaN beyond ±1.", Acos, acos, () }
            { "atan x, from −π/2 to π/2.", Atan, atan, () }
            { "sinh x", Sinh, sinh, () }
            { "cosh x", Cosh, cosh, () }
            { "tanh x", Tanh, tanh, () }
            { "asinh x = ln(x + √(x² + 1))", Asinh, asinh, () }
            { "acosh x = ln(x + √(x² − 1)); NaN below 1.", Acosh, acosh, () }
            { "atanh x = ln((1 + x)/(1 − x))/2; ±∞ of ±1, NaN beyond.", Atanh, atanh, () }
            { "The error function.", Erf, erf, () }
            { "The inverse of the error function; ±∞ of ±1, NaN beyond.", Erfinv, erfinv, () }
            { "ln |Γ(x)|, the logarithm of the gamma function's size; ∞ of 0 and the negative integers.", Lgamma, lgamma, () }
            { "ψ(x), the derivative of ln Γ(x); NaN of the negative integers.", Digamma, digamma, () }
            { "ψ⁽ⁿ⁾(x), the nth derivative of the digamma function; n is `order`, rounded to an integer from 0 to 150. The trigamma function is that of order 1.", Polygamma, polygamma, (order) }
            { "1/(1 + e⁻ˣ)", Sigmoid, sigmoid, () }
            { "ln of the sigmoid: −ln(1 + e⁻ˣ).", LogSigmoid, log_sigmoid, () }
            { "ln(1 + eˣ)", Softplus, softplus, () }
            { "Softplus of another sharpness: ln(1 + exp(beta·x))/beta, and x itself where beta·x is above `threshold` (in PyTorch 1 and 20).", SoftplusWith, softplus_with, (beta, threshold) }
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
            { "x where |x| > lambda, else 0.", HardShrink, hard_shrink, (lambda) }
            { "x moved towards 0 by lambda, but not across it: x − lambda above lambda, x + lambda below −lambda, else 0.", SoftShrink, soft_shrink, (lambda) }
            { "x − tanh x", TanhShrink, tanh_shrink, () }
            { "x where x > threshold, else `value`.", Threshold, threshold, (threshold, value) }
            { "⌊x⌋", Floor, floor, () }
            { "⌈x⌉", Ceil, ceil, () }
            { "The nearest integer, halves to even.", Round, round, () }
            { "x without its fraction, rounded towards 0.", Trunc, trunc, () }
            { "x rounded to so many decimals, halves to even; negative `decimals` round to tens, hundreds and so on.", RoundTo, round_to, (decimals) }
            { "scale·x + shift, rounded once.", Affine, affine, (scale, shift) }
            { "x kept between low and high, also called hard tanh; the derivative at low and high is 0.", Clamp, clamp, (low, high) }
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
            { "√(a² + b²), without overflow on the way.", Hypot, hypot }
            { "The angle from −π to π of the point whose y is a and whose x is b.", Atan2, atan2 }
            { "ln(eᵃ + eᵇ), without overflow on the way.", LogAddExp, logaddexp }
            { "|a| with the sign of b.", CopySign, copysign }
            { "The remainder of a/b with the sign of a, C's `fmod`: a − b·trunc(a/b), exact. NaN where b is 0.", Fmod, fmod }
            { "The remainder of a/b with the sign of b, NumPy's `remainder` and Python's `%`: a − b·⌊a/b⌋. NaN where b is 0.", Remainder, remainder }
            { "⌊a/b⌋, the floor of the exact quotient, Python's `//`; a/b where b is 0. Its derivatives are 0.", FloorDiv, floor_div }
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
