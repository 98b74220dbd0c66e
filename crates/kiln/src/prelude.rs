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
pub use kiln_nn::layers::*;
pub use kiln_nn::losses::all::*;
pub use kiln_nn::{
    Activation, AnyLayer, Buffer, Ctx, Describe, Fans, FromValue, Graph, Init, Initializer, IntoValue, KeptOutputs, L1,
    L1L2, L2, Layer, Loss, MaskRule, Module, Param, Sequence, Shapes, Value,
};
pub use kiln_optim::prelude::*;
pub use kiln_tensor::{DType, Device, Padding, Shape, Tensor};
pub use kiln_train::callbacks::*;
pub use kiln_train::{
    Accuracy, Callback, EpochRecord, EvaluateOptions, FitOptions, History, Losses, Metric, Objective, Outcome,
    Progress, Run, TrainState, Trainer, compile,
};
