//! Which source rows or frames a chunk keeps of an episode: the union of all windows.
//!
//! Every window lies whole inside one merged range, since ranges that touch or overlap
//! are merged; so a window is found by where its first row went.

use std::ops::Range;

/// Disjoint ranges of source indices, ascending, and where each starts in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MergedSpans {
    ranges: Vec<(Range<u32>, u64)>,
    len: u64,
}

impl MergedSpans {
    /// Merges `spans`, in any order.
    pub(crate) fn of(mut spans: Vec<Range<u32>>) -> Self {
        spans.sort_unstable_by_key(|span| span.start);
        let mut merged: Vec<Range<u32>> = Vec::new();
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => merged.push(span),
            }
        }
        let mut len = 0;
        let ranges = merged
            .into_iter()
            .map(|range| {
                let first = len;
                len += u64::from(range.end - range.start);
                (range, first)
            })
            .collect();
        Self { ranges, len }
    }

    /// Source indices kept, ascending.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|(range, _)| range.clone())
    }

    /// Number of indices kept.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Position of source index `index` among those kept; `None` if it is not kept.
    pub(crate) fn position(&self, index: u32) -> Option<u64> {
        let after = self.ranges.partition_point(|(range, _)| range.start <= index);
        let (range, first) = self.ranges.get(after.checked_sub(1)?)?;
        range.contains(&index).then(|| first + u64::from(index - range.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_and_overlapping_spans_become_one() {
        let merged = MergedSpans::of(vec![7..9, 0..2, 2..4, 3..5, 8..9]);
        assert_eq!(merged.indices().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 7, 8]);
        assert_eq!(merged.len(), 7);
        assert_eq!(merged.position(4), Some(4));
        assert_eq!(merged.position(5), None);
        assert_eq!(merged.position(8), Some(6));
        assert_eq!(merged.position(9), None);
    }
}
