//! The batches that are being built, in the order in which they are delivered.
//!
//! A [`Line`] lends the cells of batches and takes them back filled. A batch is delivered when it was
//! cut and all of its cells are back. A cell whose sample could not be read and for which there is no
//! other yet is a *gap*: the next cell lent is that one.

use std::collections::VecDeque;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::batch::{Batch, Slot, Store};
use crate::batch_order::BatchPosition;
use crate::error::ConsumerError;
use crate::feed::{Ticket, TicketPlace};
use crate::loader::Layout;
use crate::receipt::Receipt;

/// The place of a sample in a batch of the line.
#[derive(Debug)]
pub(super) struct Cell {
    /// Number of the batch, counted from the loader's start.
    batch: u64,
    /// Sample in the batch.
    index: usize,
    pub(super) slot: Slot,
}

impl Cell {
    /// Batch and sample: what is the same for all samples that are tried there.
    pub(super) fn place(&self) -> (u64, usize) {
        (self.batch, self.index)
    }
}

/// Batches being built.
#[derive(Debug)]
pub(super) struct Line {
    layout: Layout,
    batches_ahead: usize,
    max_batch: usize,
    building: VecDeque<Building>,
    gaps: Vec<Cell>,
    /// Number of the batch in front.
    front: u64,
    /// Where dropped batches come back to.
    pool: (Sender<Store>, Receiver<Store>),
}

/// A batch that workers are filling.
#[derive(Debug)]
struct Building {
    position: BatchPosition,
    /// The position after it, once it was cut.
    next: Option<BatchPosition>,
    store: Store,
    cells: Vec<Option<(Slot, Ticket)>>,
    /// Cells that are not back.
    missing: usize,
    /// All of its cells were closed: it is not delivered.
    is_closed: bool,
    error: Option<ConsumerError>,
}

impl Line {
    pub(super) fn new(layout: Layout, batches_ahead: usize, max_batch: usize) -> Self {
        Self {
            layout,
            batches_ahead,
            max_batch,
            building: VecDeque::new(),
            gaps: Vec::new(),
            front: 0,
            pool: unbounded(),
        }
    }

    /// Whether another cell may be lent or another batch begun.
    pub(super) fn has_room(&self) -> bool {
        let is_open = self.building.back().is_some_and(|last| last.next.is_none());
        is_open || !self.gaps.is_empty() || self.building.len() < self.batches_ahead
    }

    /// Whether nothing is being built.
    pub(super) fn is_empty(&self) -> bool {
        self.building.is_empty()
    }

    /// BatchPosition of the batch in front.
    pub(super) fn position(&self) -> Option<BatchPosition> {
        self.building.front().map(|front| front.position)
    }

    /// Batches that could be delivered without waiting.
    pub(super) fn whole_batches(&self) -> u64 {
        self.building.iter().take_while(|building| building.is_whole()).count() as u64
    }

    /// The next cell: a gap, or the next of the batch at `position`.
    pub(super) fn lend(&mut self, position: BatchPosition) -> Cell {
        if let Some(gap) = self.gaps.pop() {
            return gap;
        }
        let batch = self.front + self.open(position) as u64;
        let Some(last) = self.building.back_mut() else { unreachable!("one is open") };
        let index = last.cells.len();
        last.cells.push(None);
        last.missing += 1;
        Cell { batch, index, slot: last.store.lend(index) }
    }

    /// Ends the batch at `position`, which may have no samples; `next` comes after it.
    pub(super) fn cut(&mut self, position: BatchPosition, next: BatchPosition) {
        let last = self.open(position);
        self.building[last].next = Some(next);
    }

    /// Where in the line the batch at `position` is, begun if need be.
    fn open(&mut self, position: BatchPosition) -> usize {
        if self.building.back().is_none_or(|last| last.next.is_some()) {
            let Layout { shape, delivery } = self.layout;
            let pooled = self.pool.1.try_recv();
            let store = pooled.unwrap_or_else(|_| Store::new(self.max_batch, &shape, delivery));
            let cells = Vec::with_capacity(self.max_batch);
            self.building.push_back(Building {
                position,
                next: None,
                store,
                cells,
                missing: 0,
                is_closed: false,
                error: None,
            });
        }
        self.building.len() - 1
    }

    fn building(&mut self, batch: u64) -> Result<&mut Building, ConsumerError> {
        let place = batch.checked_sub(self.front).map(|place| place as usize);
        place.and_then(|place| self.building.get_mut(place)).ok_or(ConsumerError::WorkerLost)
    }

    /// Takes a filled cell back.
    pub(super) fn put(&mut self, cell: Cell, ticket: Ticket) -> Result<(), ConsumerError> {
        let Cell { batch, index, slot } = cell;
        let building = self.building(batch)?;
        building.cells[index] = Some((slot, ticket));
        building.missing -= 1;
        Ok(())
    }

    /// Takes a cell back whose batch is not to be delivered because of `error`.
    pub(super) fn fail(
        &mut self,
        cell: Cell,
        ticket: Ticket,
        error: ConsumerError,
    ) -> Result<(), ConsumerError> {
        self.building(cell.batch)?.error.get_or_insert(error);
        self.put(cell, ticket)
    }

    /// As [`Line::fail`], of a cell whose sample is gone.
    pub(super) fn give_up(&mut self, cell: Cell, error: ConsumerError) -> Result<(), ConsumerError> {
        let building = self.building(cell.batch)?;
        building.error.get_or_insert(error);
        building.missing -= 1;
        Ok(())
    }

    /// Takes a cell back for which there is no sample now.
    pub(super) fn leave_gap(&mut self, cell: Cell) {
        self.gaps.push(cell);
    }

    /// Nothing more will come: a gap gets the last sample of its batch, decoded anew, since slots are
    /// memory of the batch and cannot move; gives what is to be decoded.
    pub(super) fn close_gaps(&mut self) -> Vec<(Cell, Ticket)> {
        let mut again = Vec::new();
        for gap in std::mem::take(&mut self.gaps) {
            let Ok(building) = self.building(gap.batch) else { continue };
            // Others at the end may be gaps or in work: they are settled first.
            match building.cells.pop() {
                Some(None) if building.cells.len() == gap.index => {
                    building.missing -= 1;
                    building.is_closed = building.cells.is_empty();
                }
                Some(Some((_, ticket))) if building.cells.len() > gap.index => again.push((gap, ticket)),
                last => {
                    building.cells.extend(last);
                    self.gaps.push(gap);
                }
            }
        }
        again
    }

    /// The batch in front, if it is whole.
    pub(super) fn deliver(&mut self) -> Option<Result<Batch, ConsumerError>> {
        while self.building.front().is_some_and(|front| front.is_closed) {
            self.building.pop_front();
            self.front += 1;
        }
        let Building { position, next: Some(next), store, cells, error, .. } =
            self.building.pop_front_if(|front| front.is_whole())?
        else {
            return None;
        };
        self.front += 1;
        if let Some(error) = error {
            return Some(Err(error));
        }
        let (mut slots, mut claimed) = (Vec::with_capacity(cells.len()), Vec::new());
        for (slot, ticket) in cells.into_iter().flatten() {
            slots.push(slot);
            if let TicketPlace::Claimed(sample) = ticket.place {
                claimed.push(sample);
            }
        }
        let (pool, receipt) = (self.pool.0.clone(), Receipt::new(claimed));
        Some(Ok(Batch::assemble((position, next), self.layout, store, slots, receipt, pool)))
    }
}

impl Building {
    fn is_whole(&self) -> bool {
        self.next.is_some() && self.missing == 0
    }
}
