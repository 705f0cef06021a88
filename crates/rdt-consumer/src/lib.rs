//! rdt-consumer
