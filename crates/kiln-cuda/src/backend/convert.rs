//! Conversions between dtypes.

use super::operand::Operand;
use crate::gpu::Gpu;
use crate::machine::Machine;
use gpu_kernels::convert::convert;
use gpu_kernels::geometry::by_element;
use half::{bf16, f16};
use kiln_tensor::{DType, Result, unsupported_dtype};

impl<M: Machine> Gpu<M> {
    /// Converts row-major elements.
    pub(super) fn convert(&self, to: &Operand<'_, M>, dtype: DType, x: &Operand<'_, M>, from: DType) -> Result<()> {
        use DType::{BF16, Bool, F16, F32, F64, I8, I32, I64, U8};
        /// The kernel of a pair among these.
        macro_rules! pairs {
            ($($A:pat, $a:ident: $($B:ident $b:ident),+;)+) => {
                match (from, dtype) {
                    $($(($A, $B) => self.run(convert::<$a, $b> { y: to.write(), x: x.read() }, by_element(to.elements())),)+)+
                    // A truth value is a number already; where it is one, this changes nothing.
                    (Bool, U8) => self.convert(to, Bool, x, from),
                    (F32, F32) | (F64, F64) | (I64, I64) | (I32, I32) | (I8, I8) | (U8, U8) => {
                        Err(unsupported_dtype("convert", from, "another type"))
                    }
                    (F16 | BF16, _) => self.convert_by(F32, to, dtype, x, from),
                    (I32 | I8, _) | (_, I32 | I8) => self.convert_by(I64, to, dtype, x, from),
                }
            };
        }
        pairs! {
            F32, f32: F64 f64, I64 i64, I32 i32, I8 i8, U8 u8, F16 f16, BF16 bf16, Bool bool;
            F64, f64: F32 f32, I64 i64, U8 u8, F16 f16, BF16 bf16, Bool bool;
            I64, i64: F32 f32, F64 f64, I32 i32, I8 i8, U8 u8, F16 f16, BF16 bf16, Bool bool;
            I32, i32: F32 f32, I64 i64;
            I8, i8: F32 f32, I64 i64;
            U8 | Bool, u8: F32 f32, F64 f64, I64 i64, F16 f16, BF16 bf16, Bool bool;
            F16, f16: F32 f32;
            BF16, bf16: F32 f32;
        }
    }

    /// Converts by way of a third type.
    fn convert_by(&self, way: DType, to: &Operand<'_, M>, dtype: DType, x: &Operand<'_, M>, from: DType) -> Result<()> {
        let numbers = self.temporary(x.elements(), way)?;
        self.convert(&numbers, way, x, from)?;
        self.convert(to, dtype, &numbers, way)
    }
}
