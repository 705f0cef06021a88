//! The metadata block: data sets and episodes, as bincode writes them.
//!
//! bincode's limit is a constant of the type, so the limit that fits the section's length
//! is picked from a short ladder; without one, a length of a few bytes could ask for an
//! allocation of any size.

use bincode::config::{Config, Configuration, Fixint, Limit, LittleEndian};
use bincode::error::DecodeError;
use rdt_schema::{ActionSource, DatasetSchema, EpisodeInfo, STATE_DIM, Window};

use crate::error::{ChunkError, Place};

/// Most bytes of the metadata block.
pub const MAX_METADATA_BYTES: usize = 64 << 20;
/// Most rows of a state or action window.
pub const MAX_WINDOW_ROWS: u16 = 4096;
/// Most frames that a camera contributes to a sample.
pub const MAX_WINDOW_FRAMES: u8 = 32;

/// An episode that has samples in the chunk.
#[derive(Debug, Clone, PartialEq, bincode::Encode, bincode::Decode)]
pub struct ChunkEpisode {
    /// Position of its data set in [`crate::Chunk::datasets`].
    pub dataset: u16,
    /// What is the same for all its samples.
    pub info: EpisodeInfo,
}

/// The whole block.
#[derive(Debug, Clone, PartialEq, Default, bincode::Encode, bincode::Decode)]
pub(crate) struct Metadata {
    /// Data sets; the whole list of the buffer, so that indices agree between chunks.
    pub(crate) datasets: Vec<DatasetSchema>,
    /// Episodes in the order in which they were added.
    pub(crate) episodes: Vec<ChunkEpisode>,
}

/// bincode's configuration with a limit of `LIMIT` bytes.
type Limited<const LIMIT: usize> = Configuration<LittleEndian, Fixint, Limit<LIMIT>>;

impl Metadata {
    /// The block's bytes.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, ChunkError> {
        let config = bincode::config::standard().with_little_endian().with_fixed_int_encoding();
        bincode::encode_to_vec(self, config).map_err(ChunkError::EncodeMetadata)
    }

    /// Reads a block and checks everything that does not depend on the tables.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ChunkError> {
        // In memory the items take at most three times their bytes in the block.
        let decoded = match bytes.len() {
            n if n <= 0x4000 => Self::decode::<0x1_0000>(bytes),
            n if n <= 0x1_0000 => Self::decode::<0x4_0000>(bytes),
            n if n <= 0x4_0000 => Self::decode::<0x10_0000>(bytes),
            n if n <= 0x10_0000 => Self::decode::<0x40_0000>(bytes),
            n if n <= 0x40_0000 => Self::decode::<0x100_0000>(bytes),
            n if n <= 0x100_0000 => Self::decode::<0x400_0000>(bytes),
            _ => Self::decode::<0x1000_0000>(bytes),
        };
        let (metadata, read) = decoded.map_err(ChunkError::Metadata)?;
        if read != bytes.len() {
            let place = Place::Metadata;
            return Err(ChunkError::invalid(place, "the length of its content", read, bytes.len()));
        }
        metadata.check()?;
        Ok(metadata)
    }

    fn decode<const LIMIT: usize>(bytes: &[u8]) -> Result<(Self, usize), DecodeError>
    where
        Limited<LIMIT>: Config,
    {
        let config = bincode::config::standard().with_little_endian().with_fixed_int_encoding();
        bincode::decode_from_slice(bytes, config.with_limit::<LIMIT>())
    }

    fn check(&self) -> Result<(), ChunkError> {
        for (index, dataset) in self.datasets.iter().enumerate() {
            check_dataset(dataset).map_err(|fault| fault.at(Place::Dataset(index)))?;
        }
        for (index, episode) in self.episodes.iter().enumerate() {
            let place = Place::Episode(index);
            let Some(dataset) = self.datasets.get(usize::from(episode.dataset)) else {
                let expected = format!("less than {}", self.datasets.len());
                return Err(ChunkError::invalid(place, "the data set", episode.dataset, expected));
            };
            check_episode(dataset, &episode.info).map_err(|fault| fault.at(place))?;
        }
        Ok(())
    }
}

