//! The layers that a description makes of their settings alone: how each is constructed, and what must be said.

use super::*;
use crate::Layer;
use crate::architecture::{Readable, Required};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

/// A layer that serde makes of its settings.
pub(super) trait Described: Layer + DeserializeOwned + 'static {
    /// The settings that its constructor asks for.
    const REQUIRED: Required;

    /// The layer as its constructor makes it, with placeholders for those.
    fn template() -> Self;
}

/// What a description may say of a layer.
pub(super) fn readable<L: Described>() -> Readable {
    Readable::new(&L::template(), L::REQUIRED)
}

/// A layer within the settings of another one, read as a description: what is left out is as its constructor sets it.
pub(super) fn part<'de, D: Deserializer<'de>, L: Described>(deserializer: D) -> Result<L, D::Error> {
    let settings = readable::<L>().complete(&Json::deserialize(deserializer)?).map_err(D::Error::custom)?;
    L::deserialize(settings).map_err(D::Error::custom)
}

/// Layers, what stands for the arguments of their constructor, and the settings that are those arguments, which a description must
/// have: of `boundaries / bins` one. All others are by default as the constructor sets them.
macro_rules! templates {
    ($($($layer:ident)+ :: $new:ident $arguments:tt => $required:tt;)+) => {
        $(templates! { each $($layer)+ : $new $arguments $required })+
    };
    (each $($layer:ident)+ : $new:ident $arguments:tt $required:tt) => {
        $(templates! { one $layer : $new $arguments $required })+
    };
    (one $layer:ident : $new:ident $arguments:tt [$($($required:ident)/+),*]) => {
        impl Described for $layer {
            const REQUIRED: Required = &[$(&[$(stringify!($required)),+]),*];

            fn template() -> Self {
                $layer::$new $arguments
            }
        }
    };
}

templates! {
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d::new(1) => [size];
    Add Average Concatenate Identity Maximum Minimum Multiply Subtract::new() => [];
    AlphaDropout DropPath Dropout Dropout1d Dropout2d Dropout3d GaussianDropout::new(0.0) => [rate];
    AvgPool1d AvgPool2d AvgPool3d LpPool1d LpPool2d MaxPool1d MaxPool2d MaxPool3d::new(1) => [kernel];
    BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm LayerNorm RmsNorm::new() => [];
    CategoryEncoding::one_hot(1) => [categories, mode];
    CenterCrop Resizing::new(1, 1) => [height, width];
    Bias ClassToken DocumentMask::new() => [];
    Conv1d Conv2d Conv3d ConvLstm2d ConvTranspose1d ConvTranspose2d ConvTranspose3d::new(1, 1) => [filters, kernel];
    Cropping1d Cropping2d Cropping3d::new(0) => [cropping];
    Dense::new(1) => [units];
    DepthwiseConv1d DepthwiseConv2d::new(1) => [kernel];
    Discretization::quantiles(1) => [boundaries / bins];
    Dot::new(1) => [axes];
    Embedding::new(1, 1) => [vocabulary, size];
    FeedForward::new(1) => [hidden];
    GaussianNoise::new(0.0) => [std];
    GlobalAvgPool GlobalMaxPool::new() => [];
    GroupNorm::new(1) => [groups];
    Gru Lstm PeepholeLstm SimpleRnn::new(1) => [units];
    IntegerLookup Normalization PRelu Reparameterize::new() => [];
    LocalResponseNorm::new(1) => [size];
    Masking::new(0.0) => [value];
    MultiHeadAttention::new(1) => [heads];
    Permute::new([1]) => [axes];
    PixelShuffle PixelUnshuffle::new(1) => [factor];
    PositionEmbedding::new(1) => [positions];
    RepeatVector::new(1) => [steps];
    Rescaling::new(1.0, 0.0) => [scale];
    Reshape::new([1]) => [shape];
    SegmentEmbedding::new(1) => [segments];
    SelectStep::new(0) => [step];
    SeparableConv1d SeparableConv2d::new(1, 1) => [filters, kernel];
    SinusoidalPositions::new() => [];
    SqueezeExcitation::new(1) => [squeeze];
    TransformerDecoder::new(TransformerDecoderLayer::new(1, 1), 1) => [block, layers];
    TransformerDecoderLayer::new(1, 1) => [attention, cross_attention, feed_forward];
    TransformerEncoder::new(TransformerEncoderLayer::new(1, 1), 1) => [block, layers];
    TransformerEncoderLayer::new(1, 1) => [attention, feed_forward];
    Upsample1d Upsample2d Upsample3d::new(1) => [size];
    ZeroPad1d ZeroPad2d ZeroPad3d::new(0) => [padding];
}
