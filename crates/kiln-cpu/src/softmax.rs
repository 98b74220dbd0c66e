//! Softmax, its logarithm, and the cross-entropy of logits, row by row, with their gradients.
//!
//! A row's maximum and sums follow the lanes and the tree of [`crate::reduce`] within chunks, which are added in order.

use crate::operand::{Number, Output};
use crate::reduce::{LANES, Max, Sum, combine_lanes};
use crate::{Isa, Kernel, Simd, check, team};
use kiln_math::Real;

/// Which normalized exponential.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SoftmaxKind {
    /// exp(x − max) / Σ exp(x − max)
    Softmax,
    /// x − max − ln Σ exp(x − max)
    LogSoftmax,
}

/// Rows of this many elements together are worth a second thread.
const PARALLEL: usize = 1 << 14;

/// Calls `f(rows)` for ranges that make up `rows` rows of `width`, on the team where that pays.
fn by_rows(rows: usize, width: usize, f: impl Fn(std::ops::Range<usize>) + Sync) {
    if rows == 0 {
        return;
    }
    if rows * width < PARALLEL || team::threads() == 1 {
        return f(0..rows);
    }
    let size = rows.div_ceil(4 * team::threads()).max(1);
    team::parallel(rows.div_ceil(size), |i| f(i * size..((i + 1) * size).min(rows)));
}

/// The numbers `at..at + LANES` of a row; past its end are `padding`s.
#[inline(always)]
pub(crate) fn group<S: Simd, T: Number>(row: &[T], at: usize, padding: T) -> [T::In<S>; LANES] {
    match row[at..].first_chunk::<LANES>() {
        Some(group) => group.map(T::enter::<S>),
        None => {
            let mut last = [padding; LANES];
            last[..row.len() - at].copy_from_slice(&row[at..]);
            last.map(T::enter::<S>)
        }
    }
}

/// Writes a group to a row from `at` on, as much of it as the row has room for.
#[inline(always)]
pub(crate) fn put<S: Simd, T: Number>(row: &mut [T], at: usize, group: [T::In<S>; LANES]) {
    let values = group.map(T::leave::<S>);
    match row[at..].first_chunk_mut::<LANES>() {
        Some(to) => *to = values,
        None => {
            let room = row.len() - at;
            row[at..].copy_from_slice(&values[..room]);
        }
    }
}

// In the loops below each closure has one place where it is called: so it is inlined into the function that has the
// instruction set's features, where it becomes vector code. Called from two places it may stay a function without them.

/// Writes f(a, b) over `to`.
#[inline(always)]
fn write<S: Simd, T: Number>(to: &mut [T], [a, b]: [&[T]; 2], f: impl Fn(T::In<S>, T::In<S>) -> T::In<S>) {
    for at in (0..to.len()).step_by(LANES) {
        let (x, y) = (group::<S, T>(a, at, T::default()), group::<S, T>(b, at, T::default()));
        let mut z = x;
        for i in 0..LANES {
            z[i] = f(x[i], y[i]);
        }
        put::<S, T>(to, at, z);
    }
}

/// The row's maximum m, and Σ exp(x − m).
#[inline(always)]
fn statistics<S: Simd, T: Number>(row: &[T]) -> (T::In<S>, T::In<S>) {
    let low = T::from_f64(f64::NEG_INFINITY);
    let mut lanes = [low.enter::<S>(); LANES];
    for at in (0..row.len()).step_by(LANES) {
        let x = group::<S, T>(row, at, low);
        for i in 0..LANES {
            lanes[i] = lanes[i].maximum(x[i]);
        }
    }
    let max = combine_lanes::<_, Max>(lanes);
    let mut sums = [T::default().enter::<S>(); LANES];
    for at in (0..row.len()).step_by(LANES) {
        let x = group::<S, T>(row, at, low);
        for i in 0..LANES {
            sums[i] = sums[i] + (x[i] - max).exp();
        }
    }
    (max, combine_lanes::<_, Sum>(sums))
}

