//! Layers.

mod dense;
mod dropout;
mod flatten;
mod linear;
mod sequential;

pub use dense::Dense;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use linear::Linear;
pub use sequential::Sequential;
