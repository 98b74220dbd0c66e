#![doc = include_str!("../README.md")]

mod device;
pub mod generate;
pub mod prelude;
pub mod trained;

pub use device::{DEVICES, device, devices};
pub use kiln_autograd as autograd;
pub use kiln_cpu as cpu;
#[cfg(any(feature = "sim", feature = "cuda"))]
pub use kiln_cuda as cuda;
pub use kiln_datasets as datasets;
pub use kiln_math as math;
pub use kiln_nn as nn;
pub use kiln_nn::models;
pub use kiln_optim as optim;
pub use kiln_store as store;
pub use kiln_tensor as tensor;
pub use kiln_tensor::profile;
pub use kiln_train as train;
pub use trained::load;

pub use kiln_cpu::team::{ThreadPool, run_in, threads};
pub use kiln_tensor::{Error, ErrorKind, Result, set_deterministic};

/// The workspace's README: its program is compiled and run like any other example.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct WorkspaceReadme;
