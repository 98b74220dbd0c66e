//! What several of the models are made of.

use crate::{Activation, AnyLayer, BatchNorm2d, Conv2d, DepthwiseConv2d, GlobalAvgPool, Initializer, Sequential};

/// A convolution without a bias, which the normalization after it would take away; padded so that the stride alone changes the size.
pub(super) fn conv(filters: usize, kernel: usize, stride: usize) -> Conv2d {
    Conv2d::new(filters, kernel)
        .stride(stride)
        .padding(kernel / 2)
        .use_bias(false)
        .kernel_initializer(Initializer::HeNormal)
}

/// A normalization with its activation.
pub(super) fn norm(activation: Activation) -> BatchNorm2d {
    BatchNorm2d::new().activation(activation)
}

/// [`conv`], then [`norm`].
pub(super) fn conv_norm(filters: usize, kernel: usize, stride: usize, activation: Activation) -> Sequential {
    Sequential::new().push(conv(filters, kernel, stride)).push(norm(activation))
}

/// The convolution of each channel by itself that an inverted residual block has in its middle, then [`norm`].
pub(super) fn depthwise_norm(kernel: usize, stride: usize, activation: Activation) -> Sequential {
    let depthwise = DepthwiseConv2d::new(kernel).stride(stride).padding(kernel / 2).use_bias(false);
    Sequential::new().push(depthwise.kernel_initializer(Initializer::HeNormal)).push(norm(activation))
}

/// Features of maps, their means, and a classifier, under torchvision's names.
pub(super) fn classified(features: Sequential, classifier: impl AnyLayer + 'static) -> Sequential {
    Sequential::new()
        .push_named("features", features)
        .push_named("avgpool", GlobalAvgPool::new())
        .push_named("classifier", classifier)
}
