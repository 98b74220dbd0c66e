//! Which random stream belongs to which place in a model.

/// How often each place has drawn, so that a place that draws twice (a shared layer, or layers without paths of their own)
/// gets two streams, and no place's stream depends on what others draw.
#[derive(Clone, Default, Debug)]
pub(crate) struct Draws(Vec<(u64, u64)>);

impl Draws {
    /// A number for this draw at this path, different for every (path, round, repetition).
    pub(crate) fn next(&mut self, path: &str, round: u64) -> u64 {
        let place = fnv(path.as_bytes());
        let repetition = match self.0.iter_mut().find(|(known, _)| *known == place) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.0.push((place, 0));
                0
            }
        };
        fnv_from(fnv_from(place, &repetition.to_le_bytes()), &round.to_le_bytes())
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: the same on every machine.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    fnv_from(FNV_OFFSET, bytes)
}

/// As [`fnv`], of bytes that follow others.
fn fnv_from(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::Draws;
    use std::collections::HashSet;

    #[test]
    fn every_draw_has_a_number_of_its_own() {
        let mut seen = HashSet::new();
        for step in 0..100 {
            let mut draws = Draws::default();
            for path in ["", "0", "1", "10", "features.3"] {
                for _ in 0..3 {
                    assert!(seen.insert(draws.next(path, step)));
                }
            }
        }
    }

    #[test]
    fn a_place_does_not_see_the_others() {
        let (mut alone, mut crowd) = (Draws::default(), Draws::default());
        crowd.next("a", 7);
        crowd.next("c", 7);
        assert_eq!(alone.next("b", 7), crowd.next("b", 7));
        crowd.next("a", 7);
        assert_eq!(alone.next("b", 7), crowd.next("b", 7));
    }
}
