//! What each algorithm must have: every sample once where it promises that, and the figures that the
//! same simulation gave elsewhere (`docs/mixing.md`).

use super::*;
use crate::mixing::measure::measure;

#[test]
fn each_epoch_has_each_sample_once_but_for_draws_with_replacement() {
    let lengths: Vec<u32> = (0..97).map(|episode| 20 + episode * 7 % 60).collect();
    let layout = Layout::in_order(&lengths, 50);
    for peer in Peer::ALL {
        let mut samples: Vec<u64> = peer.epoch(&layout, 8, 3, 1).collect();
        assert_eq!(samples.len() as u64, layout.samples(), "{}", peer.name());
        assert_eq!(samples, peer.epoch(&layout, 8, 3, 1).collect::<Vec<_>>(), "{}", peer.name());
        assert_ne!(samples, peer.epoch(&layout, 8, 3, 2).collect::<Vec<_>>(), "{}", peer.name());
        samples.sort_unstable();
        samples.dedup();
        assert_eq!(samples.len() as u64 == layout.samples(), peer != Peer::RdtHdf5, "{}", peer.name());
    }
}

/// 1,024 episodes of 256 steps, chunks of 512, batches of 32: recorded figures of an independent
/// simulation, to a few percent.
#[test]
fn figures_are_those_of_an_independent_simulation() {
    let layout = Layout::in_order(&[256; 1024], 512);
    for (peer, distinct, neighbours) in [
        (Peer::Permutation, 31.52, 1.04),
        (Peer::OneChunk, 2.0, 510.0),
        (Peer::Rlds(10_000), 27.05, 11.8),
        (Peer::Rlds(100_000), 31.26, 1.5),
        (Peer::LeRobotStreaming, 17.1, 49.0),
        (Peer::Gr00t, 22.51, 24.7),
        (Peer::Ffcv, 28.37, 8.4),
        (Peer::CorgiPile(8), 13.98, 64.0),
        (Peer::CorgiPile(64), 28.43, 7.7),
        (Peer::CorgiSquared(8), 31.1, 2.1),
        (Peer::CorgiSquared(64), 31.49, 1.08),
    ] {
        let epochs: Vec<Vec<u64>> = vec![peer.epoch(&layout, 32, 1, 0).collect()];
        let found = measure(&layout, &epochs, 32);
        let name = peer.name();
        assert!((found.distinct_episodes / distinct - 1.0).abs() < 0.03, "{name}: {found:?}");
        assert!((found.same_episode_neighbours / neighbours - 1.0).abs() < 0.3, "{name}: {found:?}");
    }
}
