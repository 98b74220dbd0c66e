//! Elementwise operations from kiln-math's lists: values, gradients, comparisons, selection.
//!
//! Every operation is compiled once per instruction set and number type, over contiguous blocks; see [`crate::operand`] for
//! how strided operands and half types come to be such. Large operands are cut into chunks for the team; an element's value
//! depends on nothing but its operands, so neither on the cut.

use crate::operand::{BLOCK, Blocks, Number, Output, Stored, Strided};
use crate::{Isa, Kernel, Simd, team};
use kiln_math::{Binary, BinaryOp, Unary, UnaryOp, ops};
use std::marker::PhantomData;

/// Below this many elements a second thread costs more than it saves (about 10 µs of the cheapest operations).
const PARALLEL: usize = 1 << 16;

/// Elements computed together: a whole number of registers of every instruction set.
const GROUP: usize = 32;

/// Calls `chunk(start, length)` for parts that make up `elements`, on the team where that pays.
#[inline]
pub(crate) fn in_chunks(elements: usize, chunk: impl Fn(usize, usize) + Sync) {
    if elements < PARALLEL || team::threads() == 1 {
        return chunk(0, elements);
    }
    // More chunks than threads, so that one which is held up holds up less; whole blocks, for alignment.
    let size = elements.div_ceil(4 * team::threads()).next_multiple_of(BLOCK).max(PARALLEL / 4);
    team::parallel(elements.div_ceil(size), |i| chunk(i * size, size.min(elements - i * size)));
}

/// y = f(x[0], …, x[N − 1]) over a contiguous block.
struct Block<T, const N: usize, F> {
    out: *mut T,
    inputs: [*const T; N],
    count: usize,
    f: F,
}

/// A function of N numbers, generic over the kernel's number type.
trait Formula<T: Number, const N: usize>: Copy {
    fn value<S: Simd>(self, x: [T::In<S>; N]) -> T::In<S>;
}

impl<T: Number, const N: usize, F: Formula<T, N>> Kernel for Block<T, N, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let whole = self.count / GROUP * GROUP;
        let mut start = 0;
        while start < whole {
            self.group::<S>(start, GROUP);
            start += GROUP;
        }
        if start < self.count {
            self.group::<S>(start, self.count - start);
        }
    }
}

impl<T: Number, const N: usize, F: Formula<T, N>> Block<T, N, F> {
    /// Reads `count` ≤ GROUP elements into registers, computes, writes: so an output that is one of the inputs does no
    /// harm, and the compiler need not prove that it isn't.
    #[inline(always)]
    fn group<S: Simd>(&self, start: usize, count: usize) {
        let mut x = [[T::default().enter::<S>(); GROUP]; N];
        for (x, input) in x.iter_mut().zip(self.inputs) {
            for (i, x) in x.iter_mut().enumerate().take(count) {
                // SAFETY: within the block, whose `count` elements can be read.
                *x = unsafe { *input.add(start + i) }.enter::<S>();
            }
        }
        let mut y = [T::default().enter::<S>(); GROUP];
        for (i, y) in y.iter_mut().enumerate() {
            *y = self.f.value::<S>(std::array::from_fn(|n| x[n][i]));
        }
        for (i, &y) in y.iter().enumerate().take(count) {
            // SAFETY: within the block, whose `count` elements can be written.
            unsafe { *self.out.add(start + i) = T::leave::<S>(y) };
        }
    }
}

