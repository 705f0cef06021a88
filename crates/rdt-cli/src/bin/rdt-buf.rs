//! rdt-buf: being written.
fn main() {}