/// A value that does not fit; whoever knows where it stands makes an error of it.
#[derive(Debug)]
pub(crate) struct Fault {
    what: &'static str,
    found: String,
    expected: String,
}

impl Fault {
    fn new(what: &'static str, found: impl ToString, expected: impl ToString) -> Self {
        Self { what, found: found.to_string(), expected: expected.to_string() }
    }

    /// The fault as an error of a chunk that is read.
    pub(crate) fn at(self, place: Place) -> ChunkError {
        ChunkError::Invalid { place, what: self.what, found: self.found, expected: self.expected }
    }

    /// The fault as an error of what a writer was given.
    pub(crate) fn of(self, whose: impl std::fmt::Display) -> ChunkError {
        ChunkError::refused(format!("{whose}: {}", self.what), self.found, self.expected)
    }
}

/// Checks what windows and columns must be for a sample to be made of them.
pub(crate) fn check_dataset(dataset: &DatasetSchema) -> Result<(), Fault> {
    check_columns("the state columns", &dataset.state_columns)?;
    check_columns("the action columns", &dataset.action_columns)?;
    let Window { state_rows, action_rows, action_source_rows, image_history, .. } = dataset.window;
    for (what, rows) in [
        ("the rows of the state window", state_rows),
        ("the rows of the action window", action_rows),
        ("the source rows of the action window", action_source_rows),
    ] {
        if !(1..=MAX_WINDOW_ROWS).contains(&rows) {
            return Err(Fault::new(what, rows, format!("1 to {MAX_WINDOW_ROWS}")));
        }
    }
    if !(1..=MAX_WINDOW_FRAMES).contains(&image_history) {
        let expected = format!("1 to {MAX_WINDOW_FRAMES}");
        return Err(Fault::new("the frames of the window", image_history, expected));
    }
    let is_next_state = dataset.window.action_source == ActionSource::NextState;
    if is_next_state && dataset.action_columns != dataset.state_columns {
        let found = format!("{:?}", dataset.action_columns);
        let expected = "the state columns (actions are the next states)";
        return Err(Fault::new("the action columns", found, expected));
    }
    Ok(())
}

fn check_columns(what: &'static str, columns: &[u8]) -> Result<(), Fault> {
    let mut seen = [false; STATE_DIM];
    let fresh = |&column: &u8| seen.get_mut(usize::from(column)).is_some_and(|s| !std::mem::replace(s, true));
    if !columns.is_empty() && columns.iter().all(fresh) {
        Ok(())
    } else {
        let expected = format!("at least one entry below {STATE_DIM}, none twice");
        Err(Fault::new(what, format!("{columns:?}"), expected))
    }
}

/// Checks an episode against its data set.
pub(crate) fn check_episode(dataset: &DatasetSchema, info: &EpisodeInfo) -> Result<(), Fault> {
    let counts =
        [("the state rows", info.states), ("the action rows", info.actions), ("the steps", info.steps)];
    for (what, count) in counts {
        if count == 0 {
            return Err(Fault::new(what, count, "at least 1"));
        }
    }
    if dataset.window.action_source == ActionSource::NextState && info.actions != info.states {
        let expected = format!("{} (the state rows)", info.states);
        return Err(Fault::new("the action rows", info.actions, expected));
    }
    let (states, norm) = (dataset.state_columns.len(), dataset.norm_columns().len());
    let lengths = [
        ("the entries of the standard deviation", info.state_std.len(), states),
        ("the entries of the mean", info.state_mean.len(), states),
        ("the entries of the norm", info.state_norm.len(), norm),
    ];
    for (what, found, expected) in lengths {
        if found != expected {
            return Err(Fault::new(what, found, expected));
        }
    }
    let is_share = |weight: f64| weight.is_finite() && weight >= 0.0;
    if info.instructions.is_empty() || !info.instructions.iter().all(|i| is_share(i.weight)) {
        let found = format!("{:?}", info.instructions.iter().map(|i| i.weight).collect::<Vec<_>>());
        return Err(Fault::new("the weights of the instructions", found, "at least one, none negative"));
    }
    Ok(())
}
