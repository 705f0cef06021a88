//! What a run writes down as it goes.

pub mod event_file;
pub mod metrics_log;
