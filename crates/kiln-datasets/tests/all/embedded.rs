//! The embedded MNIST subset: its size, its classes, and that it is MNIST.

// Helpers may unwrap like the tests that call them.

use kiln_datasets::{Dataset, Mnist};

#[test]
fn the_subset_is_a_fair_sample_of_mnist() {
    let Mnist { train, test } = Mnist::embedded().unwrap();
    assert_eq!((train.len(), test.len(), train.input_shape()), (10_000, 2_000, [28, 28].as_slice()));
    assert_eq!(train.labels()[..10], [5, 3, 1, 0, 2, 5, 6, 9, 3, 9]);
    assert_eq!(test.labels()[..10], [7, 4, 9, 3, 4, 0, 1, 1, 2, 4]);
    for part in [&train, &test] {
        for digit in 0..10 {
            let share = part.labels().iter().filter(|&&l| l == digit).count() as f64 / part.len() as f64;
            assert!((0.08..0.12).contains(&share), "{digit} makes up {share}");
        }
        // The mean of all of MNIST is 0.1307. Its two collections have 0.123 and 0.139: a sample of one
        // would be seen.
        let sum: u64 = part.pixels().iter().map(|&p| u64::from(p)).sum();
        let mean = sum as f64 / part.pixels().len() as f64 / 255.0;
        assert!((mean - 0.1307).abs() < 0.003, "{mean}");
    }
}
