//! Data types of tensor elements.

use half::{bf16, f16};
use kiln_math::round_to_odd;

/// The type of a tensor's elements, known at run time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum DType {
    /// 32-bit IEEE float, the default.
    F32,
    /// 64-bit IEEE float.
    F64,
    /// 16-bit IEEE float: stored, computed in f32.
    F16,
    /// bfloat16: stored, computed in f32.
    BF16,
    /// 64-bit signed integer: indices and counts.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 8-bit signed integer: quantized values.
    I8,
    /// Unsigned byte: pixels and small labels.
    U8,
    /// Truth value, one byte, 0 or 1: masks.
    Bool,
}

impl DType {
    /// All data types.
    pub const ALL: [DType; 9] =
        [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I64, DType::I32, DType::I8, DType::U8, DType::Bool];

    /// Bytes of one element.
    #[inline]
    pub const fn size(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }

    /// True of f32, f64, f16 and bf16.
    #[inline]
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }

    /// True of f16 and bf16.
    #[inline]
    pub const fn is_half(self) -> bool {
        matches!(self, DType::F16 | DType::BF16)
    }

    /// True of i64, i32, i8 and u8.
    #[inline]
    pub const fn is_integer(self) -> bool {
        matches!(self, DType::I64 | DType::I32 | DType::I8 | DType::U8)
    }

    /// The least and the largest number that an integer type or bool holds; of floats the infinities.
    pub const fn range(self) -> (f64, f64) {
        match self {
            DType::I64 => (i64::MIN as f64, i64::MAX as f64),
            DType::I32 => (i32::MIN as f64, i32::MAX as f64),
            DType::I8 => (i8::MIN as f64, i8::MAX as f64),
            DType::U8 => (0.0, u8::MAX as f64),
            DType::Bool => (0.0, 1.0),
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// The type that this one is computed in: f32 for the half types, else the type itself.
    #[inline]
    pub const fn computed_in(self) -> DType {
        match self {
            DType::F16 | DType::BF16 => DType::F32,
            other => other,
        }
    }

    /// The smallest positive number that is held in full precision, as a floor for what must not be 0; of integers 1.
    pub const fn smallest_normal(self) -> f64 {
        match self {
            DType::F64 => f64::MIN_POSITIVE,
            DType::F32 | DType::BF16 => f32::MIN_POSITIVE as f64,
            DType::F16 => 1.0 / 16384.0,
            DType::I64 | DType::I32 | DType::I8 | DType::U8 | DType::Bool => 1.0,
        }
    }

    /// The name, as NumPy writes it.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::I64 => "i64",
            DType::I32 => "i32",
            DType::I8 => "i8",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that a tensor can hold: f32, f64, f16, bf16, i64, i32, i8, u8, bool.
///
/// Sealed: storage is read and written as bytes of these types, and nothing else was checked for that.
pub trait Element: sealed::Sealed + Copy + Send + Sync + PartialEq + std::fmt::Debug + 'static {
    /// The run-time name of this type.
    const DTYPE: DType;
    /// Conversion to f64 (exact for all but i64 beyond 2⁵³).
    fn to_f64(self) -> f64;
    /// Conversion from f64: rounds to the type, saturates integers, non-zero is true.
    fn from_f64(value: f64) -> Self;
}

macro_rules! element {
    ($type:ty, $dtype:ident, |$x:ident| $to:expr, |$v:ident| $from:expr) => {
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            #[inline]
            fn to_f64(self) -> f64 {
                let $x = self;
                $to
            }
            #[inline]
            fn from_f64(value: f64) -> Self {
                let $v = value;
                $from
            }
        }
    };
}

element!(f32, F32, |x| f64::from(x), |v| v as f32);
element!(f64, F64, |x| x, |v| v);
element!(f16, F16, |x| f64::from(x), |v| f16::from_f32(round_to_odd(v)));
element!(bf16, BF16, |x| f64::from(x), |v| bf16::from_f32(round_to_odd(v)));
element!(i64, I64, |x| x as f64, |v| v as i64);
element!(i32, I32, |x| f64::from(x), |v| v as i32);
element!(i8, I8, |x| f64::from(x), |v| v as i8);
element!(u8, U8, |x| f64::from(x), |v| v as u8);
element!(bool, Bool, |x| if x { 1.0 } else { 0.0 }, |v| v != 0.0);
