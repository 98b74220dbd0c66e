//! Elementwise operations from kiln-math's lists: values, gradients, comparisons, selection.
//!
//! Every operation is compiled once per instruction set and number type, over contiguous blocks (`operand/number.rs`); see
//! [`crate::operand`] for how strided operands and half types come to be such. Large operands are cut into chunks for the team; an element's value
//! depends on nothing but its operands, so neither on the cut.

use crate::operand::{BLOCK, Blocks, InRegisters, Number, Odometer, Output, Room, Stored, Strided};
use crate::{Isa, Kernel, Simd, check, team};
use kiln_math::{BinaryOp, Integer, IntegerOp, UnaryOp};

/// Below this many elements a second thread costs more than it saves (about 10 µs of the cheapest operations).
const PARALLEL: usize = 1 << 16;

/// Calls `chunk(start, length)` for parts that make up `elements`, on the team where that pays.
#[inline]
pub(crate) fn in_chunks(elements: usize, chunk: impl Fn(usize, usize) + Sync) {
    if elements < PARALLEL { chunk(0, elements) } else { share_out(elements, &chunk) }
}

/// Out of line and of one type: the region's machinery is not compiled again for every operation.
#[inline(never)]
fn share_out(elements: usize, chunk: &(dyn Fn(usize, usize) + Sync)) {
    if team::threads() == 1 {
        return chunk(0, elements);
    }
    // More chunks than threads, so that one which is held up holds up less; whole blocks, for alignment.
    let size = elements.div_ceil(4 * team::threads()).next_multiple_of(BLOCK).max(PARALLEL / 4);
    team::parallel(elements.div_ceil(size), |i| chunk(i * size, size.min(elements - i * size)));
}

/// Writes a block from N blocks of equal length.
type BlockFn<'f, T, const N: usize> = dyn Fn(&mut [T], [&[T]; N]) + Sync + 'f;

