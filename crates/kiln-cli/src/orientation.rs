//! How a camera was held, as Exif says: which way a photo's pixels are to be turned.

/// The tag of the orientation in the first directory of Exif's TIFF header.
const ORIENTATION: usize = 0x0112;

/// From 1, upright, to 8, as Exif numbers them: where the first row and the first column of the pixels belong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Orientation(u8);

impl Orientation {
    pub(crate) const UPRIGHT: Orientation = Orientation(1);

    /// That of a file's Exif data; upright where they do not say it, or are damaged.
    pub(crate) fn of_exif(exif: &[u8]) -> Orientation {
        Self::tag(exif).unwrap_or(Orientation::UPRIGHT)
    }

    fn tag(exif: &[u8]) -> Option<Orientation> {
        let little = match exif.get(..4)? {
            [b'I', b'I', 42, 0] => true,
            [b'M', b'M', 0, 42] => false,
            _ => return None,
        };
        let number = |at: usize, bytes: usize| {
            let bytes = exif.get(at..at.checked_add(bytes)?)?;
            let join = |number: usize, &byte: &u8| number << 8 | usize::from(byte);
            Some(if little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) })
        };
        let directory = number(4, 4)?;
        for entry in 0..number(directory, 2)? {
            let at = directory.checked_add(2 + 12 * entry)?;
            if number(at, 2)? == ORIENTATION {
                // One number of two bytes.
                let short = number(at + 2, 2)? == 3 && number(at + 4, 4)? == 1;
                let value = number(at + 8, 2).filter(|value| short && (1..=8).contains(value))?;
                return Some(Orientation(value as u8));
            }
        }
        None
    }

    /// Turns pixels, row by row, so that the photo is upright; with its width and height then.
    pub(crate) fn turned<T: Copy>(self, pixels: Vec<T>, width: usize, height: usize) -> (Vec<T>, usize, usize) {
        if self == Orientation::UPRIGHT || pixels.is_empty() {
            return (pixels, width, height);
        }
        let (right, bottom) = (width - 1, height - 1);
        let (across, down) = if self.0 < 5 { (width, height) } else { (height, width) };
        let mut turned = Vec::with_capacity(pixels.len());
        for y in 0..down {
            turned.extend((0..across).map(|x| {
                let (column, row) = match self.0 {
                    2 => (right - x, y),
                    3 => (right - x, bottom - y),
                    4 => (x, bottom - y),
                    5 => (y, x),
                    6 => (y, bottom - x),
                    7 => (right - y, bottom - x),
                    _ => (right - y, x),
                };
                pixels[row * width + column]
            }));
        }
        (turned, across, down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exif data with an orientation behind another entry.
    fn exif(little: bool, kind: u16, value: u16) -> Vec<u8> {
        let two = |number: u16| if little { number.to_le_bytes() } else { number.to_be_bytes() };
        let four = |number: u32| if little { number.to_le_bytes() } else { number.to_be_bytes() };
        let mut out = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        out.extend(four(8));
        out.extend(two(2));
        for (tag, kind, value) in [(0x010f, 2, 0), (0x0112, kind, value)] {
            out.extend([two(tag), two(kind)].concat());
            out.extend(four(1));
            out.extend([two(value), [0; 2]].concat());
        }
        out
    }

    #[test]
    fn orientations_are_read_in_both_orders_of_bytes() {
        for little in [true, false] {
            for value in 1..=8 {
                assert_eq!(Orientation::of_exif(&exif(little, 3, value)), Orientation(value as u8));
            }
            for (kind, value) in [(3, 0), (3, 9), (3, 0x0300), (4, 6), (2, 6)] {
                assert_eq!(Orientation::of_exif(&exif(little, kind, value)), Orientation::UPRIGHT, "{kind} {value}");
            }
        }
    }

    #[test]
    fn damaged_exif_is_upright() {
        let whole = exif(true, 3, 6);
        for end in 0..whole.len() - 2 {
            assert_eq!(Orientation::of_exif(&whole[..end]), Orientation::UPRIGHT, "{end}");
        }
        // Every byte of it, with every value.
        for (place, value) in (0..whole.len()).flat_map(|place| (0..=255).map(move |value| (place, value))) {
            let mut damaged = whole.clone();
            damaged[place] = value;
            let Orientation(found) = Orientation::of_exif(&damaged);
            assert!((1..=8).contains(&found));
        }
    }

    #[test]
    fn pixels_are_turned_upright() {
        // As Exif's standard names them: where the first row, 1 2, and the first column, 1 3 5, belong.
        let upright: [(&[u8], usize); 8] = [
            (&[1, 2, 3, 4, 5, 6], 2),
            (&[2, 1, 4, 3, 6, 5], 2),
            (&[6, 5, 4, 3, 2, 1], 2),
            (&[5, 6, 3, 4, 1, 2], 2),
            (&[1, 3, 5, 2, 4, 6], 3),
            (&[5, 3, 1, 6, 4, 2], 3),
            (&[6, 4, 2, 5, 3, 1], 3),
            (&[2, 4, 6, 1, 3, 5], 3),
        ];
        for (number, (expected, width)) in (1..).zip(upright) {
            let turned = Orientation(number).turned(vec![1, 2, 3, 4, 5, 6], 2, 3);
            assert_eq!(turned, (expected.to_vec(), width, 6 / width), "{number}");
        }
        assert_eq!(Orientation(6).turned(Vec::<u8>::new(), 0, 0), (vec![], 0, 0));
    }
}
