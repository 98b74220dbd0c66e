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
        dispatch!($dtype, $operation, "any", [F32 f32, F64 f64, F16 f16, BF16 bf16, I64 i64, U8 u8, Bool bool], $T => $body)
    };
}