/// Runs a formula over N operands of one storage type.
#[inline]
fn map<E: Stored, const N: usize>(
    out: &Output<'_, E>,
    inputs: [Strided<'_, E>; N],
    block: impl Fn(*mut E::Compute, [*const E::Compute; N], usize) + Sync,
) {
    debug_assert!(inputs.iter().all(|x| x.elements() == out.len()));
    if out.is_empty() {
        return;
    }
    let contiguous = inputs.map(|x| x.as_slice().map(<[E]>::as_ptr));
    if E::IN_PLACE && contiguous.iter().all(Option::is_some) {
        let first = Shared(out.first(), contiguous.map(|x| x.unwrap_or(std::ptr::null())));
        in_chunks(out.len(), |start, count| {
            let first = &first;
            // SAFETY: the chunk lies within the output and the operands, all of `out.len()` elements.
            let (to, from) = unsafe { (first.0.add(start), first.1.map(|x| x.add(start))) };
            block(to.cast(), from.map(<*const E>::cast), count);
        });
        return;
    }
    in_chunks(out.len(), |start, count| {
        let mut sources = inputs.map(|x| Blocks::new(x, start));
        let mut result = [E::Compute::default(); BLOCK];
        let mut done = 0;
        while done < count {
            let n = BLOCK.min(count - done);
            let from = std::array::from_fn(|i| sources[i].next(n));
            // SAFETY: within the output, in this chunk's own part of it.
            let to = unsafe { out.first().add(start + done) };
            if E::IN_PLACE {
                block(to.cast(), from, n);
            } else {
                block(result.as_mut_ptr(), from, n);
                for (i, &y) in result.iter().enumerate().take(n) {
                    // SAFETY: as above.
                    unsafe { *to.add(i) = E::store(y) };
                }
            }
            done += n;
        }
    });
}

/// Pointers that several threads take their own parts of.
struct Shared<T, const N: usize>(*mut T, [*const T; N]);
// SAFETY: each chunk touches its own elements only.
unsafe impl<T: Send + Sync, const N: usize> Sync for Shared<T, N> {}

/// The formulas, with the operation as a type.
struct Value<T, Op>([T; 2], PhantomData<Op>);
struct Slope<T, Op>([T; 2], PhantomData<Op>);
struct Value2<Op>(PhantomData<Op>);

macro_rules! copyable {
    ($($name:ident<$($param:ident),+> where $t:ident)+) => {$(
        impl<$($param),+> Clone for $name<$($param),+> where $t: Copy { #[inline(always)] fn clone(&self) -> Self { *self } }
        impl<$($param),+> Copy for $name<$($param),+> where $t: Copy {}
    )+};
}
copyable!(Value<T, Op> where T  Slope<T, Op> where T);
impl<Op> Clone for Value2<Op> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<Op> Copy for Value2<Op> {}

impl<T: Number, Op: Unary> Formula<T, 1> for Value<T, Op> {
    #[inline(always)]
    fn value<S: Simd>(self, [x]: [T::In<S>; 1]) -> T::In<S> {
        Op::f(x, self.0.map(T::enter::<S>))
    }
}

/// Of x, y, dy.
impl<T: Number, Op: Unary> Formula<T, 3> for Slope<T, Op> {
    #[inline(always)]
    fn value<S: Simd>(self, [x, y, dy]: [T::In<S>; 3]) -> T::In<S> {
        dy * Op::df(x, y, self.0.map(T::enter::<S>))
    }
}

impl<T: Number, Op: Binary> Formula<T, 2> for Value2<Op> {
    #[inline(always)]
    fn value<S: Simd>(self, [a, b]: [T::In<S>; 2]) -> T::In<S> {
        Op::f(a, b)
    }
}

macro_rules! unary_dispatch {
    ($({ $doc:literal, $op:ident, $method:ident, ($($param:ident),*) })+) => {
        #[inline]
        fn unary_block<T: Number>(isa: Isa, op: UnaryOp, p: [T; 2], out: *mut T, inputs: [*const T; 1], count: usize) {
            match op { $(UnaryOp::$op => isa.run(Block { out, inputs, count, f: Value::<T, ops::$op>(p, PhantomData) })),+ }
        }
        #[inline]
        fn slope_block<T: Number>(isa: Isa, op: UnaryOp, p: [T; 2], out: *mut T, inputs: [*const T; 3], count: usize) {
            match op { $(UnaryOp::$op => isa.run(Block { out, inputs, count, f: Slope::<T, ops::$op>(p, PhantomData) })),+ }
        }
    };
}
kiln_math::for_each_unary!(unary_dispatch);

macro_rules! binary_dispatch {
    ($({ $doc:literal, $op:ident, $method:ident })+) => {
        #[inline]
        fn binary_block<T: Number>(isa: Isa, op: BinaryOp, out: *mut T, inputs: [*const T; 2], count: usize) {
            match op { $(BinaryOp::$op => isa.run(Block { out, inputs, count, f: Value2::<ops::$op>(PhantomData) })),+ }
        }
    };
}
kiln_math::for_each_binary!(binary_dispatch);

/// out = f(x), with the operation's constants.
///
/// `x` has as many elements as `out`, and may be the same ones.
pub fn unary<E: Stored>(isa: Isa, op: UnaryOp, params: [f64; 2], out: &Output<'_, E>, x: Strided<'_, E>) {
    let p = params.map(E::Compute::from_f64);
    map(out, [x], |out, inputs, count| unary_block(isa, op, p, out, inputs, count));
}

/// out = dy · f′(x, y).
pub fn unary_grad<E: Stored>(
    isa: Isa,
    op: UnaryOp,
    params: [f64; 2],
    out: &Output<'_, E>,
    [x, y, dy]: [Strided<'_, E>; 3],
) {
    let p = params.map(E::Compute::from_f64);
    map(out, [x, y, dy], |out, inputs, count| slope_block(isa, op, p, out, inputs, count));
}

/// out = f(a, b).
pub fn binary<E: Stored>(isa: Isa, op: BinaryOp, out: &Output<'_, E>, a: Strided<'_, E>, b: Strided<'_, E>) {
    map(out, [a, b], |out, inputs, count| binary_block(isa, op, out, inputs, count));
}

/// The activation of a finished tile of a matrix product, in place.
pub fn unary_in_place<T: Stored<Compute = T> + Number>(isa: Isa, op: UnaryOp, params: [f64; 2], x: &mut [T]) {
    let pointer = x.as_mut_ptr();
    unary_block(isa, op, params.map(T::from_f64), pointer, [pointer.cast_const()], x.len());
}

/// out = f(a, b) of any element types, by plain loops: comparisons, selection, integers.
pub fn zip<A: Copy + Sync, B: Copy + Sync, O: Copy + Send>(
    out: &Output<'_, O>,
    a: Strided<'_, A>,
    b: Strided<'_, B>,
    f: impl Fn(A, B) -> O + Sync,
) {
    if let (Some(a), Some(b)) = (a.as_slice(), b.as_slice()) {
        return in_chunks(out.len(), |start, count| {
            for i in start..start + count {
                // SAFETY: the chunk lies within the output, whose length the operands have.
                unsafe { *out.first().add(i) = f(a[i], b[i]) };
            }
        });
    }
    in_chunks(out.len(), |start, count| {
        let mut right = crate::operand::Odometer::at(b.shape(), b.strides(), start);
        let mut left = crate::operand::Odometer::at(a.shape(), a.strides(), start);
        let mut done = 0;
        while done < count {
            let n = BLOCK.min(count - done);
            let mut block = [None::<B>; BLOCK];
            right.runs(n, |at, offset, stride, run| {
                for i in 0..run {
                    // SAFETY: the odometer stays within the shape, whose elements can be read.
                    block[at + i] = Some(unsafe { *b.first_element().offset(offset + i as isize * stride) });
                }
            });
            left.runs(n, |at, offset, stride, run| {
                for i in 0..run {
                    // SAFETY: as above, and within this chunk of the output.
                    unsafe {
                        let a = *a.first_element().offset(offset + i as isize * stride);
                        if let Some(b) = block[at + i] {
                            *out.first().add(start + done + at + i) = f(a, b);
                        }
                    }
                }
            });
            done += n;
        }
    });
}

/// out = condition ? a : b, of any element type.
pub fn select<T: Copy + Send + Sync>(
    out: &Output<'_, T>,
    condition: Strided<'_, bool>,
    a: Strided<'_, T>,
    b: Strided<'_, T>,
) {
    // Two passes: what `a` gives where the condition holds, then `b` elsewhere. `zip` reads both operands before it writes,
    // so `out` may be `a` or `b`.
    let shape = condition.shape();
    let paired = |x: Strided<'_, T>, wanted: bool| {
        in_chunks(out.len(), |start, count| {
            let mut mask = crate::operand::Odometer::at(shape, condition.strides(), start);
            let mut value = crate::operand::Odometer::at(x.shape(), x.strides(), start);
            let mut done = 0;
            while done < count {
                let n = BLOCK.min(count - done);
                let mut chosen = [false; BLOCK];
                mask.runs(n, |at, offset, stride, run| {
                    for i in 0..run {
                        // SAFETY: the odometer stays within the shape, whose elements can be read.
                        chosen[at + i] =
                            unsafe { *condition.first_element().offset(offset + i as isize * stride) } == wanted;
                    }
                });
                value.runs(n, |at, offset, stride, run| {
                    for i in 0..run {
                        if chosen[at + i] {
                            // SAFETY: as above, and within this chunk of the output.
                            unsafe {
                                *out.first().add(start + done + at + i) =
                                    *x.first_element().offset(offset + i as isize * stride);
                            }
                        }
                    }
                });
                done += n;
            }
        });
    };
    paired(a, true);
    paired(b, false);
}
