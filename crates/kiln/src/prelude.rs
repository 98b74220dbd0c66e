//! What most programs use: `use kiln::prelude::*;`.

pub use kiln_autograd::{Gradients, Var, grad, grad_check};
pub use kiln_datasets::{
    Augmentation, Batch, Cifar10, Cifar100, Cifar100Labels, Dataset, Emnist, EmnistSplit, FashionMnist, ImageDataset, Kmnist, Loader,
    Mnist, Subset, TensorDataset,
};
pub use kiln_math::{Purpose, Stream};
pub use kiln_nn::{
    Activation, BinaryCrossentropy, Buffer, CategoricalCrossentropy, Ctx, Dense, Dropout, Fans, Flatten, Init,
    Initializer, L1, L1L2, L2, Layer, Linear, Loss, MeanAbsoluteError, MeanSquaredError, Module, Param, Sequential,
    SparseCategoricalCrossentropy,
};
pub use kiln_optim::{Adam, AdamW, Optimizer, Sgd};
pub use kiln_tensor::{DType, Device, Shape, Tensor};
pub use kiln_train::{
    Accuracy, Callback, EarlyStopping, FitOptions, History, Metric, Objective, Outcome, Trainer, compile,
};
