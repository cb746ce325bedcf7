//! The command `tsstream`.
fn main() {}
