//! Layers.
//!
//! A layer is a line of the list below, and everything else follows from it: the exports, the prelude of `kiln`, and whether a
//! saved model can hold it.

/// The layers, by the file that they are in: in parentheses what only few programs name (forms of any number of axes, of which the
/// others are names, and types in signatures), in braces the other exports, in brackets those that a description makes from
/// their settings alone, each of which has a template in templates.rs.
macro_rules! layers {
    ($($module:ident ( $($part:ident)* ) { $($name:ident)* } [ $($described:ident)* ];)+) => {
        $(
            mod $module;
            #[allow(unused_imports)] // where some of them are empty
            pub use $module::{$($part,)* $($name,)* $($described,)*};
        )+

        /// What [`crate::prelude`] has of them.
        pub(crate) mod named {
            $(
                #[allow(unused_imports)] // where both are empty
                pub use super::$module::{$($name,)* $($described,)*};
            )+
        }

        /// Calls `$callback! { Name … }` with the layers that the prelude has.
        #[doc(hidden)]
        #[macro_export]
        macro_rules! for_each_layer {
            ($callback:path) => {
                $callback! { $($($name)* $($described)*)+ }
            };
        }

        /// The layers that are made from their settings alone.
        pub(crate) const DESCRIBED: &[&str] = &[$($(stringify!($described),)*)+];

        /// What a description may say of the layer of this name, where it is one of [`DESCRIBED`].
        pub(crate) fn readable(name: &str) -> Option<crate::architecture::Readable> {
            match name {
                $($(stringify!($described) => Some(templates::readable::<$described>()),)*)+
                _ => None,
            }
        }
    };
}

layers! {
    attention () { AttentionInputs BlockNorm Rotary RotaryScaling } [
        FeedForward MultiHeadAttention PositionEmbedding SinusoidalPositions TransformerDecoder TransformerDecoderLayer
        TransformerEncoder TransformerEncoderLayer
    ];
    batch_norm (BatchNorm) {} [BatchNorm1d BatchNorm2d BatchNorm3d];
    bias () {} [Bias];
    class_token () {} [ClassToken];
    concat () { Concat } [];
    conv (Conv) {} [Conv1d Conv2d Conv3d];
    conv_lstm () {} [ConvLstm2d];
    conv_transpose (ConvTranspose) {} [ConvTranspose1d ConvTranspose2d ConvTranspose3d];
    dense () {} [Dense];
    depthwise (DepthwiseConv SeparableConv) {} [DepthwiseConv1d DepthwiseConv2d SeparableConv1d SeparableConv2d];
    document_mask () {} [DocumentMask];
    dot () {} [Dot];
    dropout (ChannelDropout) {} [DropPath Dropout Dropout1d Dropout2d Dropout3d];
    embedding () {} [Embedding];
    flatten () { Flatten } [Reshape];
    global_pool (AdaptiveAvgPool AdaptiveMaxPool) {} [
        AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d GlobalAvgPool GlobalMaxPool
    ];
    group_norm () {} [GroupNorm InstanceNorm];
    identity () { Lambda } [Identity];
    layer_norm () {} [LayerNorm RmsNorm];
    linear () { Linear } [];
    local_response_norm () {} [LocalResponseNorm];
    merge () {} [Add Average Concatenate Maximum Minimum Multiply Subtract];
    noise () {} [AlphaDropout GaussianDropout GaussianNoise];
    padding (Cropping ZeroPad) {} [Cropping1d Cropping2d Cropping3d ZeroPad1d ZeroPad2d ZeroPad3d];
    permute () {} [Permute];
    pixel_shuffle () {} [PixelShuffle PixelUnshuffle];
    pool (AvgPool LpPool MaxPool) {} [
        AvgPool1d AvgPool2d AvgPool3d LpPool1d LpPool2d MaxPool1d MaxPool2d MaxPool3d
    ];
    prelu () {} [PRelu];
    preprocessing (Counts Moments Quantiles) { Adapt StringLookup } [
        CategoryEncoding CenterCrop Discretization IntegerLookup Normalization Rescaling Resizing
    ];
    recurrent (KerasWeights RecurrentState) { GruCell LstmCell Merge SequenceInputs SimpleRnnCell } [Gru Lstm PeepholeLstm SimpleRnn];
    reparameterize () {} [Reparameterize];
    repeat_vector () {} [RepeatVector];
    resample (Upsample) {} [Upsample1d Upsample2d Upsample3d];
    residual () { Residual } [];
    segment_embedding () {} [SegmentEmbedding];
    select_step () {} [SelectStep];
    sequential () { Sequential } [];
    skip_concat () { SkipConcat } [];
    spectral_norm () { SpectralNorm } [];
    squeeze_excitation () {} [SqueezeExcitation];
    time_distributed () { TimeDistributed } [Masking];
    weight_norm () { WeightNorm } [];
}

mod channels_last;
mod checkpoint;
mod computed_weight;
mod held;
mod list;
mod masked;
mod scale_shift;
pub(crate) mod setters;
mod spatial;
mod templates;
mod weights;

pub(crate) use list::Layers;
pub(crate) use preprocessing::{Lookups, lookups};
