//! The shuffles of other loaders, each re-created from its published algorithm.
//!
//! Each sees the episodes as its own format has them: in order, in shards of the buffer's chunk
//! size where it has shards. Samples are numbered in that order.

mod corgipile;
mod ffcv;
mod gr00t;
mod lerobot;
mod mosaic;
mod rdt;
mod rlds;
mod webdataset;

use super::layout::Layout;
use super::random::Random;

/// Another loader's shuffle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// All samples permuted: a PyTorch sampler, and LeRobot v3's.
    Permutation,
    /// One chunk at a time, its samples shuffled: what a shard loader without a buffer does.
    OneChunk,
    /// RDT's fine-tuning loader.
    RdtHdf5,
    /// Interleaved episodes and a shuffle buffer of so many samples.
    Rlds(usize),
    /// LeRobot's streaming data set.
    LeRobotStreaming,
    /// GR00T's sharded data set.
    Gr00t,
    /// FFCV's quasi-random order.
    Ffcv,
    /// WebDataset: shards in random order and a shuffle buffer of 1,000.
    WebDataset,
    /// MosaicML Streaming's py1e.
    Mosaic,
    /// So many random chunks at a time, their samples shuffled.
    CorgiPile(u64),
    /// The same over chunks that CorgiPile with 64 chunks wrote.
    CorgiSquared(u64),
}

impl Peer {
    /// Those of the table.
    pub const ALL: [Self; 14] = [
        Self::Permutation,
        Self::OneChunk,
        Self::RdtHdf5,
        Self::Rlds(10_000),
        Self::Rlds(100_000),
        Self::LeRobotStreaming,
        Self::Gr00t,
        Self::Ffcv,
        Self::WebDataset,
        Self::Mosaic,
        Self::CorgiPile(8),
        Self::CorgiPile(64),
        Self::CorgiSquared(8),
        Self::CorgiSquared(64),
    ];

    /// What the table calls it.
    pub fn name(self) -> String {
        match self {
            Self::Permutation => "randperm (PyTorch, LeRobot v3)".into(),
            Self::OneChunk => "one chunk at a time".into(),
            Self::RdtHdf5 => "RDT --load_from_hdf5".into(),
            Self::Rlds(buffer) => format!("RLDS, 16 episodes, buffer {}k", buffer / 1000),
            Self::LeRobotStreaming => "LeRobot streaming".into(),
            Self::Gr00t => "GR00T shards".into(),
            Self::Ffcv => "FFCV quasi-random".into(),
            Self::WebDataset => "WebDataset, buffer 1000".into(),
            Self::Mosaic => "MosaicML py1e".into(),
            Self::CorgiPile(chunks) => format!("CorgiPile, {chunks} chunks"),
            Self::CorgiSquared(chunks) => format!("Corgi2, offline 64, online {chunks}"),
        }
    }

    /// Where the algorithm is published, and what is assumed.
    pub fn source(self) -> &'static str {
        match self {
            Self::Permutation => {
                "torch.utils.data.RandomSampler; lerobot EpisodeAwareSampler (randperm of all)"
            }
            Self::OneChunk => "the least a shard loader does; chunks and slots permuted",
            Self::RdtHdf5 => {
                "RDT data/hdf5_vla_dataset.py: an episode by its length and one step, both with replacement"
            }
            Self::Rlds(_) => {
                "tf.data interleave of 16 shuffled episodes, then shuffle(buffer), as Octo, OpenVLA and openpi do"
            }
            Self::LeRobotStreaming => {
                "lerobot StreamingLeRobotDataset: 16 shards, one at random for each frame, a buffer of 1000"
            }
            Self::Gr00t => {
                "GR00T ShardedSingleStepDataset: steps of an episode dealt in 10 parts to the emptiest of 1024-step shards, one shard at a time"
            }
            Self::Ffcv => {
                "FFCV QUASI_RANDOM: 2 x batch pages open, a random one for each sample; pages of a chunk's samples"
            }
            Self::WebDataset => {
                "webdataset: shard list shuffled, shuffle(1000) with 100 to begin with; shards of a chunk's samples"
            }
            Self::Mosaic => {
                "mosaicml-streaming py1e: shards shuffled, each sample moved by up to half a block of 4 million"
            }
            Self::CorgiPile(_) => "CorgiPile (arXiv 2206.05830)",
            Self::CorgiSquared(_) => {
                "Corgi2 (arXiv 2309.01640): CorgiPile written to disk, then read by CorgiPile"
            }
        }
    }

    /// Whether it cannot begin before it has arranged a whole epoch in memory, or re-written it.
    pub fn arranges_everything(self) -> bool {
        matches!(self, Self::Permutation | Self::Mosaic | Self::Gr00t | Self::CorgiSquared(_))
    }

    /// The samples of an epoch over `layout`, which is in order; `batch` matters to FFCV alone.
    pub fn epoch<'a>(
        self,
        layout: &'a Layout,
        batch: u32,
        seed: u64,
        epoch: u64,
    ) -> Box<dyn Iterator<Item = u64> + 'a> {
        let mut random = Random::new(seed, epoch);
        match self {
            Self::Permutation => Box::new(random.order(layout.samples()).into_iter()),
            Self::OneChunk => Box::new(corgipile::epoch(layout, 1, random)),
            Self::RdtHdf5 => Box::new(rdt::epoch(layout, random)),
            Self::Rlds(buffer) => Box::new(rlds::epoch(layout, buffer, random)),
            Self::LeRobotStreaming => Box::new(lerobot::epoch(layout, random)),
            Self::Gr00t => Box::new(gr00t::epoch(layout, random)),
            Self::Ffcv => Box::new(ffcv::epoch(layout, 2 * batch as usize, random)),
            Self::WebDataset => Box::new(webdataset::epoch(layout, random)),
            Self::Mosaic => Box::new(mosaic::epoch(layout, random)),
            Self::CorgiPile(chunks) => Box::new(corgipile::epoch(layout, chunks, random)),
            Self::CorgiSquared(chunks) => {
                // The offline pass is done once, so it is the same for all epochs.
                let written: Vec<u64> = corgipile::epoch(layout, 64, Random::new(seed, u64::MAX)).collect();
                let read = corgipile::epoch(layout, chunks, random);
                Box::new(read.map(move |place| written[place as usize]))
            }
        }
    }
}

/// The samples of a shard of the buffer's chunk size.
fn shard(layout: &Layout, shard: u64) -> std::ops::Range<u64> {
    let size = u64::from(layout.chunk_size());
    shard * size..((shard + 1) * size).min(layout.samples())
}

/// Shards of the buffer's chunk size.
fn shards(layout: &Layout) -> u64 {
    layout.samples().div_ceil(layout.chunk_size().into())
}

/// A shuffle buffer, as tf.data and others have it: it is filled to `first`, grows to `size` while
/// it gives samples, and gives a random one each time.
struct ShuffleBuffer<I> {
    samples: I,
    held: Vec<u64>,
    first: usize,
    size: usize,
    random: Random,
}

impl<I: Iterator<Item = u64>> Iterator for ShuffleBuffer<I> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let wanted = self.first.max((self.held.len() + 2).min(self.size));
        self.held.extend(self.samples.by_ref().take(wanted.saturating_sub(self.held.len())));
        let at = self.random.below(self.held.len() as u64) as usize;
        (!self.held.is_empty()).then(|| self.held.swap_remove(at))
    }
}

#[cfg(test)]
mod tests;
