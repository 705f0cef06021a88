//! The window of a sample: which source rows and frames step `t` is made of.
//!
//! Everything that RDT calls flattening is in the few functions of this file; the
//! producer, the chunk reader and `rdt-buf verify --against-source` all use them, so
//! there is one definition of a sample.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Where the action rows of a sample come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
#[serde(rename_all = "snake_case")]
pub enum ActionSource {
    /// The states that follow: action j of step t is `state[t + 1 + j]`.
    NextState,
    /// Recorded actions: action j of step t is `action[t + shift + j]`.
    Recorded,
}

/// What happens to steps whose action window reaches past the end of the episode.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, bincode::Encode, bincode::Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum Tail {
    /// The last row is repeated; the time mask is false there.
    #[default]
    Pad,
    /// Such steps are no samples.
    Drop,
}

/// Which source rows and frames a sample of one data set is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
pub struct Window {
    /// Rows of the state window, the step's own row last (RDT: `action_chunk_size`).
    pub state_rows: u16,
    /// Rows of the action window as delivered (RDT: `action_chunk_size`).
    pub action_rows: u16,
    /// Source rows that the action window is interpolated from, linearly over their
    /// whole length; equal to `action_rows` where nothing is interpolated.
    pub action_source_rows: u16,
    /// Where action rows come from.
    pub action_source: ActionSource,
    /// Added to t to get the first action row; 1 for [`ActionSource::NextState`].
    pub action_shift: i16,
    /// Frames a camera contributes, the step's own frame last (RDT: `img_history_size`).
    pub image_history: u8,
    /// What happens at the end of an episode.
    pub tail: Tail,
}

/// The source rows that a window covers after clamping to the episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Rows present in the source.
    pub rows: Range<u32>,
    /// How often the first row is repeated in front.
    pub pad_front: u32,
    /// How often the last row is repeated behind.
    pub pad_back: u32,
}

impl Span {
    /// Clamps the window `[start, start + len)` to an array of `available` rows. A window
    /// wholly outside keeps the nearest row, so `rows` is never empty.
    ///
    /// `available` must be at least 1.
    pub fn clamp(start: i64, len: u32, available: u32) -> Self {
        let end = start + i64::from(len);
        let last = i64::from(available) - 1;
        let first_kept = start.clamp(0, last);
        let end_kept = end.clamp(first_kept + 1, last + 1);
        let pad_front = (first_kept - start).clamp(0, i64::from(len) - 1);
        let kept = end_kept - first_kept;
        Self {
            rows: first_kept as u32..end_kept as u32,
            pad_front: pad_front as u32,
            pad_back: (i64::from(len) - pad_front - kept).max(0) as u32,
        }
    }

    /// The source row that position `j` of the window shows.
    pub fn row(&self, j: u32) -> u32 {
        (self.rows.start + j.saturating_sub(self.pad_front)).min(self.rows.end - 1)
    }
}

impl Window {
    /// RDT's window for `chunk` action rows and `history` frames, in next-state form.
    pub fn next_state(chunk: u16, history: u8) -> Self {
        Self {
            state_rows: chunk,
            action_rows: chunk,
            action_source_rows: chunk,
            action_source: ActionSource::NextState,
            action_shift: 1,
            image_history: history,
            tail: Tail::Pad,
        }
    }

    /// RDT's window for `chunk` recorded actions and `history` frames.
    pub fn recorded(chunk: u16, history: u8) -> Self {
        Self { action_source: ActionSource::Recorded, action_shift: 0, ..Self::next_state(chunk, history) }
    }

    /// State rows of step `t` in an episode of `states` state rows.
    pub fn state_span(&self, t: u32, states: u32) -> Span {
        let rows = u32::from(self.state_rows);
        Span::clamp(i64::from(t) + 1 - i64::from(rows), rows, states)
    }

    /// Source rows of the action window of step `t`; `available` rows of the array that
    /// [`ActionSource`] names.
    pub fn action_span(&self, t: u32, available: u32) -> Span {
        let start = i64::from(t) + i64::from(self.action_shift);
        Span::clamp(start, u32::from(self.action_source_rows), available)
    }

