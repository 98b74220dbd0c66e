//! The MNIST subset that kiln-datasets carries: cut from the real files, checked, packed.

use crate::shell::{Result, root};
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Which files.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder of MNIST's four files, *-ubyte.gz
    directory: PathBuf,
}

/// Each part's name and how many of its images are taken: one of every six, one of every five.
///
/// MNIST's files are no mixture: its digits come from two collections, NIST's SD-3 and SD-1. Their images take turns in the
/// training file, as the mean brightness of even and odd ones shows (0.123 and 0.139); in the test file one comes after the
/// other. So every sixth training image would be of one collection, and the first 2,000 test images are, a harder part.
const PARTS: [(&str, usize); 2] = [("train", 10_000), ("t10k", 2_000)];

/// Bytes that the packed files may take together.
const LIMIT: usize = 3_000_000;

/// The least and the most of a class in a part, as shares: a tenth would be even.
const SHARES: (f64, f64) = (0.08, 0.12);

/// `count` items of an IDX file of bytes, as an IDX file: of each `step` items one, by turns the first, the second, … of them,
/// so that no period of the file's order is caught.
fn spaced(bytes: &[u8], axes: usize, count: usize) -> Result<Vec<u8>> {
    let header = 4 + 4 * axes;
    let sizes: Vec<usize> = bytes
        .get(4..header)
        .ok_or("the file ends within its header")?
        .chunks_exact(4)
        .map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]) as usize)
        .collect();
    let item: usize = sizes[1..].iter().product();
    if bytes[..4] != [0, 0, 8, axes as u8] || sizes[0] < count || bytes.len() != header + sizes[0] * item {
        return Err(format!("not an IDX file of at least {count} items with {axes} axes: sizes {sizes:?}"));
    }
    let mut part = bytes[..header].to_vec();
    part[4..8].copy_from_slice(&(count as u32).to_be_bytes());
    let step = sizes[0] / count;
    let groups = bytes[header..].chunks_exact(step * item).take(count);
    groups.enumerate().for_each(|(turn, group)| part.extend(&group[turn % step * item..][..item]));
    Ok(part)
}

/// How many labels there are of each digit.
fn census(labels: &[u8]) -> Result<[usize; 10]> {
    let mut counts = [0; 10];
    for &label in labels {
        *counts.get_mut(usize::from(label)).ok_or_else(|| format!("label {label} is not a digit"))? += 1;
    }
    let share = |count: usize| count as f64 / labels.len() as f64;
    match counts.iter().position(|&count| share(count) < SHARES.0 || share(count) > SHARES.1) {
        Some(digit) => Err(format!("digit {digit} makes up {:.3} of the labels: {counts:?}", share(counts[digit]))),
        None => Ok(counts),
    }
}

/// Packed without a time or a name, so that the same input gives the same file.
fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn unpack(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes the subset to crates/kiln-datasets/src/embedded.
pub(crate) fn run(options: &Options) -> Result<()> {
    let to = root().join("crates/kiln-datasets/src/embedded");
    std::fs::create_dir_all(&to).map_err(|error| format!("{}: {error}", to.display()))?;
    let mut total = 0;
    for (part, count) in PARTS {
        for (kind, axes) in [("images", 3), ("labels", 1)] {
            let name = format!("{part}-{kind}-idx{axes}-ubyte.gz");
            let from = options.directory.join(&name);
            let told = |error: String| format!("{}: {error}", from.display());
            let cut = spaced(&unpack(&from).map_err(|e| told(e.to_string()))?, axes, count).map_err(told)?;
            if axes == 1 {
                println!("{part}: {count} images, of each digit {:?}", census(&cut[8..]).map_err(told)?);
            }
            let packed = pack(&cut).map_err(|e| told(e.to_string()))?;
            total += packed.len();
            std::fs::write(to.join(&name), packed).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    println!("{total} bytes in {}", to.display());
    if total <= LIMIT { Ok(()) } else { Err(format!("{total} bytes are too many: {LIMIT} are allowed")) }
}

#[cfg(test)]
mod tests {
    use super::{census, spaced};

    #[test]
    fn spaced_items_are_a_file_of_their_own() {
        let whole = [0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        let part = |count, items: &[u8]| [&[0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 1, 0, 0, 0, 2], items].concat();
        assert_eq!(spaced(&whole, 3, 2), Ok(part(2, &[1, 2, 7, 8])));
        assert_eq!(spaced(&whole, 3, 3), Ok(part(3, &[1, 2, 3, 4, 5, 6])));
        assert_eq!(spaced(&whole, 3, 1), Ok(part(1, &[1, 2])));
        assert!(spaced(&whole, 3, 6).is_err() && spaced(&whole[..25], 3, 2).is_err());
        assert!(spaced(&whole, 1, 2).is_err() && spaced(&whole[..9], 3, 2).is_err());
    }

    #[test]
    fn an_uneven_part_is_refused() {
        let even: Vec<u8> = (0..100).map(|i| i % 10).collect();
        assert_eq!(census(&even), Ok([10; 10]));
        assert!(census(&[even.as_slice(), &[3; 5]].concat()).is_err_and(|e| e.starts_with("digit 3")));
        assert!(census(&[10]).is_err());
    }
}
