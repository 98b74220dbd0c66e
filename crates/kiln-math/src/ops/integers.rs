//! Operations of two integers, in the integers' own type: a result that does not fit wraps, as in NumPy and PyTorch.
//!
//! To add one: its line in the list, its method in [`Integer`], and the line of that in `integers!`. Kernels and tests follow.

use super::BinaryOp;

/// Calls `$callback! { {"documentation", Type, method} … }` with every operation of two integers.
///
/// Those that numbers of every type have bear the names that they have in [`for_each_binary`](crate::for_each_binary).
#[macro_export]
macro_rules! for_each_integer {
    ($callback:path) => {
        $callback! {
            { "a + b", Add, add }
            { "a − b", Sub, sub }
            { "a·b", Mul, mul }
            { "The larger of a and b.", Maximum, maximum }
            { "The smaller of a and b.", Minimum, minimum }
            { "a to the power of b, which is not negative.", Pow, pow }
            { "⌊a/b⌋, rounded toward −∞.", FloorDiv, floor_div }
            { "a − b·⌊a/b⌋, of the sign of b: Python's and NumPy's remainder.", Remainder, remainder }
            { "a − b·trunc(a/b), of the sign of a: C's remainder.", Fmod, fmod }
            { "The bits that both have.", BitwiseAnd, bitwise_and }
            { "The bits that either has.", BitwiseOr, bitwise_or }
            { "The bits that one of them has.", BitwiseXor, bitwise_xor }
            { "a·2ᵇ: the bits moved up by b, which is not negative.", ShiftLeft, bitwise_left_shift }
            { "⌊a/2ᵇ⌋: the bits moved down by b, which is not negative.", ShiftRight, bitwise_right_shift }
        }
    };
}

macro_rules! operations {
    ($({ $doc:literal, $op:ident, $method:ident })+) => {
        /// An integer type that tensors hold, with the operations of the list.
        pub trait Integer: Copy + Default + Ord + Send + Sync + 'static {
            /// The smallest of the type.
            const MIN: Self;
            /// The largest of the type.
            const MAX: Self;
            $(#[doc = $doc] fn $method(self, other: Self) -> Self;)+
        }

        /// An operation of two integers.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum IntegerOp { $(#[doc = $doc] $op),+ }

        impl IntegerOp {
            /// All of them.
            pub const ALL: &'static [IntegerOp] = &[$(IntegerOp::$op),+];
            /// The name, that of the method.
            pub const fn name(self) -> &'static str {
                match self { $(IntegerOp::$op => stringify!($method)),+ }
            }
            /// f(a, b); 0 for a `b` that the operation [refuses](IntegerOp::refuses).
            #[inline(always)]
            pub fn f<I: Integer>(self, a: I, b: I) -> I {
                match self { $(IntegerOp::$op => a.$method(b)),+ }
            }
        }
    };
}
for_each_integer!(operations);

impl IntegerOp {
    /// The operation of numbers of every type, where integers have it.
    pub fn of(op: BinaryOp) -> Option<IntegerOp> {
        IntegerOp::ALL.iter().copied().find(|integer| integer.name() == op.name())
    }

    /// Whether the operation has no result for this second operand: 0 as a divisor, a negative exponent or shift.
    #[inline(always)]
    pub fn refuses<I: Integer>(self, b: I) -> bool {
        match self {
            IntegerOp::FloorDiv | IntegerOp::Remainder | IntegerOp::Fmod => b == I::default(),
            IntegerOp::Pow | IntegerOp::ShiftLeft | IntegerOp::ShiftRight => b < I::default(),
            _ => false,
        }
    }

    /// Whether truth values have it, as 0 and 1: the extrema and the operations on bits.
    pub const fn of_bools(self) -> bool {
        use IntegerOp::{BitwiseAnd, BitwiseOr, BitwiseXor, Maximum, Minimum};
        matches!(self, Maximum | Minimum | BitwiseAnd | BitwiseOr | BitwiseXor)
    }
}

macro_rules! integers {
    ($($T:ident),+) => {$(
        #[allow(unused_comparisons)] // of the unsigned type
        impl Integer for $T {
            const MIN: Self = $T::MIN;
            const MAX: Self = $T::MAX;
            #[inline(always)]
            fn add(self, b: Self) -> Self {
                self.wrapping_add(b)
            }
            #[inline(always)]
            fn sub(self, b: Self) -> Self {
                self.wrapping_sub(b)
            }
            #[inline(always)]
            fn mul(self, b: Self) -> Self {
                self.wrapping_mul(b)
            }
            #[inline(always)]
            fn maximum(self, b: Self) -> Self {
                if self < b { b } else { self }
            }
            #[inline(always)]
            fn minimum(self, b: Self) -> Self {
                if b < self { b } else { self }
            }
            #[inline(always)]
            fn pow(self, b: Self) -> Self {
                if b < 0 {
                    return 0;
                }
                let (mut power, mut square, mut rest) = (1, self, b);
                while rest != 0 {
                    if rest & 1 != 0 {
                        power = Integer::mul(power, square);
                    }
                    square = Integer::mul(square, square);
                    rest >>= 1;
                }
                power
            }
            #[inline(always)]
            fn floor_div(self, b: Self) -> Self {
                if b == 0 {
                    return 0;
                }
                let rest = self.wrapping_rem(b);
                // Truncated, the quotient is one too large where the signs differ and it is not whole.
                self.wrapping_div(b).wrapping_sub((rest != 0 && (rest < 0) != (b < 0)) as $T)
            }
            #[inline(always)]
            fn remainder(self, b: Self) -> Self {
                let rest = self.fmod(b);
                if rest != 0 && (rest < 0) != (b < 0) { rest.wrapping_add(b) } else { rest }
            }
            #[inline(always)]
            fn fmod(self, b: Self) -> Self {
                if b == 0 { 0 } else { self.wrapping_rem(b) }
            }
            #[inline(always)]
            fn bitwise_and(self, b: Self) -> Self {
                self & b
            }
            #[inline(always)]
            fn bitwise_or(self, b: Self) -> Self {
                self | b
            }
            #[inline(always)]
            fn bitwise_xor(self, b: Self) -> Self {
                self ^ b
            }
            #[inline(always)]
            fn bitwise_left_shift(self, b: Self) -> Self {
                if b < 0 || b >= $T::BITS as $T { 0 } else { self << b }
            }
            #[inline(always)]
            fn bitwise_right_shift(self, b: Self) -> Self {
                if b < 0 {
                    return 0;
                }
                // All bits moved out leave the sign.
                if b >= $T::BITS as $T { (0 as $T).wrapping_sub((self < 0) as $T) } else { self >> b }
            }
        }
    )+};
}
integers!(i64, i32, i8, u8);
