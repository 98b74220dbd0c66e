//! LeNet-5.

use crate::{Activation, AvgPool2d, Conv2d, Dense, Flatten, Sequential};
use kiln_tensor::Padding;

/// LeNet-5 for images of 1 × 28 × 28 (LeCun et al. 1998): two convolutions of 5 × 5 with tanh and means of 2 × 2, then layers of
/// 120, 84 and `classes`.
///
/// As it is taught today: each filter sees all channels, means have no weights, and the last layer gives logits. 61,706
/// parameters for 10 classes.
pub fn lenet5(classes: usize) -> Sequential {
    let tanh = Activation::Tanh;
    Sequential::new()
        .push(Conv2d::new(6, 5).padding(Padding::Same).activation(tanh))
        .push(AvgPool2d::new(2))
        .push(Conv2d::new(16, 5).activation(tanh))
        .push(AvgPool2d::new(2))
        .push(Flatten::new())
        .push(Dense::new(120).activation(tanh))
        .push(Dense::new(84).activation(tanh))
        .push(Dense::new(classes))
}
