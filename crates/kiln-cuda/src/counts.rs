//! What kernels count in 32 bits: sizes, positions, places in a plane.

use kiln_tensor::{Error, ErrorKind, Result, Shape, Window};

/// The most elements that kernels count in 32 bits, with room for a tile beyond the end.
const COUNTED: usize = u32::MAX as usize - 1024;

/// Whether kernels can count each of these.
pub(crate) fn are_counted(counts: impl IntoIterator<Item = usize>) -> bool {
    counts.into_iter().all(|count| count <= COUNTED)
}

/// Refuses shapes of an axis that kernels cannot count.
pub(crate) fn countable<'s>(operation: &'static str, shapes: impl IntoIterator<Item = &'s Shape>) -> Result<()> {
    match shapes.into_iter().find(|shape| !are_counted(shape.iter().copied())) {
        None => Ok(()),
        Some(shape) => Err(Error::new(
            ErrorKind::Unsupported,
            operation,
            format!("shape {shape}: an axis on a GPU has at most {COUNTED} elements; split the tensor, or use the CPU"),
        )),
    }
}

/// Whether kernels can count the positions of shapes (N, C, D…): their planes, what comes before those, and each axis with the
/// window's padding.
pub(crate) fn is_counted(window: &Window, shapes: &[&Shape]) -> bool {
    let padding = window.padding.iter().fold(0usize, |most, &(before, after)| most.max(before.saturating_add(after)));
    shapes.iter().all(|shape| {
        let sizes = Window::sizes(shape);
        let padded = sizes.map(|size| size.saturating_add(padding));
        are_counted([shape[..2].iter().product(), sizes.iter().product()].into_iter().chain(padded))
    })
}

#[cfg(test)]
mod tests {
    use super::{COUNTED, countable, is_counted};
    use kiln_tensor::{Shape, Window};

    #[test]
    fn axes_beyond_32_bits_are_refused() {
        let [small, large] = [COUNTED, COUNTED + 1].map(|size| Shape::new(&[2, size]).unwrap());
        assert!(countable("softmax", [&small, &small]).is_ok());
        let error = countable("softmax", [&small, &large]).unwrap_err().to_string();
        assert!(
            error.starts_with("softmax: shape (2, 4294966272): an axis on a GPU has at most 4294966271 elements"),
            "{error}"
        );
    }

    #[test]
    fn planes_are_counted_with_their_padding() {
        let shape = |sizes: [usize; 4]| Shape::new(&sizes).unwrap();
        let padded = |side| Window { padding: [(0, 0), (0, 0), (side, side)], ..Window::default() };
        assert!(is_counted(&padded(1), &[&shape([4, 3, 32, 32]), &shape([4, 8, 16, 16])]));
        for large in [[1 << 16, 1 << 16, 1, 1], [1, 1, 1 << 16, 1 << 16]] {
            assert!(!is_counted(&padded(0), &[&shape([4, 3, 32, 32]), &shape(large)]), "{large:?}");
        }
        assert!(!is_counted(&padded(1 << 31), &[&shape([4, 3, 32, 32])]));
    }
}
