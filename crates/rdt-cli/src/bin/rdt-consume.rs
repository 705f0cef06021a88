//! rdt-consume: being written.
fn main() {}
