//! rdt-buffer
