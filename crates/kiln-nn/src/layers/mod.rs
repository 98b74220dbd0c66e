//! Layers.
//!
//! A layer is a line of the list below, and everything else follows from it: the exports, the prelude of `kiln`, and whether a
//! saved model can hold it.

/// The layers, by the file that they are in: in braces those that are exported, in brackets those that are exported and that a
/// description makes from their settings alone.
macro_rules! layers {
    ($($module:ident { $($name:ident)* } [ $($described:ident)* ];)+) => {
        $(
            mod $module;
            #[allow(unused_imports)] // where one of the two is empty
            pub use $module::{$($name,)* $($described,)*};
        )+

        /// The layer of this name, made from its settings; none where that takes more than settings, or there is no such layer.
        pub(crate) fn of_settings(
            name: &str,
            settings: &serde_json::Value,
        ) -> Option<Result<Box<dyn crate::AnyLayer>, serde_json::Error>> {
            fn make<L: crate::Layer + serde::de::DeserializeOwned + 'static>(
                settings: &serde_json::Value,
            ) -> Result<Box<dyn crate::AnyLayer>, serde_json::Error> {
                L::deserialize(settings).map(|layer| Box::new(layer) as _)
            }
            match name {
                $($(stringify!($described) => Some(make::<$described>(settings)),)*)+
                _ => None,
            }
        }
    };
}

layers! {
    batch_norm { BatchNorm } [BatchNorm1d BatchNorm2d BatchNorm3d];
    concat { Concat } [];
    conv { Conv } [Conv1d Conv2d Conv3d];
    conv_transpose { ConvTranspose } [ConvTranspose1d ConvTranspose2d];
    dense {} [Dense];
    depthwise { DepthwiseConv SeparableConv } [DepthwiseConv1d DepthwiseConv2d SeparableConv1d SeparableConv2d];
    dropout { ChannelDropout } [Dropout Dropout1d Dropout2d];
    embedding {} [Embedding];
    flatten { Flatten } [Reshape];
    global_pool { AdaptiveAvgPool AdaptiveMaxPool } [
        AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d GlobalAvgPool GlobalMaxPool
    ];
    group_norm {} [GroupNorm InstanceNorm];
    layer_norm {} [LayerNorm RmsNorm];
    linear { Linear } [];
    local_response_norm {} [LocalResponseNorm];
    merge {} [Add Concatenate Multiply Subtract];
    permute {} [Permute];
    pool { AvgPool LpPool MaxPool } [
        AvgPool1d AvgPool2d AvgPool3d LpPool1d LpPool2d MaxPool1d MaxPool2d MaxPool3d
    ];
    recurrent {
        GruCell KerasWeights LstmCell Merge RecurrentState SequenceInputs SimpleRnnCell
    } [Gru Lstm PeepholeLstm SimpleRnn];
    resample { Upsample ZeroPad } [Upsample1d Upsample2d ZeroPad1d ZeroPad2d];
    residual { Residual } [];
    sequential { Sequential } [];
    time_distributed { TimeDistributed } [Masking];
}

mod channels_last;
mod list;
mod scale_shift;
mod setters;
mod spatial;
mod weights;

pub(crate) use list::Layers;
