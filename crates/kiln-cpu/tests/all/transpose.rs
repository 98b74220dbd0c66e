//! Copies of permuted operands, element by element.

use kiln_cpu::operand::{Output, Strided};
use kiln_cpu::team::{ThreadPool, run_in};
use kiln_cpu::transpose;

/// The strides of a row-major array of these sizes.
fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1] as isize;
    }
    strides
}

/// Whether the copy of an array of `shape`, its axes permuted and some of them flipped, was made by tiles; where it was, it is right.
fn check(shape: &[usize], order: &[usize], flipped: &[usize]) -> bool {
    let data: Vec<u32> = (0..shape.iter().product::<usize>() as u32).collect();
    let own = row_major(shape);
    let (sizes, mut strides): (Vec<usize>, Vec<isize>) = order.iter().map(|&axis| (shape[axis], own[axis])).unzip();
    let mut start = 0;
    for &axis in flipped {
        start += (sizes[axis] as isize - 1) * strides[axis];
        strides[axis] = -strides[axis];
    }
    let count = data.len();
    let mut out = vec![u32::MAX; count];
    // SAFETY: all indices of a permuted, flipped array lie within it.
    let x = unsafe { Strided::new(data.as_ptr().offset(start), &sizes, &strides) };
    if !transpose::copy(&mut Output::from_slice(&mut out), x) {
        assert!(out.iter().all(|&x| x == u32::MAX), "{shape:?} {order:?}: written and refused");
        return false;
    }
    for (at, &found) in out.iter().enumerate() {
        let (mut rest, mut place) = (at, start);
        for axis in (0..sizes.len()).rev() {
            place += (rest % sizes[axis]) as isize * strides[axis];
            rest /= sizes[axis];
        }
        assert_eq!(found, data[place as usize], "{shape:?} {order:?} flipped {flipped:?}, element {at}");
    }
    true
}

#[test]
fn permuted_arrays_are_copied_by_tiles() {
    for threads in [1, 2] {
        run_in(&ThreadPool::new(threads), || {
            for (shape, order) in [
                (&[16, 16][..], &[1, 0][..]),
                (&[33, 17], &[1, 0]),
                (&[300, 301], &[1, 0]),
                (&[3, 40, 50], &[0, 2, 1]),
                (&[3, 40, 50], &[2, 0, 1]),
                (&[2, 19, 3, 37], &[3, 0, 2, 1]),
                (&[2, 3, 20, 21, 2], &[4, 3, 1, 0, 2]),
            ] {
                let made = check(shape, order, &[]);
                // The last of these has an axis of 2 along memory: it is left to the plain way.
                assert_eq!(made, shape[shape.len() - 1] >= 16, "{shape:?} {order:?}");
                check(shape, order, &[order.len() - 1]);
                check(shape, order, &[0]);
            }
        });
    }
}

#[test]
fn what_is_as_good_the_plain_way_is_left_to_it() {
    for (shape, order) in [
        (&[][..], &[][..]),
        (&[5], &[0]),
        (&[0, 20], &[1, 0]),
        (&[20, 30], &[0, 1]),
        (&[4, 30], &[1, 0]),
        (&[30, 4], &[1, 0]),
    ] {
        assert!(!check(shape, order, &[]), "{shape:?} {order:?}");
    }
}