/// Runs a block function over N operands of one storage type, each as long as the output.
#[inline]
#[track_caller]
fn map<E: Stored, const N: usize>(
    function: &str,
    out: &Output<'_, E>,
    inputs: [Strided<'_, E>; N],
    (in_registers, block): (Option<InRegisters<E, N>>, &BlockFn<'_, E::Compute, N>),
    isa: Isa,
) {
    let slices = inputs.map(|x| x.as_slice());
    for (x, slice) in inputs.iter().zip(&slices) {
        // The slice knows, and a small operation feels every product of sizes.
        let elements = slice.map_or_else(|| x.elements(), <[E]>::len);
        check::length(function, "operand", elements, out.len());
    }
    if out.is_empty() {
        return;
    }
    let apart = |x: &Option<&[E]>| x.is_some_and(|x| x.as_ptr() != out.first().cast_const());
    if let Some(block) = in_registers
        && slices.iter().all(apart)
    {
        return in_chunks(out.len(), |start, count| {
            // SAFETY: this chunk's own part; no operand is the output, and none overlaps it otherwise.
            let to = unsafe { out.part(start, count) };
            block(isa, to, slices.map(|x| x.map_or(&[][..], |x| &x[start..start + count])));
        });
    }
    if E::IN_PLACE && slices.iter().all(apart) {
        in_chunks(out.len(), |start, count| {
            // SAFETY: this chunk's own part; no operand is the output, and none overlaps it otherwise. IN_PLACE says that E
            // is the compute type.
            unsafe {
                let to = &mut *(std::ptr::from_mut(out.part(start, count)) as *mut [E::Compute]);
                block(
                    to,
                    slices.map(|x| match x {
                        Some(x) => &*(std::ptr::from_ref(&x[start..start + count]) as *const [E::Compute]),
                        None => &[],
                    }),
                );
            }
        });
        return;
    }
    in_chunks(out.len(), |start, count| map_blocks(out, inputs, block, start, count));
}

/// The general way, block by block: operands that are strided, of a half type, or the output itself.
#[inline(never)]
fn map_blocks<E: Stored, const N: usize>(
    out: &Output<'_, E>,
    inputs: [Strided<'_, E>; N],
    block: &BlockFn<'_, E::Compute, N>,
    start: usize,
    count: usize,
) {
    let mut sources = inputs.map(|x| Blocks::new(x, start, out.first()));
    let mut rooms = [const { Room::<E::Compute>::new() }; N];
    let mut result = Room::new();
    if !E::IN_PLACE {
        result.zeroed();
    }
    let mut done = 0;
    while done < count {
        let n = BLOCK.min(count - done);
        let mut pairs = sources.iter_mut().zip(&mut rooms);
        let from = std::array::from_fn(|_| match pairs.next() {
            Some((source, room)) => source.next(n, room),
            None => &[],
        });
        // SAFETY: this chunk's own part of the output; no operand's block lies in it, since aliases were copied.
        let to = unsafe { out.part(start + done, n) };
        if E::IN_PLACE {
            // SAFETY: IN_PLACE says that E is the compute type.
            block(unsafe { &mut *(std::ptr::from_mut(to) as *mut [E::Compute]) }, from);
        } else {
            // SAFETY: initialized above, and as long as a block.
            let result = unsafe { std::slice::from_raw_parts_mut(result.first(), n) };
            block(result, from);
            E::store_all(result, to);
        }
        done += n;
    }
}

/// out = f(x), with the operation's constants.
///
/// `x` has as many elements as `out`, and may be the same ones.
///
/// # Panics
/// Where `x` has another number of elements than `out`.
pub fn unary<E: Stored>(isa: Isa, op: UnaryOp, params: [f64; 2], out: &mut Output<'_, E>, x: Strided<'_, E>) {
    let p = params.map(E::Compute::from_f64);
    let block = |out: &mut [E::Compute], [x]: [&[E::Compute]; 1]| E::Compute::unary_block(isa, op, p, out, x);
    map("unary", out, [x], (E::unary_in_registers(op), &block), isa);
}

/// out = dy · f′(x, y).
///
/// # Panics
/// Where an operand has another number of elements than `out`.
pub fn unary_grad<E: Stored>(
    isa: Isa,
    op: UnaryOp,
    params: [f64; 2],
    out: &mut Output<'_, E>,
    [x, y, dy]: [Strided<'_, E>; 3],
) {
    let p = params.map(E::Compute::from_f64);
    let block = |out: &mut [E::Compute], inputs: [&[E::Compute]; 3]| E::Compute::slope_block(isa, op, p, out, inputs);
    map("unary_grad", out, [x, y, dy], (E::slope_in_registers(op), &block), isa);
}

/// out = f(a, b).
///
/// # Panics
/// Where an operand has another number of elements than `out`.
pub fn binary<E: Stored>(isa: Isa, op: BinaryOp, out: &mut Output<'_, E>, a: Strided<'_, E>, b: Strided<'_, E>) {
    let block = |out: &mut [E::Compute], inputs: [&[E::Compute]; 2]| E::Compute::binary_block(isa, op, out, inputs);
    map("binary", out, [a, b], (E::binary_in_registers(op), &block), isa);
}

/// The activation of a finished piece of a matrix product, in place.
pub fn unary_in_place<T: Number>(isa: Isa, op: UnaryOp, params: [f64; 2], x: &mut [T]) {
    let p = params.map(T::from_f64);
    let mut room = Room::new();
    for piece in x.chunks_mut(BLOCK) {
        // SAFETY: the room holds BLOCK numbers, and the piece's are written to it before they are read.
        let copy = unsafe {
            std::ptr::copy_nonoverlapping(piece.as_ptr(), room.first(), piece.len());
            std::slice::from_raw_parts(room.first(), piece.len())
        };
        T::unary_block(isa, op, p, piece, copy);
    }
}

/// The elements `start..start + n` of an operand of any type, in a block.
#[inline(never)]
pub(crate) fn gather_block<A: Copy>(x: Strided<'_, A>, start: usize, n: usize, block: &mut [A; BLOCK]) {
    Odometer::at(x.shape(), x.strides(), start).runs(n, |done, offset, stride, run| {
        for (i, to) in block[done..done + run].iter_mut().enumerate() {
            // SAFETY: the odometer stays within the shape, whose elements can be read.
            *to = unsafe { *x.first_element().offset(offset + i as isize * stride) };
        }
    });
}

/// Whether a slice is apart from what is written; an output may be exactly one of its operands.
fn apart<A, O: Copy>(x: &[A], out: &Output<'_, O>) -> bool {
    x.as_ptr().cast() != out.first().cast_const()
}

/// Writes a block from two blocks of equal length, of another type than the output's.
pub type PairFn<'f, A, O> = dyn Fn(&mut [O], [&[A]; 2]) + Sync + 'f;

/// A block function that computes each element from one of either operand.
pub fn each<A: Copy, O>(f: impl Fn(A, A) -> O + Copy + Sync) -> impl Fn(&mut [O], [&[A]; 2]) + Sync {
    move |out, operands| Isa::best().run(Each { out, operands, f })
}

struct Each<'a, A, O, F> {
    out: &'a mut [O],
    operands: [&'a [A]; 2],
    f: F,
}

impl<A: Copy, O, F: Fn(A, A) -> O> Kernel for Each<'_, A, O, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let [a, b] = self.operands;
        for ((to, &a), &b) in self.out.iter_mut().zip(a).zip(b) {
            *to = (self.f)(a, b);
        }
    }
}

/// An element that [`select`] moves, as an unsigned integer of its size.
pub trait Word: Copy + Default + Send + Sync {
    /// a where `chosen`, else b.
    fn select(chosen: bool, a: Self, b: Self) -> Self;
}

macro_rules! words {
    ($($Word:ty)+) => {$(
        impl Word for $Word {
            /// By masks: of an `if` the compiler makes a choice among addresses, and no vector code.
            #[inline(always)]
            fn select(chosen: bool, a: Self, b: Self) -> Self {
                let mask = <$Word>::from(chosen).wrapping_neg();
                a & mask | b & !mask
            }
        }
    )+};
}
words!(u8 u16 u32 u64);

/// A block of [`select`].
struct Select<'a, T> {
    out: &'a mut [T],
    chosen: &'a [u8],
    operands: [&'a [T]; 2],
}

impl<T: Word> Kernel for Select<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let [a, b] = self.operands;
        for (((to, &chosen), &a), &b) in self.out.iter_mut().zip(self.chosen).zip(a).zip(b) {
            *to = T::select(chosen != 0, a, b);
        }
    }
}

