//! Barriers that stand on several paths.
//!
//! All threads of a block must come to the same barrier. Where one is copied into both arms of a condition on which threads
//! differ, some wait at one copy and some at the other: undefined, though the source is right. Compilers do this where they
//! do not know the instruction (see [`super::build`]'s flags). So of two barriers in a kernel one must come before the other on
//! every path: then both are passed by all threads that get to the later one.

use super::ptx::Entry;
use std::collections::BTreeMap;

/// The instruction of a line without its predicate, and whether it has one.
fn instruction(line: &str) -> (&str, bool) {
    match line.strip_prefix('@') {
        Some(rest) => (rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start()), true),
        None => (line, false),
    }
}

/// Whether this is a barrier of the whole block; one of some threads gives their number after its own.
fn is_barrier(instruction: &str) -> bool {
    let (name, operands) = instruction.split_once(char::is_whitespace).unwrap_or((instruction, ""));
    let parts: Vec<&str> = name.split('.').collect();
    matches!(parts[0], "bar" | "barrier")
        && parts.contains(&"sync")
        && !parts.contains(&"warp")
        && !operands.contains(',')
}

/// The labels that a line begins or names, and the lists of labels for indexed branches: `name: .branchtargets a, b;`.
struct Labels<'a> {
    line: BTreeMap<&'a str, usize>,
    lists: BTreeMap<&'a str, Vec<&'a str>>,
}

fn labels<'a>(body: &[&'a str]) -> Labels<'a> {
    let mut labels = Labels { line: BTreeMap::new(), lists: BTreeMap::new() };
    for (i, line) in body.iter().enumerate() {
        match line.split_once(':') {
            Some((label, "")) => {
                labels.line.insert(label, i);
            }
            Some((list, rest)) if rest.trim_start().starts_with(".branchtargets") => {
                let here = rest.trim_start().trim_start_matches(".branchtargets");
                let mut names = Vec::new();
                for part in std::iter::once(here).chain(body[i + 1..].iter().copied()) {
                    names.extend(part.split([',', ';']).map(str::trim).filter(|name| !name.is_empty()));
                    if part.ends_with(';') {
                        break;
                    }
                }
                labels.lists.insert(list, names);
            }
            _ => {}
        }
    }
    labels
}

/// The lines that may come after each line.
fn successors(body: &[&str]) -> Vec<Vec<usize>> {
    let labels = labels(body);
    let at = |label: &str| labels.line.get(label).copied();
    let after = |(i, line): (usize, &&str)| {
        let (instruction, predicated) = instruction(line);
        let mut words = instruction.trim_end_matches(';').split([' ', '\t', ',']).filter(|word| !word.is_empty());
        let name = words.next().unwrap_or_default();
        let target = words.next_back().unwrap_or_default();
        let (mut next, ends) = match name.split('.').next().unwrap_or_default() {
            "bra" => (Vec::from_iter(at(target)), true),
            "brx" => (labels.lists.get(target).into_iter().flatten().filter_map(|label| at(label)).collect(), true),
            "ret" | "exit" | "trap" => (Vec::new(), true),
            _ => (Vec::new(), false),
        };
        if predicated || !ends {
            next.push(i + 1);
        }
        next
    };
    body.iter().enumerate().map(after).collect()
}

/// The lines that are reached from the first without passing one of them.
fn reached_without(successors: &[Vec<usize>], avoided: usize) -> Vec<bool> {
    let mut reached = vec![false; successors.len()];
    let mut open = vec![0];
    while let Some(line) = open.pop() {
        if line != avoided && line < reached.len() && !std::mem::replace(&mut reached[line], true) {
            open.extend(&successors[line]);
        }
    }
    reached
}

/// Whether some barrier of a kernel can be passed without another that can be passed without it.
pub(super) fn exclude_each_other(entry: &Entry<'_>) -> bool {
    let lines = 0..entry.body.len();
    let barriers: Vec<usize> = lines.filter(|&i| is_barrier(instruction(entry.body[i]).0)).collect();
    let successors = successors(&entry.body);
    let reached: Vec<_> = barriers.iter().map(|&barrier| reached_without(&successors, barrier)).collect();
    let pairs = (0..barriers.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    pairs.into_iter().any(|(i, j)| reached[i][barriers[j]] && reached[j][barriers[i]])
}

#[cfg(test)]
mod tests {
    use super::{exclude_each_other, is_barrier};
    use crate::kernels::ptx::Entry;

    fn refused(body: &str) -> bool {
        exclude_each_other(&Entry { name: "k", body: body.split('\n').map(str::trim).collect() })
    }

    #[test]
    fn a_barrier_in_both_arms_is_found() {
        assert!(refused("@%p1 bra $A;\nbar.sync \t0;\nbra.uni $B;\n$A:\nst.b32 [%r1], 0;\nbar.sync \t0;\n$B:\nret;"));
        // Behind an indexed branch, whose list goes over several lines.
        let arms = "$A:\nbar.sync 0;\nbra.uni $C;\n$B:\nbarrier.cta.sync.aligned.all 0;\n$C:\nret;";
        assert!(refused(&format!("$T: .branchtargets\n$A,\n$B;\nbrx.idx %r1, $T;\n{arms}")));
        assert!(refused(&format!("$T: .branchtargets $A, $B;\nbrx.idx %r1, $T;\n{arms}")));
    }

    #[test]
    fn barriers_in_sequence_are_right() {
        assert!(!refused("") && !refused("ret;") && !refused("bar.sync 0;\nbar.sync 0;\nret;"));
        // Two in a loop, which is left before, between and after them.
        assert!(!refused("$A:\n@%p1 bra $B;\nbar.sync 0;\n@!%p2 ret;\nbar.sync 0;\n@%p3 bra $A;\n$B:\nret;"));
        // The second copy cannot be reached.
        assert!(!refused("bar.sync 0;\nret;\nbar.sync 0;\nret;"));
        // Barriers of some threads are for arms.
        assert!(!refused("@%p1 bra $A;\nbar.sync 1, 128;\nret;\n$A:\nbar.sync 1, 128;\nret;"));
    }

    #[test]
    fn barriers_of_a_warp_are_none() {
        assert!(is_barrier("bar.sync \t0;") && is_barrier("barrier.sync 0;") && !is_barrier("bar.warp.sync %r1;"));
        assert!(!is_barrier("mbarrier.init.shared.b64 [%r1], 1;") && !is_barrier("bar.arrive 1, 64;"));
    }
}