/// Σ f(a, b) over two rows, where f(0, 0) is 0.
#[inline(always)]
fn total<S: Simd, T: Number>(a: &[T], b: &[T], f: impl Fn(T::In<S>, T::In<S>) -> T::In<S>) -> T::In<S> {
    let mut lanes = [T::default().enter::<S>(); LANES];
    for at in (0..a.len()).step_by(LANES) {
        let (x, y) = (group::<S, T>(a, at, T::default()), group::<S, T>(b, at, T::default()));
        for i in 0..LANES {
            lanes[i] = lanes[i] + f(x[i], y[i]);
        }
    }
    combine_lanes::<_, Sum>(lanes)
}

/// Columns of up to LANES rows of up to LANES elements: element (row, column) is `[column][row]`.
///
/// Narrow rows (the ten classes of a digit) are worked on LANES rows at a time, a row to a lane, by the same tree.
type Narrow<R> = [[R; LANES]; LANES];

/// Rows of `width` ≤ LANES elements, transposed.
#[inline(always)]
fn transposed<S: Simd, T: Number>(rows: &[T], width: usize) -> Narrow<T::In<S>> {
    let mut columns = [[T::default().enter::<S>(); LANES]; LANES];
    for (r, row) in rows.chunks_exact(width).enumerate().take(LANES) {
        for (column, &x) in columns.iter_mut().zip(row) {
            column[r] = x.enter::<S>();
        }
    }
    columns
}

/// The way back.
#[inline(always)]
fn put_transposed<S: Simd, T: Number>(rows: &mut [T], columns: &Narrow<T::In<S>>, width: usize) {
    for (r, row) in rows.chunks_exact_mut(width).enumerate().take(LANES) {
        for (to, column) in row.iter_mut().zip(columns) {
            *to = T::leave::<S>(column[r]);
        }
    }
}

/// Combines the first `width` columns in halves, as [`combine_lanes`] does with identities in the place of the others.
#[inline(always)]
fn combine_columns<R: Real>(mut columns: Narrow<R>, width: usize, combine: impl Fn(R, R) -> R) -> [R; LANES] {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = columns.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high).take(width.saturating_sub(half)) {
            for r in 0..LANES {
                low[r] = combine(low[r], high[r]);
            }
        }
        half /= 2;
    }
    columns[0]
}

/// Of each row the maximum m and Σ exp(x − m); the elements become exp(x − m).
#[inline(always)]
fn narrow_statistics<R: Real>(columns: &mut Narrow<R>, width: usize) -> ([R; LANES], [R; LANES]) {
    let max = combine_columns(*columns, width, |a, b| a.maximum(b));
    for column in columns.iter_mut().take(width) {
        for r in 0..LANES {
            column[r] = (column[r] - max[r]).exp();
        }
    }
    (max, combine_columns(*columns, width, |a, b| a + b))
}

/// A loop over an array, since `map` is not vectorized.
#[inline(always)]
fn logarithms<R: Real>(mut x: [R; LANES]) -> [R; LANES] {
    for x in &mut x {
        *x = x.ln();
    }
    x
}

struct Forward<'a, T> {
    kind: SoftmaxKind,
    out: &'a mut [T],
    x: &'a [T],
    width: usize,
}

impl<T: Number> Kernel for Forward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let group = LANES * self.width;
        if self.width <= LANES {
            for (to, rows) in self.out.chunks_mut(group).zip(self.x.chunks(group)) {
                let x = transposed::<S, T>(rows, self.width);
                let mut y = x;
                let (max, sum) = narrow_statistics(&mut y, self.width);
                let log = if self.kind == SoftmaxKind::LogSoftmax { logarithms(sum) } else { sum };
                for (y, x) in y.iter_mut().zip(&x).take(self.width) {
                    for r in 0..LANES {
                        y[r] = match self.kind {
                            SoftmaxKind::Softmax => y[r] / sum[r],
                            SoftmaxKind::LogSoftmax => x[r] - max[r] - log[r],
                        };
                    }
                }
                put_transposed::<S, T>(to, &y, self.width);
            }
            return;
        }
        for (to, row) in self.out.chunks_exact_mut(self.width).zip(self.x.chunks_exact(self.width)) {
            let (max, sum) = statistics::<S, T>(row);
            match self.kind {
                SoftmaxKind::Softmax => write::<S, T>(to, [row, row], |x, _| (x - max).exp() / sum),
                SoftmaxKind::LogSoftmax => {
                    let log = sum.ln();
                    write::<S, T>(to, [row, row], |x, _| x - max - log);
                }
            }
        }
    }
}

