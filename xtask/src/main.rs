//! Kiln's driver.
fn main() {}
