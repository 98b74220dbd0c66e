//! Optimizers: SGD with momentum, Adam, AdamW.