/// Softmax or its logarithm of rows of `width` contiguous elements.
///
/// # Panics
/// Where `x` is not made of rows of this width, or `out` has another number of elements.
pub fn softmax<T: Number>(isa: Isa, kind: SoftmaxKind, out: &mut [T], x: &[T], width: usize) {
    let count = check::rows("softmax", "x", x.len(), width);
    check::length("softmax", "out", out.len(), x.len());
    let out = Output::from_slice(out);
    by_rows(count, width, |rows| {
        let (start, count) = (rows.start * width, rows.len() * width);
        // SAFETY: these rows' own part of the output.
        let to = unsafe { out.part(start, count) };
        isa.run(Forward { kind, out: to, x: &x[start..start + count], width });
    });
}

struct Gradient<'a, T> {
    kind: SoftmaxKind,
    out: &'a mut [T],
    y: &'a [T],
    dy: &'a [T],
    width: usize,
}

impl<T: Number> Kernel for Gradient<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let rows = self.y.chunks_exact(self.width).zip(self.dy.chunks_exact(self.width));
        for (to, (y, dy)) in self.out.chunks_exact_mut(self.width).zip(rows) {
            match self.kind {
                SoftmaxKind::Softmax => {
                    let dot = total::<S, T>(y, dy, |y, dy| y * dy);
                    write::<S, T>(to, [y, dy], |y, dy| y * (dy - dot));
                }
                SoftmaxKind::LogSoftmax => {
                    let sum = total::<S, T>(y, dy, |_, dy| dy);
                    write::<S, T>(to, [y, dy], |y, dy| dy - y.exp() * sum);
                }
            }
        }
    }
}

/// Gradient of [`softmax`] from its output: y·(dy − Σ y·dy), or dy − exp(y)·Σ dy.
///
/// # Panics
/// Where `y` is not made of rows of this width, or `dy` or `out` has another number of elements.
pub fn softmax_grad<T: Number>(isa: Isa, kind: SoftmaxKind, out: &mut [T], y: &[T], dy: &[T], width: usize) {
    let count = check::rows("softmax_grad", "y", y.len(), width);
    check::length("softmax_grad", "dy", dy.len(), y.len());
    check::length("softmax_grad", "out", out.len(), y.len());
    let out = Output::from_slice(out);
    by_rows(count, width, |rows| {
        let part = rows.start * width..rows.end * width;
        // SAFETY: these rows' own part of the output.
        let to = unsafe { out.part(part.start, part.len()) };
        isa.run(Gradient { kind, out: to, y: &y[part.clone()], dy: &dy[part], width });
    });
}

struct Logsumexp<'a, T> {
    out: &'a mut [T],
    x: &'a [T],
    width: usize,
}

impl<T: Number> Kernel for Logsumexp<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (to, row) in self.out.iter_mut().zip(self.x.chunks_exact(self.width)) {
            let (max, sum) = statistics::<S, T>(row);
            // An infinite maximum is the result, and infinity less itself is no number.
            let infinity = T::from_f64(f64::INFINITY).enter::<S>();
            *to = T::leave::<S>(max.abs().if_less(infinity, max + sum.ln(), max));
        }
    }
}

/// ln Σ exp(x) of rows of `width` contiguous elements.
///
/// # Panics
/// Where `x` is not made of rows of this width, or `out` has another number of elements than there are rows.
pub fn logsumexp<T: Number>(isa: Isa, out: &mut [T], x: &[T], width: usize) {
    let count = check::rows("logsumexp", "x", x.len(), width);
    check::length("logsumexp", "out", out.len(), count);
    let out = Output::from_slice(out);
    by_rows(count, width, |rows| {
        // SAFETY: these rows' own part of the output.
        let to = unsafe { out.part(rows.start, rows.len()) };
        isa.run(Logsumexp { out: to, x: &x[rows.start * width..rows.end * width], width });
    });
}