    /// Frames of step `t` in an episode of `frames` frames a camera.
    pub fn frame_span(&self, t: u32, frames: u32) -> Span {
        let len = u32::from(self.image_history);
        Span::clamp(i64::from(t) + 1 - i64::from(len), len, frames)
    }

    /// Time mask of the state window: true where position j shows a step of the episode
    /// at or after `first_step`, the first one that was kept.
    pub fn state_mask(&self, t: u32, first_step: u32, j: u32) -> bool {
        history_mask(t, first_step, u32::from(self.state_rows), j)
    }

    /// Time mask of the frames, by the same rule as [`Window::state_mask`].
    pub fn frame_mask(&self, t: u32, first_step: u32, j: u32) -> bool {
        history_mask(t, first_step, u32::from(self.image_history), j)
    }

    /// Time mask of the delivered action window: true where position j rests on a row
    /// that the source has. An interpolated position is valid where both of its source
    /// rows are.
    pub fn action_mask(&self, t: u32, available: u32, j: u32) -> bool {
        let (_, upper, _) = self.resample_position(j);
        let row = i64::from(t) + i64::from(self.action_shift) + i64::from(upper);
        (0..i64::from(available)).contains(&row)
    }

    /// The two source positions between which delivered action row `j` lies, and the
    /// weight of the second: `j * (source - 1) / (rows - 1)`, as `numpy.linspace` places
    /// it. Without interpolation both are `j` and the weight is 0.
    pub fn resample_position(&self, j: u32) -> (u32, u32, f64) {
        let (source, rows) = (u32::from(self.action_source_rows), u32::from(self.action_rows));
        if source == rows || rows < 2 {
            return (j.min(source - 1), j.min(source - 1), 0.0);
        }
        let step = f64::from(source - 1) / f64::from(rows - 1);
        // linspace sets its last point to the end of the interval, exactly.
        let position = if j + 1 == rows { f64::from(source - 1) } else { f64::from(j) * step };
        // scipy's interp1d searches the interval from the left: an exact hit on an inner
        // point counts as the end of the interval below it; the value is the same.
        let lower = position.floor() as u32;
        let weight = position - f64::from(lower);
        let upper = if weight == 0.0 { lower } else { lower + 1 };
        (lower, upper, weight)
    }

    /// Whether step `t` is a sample, given the rows of the action array.
    pub fn keeps(&self, t: u32, available: u32) -> bool {
        let last = i64::from(t) + i64::from(self.action_shift) + i64::from(self.action_source_rows) - 1;
        self.tail == Tail::Pad || last < i64::from(available)
    }
}

/// Position `j` of a window of `len` rows that ends at `t` shows step `t - len + 1 + j`.
fn history_mask(t: u32, first_step: u32, len: u32, j: u32) -> bool {
    i64::from(t) + 1 - i64::from(len) + i64::from(j) >= i64::from(first_step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_repeats_the_nearest_row() {
        for available in 1..6u32 {
            for start in -8i64..8 {
                for len in 1..7u32 {
                    let span = Span::clamp(start, len, available);
                    let kept = span.rows.end - span.rows.start;
                    for j in 0..len {
                        let want = (start + i64::from(j)).clamp(0, i64::from(available) - 1);
                        assert_eq!(i64::from(span.row(j)), want, "{available} {start} {len} {j} {span:?}");
                    }
                    assert_eq!(
                        span.pad_front + kept + span.pad_back,
                        len,
                        "{available} {start} {len} {span:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn last_step_of_next_state_form_has_no_valid_action() {
        let window = Window::next_state(4, 2);
        let mask = |t| (0..4).map(|j| window.action_mask(t, 3, j)).collect::<Vec<_>>();
        assert_eq!(mask(0), [true, true, false, false]);
        assert_eq!(mask(2), [false; 4]);
        assert!(Window::recorded(4, 2).action_mask(2, 3, 0));
    }

    #[test]
    fn resampling_ends_exactly_on_the_last_row() {
        let window = Window { action_source_rows: 16, ..Window::recorded(64, 2) };
        assert_eq!(window.resample_position(0), (0, 0, 0.0));
        assert_eq!(window.resample_position(63), (15, 15, 0.0));
        let (lower, upper, weight) = window.resample_position(1);
        assert_eq!((lower, upper), (0, 1));
        assert!((weight - 15.0 / 63.0).abs() < 1e-15);
    }
}
