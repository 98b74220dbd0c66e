#![doc = include_str!("../README.md")]
#![cfg_attr(target_arch = "nvptx64", no_std, feature(abi_ptx))]

/// The modules of kernels, and the list of what they declare.
macro_rules! modules {
    ($($module:ident)+) => {
        $(pub mod $module;)+

        /// The entries of every kernel, those of [`elementwise`], of recurrent cells, of attention's gradients and of [`update`] apart, which have lists of
        /// their own.
        #[cfg(not(target_arch = "nvptx64"))]
        const FAMILIES: &[cuda_std::Families] = &[$($module::KERNELS),+];
    };
}
modules! {
    arg_reduce
    attention
    compare
    conv
    convert
    copy
    cross_entropy
    gather
    matmul
    normalize
    pool
    random
    recurrent
    reduce
    scan
    scatter
    softmax
    sort
}

pub mod elementwise;
#[cfg(not(target_arch = "nvptx64"))]
pub mod geometry;
mod lanes;
pub mod number;
mod place;
#[cfg(not(target_arch = "nvptx64"))]
mod ptx;
pub mod tile;
pub mod update;
pub mod window;

#[cfg(not(target_arch = "nvptx64"))]
pub use ptx::{PTX, Ptx};

/// The entries of all kernels, as the PTX has them.
#[cfg(not(target_arch = "nvptx64"))]
pub fn entries() -> impl Iterator<Item = &'static cuda_std::KernelInfo> {
    use elementwise::{binary, integers, unary};
    let lists = [unary::KERNELS, binary::KERNELS, integers::KERNELS, recurrent::CELLS, attention::GRADIENTS];
    let modules = [FAMILIES, update::KERNELS].into_iter().chain(lists).flatten();
    modules.copied().flatten().copied().flatten().copied().flatten()
}
