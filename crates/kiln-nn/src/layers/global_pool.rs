//! Pooling to a size that does not depend on the input's.

use super::setters::setters;
use super::spatial::{expect_batch, expect_sample, per_axis, sizes};
use crate::{Ctx, Describe, Init, Layer, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, PerAxis, Result, Shape};
use serde::{Deserialize, Serialize};

macro_rules! global_pools {
    ($($(#[$doc:meta])+ $name:ident, $operation:literal, $method:ident, $keepdim:ident;)+) => {$(
        $(#[$doc])+
        ///
        /// For one to three spatial axes.
        #[derive(Module, Describe, Clone, Copy, Debug, Default, Serialize, Deserialize)]
        #[describe(settings)]
        pub struct $name {
            #[serde(default)]
            keep_dims: bool,
        }

        impl $name {
            /// The layer; its output is (N, C).
            pub fn new() -> Self {
                $name::default()
            }

            setters! {
                /// Whether the pooled axes stay, with size 1. By default they go.
                fn keep_dims(self, keep: bool) { self.keep_dims = keep }
            }
        }

        impl Layer for $name {
            type Input = Var;
            type Output = Var;

            fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
                if self.keep_dims { x.$keepdim() } else { x.$method() }
            }

            fn mask(&self) -> MaskRule {
                MaskRule::Drop
            }

            fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
                global($operation, input, self.keep_dims)
            }
        }
    )+};
}
global_pools! {
    /// The mean of each channel's plane: (N, C, D…) becomes (N, C). Keras's `GlobalAveragePooling2D` and kin.
    GlobalAvgPool, "global_avg_pool", global_avg_pool, global_avg_pool_keepdim;
    /// The largest element of each channel's plane: (N, C, D…) becomes (N, C). Keras's `GlobalMaxPooling2D` and kin.
    GlobalMaxPool, "global_max_pool", global_max_pool, global_max_pool_keepdim;
}

fn global(operation: &'static str, input: &Shape, keep: bool) -> Result<Shape> {
    if !(2..=4).contains(&input.rank()) {
        let message = format!("samples (C, …) with one to three spatial axes are expected, got {input}");
        return Err(Error::shape(operation, message));
    }
    let mut dims = vec![1; if keep { input.rank() } else { 1 }];
    dims[0] = input[0];
    Shape::new(&dims)
}

macro_rules! adaptive_pools {
    ($($(#[$doc:meta])+ $name:ident, $operation:literal, $method:ident;)+) => {$(
        $(#[$doc])+
        ///
        /// Part i of n is from ⌊i·D/n⌋ to ⌈(i + 1)·D/n⌉, as in PyTorch.
        #[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
        #[describe(settings, spatial)]
        pub struct $name<const N: usize> {
            #[module(skip)]
            #[serde(with = "per_axis")]
            size: PerAxis,
        }

        impl<const N: usize> $name<N> {
            /// So many outputs along each axis: `7`, or `[7, 5]`.
            pub fn new(size: impl Into<PerAxis>) -> Self {
                $name { size: size.into() }
            }
        }

        impl<const N: usize> Layer for $name<N> {
            type Input = Var;
            type Output = Var;

            fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
                expect_batch::<N>($operation, x.shape())?;
                x.$method(self.size)
            }

            fn mask(&self) -> MaskRule {
                MaskRule::Drop
            }

            fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
                expect_sample::<N>($operation, input)?;
                Shape::new(&[&input[..1], &sizes::<N>($operation, self.size)?].concat())
            }
        }
    )+};
}
adaptive_pools! {
    /// The means of as many parts of each axis as one asks for, whatever its size: [`AdaptiveAvgPool1d`] and
    /// [`AdaptiveAvgPool2d`] are its names.
    AdaptiveAvgPool, "adaptive_avg_pool", adaptive_avg_pool;
    /// The largest elements of as many parts of each axis as one asks for, whatever its size: [`AdaptiveMaxPool1d`] and
    /// [`AdaptiveMaxPool2d`] are its names.
    AdaptiveMaxPool, "adaptive_max_pool", adaptive_max_pool;
}

/// Means of sequences (N, C, L).
pub type AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
/// Means of images (N, C, H, W).
pub type AdaptiveAvgPool2d = AdaptiveAvgPool<2>;
/// Maxima of sequences (N, C, L).
pub type AdaptiveMaxPool1d = AdaptiveMaxPool<1>;
/// Maxima of images (N, C, H, W).
pub type AdaptiveMaxPool2d = AdaptiveMaxPool<2>;