/// What a row of logits is held against.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a, T> {
    /// The index of the right class.
    Labels(Labels<'a>),
    /// A weight for each class, row-major.
    Weights(&'a [T]),
}

/// Class indices of either type.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// As most code has them.
    I64(&'a [i64]),
    /// As image data sets store them.
    U8(&'a [u8]),
}

impl Labels<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Labels::I64(labels) => labels.len(),
            Labels::U8(labels) => labels.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The label of a row.
    ///
    /// # Panics
    /// A row past the last label.
    #[inline(always)]
    pub fn at(&self, row: usize) -> i64 {
        match self {
            Labels::I64(labels) => labels[row],
            Labels::U8(labels) => i64::from(labels[row]),
        }
    }

    /// The first row whose label is out of range, and that label.
    pub fn outside(&self, classes: usize) -> Option<(usize, i64)> {
        let is_class = |label: i64| (0..classes as i64).contains(&label);
        // Asked of all at once, which is vector code: as a rule each is a class.
        let all = match self {
            Labels::I64(labels) => labels.iter().fold(true, |all, &label| all & is_class(label)),
            Labels::U8(labels) => labels.iter().fold(true, |all, &label| all & is_class(label.into())),
        };
        if all {
            return None;
        }
        (0..self.len()).map(|row| (row, self.at(row))).find(|&(_, label)| !is_class(label))
    }
}

impl<T> Target<'_, T> {
    /// That there is a label, which is a class, or a row of weights for each row of logits.
    #[track_caller]
    fn check(&self, function: &str, rows: usize, classes: usize) {
        match self {
            Target::Labels(labels) => {
                check::length(function, "labels", labels.len(), rows);
                if let Some((row, label)) = labels.outside(classes) {
                    check::refuse(function, format_args!("row {row} has label {label}, there are {classes} classes"));
                }
            }
            Target::Weights(weights) => check::length(function, "weights", weights.len(), rows * classes),
        }
    }
}

struct Losses<'a, T> {
    out: &'a mut [T],
    logits: &'a [T],
    target: Target<'a, T>,
    first_row: usize,
    width: usize,
}

impl<T: Number> Kernel for Losses<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        if let Target::Labels(labels) = self.target
            && self.width <= LANES
        {
            let groups = self.out.chunks_mut(LANES).zip(self.logits.chunks(LANES * self.width));
            for (i, (to, rows)) in groups.enumerate() {
                let (max, sum) = narrow_statistics(&mut transposed::<S, T>(rows, self.width), self.width);
                let log = logarithms(sum);
                for (r, to) in to.iter_mut().enumerate() {
                    let label = labels.at(self.first_row + i * LANES + r) as usize;
                    *to = T::leave::<S>(log[r] - (rows[r * self.width + label].enter::<S>() - max[r]));
                }
            }
            return;
        }
        for (i, (to, row)) in self.out.iter_mut().zip(self.logits.chunks_exact(self.width)).enumerate() {
            let (max, sum) = statistics::<S, T>(row);
            let log = sum.ln();
            let loss = match self.target {
                Target::Labels(labels) => {
                    let label = labels.at(self.first_row + i) as usize;
                    log - (row[label].enter::<S>() - max)
                }
                Target::Weights(weights) => {
                    let start = (self.first_row + i) * self.width;
                    let weights = &weights[start..start + self.width];
                    let zero = T::default().enter::<S>();
                    // A class of weight 0 counts for nothing, also where its logit is −∞.
                    total::<S, T>(row, weights, |x, t| {
                        let term = t * (log - (x - max));
                        zero.if_less(t.abs(), term, zero)
                    })
                }
            };
            *to = T::leave::<S>(loss);
        }
    }
}

