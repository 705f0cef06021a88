//! What the trainable position tables start from: sines and cosines, computed in f64.

use rdt_schema::config::CondPosEmbed;
use tch::Tensor;

/// How the rows of a condition's table are told apart at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionForm {
    /// RDT's training: language rows are all alike, image rows know frame and camera.
    Multimodal,
    /// Rows are numbered from 0.
    Numbered,
}

impl From<CondPosEmbed> for PositionForm {
    fn from(kind: CondPosEmbed) -> Self {
        match kind {
            CondPosEmbed::Multimodal => Self::Multimodal,
        }
    }
}

/// Code of `position`, `width` wide: sines, then cosines, of `position * 10000^(-k / (width / 2))`.
fn sincos(position: usize, width: usize) -> impl Iterator<Item = f64> + Clone {
    let half = width / 2;
    let angle = move |k: usize| position as f64 * (1.0 / 10_000f64.powf(k as f64 / half as f64));
    (0..half).map(move |k| angle(k).sin()).chain((0..half).map(move |k| angle(k).cos()))
}

/// Trunk: timestep, control frequency, state and `horizon` actions. The first half of a row
/// tells which of the four it is, the second its place among its kind. (1, horizon + 3, hidden)
pub fn trunk(horizon: i64, hidden: i64) -> Tensor {
    let width = hidden as usize / 2;
    let tokens = (0..3).map(|kind| (kind, 0)).chain((0..horizon as usize).map(|j| (3, j)));
    table(hidden, tokens.map(|(kind, place)| sincos(kind, width).chain(sincos(place, width))))
}

/// Language: (1, tokens, hidden). In RDT's training every row is the code of position 0.
pub fn language(form: PositionForm, tokens: i64, hidden: i64) -> Tensor {
    let position = |row| if form == PositionForm::Numbered { row } else { 0 };
    table(hidden, (0..tokens as usize).map(|row| sincos(position(row), hidden as usize)))
}

/// Images: (1, history * cameras * patches, hidden), frames oldest first, then cameras, then
/// patches. In RDT's training the columns are divided among those of frame and camera that
/// there are several of; patches are not told apart.
pub fn images(form: PositionForm, [history, cameras, patches]: [i64; 3], hidden: i64) -> Tensor {
    if form == PositionForm::Numbered {
        let rows = 0..(history * cameras * patches) as usize;
        return table(hidden, rows.map(|row| sincos(row, hidden as usize)));
    }
    let axes = [history > 1, cameras > 1].iter().filter(|&&several| several).count().max(1);
    let width = hidden as usize / axes / 2 * 2;
    let rows = (0..history as usize).flat_map(move |frame| {
        (0..cameras as usize).flat_map(move |camera| {
            let frame = (history > 1).then(|| sincos(frame, width));
            let camera = (cameras > 1).then(|| sincos(camera, width));
            let row = frame.into_iter().flatten().chain(camera.into_iter().flatten());
            std::iter::repeat_n(row, patches as usize)
        })
    });
    table(hidden, rows)
}

/// Rows padded with zeros to `hidden`, as f32 (1, rows, hidden).
fn table<R: Iterator<Item = f64>>(hidden: i64, rows: impl Iterator<Item = R>) -> Tensor {
    let mut values = Vec::new();
    for row in rows {
        let end = values.len() + hidden as usize;
        values.extend(row.map(|x| x as f32));
        values.resize(end, 0.0);
    }
    let count = values.len() as i64 / hidden;
    Tensor::from_slice(&values).view([1, count, hidden])
}
