//! What elementwise kernels read and write: strided operands seen as runs of blocks.
//!
//! A kernel only ever meets contiguous blocks of 512 numbers. An operand that is contiguous lends them in place; one
//! that is strided, broadcast or of a half type is copied into a block on the stack first, which stays in the L1 cache.

use crate::{Isa, Simd, elementwise};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use kiln_math::{BinaryOp, Real, UnaryOp};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Numbers in a block.
pub(crate) const BLOCK: usize = 512;

/// A number that kernels compute with: f32 or f64.
pub trait Number: Real + Default + PartialOrd + Send + Sync + 'static {
    /// The type that the kernel of an instruction set computes in; it has this type's layout.
    type In<S: Simd>: Real + Send + Sync + 'static;
    /// The smallest positive normal number.
    const SMALLEST: f64;
    /// From f64, rounded.
    fn from_f64(value: f64) -> Self;
    /// To f64.
    fn to_f64(self) -> f64;
    /// The same number in a kernel's type.
    fn enter<S: Simd>(self) -> Self::In<S>;
    /// The same number out of a kernel's type.
    fn leave<S: Simd>(x: Self::In<S>) -> Self;
    /// out = f(x) over contiguous numbers.
    ///
    /// (These three are methods so that the kernels are compiled once, in this crate, for the two types that there are.)
    fn unary_block(isa: Isa, op: UnaryOp, params: [Self; 2], out: &mut [Self], x: &[Self]);
    /// out = dy · f′(x, y) over contiguous numbers, of x, y, dy.
    fn slope_block(isa: Isa, op: UnaryOp, params: [Self; 2], out: &mut [Self], inputs: [&[Self]; 3]);
    /// out = f(a, b) over contiguous numbers.
    fn binary_block(isa: Isa, op: BinaryOp, out: &mut [Self], inputs: [&[Self]; 2]);
}

macro_rules! number {
    ($type:ty, $in:ident, $isa:ident => $narrowed:expr) => {
        impl Number for $type {
            type In<S: Simd> = S::$in;
            const SMALLEST: f64 = <$type>::MIN_POSITIVE as f64;
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn enter<S: Simd>(self) -> S::$in {
                const { assert!(size_of::<S::$in>() == size_of::<$type>()) };
                // SAFETY: `Simd` requires of its numbers the layout of this type; the size was just checked.
                unsafe { std::mem::transmute_copy(&self) }
            }
            #[inline(always)]
            fn leave<S: Simd>(x: S::$in) -> Self {
                const { assert!(size_of::<S::$in>() == size_of::<$type>()) };
                // SAFETY: as in `enter`.
                unsafe { std::mem::transmute_copy(&x) }
            }
            fn unary_block($isa: Isa, op: UnaryOp, params: [Self; 2], out: &mut [Self], x: &[Self]) {
                elementwise::unary_block($narrowed, op, params, out, x);
            }
            fn slope_block($isa: Isa, op: UnaryOp, params: [Self; 2], out: &mut [Self], inputs: [&[Self]; 3]) {
                elementwise::slope_block($narrowed, op, params, out, inputs);
            }
            fn binary_block($isa: Isa, op: BinaryOp, out: &mut [Self], inputs: [&[Self]; 2]) {
                elementwise::binary_block($narrowed, op, out, inputs);
            }
        }
    };
}
number!(f32, F32, isa => isa);
// AVX2 serves f64 on AVX-512 machines as well: the bits are the same, and the kernels of a type that serves references and
// gradient checks are not compiled once more.
number!(f64, F64, isa => if isa == Isa::Avx512 { Isa::Avx2 } else { isa });

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
    // By slices, it asks once for all elements whether the machine has the instruction.
    #[inline]
    fn load_all(from: &[f16], to: &mut [f32]) {
        let n = from.len().min(to.len());
        from[..n].convert_to_f32_slice(&mut to[..n]);
    },
    #[inline]
    fn store_all(from: &[f32], to: &mut [f16]) {
        let n = from.len().min(to.len());
        to[..n].convert_from_f32_slice(&from[..n]);
    }
);
stored!(bf16, f32, false, |x| f32::from_bits(u32::from(x.to_bits()) << 16), |y| bf16_of(y));

/// The nearest bf16, ties to even. Without branches, unlike `bf16::from_f32`, so that loops of it become vector code.
#[inline(always)]
pub(crate) fn bf16_of(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    // A NaN stays one: its low bits may be all that it has.
    let quiet = (bits >> 16) | 0x40;
    bf16::from_bits(if x.is_nan() { quiet } else { rounded } as u16)
}

/// Elements to read, at any strides: broadcast (0) and flipped (negative) ones too.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a, T> {
    first: *const T,
    shape: &'a [usize],
    strides: &'a [isize],
    elements: PhantomData<&'a T>,
}

// SAFETY: a Strided only reads, as a `&[T]` would.
unsafe impl<T: Sync> Send for Strided<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Strided<'_, T> {}

