//! The training loop: compile, fit, evaluate, predict, metrics and history.
