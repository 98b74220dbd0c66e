//! Fills, and copies between layouts and element types.

use crate::elementwise::in_chunks;
use crate::operand::{BLOCK, Odometer, Output, Stored, Strided};
use crate::{Isa, Kernel, Simd, check};
use half::{bf16, f16};
use kiln_math::{round_integer_to_odd, round_to_odd};

/// Conversion of an element: floats round to nearest even, integers saturate (a NaN becomes 0), non-zero is true.
pub trait Convert<To>: Copy {
    /// The converted value.
    fn convert(self) -> To;
    /// Converts a row.
    ///
    /// # Safety
    /// As many elements can be written at `to` as `from` has, and none of them is one of `from`.
    #[inline(always)]
    unsafe fn convert_row(from: &[Self], to: *mut To) {
        for (i, x) in from.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { to.add(i).write(x.convert()) };
        }
    }
}

macro_rules! convert {
    ($($from:ty => $to:ty: |$x:ident| $e:expr;)+) => {$(
        impl Convert<$to> for $from {
            #[inline(always)]
            fn convert(self) -> $to {
                let $x = self;
                $e
            }
        }
    )+};
}

/// Numbers to all types; `$single` is what each is on its way to a half type.
macro_rules! numeric {
    ($($from:ty, $kind:ident: |$x:ident| $single:expr;)+) => {$(
        convert! {
            $from => f32: |x| x as f32;
            $from => f64: |x| x as f64;
            $from => bool: |x| x != 0 as $from;
        }
        saturating!($from, $kind);
        half_row!($from: |$x| $single);
    )+};
}

/// To integers, saturating.
macro_rules! saturating {
    ($from:ty, float) => {
        convert! {
            $from => i64: |x| truncated!(x, $from, i64);
            $from => i32: |x| truncated!(x, $from, i32);
            $from => i8: |x| truncated!(x, $from, i32).clamp(i8::MIN.into(), i8::MAX.into()) as i8;
            $from => u8: |x| truncated!(x, $from, i32).clamp(0, u8::MAX.into()) as u8;
        }
    };
    ($from:ty, integer) => {
        convert! {
            $from => i64: |x| x as i64;
            $from => i32: |x| (x as i64).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
            $from => i8: |x| (x as i64).clamp(i8::MIN.into(), i8::MAX.into()) as i8;
            $from => u8: |x| (x as i64).clamp(0, u8::MAX.into()) as u8;
        }
    };
}

/// What `as` gives, of which the compiler makes no vector code.
macro_rules! truncated {
    ($x:ident, $from:ty, $to:ident) => {{
        // −MIN is a power of two, so exact; MAX is not.
        let (low, high) = ($to::MIN as $from, -($to::MIN as $from));
        let fits = $x >= low && $x < high;
        // SAFETY: within the integers' range, and no NaN.
        let inside = unsafe { (if fits { $x } else { 0.0 }).to_int_unchecked::<$to>() };
        let beyond = if $x >= high { $to::MAX } else { 0 };
        let beyond = if $x < low { $to::MIN } else { beyond };
        if fits { inside } else { beyond }
    }};
}

/// To the half types, and the same by rows, where f16 asks once for all elements whether the machine has the instruction.
macro_rules! half_row {
    ($from:ty: |$x:ident| $single:expr) => {
        impl Convert<f16> for $from {
            #[inline(always)]
            fn convert(self) -> f16 {
                let $x = self;
                f16::from_f32($single)
            }
            #[inline(always)]
            unsafe fn convert_row(from: &[Self], to: *mut f16) {
                let mut singles = [0.0; BLOCK];
                for (block, row) in from.chunks(BLOCK).enumerate() {
                    for (single, &$x) in singles.iter_mut().zip(row) {
                        *single = $single;
                    }
                    // SAFETY: the caller's promise; any bytes are an f16.
                    let to = unsafe { std::slice::from_raw_parts_mut(to.add(block * BLOCK), row.len()) };
                    f16::store_all(&singles[..row.len()], to);
                }
            }
        }
        convert!($from => bf16: |$x| bf16::store($single););
    };
}
numeric! {
    f32, float: |x| x;
    f64, float: |x| round_to_odd(x);
    i64, integer: |x| round_integer_to_odd(x);
    i32, integer: |x| round_integer_to_odd(x.into());
    i8, integer: |x| f32::from(x);
    u8, integer: |x| f32::from(x);
}

