//! Layers.

mod batch_norm;
mod channels_last;
mod concat;
mod conv;
mod conv_transpose;
mod dense;
mod depthwise;
mod dropout;
mod embedding;
mod flatten;
mod global_pool;
mod group_norm;
mod layer_norm;
mod linear;
mod list;
mod local_response_norm;
mod merge;
mod pool;
mod recurrent;
mod resample;
mod residual;
mod scale_shift;
mod sequential;
mod spatial;
mod time_distributed;
mod weights;

pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d};
pub use concat::Concat;
pub use conv::{Conv, Conv1d, Conv2d, Conv3d};
pub use conv_transpose::{ConvTranspose, ConvTranspose1d, ConvTranspose2d};
pub use dense::Dense;
pub use depthwise::{DepthwiseConv, DepthwiseConv1d, DepthwiseConv2d, SeparableConv, SeparableConv1d, SeparableConv2d};
pub use dropout::{ChannelDropout, Dropout, Dropout1d, Dropout2d};
pub use embedding::Embedding;
pub use flatten::{Flatten, Reshape};
pub use global_pool::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool, AdaptiveMaxPool1d, AdaptiveMaxPool2d,
    GlobalAvgPool, GlobalMaxPool,
};
pub use group_norm::{GroupNorm, InstanceNorm};
pub use layer_norm::{LayerNorm, RmsNorm};
pub use linear::Linear;
pub(crate) use list::Layers;
pub use local_response_norm::LocalResponseNorm;
pub use merge::{Add, Concatenate, Multiply, Subtract};
pub use pool::{
    AvgPool, AvgPool1d, AvgPool2d, AvgPool3d, LpPool, LpPool1d, LpPool2d, MaxPool, MaxPool1d, MaxPool2d, MaxPool3d,
};
pub use recurrent::{
    Gru, GruCell, KerasWeights, Lstm, LstmCell, Merge, RecurrentState, SequenceInputs, SimpleRnn, SimpleRnnCell,
};
pub use resample::{Upsample, Upsample1d, Upsample2d, ZeroPad, ZeroPad1d, ZeroPad2d};
pub use residual::Residual;
pub use sequential::Sequential;
pub use time_distributed::{Masking, TimeDistributed};