impl<'a, T: Copy> Strided<'a, T> {
    /// Elements of `shape` from `first` on, `strides` elements apart along each axis.
    ///
    /// # Safety
    /// Every element so reached can be read for `'a`, and nothing writes to it meanwhile but a kernel whose output is
    /// exactly these elements. Shape and strides are of equal length.
    pub unsafe fn new(first: *const T, shape: &'a [usize], strides: &'a [isize]) -> Self {
        debug_assert_eq!(shape.len(), strides.len());
        Strided { first, shape, strides, elements: PhantomData }
    }

    /// The shape.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Elements from one index of an axis to the next.
    pub fn strides(&self) -> &'a [isize] {
        self.strides
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Where element (0, 0, …) lies.
    #[inline]
    pub fn first_element(&self) -> *const T {
        self.first
    }

    /// All elements as a slice, where they lie row-major without gaps.
    #[inline]
    pub fn as_slice(&self) -> Option<&'a [T]> {
        let mut step = 1isize;
        for (&size, &stride) in self.shape.iter().zip(self.strides).rev() {
            if size == 0 {
                return Some(&[]);
            }
            if size != 1 && stride != step {
                return None;
            }
            step *= size as isize;
        }
        // SAFETY: just seen to be contiguous from `first`; readable by the contract of `new`.
        Some(unsafe { std::slice::from_raw_parts(self.first, step as usize) })
    }

    /// The one element that broadcasting repeats, where that is all.
    #[inline]
    fn as_scalar(&self) -> Option<T> {
        let single = self.shape.iter().zip(self.strides).all(|(&size, &stride)| size == 1 || stride == 0);
        // SAFETY: every index reaches `first`; kernels ask only where there are elements.
        (single && !self.shape.contains(&0)).then(|| unsafe { *self.first })
    }
}

/// Elements to write, row-major. They may be exactly those of an operand that is contiguous.
#[derive(Debug)]
pub struct Output<'a, T> {
    first: *mut T,
    length: usize,
    elements: PhantomData<&'a mut T>,
}

// SAFETY: an Output is to its elements what a `&mut [T]` is, but for the exact alias that kernels allow for.
unsafe impl<T: Send> Send for Output<'_, T> {}
// SAFETY: kernels share it between threads that write disjoint parts.
unsafe impl<T: Send> Sync for Output<'_, T> {}

impl<'a, T: Copy> Output<'a, T> {
    /// `length` elements from `first`.
    ///
    /// # Safety
    /// They can be written for `'a`, and nobody else reads or writes them, but for operands of the same kernel that are
    /// exactly these elements.
    pub unsafe fn new(first: *mut T, length: usize) -> Self {
        Output { first, length, elements: PhantomData }
    }

    /// The elements, where no operand is among them.
    pub fn from_slice(slice: &'a mut [T]) -> Self {
        Output { first: slice.as_mut_ptr(), length: slice.len(), elements: PhantomData }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn first(&self) -> *mut T {
        self.first
    }

    /// The elements `start..start + length` as a slice.
    ///
    /// # Safety
    /// No operand is among them, and no other part handed out overlaps them.
    #[inline]
    #[allow(clippy::mut_from_ref)] // parts for several threads come from one shared Output
    pub(crate) unsafe fn part(&self, start: usize, length: usize) -> &mut [T] {
        debug_assert!(start + length <= self.length);
        // SAFETY: in bounds; exclusive by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(start), length) }
    }
}

/// Room for a block on the stack. Not initialized: zeroing it would take longer than a small operation.
pub(crate) struct Room<T>(MaybeUninit<[T; BLOCK]>);

impl<T: Number> Room<T> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Room(MaybeUninit::uninit())
    }

    #[inline(always)]
    pub(crate) fn first(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }

    /// All of it, zeroed.
    #[inline]
    pub(crate) fn zeroed(&mut self) -> &mut [T; BLOCK] {
        self.0.write([T::default(); BLOCK])
    }
}

/// How the next block of an operand is obtained.
enum Way<'a, T> {
    /// Contiguous and of the compute type: in place, from here on.
    InPlace(*const T),
    /// The same, but the elements are the output's: copied, since they are written while they are read.
    Aliased(*const T),
    /// One element that broadcasting repeats; whether the room is filled with it yet.
    Repeated(T, bool),
    /// Copied, from the index that the odometer shows.
    Copied(Odometer<'a>),
}

/// Blocks of an operand in row-major order, from some element on.
pub(crate) struct Blocks<'a, E: Stored> {
    first: *const E,
    way: Way<'a, E>,
}