macro_rules! through_f32 {
    ($($half:ty: $($to:ty)+;)+) => {$($(
        impl Convert<$to> for $half {
            #[inline(always)]
            fn convert(self) -> $to {
                Convert::<$to>::convert(self.load())
            }
            #[inline(always)]
            unsafe fn convert_row(from: &[Self], to: *mut $to) {
                let mut singles = [0.0; BLOCK];
                for (block, row) in from.chunks(BLOCK).enumerate() {
                    <$half>::load_all(row, &mut singles);
                    // SAFETY: the caller's promise.
                    unsafe { f32::convert_row(&singles[..row.len()], to.add(block * BLOCK)) };
                }
            }
        }
    )+)+};
}
through_f32! {
    f16: f32 f64 i64 i32 i8 u8 f16 bf16 bool;
    bf16: f32 f64 i64 i32 i8 u8 f16 bf16 bool;
}

convert! {
    bool => f32: |x| if x { 1.0 } else { 0.0 };
    bool => f64: |x| if x { 1.0 } else { 0.0 };
    bool => i64: |x| x.into();
    bool => i32: |x| x.into();
    bool => i8: |x| x.into();
    bool => u8: |x| x.into();
    bool => f16: |x| if x { f16::ONE } else { f16::ZERO };
    bool => bf16: |x| if x { bf16::ONE } else { bf16::ZERO };
    bool => bool: |x| x;
    u16 => u16: |x| x;
    u32 => u32: |x| x;
    u64 => u64: |x| x;
}

/// Every element becomes `value`.
pub fn fill<T: Copy + Send + Sync>(out: &mut Output<'_, T>, value: T) {
    let out = &*out;
    in_chunks(out.len(), |start, count| {
        // SAFETY: this chunk's own part of the output; there is no operand.
        unsafe { out.part(start, count) }.fill(value);
    });
}

/// Converts a row, whose elements can be written at `to` and are apart from those.
struct Row<'a, A, B> {
    from: &'a [A],
    to: *mut B,
}

impl<A: Convert<B>, B> Kernel for Row<'_, A, B> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        // SAFETY: what the struct's elements are.
        unsafe { A::convert_row(self.from, self.to) }
    }
}

/// Converts `n` elements, a stride apart, into a row.
type Run = unsafe fn(*const u8, isize, *mut u8, usize);

/// # Safety
/// The elements are of these types: those from `from` on can be read, the row at `to` can be written, and the two are apart.
unsafe fn run<A: Convert<B>, B>(from: *const u8, stride: isize, to: *mut u8, n: usize) {
    let (from, to) = (from.cast::<A>(), to.cast::<B>());
    // SAFETY: the caller's promise.
    unsafe {
        if stride == 1 {
            return Isa::best().run(Row { from: std::slice::from_raw_parts(from, n), to });
        }
        for i in 0..n {
            to.add(i).write((*from.offset(i as isize * stride)).convert());
        }
    }
}

/// Where elements are read and written, and their sizes in bytes.
#[derive(Clone, Copy)]
struct Ends {
    from: *const u8,
    from_size: usize,
    to: *mut u8,
    to_size: usize,
}

// SAFETY: threads read from one end and write disjoint parts of the other.
unsafe impl Sync for Ends {}

/// Copies `count` elements of a shape into a row; compiled once for all types.
///
/// # Safety
/// As for [`copy`], of whose operands these are the ends.
unsafe fn copy_runs(ends: &Ends, shape: &[usize], strides: &[isize], contiguous: bool, count: usize, run: Run) {
    in_chunks(count, |start, count| {
        // SAFETY: the odometer stays within the operand, the chunk within the output.
        let each = |done: usize, offset: isize, stride: isize, n: usize| unsafe {
            let from = ends.from.offset(offset * ends.from_size as isize);
            run(from, stride, ends.to.add((start + done) * ends.to_size), n);
        };
        if contiguous {
            each(0, start as isize, 1, count);
        } else {
            Odometer::at(shape, strides, start).runs(count, each);
        }
    });
}

/// out = x, converted, into row-major elements apart from x.
///
/// # Panics
/// Where `out` has another number of elements than `x`.
pub fn copy<A: Convert<B> + Send + Sync, B: Copy + Send>(out: &mut Output<'_, B>, x: Strided<'_, A>) {
    check::length("copy", "x", x.elements(), out.len());
    let (from, to) = (x.first_element().cast(), out.first().cast());
    let ends = Ends { from, from_size: size_of::<A>(), to, to_size: size_of::<B>() };
    let contiguous = x.as_slice().is_some();
    // SAFETY: these are the operand's and the output's own elements.
    unsafe { copy_runs(&ends, x.shape(), x.strides(), contiguous, out.len(), run::<A, B>) };
}
