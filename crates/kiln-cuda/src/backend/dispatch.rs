//! From a dtype to the type that a kernel is launched with.

/// `$body` with `$T` as the type beside the pattern that a dtype is one of.
macro_rules! by_type {
    ($matched:expr, $T:ident => $body:expr; $($pattern:pat => $t:ty),+) => {
        match $matched {
            $($pattern => {
                type $T = $t;
                $body
            })+
        }
    };
}

/// `$body` with `$T` as the floating type that a dtype is computed in.
macro_rules! by_float {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::backend::dispatch::by_type!($dtype, $T => $body; kiln_tensor::DType::F64 => f64, _ => f32)
    };
}

/// `$body` with `$T` as the integer type of a dtype; truth values are bytes of 0 and 1.
macro_rules! by_integer {
    ($dtype:expr, $T:ident => $body:expr) => {{
        use kiln_tensor::DType::{I8, I32, I64};
        $crate::backend::dispatch::by_type!($dtype, $T => $body; I64 => i64, I32 => i32, I8 => i8, _ => u8)
    }};
}

/// `$body` with `$T` as the type of numbers that a dtype is computed in.
macro_rules! by_number {
    ($dtype:expr, $T:ident => $body:expr) => {{
        use kiln_tensor::DType::{Bool, F64, I8, I32, I64, U8};
        $crate::backend::dispatch::by_type!(
            $dtype, $T => $body; I64 => i64, I32 => i32, I8 => i8, U8 | Bool => u8, F64 => f64, _ => f32
        )
    }};
}

/// `$body` with `$T` as an integer of a dtype's size, for elements that are only moved.
macro_rules! by_size {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::backend::dispatch::by_type!($dtype.size(), $T => $body; 1 => u8, 2 => u16, 4 => u32, _ => u64)
    };
}

pub(super) use {by_float, by_integer, by_number, by_size, by_type};
