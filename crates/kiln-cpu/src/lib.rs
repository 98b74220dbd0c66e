//! CPU kernels over slices: matrix products, elementwise maps, reductions, softmax, gathers and optimizer updates.
