//! Tensors: shapes, strided views, data types, devices, the Backend trait and the CPU backend.
