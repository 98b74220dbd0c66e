//! The PTX has the kernels that the host launches, with the parameters that it gives them, and no others.

use gpu_kernels::{PTX, entries};
use std::alloc::Layout;
use std::collections::BTreeMap;

/// The entries of a text, each with its one parameter: `.visible .entry name(`, then `.param .align 8 .b8 param_0[40]`.
fn in_text(text: &str) -> BTreeMap<&str, Layout> {
    let parameter = |line: &str| {
        let (align, size) = line.trim().strip_prefix(".param .align ")?.split_once(" .b8 param_0[")?;
        Layout::from_size_align(size.strip_suffix(']')?.parse().ok()?, align.parse().ok()?).ok()
    };
    let lines = text.lines().zip(text.lines().skip(1));
    lines
        .filter_map(|(line, next)| Some((line.strip_prefix(".visible .entry ")?.strip_suffix('(')?, parameter(next)?)))
        .collect()
}

#[test]
fn the_entries_are_the_declared_kernels_with_their_parameters() {
    let declared: BTreeMap<&str, Layout> = entries().map(|entry| (entry.name(), entry.parameters())).collect();
    assert_eq!(declared.len(), entries().count(), "two kernels of one name");
    for capability in [(8, 0), (9, 0)] {
        let found = in_text(PTX.text(capability).unwrap());
        let differs = |name: &&&str| declared.get(**name) != found.get(**name);
        let differing: Vec<_> = declared.keys().chain(found.keys()).filter(differs).collect();
        assert!(
            differing.is_empty(),
            "in the source or in the PTX for {capability:?} only, or with other parameters: {differing:?}; has \
             `cargo xtask build-kernels` run?"
        );
    }
}

#[test]
fn a_device_gets_the_ptx_that_it_can_run() {
    let target =
        |capability| PTX.text(capability).map(|text| text.lines().find_map(|line| line.strip_prefix(".target ")));
    for ampere_and_later in [(8, 0), (8, 6), (8, 9), (9, 1), (10, 0), (12, 1)] {
        assert_eq!(target(ampere_and_later), Ok(Some("sm_80")), "{ampere_and_later:?}");
    }
    assert_eq!(target((9, 0)), Ok(Some("sm_90a")));
    assert!(target((7, 5)).is_err_and(|error| error.starts_with("the GPU has compute capability 7.5")));
    assert!(target((0, 0)).is_err());
}

/// The constants of a step are computed on the host: an update in f32 has no instruction of f64, which is many times slower on most
/// cards.
#[test]
fn updates_in_f32_compute_in_f32() {
    for capability in [(8, 0), (9, 0)] {
        let mut seen = 0;
        for entry in PTX.text(capability).unwrap().split(".visible .entry ").skip(1) {
            let name = entry.split('(').next().unwrap();
            let single = name.strip_suffix("_f32").or(name.strip_suffix("_mixed"));
            if kiln_math::UpdateRule::ALL.iter().any(|rule| Some(rule.kernel()) == single) {
                assert!(!entry.contains("f64"), "{name}");
                seen += 1;
            }
        }
        assert_eq!(seen, 2 * kiln_math::UpdateRule::ALL.len());
    }
}