impl<'a, E: Stored> Blocks<'a, E> {
    /// From element `start` on; `output` is where the kernel's output begins, null where no operand can be it.
    #[inline]
    pub(crate) fn new(operand: Strided<'a, E>, start: usize, output: *const E) -> Self {
        let way = if E::IN_PLACE
            && let Some(slice) = operand.as_slice()
        {
            // SAFETY: `start` is at most the number of elements.
            let at = unsafe { slice.as_ptr().add(start) };
            if slice.as_ptr() == output { Way::Aliased(at) } else { Way::InPlace(at) }
        } else if let Some(value) = operand.as_scalar() {
            Way::Repeated(value, false)
        } else {
            Way::Copied(Odometer::at(operand.shape, operand.strides, start))
        };
        Blocks { first: operand.first, way }
    }

    /// The next `count` ≤ [`BLOCK`] elements, no more of them than the time before; good until the next call. `room` is the
    /// same one each time.
    #[inline]
    pub(crate) fn next<'r>(&mut self, count: usize, room: &'r mut Room<E::Compute>) -> &'r [E::Compute] {
        let to = room.first();
        match &mut self.way {
            Way::InPlace(at) => {
                let here = at.cast();
                // SAFETY: callers go through the operand's elements once; they are of the compute type (IN_PLACE), and a
                // kernel's operands live as long as its blocks.
                unsafe {
                    *at = at.add(count);
                    return std::slice::from_raw_parts(here, count);
                }
            }
            Way::Aliased(at) => {
                // SAFETY: as above; the room is apart from all operands.
                unsafe {
                    std::ptr::copy_nonoverlapping(at.cast(), to, count);
                    *at = at.add(count);
                }
            }
            Way::Repeated(value, filled) => {
                if !*filled {
                    // SAFETY: the room holds BLOCK ≥ count numbers; later calls ask for no more.
                    (0..count).for_each(|i| unsafe { to.add(i).write(value.load()) });
                    *filled = true;
                }
            }
            Way::Copied(odometer) => {
                if !E::IN_PLACE {
                    room.zeroed(); // conversions write to slices
                }
                let first = self.first;
                odometer.runs(count, |done, offset, stride, run| {
                    // SAFETY: the odometer stays within the shape, whose elements can be read, and within `count`.
                    unsafe {
                        let (from, to) = (first.offset(offset), to.add(done));
                        match stride {
                            1 if E::IN_PLACE => std::ptr::copy_nonoverlapping(from.cast(), to, run),
                            1 => E::load_all(
                                std::slice::from_raw_parts(from, run),
                                std::slice::from_raw_parts_mut(to, run),
                            ),
                            0 => {
                                let value = (*from).load();
                                (0..run).for_each(|i| to.add(i).write(value));
                            }
                            _ => (0..run).for_each(|i| to.add(i).write((*from.offset(i as isize * stride)).load())),
                        }
                    }
                });
            }
        }
        // SAFETY: `count` numbers have just been written there, or were by the first call.
        unsafe { std::slice::from_raw_parts(to, count) }
    }
}

/// Most axes that an odometer counts.
pub(crate) const MAX_RANK: usize = 8;

/// An index into a shape that counts up in row-major order, with the offset that it means.
pub(crate) struct Odometer<'a> {
    shape: &'a [usize],
    strides: &'a [isize],
    index: [usize; MAX_RANK],
    offset: isize,
}

impl<'a> Odometer<'a> {
    /// At element `start` in row-major order.
    pub(crate) fn at(shape: &'a [usize], strides: &'a [isize], start: usize) -> Self {
        let (mut index, mut offset, mut rest) = ([0; MAX_RANK], 0, start);
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis].max(1);
            rest /= shape[axis].max(1);
            offset += index[axis] as isize * strides[axis];
        }
        Odometer { shape, strides, index, offset }
    }

    /// Elements from the first to the present one.
    pub(crate) fn offset(&self) -> isize {
        self.offset
    }

    /// Goes `count` elements on, in runs along the last axis: `f(done before, offset, stride, length)`.
    #[inline]
    pub(crate) fn runs(&mut self, count: usize, mut f: impl FnMut(usize, isize, isize, usize)) {
        let Some(last) = self.shape.len().checked_sub(1) else {
            (0..count).for_each(|done| f(done, self.offset, 0, 1));
            return;
        };
        let (size, stride) = (self.shape[last], self.strides[last]);
        let mut done = 0;
        while done < count {
            let run = (size - self.index[last]).min(count - done);
            f(done, self.offset, stride, run);
            done += run;
            self.index[last] += run;
            self.offset += run as isize * stride;
            if self.index[last] == size {
                self.carry(last);
            }
        }
    }

    /// Axis `axis` has run full: back to 0, and one up before it.
    #[inline]
    fn carry(&mut self, mut axis: usize) {
        loop {
            self.offset -= self.index[axis] as isize * self.strides[axis];
            self.index[axis] = 0;
            if axis == 0 {
                return;
            }
            axis -= 1;
            self.index[axis] += 1;
            self.offset += self.strides[axis];
            if self.index[axis] < self.shape[axis] {
                return;
            }
        }
    }
}
