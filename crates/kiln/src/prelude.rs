//! What most programs use: `use kiln::prelude::*;`.

pub use kiln_autograd::{Gradients, Var, grad, grad_check};
pub use kiln_datasets::{
    AddingProblem, CopyTask, SequenceDataset, SeriesWindows, TextStreams, TextWindows, Vocabulary, pad_sequences,
};
pub use kiln_datasets::{
    Augmentation, Batch, Cifar10, Cifar100, Cifar100Labels, Dataset, Emnist, EmnistSplit, FashionMnist, ImageDataset,
    Kmnist, Loader, Mnist, Subset, TensorDataset,
};
pub use kiln_math::{Purpose, RandomStream};
pub use kiln_nn::Stateful;
pub use kiln_nn::{
    Activation, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AnyLayer, AvgPool1d,
    AvgPool2d, AvgPool3d, BatchNorm1d, BatchNorm2d, BatchNorm3d, BinaryCrossentropy, Buffer, CategoricalCrossentropy,
    Concat, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, Ctx, Dense, DepthwiseConv1d, DepthwiseConv2d,
    Describe, Dropout, Dropout1d, Dropout2d, Fans, Flatten, FromValue, GlobalAvgPool, GlobalMaxPool, GroupNorm, Init,
    Initializer, InstanceNorm, IntoValue, KeptOutputs, L1, L1L2, L2, Layer, LayerNorm, Linear, LocalResponseNorm, Loss,
    LpPool1d, LpPool2d, MaskRule, MaxPool1d, MaxPool2d, MaxPool3d, MeanAbsoluteError, MeanSquaredError, Module, Param,
    Reshape, Residual, RmsNorm, SeparableConv1d, SeparableConv2d, Sequence, Sequential, Shapes,
    SparseCategoricalCrossentropy, Upsample1d, Upsample2d, Value, ZeroPad1d, ZeroPad2d,
};
pub use kiln_nn::{
    Embedding, Gru, GruCell, Lstm, LstmCell, Masking, Merge, RecurrentState, SequenceInputs, SimpleRnn, SimpleRnnCell,
    TimeDistributed,
};
pub use kiln_optim::{Adam, AdamW, Clip, Optimizer, Sgd};
pub use kiln_tensor::{DType, Device, Padding, Shape, Tensor};
pub use kiln_train::callbacks::*;
pub use kiln_train::{
    Accuracy, Callback, EpochRecord, EvaluateOptions, FitOptions, History, Metric, Objective, Outcome, Progress, Run,
    TrainState, Trainer, compile,
};
