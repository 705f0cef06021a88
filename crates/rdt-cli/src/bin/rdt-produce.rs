//! rdt-produce: being written.
fn main() {}
