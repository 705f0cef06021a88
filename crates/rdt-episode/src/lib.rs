//! rdt-episode
