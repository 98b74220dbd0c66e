//! Data sets and loaders.
