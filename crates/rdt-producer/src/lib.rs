//! rdt-producer
