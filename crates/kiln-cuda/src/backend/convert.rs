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
        use DType::{BF16, Bool, F16, F32, F64, I64, U8};
        /// The kernel of a pair among these.
        macro_rules! pairs {
            ($($A:pat, $a:ident: $($B:ident $b:ident),+;)+) => {
                match (from, dtype) {
                    $($(($A, $B) => self.run(convert::<$a, $b> { y: to.write(), x: x.read() }, by_element(to.elements())),)+)+
                    // A truth value is a number already; where it is one, this changes nothing.
                    (Bool, U8) => self.convert(to, Bool, x, from),
                    (F16 | BF16, other) => {
                        let numbers = self.temporary(x.elements(), F32)?;
                        self.convert(&numbers, F32, x, from)?;
                        self.convert(to, other, &numbers, F32)
                    }
                    (F32, F32) | (F64, F64) | (I64, I64) | (U8, U8) => {
                        Err(unsupported_dtype("convert", from, "another type"))
                    }
                }
            };
        }
        pairs! {
            F32, f32: F64 f64, I64 i64, U8 u8, F16 f16, BF16 bf16, Bool bool;
            F64, f64: F32 f32, I64 i64, U8 u8, F16 f16, BF16 bf16, Bool bool;
            I64, i64: F32 f32, F64 f64, U8 u8, F16 f16, BF16 bf16, Bool bool;
            U8 | Bool, u8: F32 f32, F64 f64, I64 i64, F16 f16, BF16 bf16, Bool bool;
            F16, f16: F32 f32;
            BF16, bf16: F32 f32;
        }
    }
}
