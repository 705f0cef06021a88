//! The receipt of a batch: what is still to be said of its samples once they were used.
//!
//! Samples of an order need nothing said. Samples of a live buffer are claimed, and belong to whoever
//! holds the receipt: [`Receipt::deliver`] marks them as consumed for good; dropped, they are given
//! back, and somebody else gets them.

use rdt_buffer::live::Claimed;

/// What comes with a batch, and is handed in when a training step has used it.
#[derive(Debug, Default)]
#[must_use = "dropped, a receipt gives its samples back"]
pub struct Receipt(Vec<Claimed>);

impl Receipt {
    pub(crate) fn new(claimed: Vec<Claimed>) -> Self {
        Self(claimed)
    }

    /// The claimed samples, in the order of the batch; none where samples are not claimed.
    pub fn claimed(&self) -> &[Claimed] {
        &self.0
    }

    /// Marks the samples as delivered, for good.
    pub fn deliver(self) {
        self.0.into_iter().for_each(Claimed::deliver);
    }
}
