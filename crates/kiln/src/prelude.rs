//! What most programs use: `use kiln::prelude::*;`.

pub use kiln_autograd::{Gradients, Var, checkpoint, grad, grad_check, hvp, jvp, vjp};
pub use kiln_datasets::{
    Augmentation, Batch, Cifar10, Csv, CsvOptions, Dataset, ImageDataset, InputsAsTargets, Loader, Missing, Mnist,
    SeriesEncoder, SeriesOptions, SeriesWindows, TableEncoder, TableOptions, TensorDataset, TextEncoder, TextOptions,
    TextStreams, Tokenizer, WordOptions,
};
#[cfg(feature = "images")]
pub use kiln_datasets::{ColorMode, Fit, ImageFiles, ImageOptions};
pub use kiln_math::{Purpose, RandomStream};
pub use kiln_nn::prelude::*;
pub use kiln_optim::prelude::*;
pub use kiln_tensor::{DType, Device, Error, Interpolation, Order, Padding, Result, Shape, Tensor, idx};
pub use kiln_train::callbacks::*;
pub use kiln_train::metrics::all::*;
pub use kiln_train::{
    Callback, Checkpoint, ClassAverage, EpochRecord, EvaluateOptions, Every, FitOptions, History, LearningRateFinder,
    Losses, MeanMetric, Metric, Mixed, Objective, Outcome, Progress, Run, Trainer, adapt, compile,
};

pub use crate::trained::{Save, Trained};
