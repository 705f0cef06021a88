//! rdt-cli
