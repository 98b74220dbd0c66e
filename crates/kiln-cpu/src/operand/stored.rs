//! The types that floating-point tensors are stored in.

use super::convert;
use super::number::{InRegisters, Number, bf16_binary, bf16_slope, bf16_unary};
use half::{bf16, f16};
use kiln_math::{BinaryOp, UnaryOp};

mod sealed {
    /// Kept to the types of this crate: [`Stored::IN_PLACE`](super::Stored::IN_PLACE) decides about casts.
    pub trait Sealed {}
}

/// A type that floating-point tensors are stored in, and the type that they are computed in: f32, f64, f16 and bf16.
pub trait Stored: sealed::Sealed + Copy + Send + Sync + 'static {
    /// f32 for the half types, else the type itself.
    type Compute: Number;
    /// Whether stored and computed form are the same bytes.
    const IN_PLACE: bool;
    /// To the type that is computed in.
    fn load(self) -> Self::Compute;
    /// From it, rounded to nearest even.
    fn store(x: Self::Compute) -> Self;
    /// f over contiguous elements, of the operations for which there is one that converts in registers.
    #[doc(hidden)]
    fn unary_in_registers(_: UnaryOp) -> Option<InRegisters<Self, 1>> {
        None
    }
    /// dy · f′ of x, y and dy, likewise.
    #[doc(hidden)]
    fn slope_in_registers(_: UnaryOp) -> Option<InRegisters<Self, 3>> {
        None
    }
    /// f over two operands, likewise.
    #[doc(hidden)]
    fn binary_in_registers(_: BinaryOp) -> Option<InRegisters<Self, 2>> {
        None
    }
    /// [`load`](Stored::load) of as many as both slices have.
    #[inline(always)]
    fn load_all(from: &[Self], to: &mut [Self::Compute]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = from.load();
        }
    }
    /// [`store`](Stored::store) of as many as both slices have.
    #[inline(always)]
    fn store_all(from: &[Self::Compute], to: &mut [Self]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = Self::store(from);
        }
    }
}

/// An element that kernels load as a number of type T, in registers, and store as one.
pub trait StoredAs<T>: Copy + Send + Sync + 'static {
    /// The number.
    fn number(self) -> T;
    /// The nearest element, ties to even.
    fn nearest(number: T) -> Self;
}

impl<T: Number> StoredAs<T> for T {
    #[inline(always)]
    fn number(self) -> T {
        self
    }
    #[inline(always)]
    fn nearest(number: T) -> T {
        number
    }
}

/// (Not f16: what is portable of its conversions does not become vector code.)
impl StoredAs<f32> for bf16 {
    #[inline(always)]
    fn number(self) -> f32 {
        self.load()
    }
    #[inline(always)]
    fn nearest(number: f32) -> bf16 {
        Self::store(number)
    }
}

/// Elements as numbers: in place where they are that, else loaded into `room`, which is as long.
#[inline]
pub(crate) fn as_numbers<'a, E: Stored>(elements: &'a [E], room: &'a mut [E::Compute]) -> &'a [E::Compute] {
    if E::IN_PLACE {
        // SAFETY: IN_PLACE says that E is the compute type.
        return unsafe { &*(std::ptr::from_ref(elements) as *const [E::Compute]) };
    }
    E::load_all(elements, room);
    room
}

/// Lets `fill` write elements as numbers: in place where they are that, else in `room`, which is as long, and stored from there.
#[inline]
pub(crate) fn write_numbers<E: Stored>(
    elements: &mut [E],
    room: &mut [E::Compute],
    fill: impl FnOnce(&mut [E::Compute]),
) {
    if E::IN_PLACE {
        // SAFETY: IN_PLACE says that E is the compute type.
        return fill(unsafe { &mut *(std::ptr::from_mut(elements) as *mut [E::Compute]) });
    }
    fill(room);
    E::store_all(room, elements);
}

macro_rules! stored {
    ($type:ty, $compute:ty, $in_place:literal, |$x:ident| $load:expr, |$y:ident| $store:expr $(, $all:item)*) => {
        impl sealed::Sealed for $type {}
        impl Stored for $type {
            type Compute = $compute;
            const IN_PLACE: bool = $in_place;
            #[inline(always)]
            fn load(self) -> $compute {
                let $x = self;
                $load
            }
            #[inline(always)]
            fn store($y: $compute) -> Self {
                $store
            }
            $($all)*
        }
    };
}
stored!(f32, f32, true, |x| x, |y| y);
stored!(f64, f64, true, |x| x, |y| y);
stored!(
    f16,
    f32,
    false,
    |x| x.to_f32(),
    |y| f16::from_f32(y),
    #[inline]
    fn load_all(from: &[f16], to: &mut [f32]) {
        convert::widen_f16(from, to);
    },
    #[inline]
    fn store_all(from: &[f32], to: &mut [f16]) {
        convert::narrow_f16(from, to);
    }
);
stored!(
    bf16,
    f32,
    false,
    |x| f32::from_bits(u32::from(x.to_bits()) << 16),
    |y| bf16_of(y),
    #[inline]
    fn load_all(from: &[bf16], to: &mut [f32]) {
        convert::widen_bf16(from, to);
    },
    #[inline]
    fn store_all(from: &[f32], to: &mut [bf16]) {
        convert::narrow_bf16(from, to);
    },
    fn unary_in_registers(op: UnaryOp) -> Option<InRegisters<bf16, 1>> {
        bf16_unary(op)
    },
    fn slope_in_registers(op: UnaryOp) -> Option<InRegisters<bf16, 3>> {
        bf16_slope(op)
    },
    fn binary_in_registers(op: BinaryOp) -> Option<InRegisters<bf16, 2>> {
        bf16_binary(op)
    }
);

/// The nearest bf16, ties to even. Without branches, unlike `bf16::from_f32`, so that loops of it become vector code.
#[inline(always)]
fn bf16_of(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    // A NaN stays one: its low bits may be all that it has.
    let quiet = (bits >> 16) | 0x40;
    bf16::from_bits(if x.is_nan() { quiet } else { rounded } as u16)
}
