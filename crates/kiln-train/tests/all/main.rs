//! The tests of training, one program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is a test's report

mod accumulate;
mod activation_statistics;
mod adapt;
mod averaging;
mod batches;
mod callbacks;
mod checkpoint;
mod counting;
mod gradient_norms;
mod hooks;
mod keras;
mod last_batch;
mod learning_rate;
mod logged;
mod logs;
mod meter;
mod metrics;
mod not_finite;
mod one_number;
mod outputs;
mod precision;
mod rates;
mod resume;
mod scikit;
mod sequences;
mod stop_flag;
mod support;
mod training;
