//! A `(rows, width)` array that can be lent out row by row and put together again.
//!
//! Several threads fill one batch, each its own rows, and the batch must be one piece of
//! memory in the end, without a copy. [`bytes::BytesMut`] splits and rejoins an allocation by
//! handing out owned ranges, so no `unsafe` and no lock is needed here.

use std::marker::PhantomData;

use bytemuck::{AnyBitPattern, NoUninit};
use bytes::BytesMut;

/// Alignment of the first element: a cache line, and enough for any vector register.
const ALIGN_BYTES: usize = 64;

/// The whole array.
#[derive(Debug)]
pub struct Rows<T> {
    bytes: BytesMut,
    width: usize,
    element: PhantomData<T>,
}

/// One row, on its own.
#[derive(Debug)]
pub struct Row<T> {
    bytes: BytesMut,
    element: PhantomData<T>,
}

impl<T: AnyBitPattern + NoUninit> Rows<T> {
    /// An array of zeros.
    pub fn zeroed(rows: usize, width: usize) -> Self {
        let mut bytes = BytesMut::zeroed(rows * width * size_of::<T>() + ALIGN_BYTES);
        let excess = bytes.as_ptr().align_offset(ALIGN_BYTES).min(ALIGN_BYTES);
        drop(bytes.split_to(excess));
        bytes.truncate(rows * width * size_of::<T>());
        Self { bytes, width, element: PhantomData }
    }

    /// Elements of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The first `rows` rows, one after the other.
    pub fn first(&self, rows: usize) -> &[T] {
        bytemuck::cast_slice(&self.bytes[..rows * self.width * size_of::<T>()])
    }

    /// Takes the first row off the array.
    pub fn lend(&mut self) -> Row<T> {
        Row { bytes: self.bytes.split_to(self.width * size_of::<T>()), element: PhantomData }
    }

    /// Puts lent rows back in front of those that stayed, in the order in which they were lent.
    pub fn rejoin(&mut self, rows: impl IntoIterator<Item = Row<T>>) {
        let rest = std::mem::take(&mut self.bytes);
        let mut whole: Option<BytesMut> = None;
        for part in rows.into_iter().map(|row| row.bytes).chain(std::iter::once(rest)) {
            match &mut whole {
                // Neighbours of one allocation are joined by moving the end, not the bytes.
                Some(whole) => whole.unsplit(part),
                None => whole = Some(part),
            }
        }
        self.bytes = whole.unwrap_or_default();
    }
}

impl<T: AnyBitPattern + NoUninit> Row<T> {
    /// The row's elements.
    pub fn elements(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_place_without_a_copy() {
        let mut rows = Rows::<f32>::zeroed(5, 7);
        let address = rows.first(5).as_ptr();
        assert_eq!(address.align_offset(ALIGN_BYTES), 0);
        for round in 0..3 {
            let mut lent: Vec<_> = (0..4).map(|_| rows.lend()).collect();
            for (index, row) in lent.iter_mut().enumerate().rev() {
                row.elements().fill((round * 10 + index) as f32);
            }
            rows.rejoin(lent);
            assert_eq!(rows.first(5).as_ptr(), address);
            for (index, row) in rows.first(4).chunks(7).enumerate() {
                assert_eq!(row, [(round * 10 + index) as f32; 7]);
            }
            assert_eq!(rows.first(5)[28..], [0.0; 7]);
        }
    }

    #[test]
    fn rows_of_no_width_are_empty() {
        let mut rows = Rows::<f32>::zeroed(3, 0);
        let mut row = rows.lend();
        assert!(row.elements().is_empty());
        rows.rejoin([row]);
        assert!(rows.first(3).is_empty());
    }
}
