//! The scalar definition of every elementwise operation and its derivative, optimizer updates, and counter-based random numbers.
