//! rdt-chunk
