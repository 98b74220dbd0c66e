//! Stands in for the crate of that name, which the build scripts of cust and cust_raw call.
//!
//! The original looks for a CUDA toolkit, stops the build where there is none, and links libcuda. Here kiln-cuda-shim defines the
//! driver's functions, so that there is nothing to look for or to link.

/// Does nothing.
pub fn include_cuda() {}
