#![doc = include_str!("../README.md")]

mod backward;
mod checkpoint;
mod derivatives;
mod function;
mod grad_check;
mod gradients;
mod graph;
mod ops;
mod origin;
mod uses;
mod var;

pub use backward::{Backward, Inputs, grad};
pub use checkpoint::{checkpoint, checkpoint_many, recompute};
pub use derivatives::{hessian, hvp, jacobian, jvp, vjp};
pub use function::Function;
pub use grad_check::{grad_check, grad_grad_check};
pub use gradients::Gradients;
pub use ops::{CustomFunction, RecurrentOptions, RecurrentOutput};
pub use origin::{Origin, Squash};
pub use var::{Leaf, LeafId, Var};
