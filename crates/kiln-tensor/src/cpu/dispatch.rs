//! From a dtype to the kernels of its element type.

/// Runs `$body` with `$T` the element type of `$dtype`; an error for one that is not listed.
macro_rules! dispatch {
    ($dtype:expr, $operation:literal, $takes:literal, [$($variant:ident $type:ty),+], $T:ident => $body:expr) => {
        match $dtype {
            $(DType::$variant => {
                type $T = $type;
                $body
            })+
            #[allow(unreachable_patterns)] // where every dtype is listed
            other => return Err(unsupported_dtype($operation, other, $takes)),
        }
    };
}

macro_rules! floats {
    ($dtype:expr, $operation:literal, $T:ident => $body:expr) => {
        dispatch!($dtype, $operation, "f32, f64, f16 or bf16", [F32 f32, F64 f64, F16 f16, BF16 bf16], $T => $body)
    };
}

macro_rules! numbers {
    ($dtype:expr, $operation:literal, $T:ident => $body:expr) => {
        dispatch!($dtype, $operation, "f32 or f64", [F32 f32, F64 f64], $T => $body)
    };
}

macro_rules! any {
    ($dtype:expr, $operation:literal, $T:ident => $body:expr) => {
        dispatch!(
            $dtype, $operation, "any",
            [F32 f32, F64 f64, F16 f16, BF16 bf16, I64 i64, I32 i32, I8 i8, U8 u8, Bool bool], $T => $body
        )
    };
}

/// Integers; truth values as bytes of 0 and 1.
macro_rules! integers {
    ($dtype:expr, $operation:literal, $T:ident => $body:expr) => {
        dispatch!($dtype, $operation, "integers", [I64 i64, I32 i32, I8 i8, U8 u8, Bool u8], $T => $body)
    };
}

/// Types whose elements are in an order; truth values as bytes of 0 and 1.
macro_rules! ordered {
    ($dtype:expr, $operation:literal, $T:ident => $body:expr) => {
        dispatch!(
            $dtype, $operation, "any",
            [F32 f32, F64 f64, F16 f16, BF16 bf16, I64 i64, I32 i32, I8 i8, U8 u8, Bool u8], $T => $body
        )
    };
}

/// Elements that are only moved, as bits of their size.
macro_rules! sized {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype.size() {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            _ => {
                type $T = u64;
                $body
            }
        }
    };
}
