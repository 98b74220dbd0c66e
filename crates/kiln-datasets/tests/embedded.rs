//! The embedded MNIST subset: its size, its classes, and that it is MNIST.

#![cfg(feature = "embedded-mnist")]
// Helpers may unwrap like the tests that call them.
#![allow(clippy::unwrap_used)]

use kiln_datasets::{Dataset, Mnist};

#[test]
fn the_subset_is_the_beginning_of_mnist() {
    let Mnist { train, test } = Mnist::embedded().unwrap();
    assert_eq!((train.len(), test.len(), train.input_shape()), (10_000, 2_000, [28, 28].as_slice()));
    assert_eq!(train.labels()[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assert_eq!(test.labels()[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    for part in [&train, &test] {
        for digit in 0..10 {
            let share = part.labels().iter().filter(|&&l| l == digit).count() as f64 / part.len() as f64;
            assert!((0.08..0.12).contains(&share), "{digit} makes up {share}");
        }
        // The mean of all of MNIST is 0.1307.
        let sum: u64 = part.pixels().iter().map(|&p| u64::from(p)).sum();
        let mean = sum as f64 / part.pixels().len() as f64 / 255.0;
        assert!((mean - 0.1307).abs() < 0.01, "{mean}");
    }
}