/// out = f(a, b) of any element types, where `block` is [`each`] of f: comparisons, integers.
///
/// # Panics
/// Where an operand has another number of elements than `out`.
pub fn zip<A: Copy + Default + Sync, O: Copy + Send>(
    out: &mut Output<'_, O>,
    [a, b]: [Strided<'_, A>; 2],
    block: &PairFn<'_, A, O>,
) {
    check::length("zip", "a", a.elements(), out.len());
    check::length("zip", "b", b.elements(), out.len());
    let out = &*out;
    if let (Some(a), Some(b)) = (a.as_slice(), b.as_slice())
        && apart(a, out)
        && apart(b, out)
    {
        return in_chunks(out.len(), |start, count| {
            let range = start..start + count;
            // SAFETY: this chunk's own part of the output; the operands are apart from it.
            block(unsafe { out.part(start, count) }, [&a[range.clone()], &b[range]]);
        });
    }
    in_chunks(out.len(), |start, count| {
        let (mut left, mut right) = ([A::default(); BLOCK], [A::default(); BLOCK]);
        for done in (0..count).step_by(BLOCK) {
            let n = BLOCK.min(count - done);
            gather_block(a, start + done, n, &mut left);
            gather_block(b, start + done, n, &mut right);
            // SAFETY: within this chunk of the output, whose operands have been read.
            block(unsafe { out.part(start + done, n) }, [&left[..n], &right[..n]]);
        }
    });
}

macro_rules! integer_dispatch {
    ($({ $doc:literal, $op:ident, $method:ident })+) => {
        /// out = f(a, b) of integers.
        ///
        /// # Panics
        /// Where an operand has another number of elements than `out`.
        pub fn integers<I: Integer>(op: IntegerOp, out: &mut Output<'_, I>, a: Strided<'_, I>, b: Strided<'_, I>) {
            match op { $(IntegerOp::$op => zip(out, [a, b], &each(I::$method))),+ }
        }
    };
}
kiln_math::for_each_integer!(integer_dispatch);

/// out = condition ? a : b, of elements of any type as words of their size; a condition is 0 or not.
///
/// # Panics
/// Where an operand has another number of elements than `out`.
pub fn select<T: Word>(out: &mut Output<'_, T>, condition: Strided<'_, u8>, a: Strided<'_, T>, b: Strided<'_, T>) {
    check::length("select", "condition", condition.elements(), out.len());
    check::length("select", "a", a.elements(), out.len());
    check::length("select", "b", b.elements(), out.len());
    let out = &*out;
    let block = |out: &mut [T], chosen: &[u8], operands: [&[T]; 2]| Isa::best().run(Select { out, chosen, operands });
    if let (Some(chosen), Some(a), Some(b)) = (condition.as_slice(), a.as_slice(), b.as_slice())
        && apart(chosen, out)
        && apart(a, out)
        && apart(b, out)
    {
        return in_chunks(out.len(), |start, count| {
            let range = start..start + count;
            // SAFETY: this chunk's own part of the output; the operands are apart from it.
            block(unsafe { out.part(start, count) }, &chosen[range.clone()], [&a[range.clone()], &b[range]]);
        });
    }
    in_chunks(out.len(), |start, count| {
        let (mut chosen, mut left, mut right) = ([0; BLOCK], [T::default(); BLOCK], [T::default(); BLOCK]);
        for done in (0..count).step_by(BLOCK) {
            let n = BLOCK.min(count - done);
            gather_block(condition, start + done, n, &mut chosen);
            gather_block(a, start + done, n, &mut left);
            gather_block(b, start + done, n, &mut right);
            // SAFETY: within this chunk of the output, whose operands have been read.
            block(unsafe { out.part(start + done, n) }, &chosen[..n], [&left[..n], &right[..n]]);
        }
    });
}
