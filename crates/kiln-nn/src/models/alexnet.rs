//! AlexNet, as it was published and for small images.

use crate::{
    Activation, BatchNorm1d, BatchNorm2d, Conv2d, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool2d, Sequential,
};
use kiln_tensor::Padding;

const RELU: Activation = Activation::Relu;

/// AlexNet for images of 3 × 227 × 227 (Krizhevsky, Sutskever and Hinton 2012): five convolutions, three of them in two
/// groups, with ReLU, local response normalization and overlapping maxima; then layers of 4096, 4096 and `classes` with
/// dropout. 60,965,224 parameters for 1000 classes.
///
/// Weights begin Glorot-uniform and biases at 0, unlike the paper's.
pub fn alexnet(classes: usize) -> Sequential {
    // The paper's α = 10⁻⁴ is of the sum of five squares.
    let response = || LocalResponseNorm::new(5).alpha(5e-4).k(2.0);
    let pool = || MaxPool2d::new(3).stride(2);
    let features = Sequential::new()
        .push(Conv2d::new(96, 11).stride(4).activation(RELU))
        .push(response())
        .push(pool())
        .push(Conv2d::new(256, 5).padding(2).groups(2).activation(RELU))
        .push(response())
        .push(pool())
        .push(Conv2d::new(384, 3).padding(1).activation(RELU))
        .push(Conv2d::new(384, 3).padding(1).groups(2).activation(RELU))
        .push(Conv2d::new(256, 3).padding(1).groups(2).activation(RELU))
        .push(pool());
    let classifier = Sequential::new()
        .push(Dense::new(4096).activation(RELU))
        .push(Dropout::new(0.5))
        .push(Dense::new(4096).activation(RELU))
        .push(Dropout::new(0.5))
        .push(Dense::new(classes));
    Sequential::new().push_named("features", features).push(Flatten::new()).push_named("classifier", classifier)
}

/// AlexNet for images of 3 × 32 × 32, as a listing for CIFAR-10 with Keras has it: batch normalization after each convolution and
/// dense layer instead of biases and local response normalization. 21,631,722 parameters for 10 classes, 21,650,858 with the
/// running statistics, as Keras counts.
///
/// The windows of maxima are padded: without that, the last one meets a map of 1 × 1.
pub fn alexnet_cifar(classes: usize) -> Sequential {
    let pool = || MaxPool2d::new(3).stride(2).padding(Padding::Same);
    let mut model = Sequential::new();
    for (filters, kernel, stride, pools) in
        [(96, 11, 4, true), (256, 5, 1, true), (384, 3, 1, false), (384, 3, 1, false), (256, 3, 1, true)]
    {
        model.add(Conv2d::new(filters, kernel).stride(stride).padding(Padding::Same).use_bias(false));
        model.add(BatchNorm2d::new().keras().activation(RELU));
        if pools {
            model.add(pool());
        }
    }
    model.add(Flatten::new());
    for _ in 0..2 {
        model.add(Dense::new(4096).use_bias(false));
        model.add(BatchNorm1d::new().keras().activation(RELU));
        model.add(Dropout::new(0.5));
    }
    model.push(Dense::new(classes))
}
