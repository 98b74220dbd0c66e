//! Names that were misspelled: for the errors of all crates.

/// Letters to add, leave out or change to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.chars().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Longer texts are not compared: it takes time by the product of their lengths.
const LONGEST: usize = 100;

/// The name that is most like the one that was asked for, if one is like it.
#[doc(hidden)]
pub fn nearest<'n>(asked: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if asked.len() > LONGEST {
        return None;
    }
    let names = names.into_iter().filter(|name| name.len() <= LONGEST);
    let nearest = names.map(|name| (distance(&asked.to_lowercase(), &name.to_lowercase()), name)).min();
    // A name of which no letter is left is not like the other.
    let like = |changes: usize, name: &str| changes <= 1 + name.chars().count() / 4 && changes < asked.chars().count();
    nearest.filter(|&(changes, name)| like(changes, name)).map(|(_, name)| name)
}
