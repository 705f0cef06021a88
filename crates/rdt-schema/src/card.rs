//! Dataset cards.
/// A dataset card.
pub struct DatasetCard {}
