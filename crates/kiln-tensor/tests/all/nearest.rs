//! Misspelled names and the nearest of those that there are.

use kiln_tensor::nearest;

#[test]
fn a_misspelled_name_has_a_nearest_one() {
    let names = ["units", "use_bias", "activation", "kernel_initializer"];
    for (asked, expected) in [
        ("unit", Some("units")),
        ("Units", Some("units")),
        ("activaton", Some("activation")),
        ("kernel_initialiser", Some("kernel_initializer")),
        ("filters", None),
        ("", None),
        // Of which no letter is left.
        ("xy", None),
    ] {
        assert_eq!(nearest(asked, names), expected, "{asked}");
    }
    assert_eq!(nearest("units", []), None);
    assert_eq!(nearest(&"u".repeat(1_000_000), names), None);
}