/// Cross-entropy of each row of logits: ln Σ exp(x) − x\[label\], or −Σ t · log_softmax(x).
///
/// Of no classes it is 0.
///
/// # Panics
/// Where `logits` are not a row of this width for each element of `out`, or the target has not a row for each of them; a label
/// that is not a class: check with [`Labels::outside`] first.
pub fn cross_entropy<T: Number>(isa: Isa, out: &mut [T], logits: &[T], target: Target<'_, T>, width: usize) {
    let count = out.len();
    check::length("cross_entropy", "logits", logits.len(), check::elements("cross_entropy", &[count, width]));
    target.check("cross_entropy", count, width);
    if width == 0 {
        return out.fill(T::default());
    }
    let out = Output::from_slice(out);
    by_rows(count, width, |rows| {
        // SAFETY: these rows' own part of the output.
        let to = unsafe { out.part(rows.start, rows.len()) };
        let logits = &logits[rows.start * width..rows.end * width];
        isa.run(Losses { out: to, logits, target, first_row: rows.start, width });
    });
}

struct LossGradient<'a, T> {
    out: &'a mut [T],
    logits: &'a [T],
    target: Target<'a, T>,
    dy: &'a (dyn Fn(usize) -> T + Sync),
    first_row: usize,
    width: usize,
}

impl<T: Number> Kernel for LossGradient<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        if let Target::Labels(labels) = self.target
            && self.width <= LANES
        {
            let group = LANES * self.width;
            for (i, (to, rows)) in self.out.chunks_mut(group).zip(self.logits.chunks(group)).enumerate() {
                let (first, count) = (self.first_row + i * LANES, rows.len() / self.width);
                let mut y = transposed::<S, T>(rows, self.width);
                let (_, sum) = narrow_statistics(&mut y, self.width);
                let mut dy = [T::default().enter::<S>(); LANES];
                for (r, dy) in dy.iter_mut().enumerate().take(count) {
                    *dy = (self.dy)(first + r).enter::<S>();
                }
                for y in y.iter_mut().take(self.width) {
                    for r in 0..LANES {
                        y[r] = dy[r] * (y[r] / sum[r]);
                    }
                }
                put_transposed::<S, T>(to, &y, self.width);
                for (r, &dy) in dy.iter().enumerate().take(count) {
                    let at = &mut to[r * self.width + labels.at(first + r) as usize];
                    *at = T::leave::<S>(at.enter::<S>() - dy);
                }
            }
            return;
        }
        let rows = self.out.chunks_exact_mut(self.width).zip(self.logits.chunks_exact(self.width));
        for (i, (to, row)) in rows.enumerate() {
            let (max, sum) = statistics::<S, T>(row);
            let dy = (self.dy)(self.first_row + i).enter::<S>();
            match self.target {
                Target::Labels(labels) => {
                    write::<S, T>(to, [row, row], |x, _| dy * ((x - max).exp() / sum));
                    let at = &mut to[labels.at(self.first_row + i) as usize];
                    *at = T::leave::<S>(at.enter::<S>() - dy);
                }
                Target::Weights(weights) => {
                    let start = (self.first_row + i) * self.width;
                    let weights = &weights[start..start + self.width];
                    let mass = total::<S, T>(weights, weights, |t, _| t);
                    write::<S, T>(to, [row, weights], |x, t| dy * ((x - max).exp() / sum * mass - t));
                }
            }
        }
    }
}

/// Gradient of [`cross_entropy`]: dy(row) · (softmax(x) · Σ t − t).
///
/// # Panics
/// Where `logits` are not made of rows of this width, `out` has another number of elements, or the target is not one of
/// [`cross_entropy`].
pub fn cross_entropy_grad<T: Number>(
    isa: Isa,
    out: &mut [T],
    logits: &[T],
    target: Target<'_, T>,
    dy: &(dyn Fn(usize) -> T + Sync),
    width: usize,
) {
    let count = check::rows("cross_entropy_grad", "logits", logits.len(), width);
    check::length("cross_entropy_grad", "out", out.len(), logits.len());
    if count == 0 {
        return;
    }
    target.check("cross_entropy_grad", count, width);
    let out = Output::from_slice(out);
    by_rows(count, width, |rows| {
        let part = rows.start * width..rows.end * width;
        // SAFETY: these rows' own part of the output.
        let to = unsafe { out.part(part.start, part.len()) };
        isa.run(LossGradient { out: to, logits: &logits[part], target, dy, first_row: rows.start, width });
    });
}
