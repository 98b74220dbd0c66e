//! In which order the operands of an equation are multiplied, two at a time.

use super::equation::{LABELS, Sizes, has};
use crate::MAX_RANK;

/// Up to so many operands every order is tried: 3ⁿ / 2 products are weighed.
const ALL_TRIED: usize = 6;

/// The multiplications of a product over these labels.
fn work(labels: u64, sizes: &Sizes) -> f64 {
    (0..LABELS as u8).filter(|&label| has(labels, label)).map(|label| sizes[usize::from(label)] as f64).product()
}

/// Which two are multiplied in each step: the operands are 0 to n − 1, the product of step i is n + i. `None` where every order
/// makes a product of more axes than a tensor can have.
pub(super) fn order(operands: &[u64], output: u64, sizes: &Sizes) -> Option<Vec<(usize, usize)>> {
    if operands.len() <= ALL_TRIED { optimal(operands, output, sizes) } else { greedy(operands, output, sizes) }
}

/// The order of the fewest multiplications and elements made, by dynamic programming over subsets of the operands.
fn optimal(operands: &[u64], output: u64, sizes: &Sizes) -> Option<Vec<(usize, usize)>> {
    let all = (1usize << operands.len()) - 1;
    let union = |set: usize| {
        operands.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).fold(0, |labels, (_, operand)| labels | operand)
    };
    // What is left of the product of these operands: what the output or another operand has.
    let left: Vec<u64> = (0..=all).map(|set| union(set) & (output | union(all ^ set))).collect();
    let mut best = vec![(f64::INFINITY, 0); all + 1];
    for set in 1..=all {
        if set.is_power_of_two() {
            best[set].0 = 0.0;
        } else if left[set].count_ones() as usize <= MAX_RANK {
            // Each split once: the second part is without the set's first operand.
            let rest = set & (set - 1);
            let mut part = rest;
            while part != 0 {
                let (a, b) = (set ^ part, part);
                let cost = best[a].0 + best[b].0 + work(left[a] | left[b], sizes) + work(left[set], sizes);
                if cost < best[set].0 {
                    best[set] = (cost, part);
                }
                part = (part - 1) & rest;
            }
        }
    }
    best[all].0.is_finite().then(|| {
        let mut steps = Vec::with_capacity(operands.len() - 1);
        walk(all, &best, operands.len(), &mut steps);
        steps
    })
}

/// Appends the steps that make the product of `set`, and says which one it is.
fn walk(set: usize, best: &[(f64, usize)], operands: usize, steps: &mut Vec<(usize, usize)>) -> usize {
    if set.is_power_of_two() {
        return set.trailing_zeros() as usize;
    }
    let part = best[set].1;
    let a = walk(set ^ part, best, operands, steps);
    let b = walk(part, best, operands, steps);
    steps.push((a, b));
    operands + steps.len() - 1
}

/// The pair whose product is the least larger than the two are, again and again; of equal ones that of the fewest multiplications.
fn greedy(operands: &[u64], output: u64, sizes: &Sizes) -> Option<Vec<(usize, usize)>> {
    let mut left: Vec<(usize, u64)> = operands.iter().copied().enumerate().collect();
    let mut steps = Vec::with_capacity(operands.len() - 1);
    while left.len() > 1 {
        let mut best: Option<((f64, f64), usize, usize, u64)> = None;
        for i in 0..left.len() {
            for j in i + 1..left.len() {
                let (a, b) = (left[i].1, left[j].1);
                let others = left.iter().enumerate().filter(|&(k, _)| k != i && k != j);
                let product = (a | b) & others.fold(output, |labels, (_, other)| labels | other.1);
                let grown = work(product, sizes) - work(a, sizes) - work(b, sizes);
                let cost = (grown, work(a | b, sizes));
                if product.count_ones() as usize <= MAX_RANK && best.is_none_or(|(least, ..)| cost < least) {
                    best = Some((cost, i, j, product));
                }
            }
        }
        let (_, i, j, product) = best?;
        steps.push((left[i].0, left[j].0));
        left.remove(j);
        left.remove(i);
        left.push((operands.len() + steps.len() - 1, product));
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::{LABELS, Sizes, greedy, optimal, work};

    fn chain(dims: &[usize]) -> (Vec<u64>, u64, Sizes) {
        let mut sizes = [1; LABELS];
        sizes[..dims.len()].copy_from_slice(dims);
        let operands = (0..dims.len() - 1).map(|i| 0b11 << i).collect();
        (operands, 1 | 1 << (dims.len() - 1), sizes)
    }

    /// The multiplications of these steps.
    fn cost(operands: &[u64], output: u64, sizes: &Sizes, steps: &[(usize, usize)]) -> f64 {
        let mut values: Vec<Option<u64>> = operands.iter().copied().map(Some).collect();
        let mut total = 0.0;
        for &(a, b) in steps {
            let (Some(a), Some(b)) = (values[a].take(), values[b].take()) else { return f64::NAN };
            total += work(a | b, sizes);
            let kept = values.iter().flatten().fold(output, |labels, other| labels | other);
            values.push(Some((a | b) & kept));
        }
        if values.iter().flatten().count() == 1 { total } else { f64::NAN }
    }

    /// The textbook's example (Cormen et al., 15.2): 15,125 multiplications.
    #[test]
    fn a_chain_of_matrices() {
        let (operands, output, sizes) = chain(&[30, 35, 15, 5, 10, 20, 25]);
        let best = optimal(&operands, output, &sizes).unwrap_or_default();
        assert_eq!(cost(&operands, output, &sizes, &best), 15_125.0);
        let quick = greedy(&operands, output, &sizes).unwrap_or_default();
        assert!(cost(&operands, output, &sizes, &quick) < 2.0 * 15_125.0);
    }

    #[test]
    fn what_needs_too_many_axes_is_not_made() {
        // abc,def,gh->abcdefgh has no order; abc,def,cf->abde has one that never has more than six.
        let sizes = [2; LABELS];
        assert!(optimal(&[0b111, 0b111000, 0b11000000], 0xff, &sizes).is_none());
        assert!(greedy(&[0b111, 0b111000, 0b11000000], 0xff, &sizes).is_none());
        assert!(optimal(&[0b111, 0b111000, 0b100100], 0b11011, &sizes).is_some());
    }
}
