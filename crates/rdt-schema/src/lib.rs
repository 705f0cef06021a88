//! The words that every crate speaks: the unified state vector, RDT's configuration
//! files, dataset cards, and the descriptions of data sets, episodes and samples.
//!
//! This crate holds plain data and the rules that make it valid. It opens no episode,
//! no chunk and no tensor; the only files it reads are configuration files.
//!
//! ```
//! // A single arm fills the right-hand entries of the vector.
//! assert_eq!(rdt_schema::state_vec::index_of("right_eef_pos_x"), Some(30));
//! ```
#![forbid(unsafe_code)]

pub mod about;
pub mod camera;
pub mod card;
pub mod config;
pub mod dataset;
pub mod dataset_lists;
pub mod draw;
mod error;
pub mod instruction;
pub mod sample;
pub mod setting;
pub mod state_vec;
pub mod statistics;
mod text_file;
pub mod window;

pub use about::{DataAbout, DatasetAbout};
pub use camera::{CameraSlot, ChannelOrder, Flip, FrameEncoding, FrameForm};
pub use card::DatasetCard;
pub use config::Config;
pub use dataset::{DatasetSchema, EpisodeInfo, Omission, Origin};
pub use error::{SchemaError, in_full};
pub use instruction::Instruction;
pub use sample::{Frames, Sample};
pub use setting::Setting;
pub use state_vec::STATE_DIM;
pub use text_file::TextFile;
pub use window::{ActionSource, Tail, Window};
