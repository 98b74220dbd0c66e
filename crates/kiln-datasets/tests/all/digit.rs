//! Pictures of figures as MNIST would show them.

use kiln_datasets::Picture;

/// Pixels of a side.
const SIDE: usize = 28;

fn digit(picture: &Picture) -> Option<Vec<f32>> {
    picture.to_digit().ok()
}

/// A picture from signs: `#` is 255, `.` is 0.
fn gray(rows: &[&str]) -> Picture {
    let shades = rows.iter().flat_map(|row| row.bytes()).map(|sign| if sign == b'#' { 255 } else { 0 });
    Picture::new(shades.collect(), [rows.len(), rows[0].len(), 1]).unwrap()
}

fn at(field: &[f32], x: usize, y: usize) -> f32 {
    field[y * SIDE + x]
}

#[test]
fn a_square_fills_the_box_in_the_middle() {
    let field = digit(&gray(&["......", ".##...", ".##...", "......"])).unwrap();
    let lit = |x: usize, y: usize| (4..24).contains(&x) && (4..24).contains(&y);
    for (i, &shade) in field.iter().enumerate() {
        assert!((shade - if lit(i % SIDE, i / SIDE) { 1.0 } else { 0.0 }).abs() < 1e-6, "{i}: {shade}");
    }
}

#[test]
fn proportions_stay_and_the_center_of_mass_is_in_the_middle() {
    // A bar of 1 × 10: 2 × 20 in the middle.
    let bar = digit(&gray(&[["..."; 1].as_slice(), &[".#."; 10], &["..."; 1]].concat())).unwrap();
    assert!((bar.iter().sum::<f32>() - 40.0).abs() < 1e-3);
    assert!(at(&bar, 13, 4) > 0.99 && at(&bar, 14, 23) > 0.99 && at(&bar, 12, 14) == 0.0);
    // Heavy at its left: it moves right.
    let heavy = digit(&gray(&["......", ".#....", ".####.", ".#....", "......"])).unwrap();
    let mass: f32 = heavy.iter().enumerate().map(|(i, s)| s * ((i % SIDE) as f32 + 0.5)).sum();
    assert!((mass / heavy.iter().sum::<f32>() - 14.0).abs() <= 0.5 + 1e-4);
}

#[test]
fn polarity_size_and_contrast_make_no_difference() {
    let rows = ["........", "..####..", ".....#..", "....#...", "...#....", "........"];
    let light = gray(&rows);
    let expected = digit(&light).unwrap();
    let of = |shade: &dyn Fn(u8) -> u8| {
        let shades = light.pixels().iter().map(|&s| shade(s)).collect();
        digit(&Picture::new(shades, [light.height(), light.width(), 1]).unwrap()).unwrap()
    };
    let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far(&of(&|s| 255 - s), &expected) < 1e-4, "dark on light");
    assert!(far(&of(&|s| 100 + s / 10), &expected) < 1e-4, "light on gray");
    // Larger ones are scaled down to the same figure.
    let times = |n: usize| {
        let wide = |row: &&str| row.chars().flat_map(|sign| vec![sign; n]).collect::<String>();
        let large: Vec<String> = rows.iter().flat_map(|row| std::iter::repeat_n(wide(row), n)).collect();
        digit(&gray(&large.iter().map(String::as_str).collect::<Vec<_>>())).unwrap()
    };
    assert!(far(&times(70), &times(35)) < 0.02, "{}", far(&times(70), &times(35)));
    let lit = |field: &[f32]| field.iter().filter(|&&shade| shade > 0.5).count();
    assert!(lit(&times(70)).abs_diff(lit(&expected)) < 10, "{} {}", lit(&times(70)), lit(&expected));
}

#[test]
fn nothing_is_found_in_one_shade() {
    for image in [gray(&["."]), gray(&["#"]), gray(&["##", "##"]), gray(&["...", "...", "..."])] {
        assert!(digit(&image).is_none());
    }
    // Beside the digit, no room at all: the border is the figure's own, and still the rest is seen.
    assert!(digit(&gray(&["#.#", "...", "#.#"])).is_some());
}
