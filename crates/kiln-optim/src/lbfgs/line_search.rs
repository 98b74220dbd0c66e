//! A line search for the strong Wolfe conditions, as PyTorch's `_strong_wolfe` does it.

use kiln_tensor::{Result, Tensor};

/// How far the loss must fall, as a share of what the slope promises.
const ARMIJO: f64 = 1e-4;
/// How flat the slope must become, as a share of the first one.
const FLATNESS: f64 = 0.9;
/// A bracket in which no parameter changes by more is not searched.
const LEAST_CHANGE: f64 = 1e-9;

/// A point on the line: how far along, the loss there, its gradient, and the slope along the line.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) at: f64,
    pub(super) loss: f64,
    pub(super) gradient: Tensor,
    pub(super) slope: f64,
}

/// What `evaluate` gives at a point.
type Evaluate<'e> = dyn FnMut(f64) -> Result<Point> + 'e;

/// Whether the loss at a point has fallen enough.
fn fell(start: &Point, new: &Point) -> bool {
    new.loss <= start.loss + ARMIJO * new.at * start.slope
}

/// Whether the slope at a point is flat enough.
fn flat(start: &Point, new: &Point) -> bool {
    new.slope.abs() <= -FLATNESS * start.slope
}

/// A point that satisfies the strong Wolfe conditions, or the best one after so many evaluations: with their number. `length` is the
/// largest change of a parameter at 1.
pub(super) fn strong_wolfe(
    evaluate: &mut Evaluate<'_>,
    start: &Point,
    first: f64,
    length: f64,
    evaluations: usize,
) -> Result<(Point, usize)> {
    let mut new = evaluate(first)?;
    let (mut previous, mut rounds) = (start.clone(), 0);
    while rounds < evaluations {
        if !fell(start, &new) || (rounds > 1 && new.loss >= previous.loss) {
            return zoom(evaluate, start, [previous, new], length, rounds, evaluations);
        }
        if flat(start, &new) {
            return Ok((new, rounds + 1));
        }
        if new.slope >= 0.0 {
            return zoom(evaluate, start, [previous, new], length, rounds, evaluations);
        }
        let bounds = (new.at + 0.01 * (new.at - previous.at), new.at * 10.0);
        let at = cubic_minimum(&previous, &new, bounds);
        previous = std::mem::replace(&mut new, evaluate(at)?);
        rounds += 1;
    }
    let best = if start.loss <= new.loss { start.clone() } else { new };
    Ok((best, rounds + 1))
}

/// Narrows a bracket around such a point.
fn zoom(
    evaluate: &mut Evaluate<'_>,
    start: &Point,
    mut bracket: [Point; 2],
    length: f64,
    mut rounds: usize,
    evaluations: usize,
) -> Result<(Point, usize)> {
    let lower = |bracket: &[Point; 2]| usize::from(bracket[0].loss > bracket[1].loss);
    let (mut low, mut stalled) = (lower(&bracket), false);
    while rounds < evaluations {
        if (bracket[1].at - bracket[0].at).abs() * length < LEAST_CHANGE {
            break;
        }
        let at = inside(&bracket, &mut stalled);
        let new = evaluate(at)?;
        rounds += 1;
        if !fell(start, &new) || new.loss >= bracket[low].loss {
            bracket[1 - low] = new;
            low = lower(&bracket);
            continue;
        }
        let done = flat(start, &new);
        if !done && new.slope * (bracket[1 - low].at - bracket[low].at) >= 0.0 {
            bracket[1 - low] = bracket[low].clone();
        }
        bracket[low] = new;
        if done {
            break;
        }
    }
    let [first, second] = bracket;
    Ok((if low == 0 { first } else { second }, rounds + 1))
}

/// The next point within a bracket. One near its ends twice in turn, or at one of them, is moved a tenth of the bracket inside.
fn inside(bracket: &[Point; 2], stalled: &mut bool) -> f64 {
    let [a, b] = bracket;
    let (least, most) = (a.at.min(b.at), a.at.max(b.at));
    let at = cubic_minimum(a, b, (least, most));
    let margin = 0.1 * (most - least);
    if (most - at).min(at - least) >= margin {
        *stalled = false;
        return at;
    }
    let moves = *stalled || at >= most || at <= least;
    *stalled = !moves;
    match moves {
        false => at,
        true if (at - most).abs() < (at - least).abs() => most - margin,
        true => least + margin,
    }
}

/// The minimum of the cubic through two points with their slopes, kept within bounds; their middle where there is none.
fn cubic_minimum(a: &Point, b: &Point, (least, most): (f64, f64)) -> f64 {
    let first = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.at - b.at);
    let square = first * first - a.slope * b.slope;
    // Also where it is NaN, next to a loss that is not finite.
    if square.is_nan() || square < 0.0 {
        return (least + most) / 2.0;
    }
    let root = square.sqrt();
    let (left, right) = if a.at <= b.at { (a, b) } else { (b, a) };
    let minimum =
        right.at - (right.at - left.at) * ((right.slope + root - first) / (right.slope - left.slope + 2.0 * root));
    minimum.max(least).min(most)
}
