//! One sample for a person: what the robot was told, saw, felt and did.

use std::path::Path;

use plotters::prelude::*;
use rdt_schema::window::ActionSource;
use rdt_schema::{CameraSlot, DatasetSchema, STATE_DIM, Sample};

use super::canvas::{
    Area, Canvas, GREY, GRID, INK, LINES, MONO, Picture, Place, SANS, SHADE, draw_error, font, px, text,
    text_width, wrap,
};
use super::columns::{Group, groups, number};
use super::{PictureError, write_png};

const WIDTH: i32 = 1400;
const MARGIN: i32 = 32;
const GAP: i32 = 8;
const CAMERA_GAP: i32 = 28;
const TALLEST_FRAME: f64 = 300.0;
const PANEL_HEIGHT: i32 = 168;
const LEGEND_WIDTH: i32 = 76;

/// Draws a sample: its instruction, frames (padding is pale), and the windows of states and
/// actions in one panel for each kind of entry (padding is shaded).
///
/// `place` says where the sample is, such as `sample 17 (chunk 0, slot 17)`.
///
/// # Errors
/// The file cannot be written.
pub fn sample(path: &Path, sample: &Sample, schema: &DatasetSchema, place: &str) -> Result<(), PictureError> {
    let told = sample.instructions.iter().max_by(|a, b| a.weight.total_cmp(&b.weight));
    let (told_text, others) = match told {
        Some(told) => (told.text.as_str(), sample.instructions.len() - 1),
        None => ("", 0),
    };
    let headline = font(SANS, 26, INK);
    let lines = wrap(&format!("\u{201c}{told_text}\u{201d}"), &headline, WIDTH - 2 * MARGIN, 3);
    let frames_top = 30 + 34 * lines.len() as i32 + 56;
    let (tiles, frames_height) = tiles(sample, frames_top + 26);
    let panels_top = frames_top + 26 + frames_height + 48;
    let groups = groups(&schema.state_columns, &schema.action_columns);
    let height = panels_top + PANEL_HEIGHT * groups.len() as i32 + 46;

    let mut canvas = Canvas::new(WIDTH as u32, height as u32);
    canvas.draw(|area| {
        for (line, y) in lines.iter().zip((24..).step_by(34)) {
            text(area, line, (MARGIN, y), &headline)?;
        }
        let below = 32 + 34 * lines.len() as i32;
        text(area, &origin_line(sample, place, others), (MARGIN, below), &font(MONO, 14, GREY))?;
        label_frames(area, sample, &tiles, frames_top)?;
        for (row, group) in groups.iter().enumerate() {
            let top = panels_top + PANEL_HEIGHT * row as i32;
            let last = row + 1 == groups.len();
            draw_group(area, sample, schema, group, top, last)?;
        }
        Ok(())
    })?;
    let mut picture = canvas.finish();
    paste_frames(&mut picture, sample, &tiles);
    write_png(path, picture.width, picture.height, &picture.pixels)
}

fn origin_line(sample: &Sample, place: &str, other_wordings: usize) -> String {
    let key = if sample.key.is_empty() { String::new() } else { format!(":{}", sample.key) };
    let wordings = match other_wordings {
        0 => String::new(),
        1 => "   +1 other wording".into(),
        n => format!("   +{n} other wordings"),
    };
    let freq = if sample.control_freq > 0.0 {
        format!("   {} Hz", number(sample.control_freq.into()))
    } else {
        String::new()
    };
    let (name, source, step, steps) =
        (&sample.dataset_name, &sample.source, sample.step_id, sample.num_steps);
    format!("{name}   {source}{key}   step {step} of {steps}{freq}   {place}{wordings}")
}

/// A frame's place on the picture.
struct Tile {
    slot: usize,
    position: usize,
    place: Place,
}

/// Lays the frames of all present cameras in one row from `top` on; also its height.
fn tiles(sample: &Sample, top: i32) -> (Vec<Tile>, i32) {
    let present: Vec<usize> = (0..CameraSlot::COUNT).filter(|&slot| sample.frames[slot].height > 0).collect();
    let count = |slot: usize| sample.frames[slot].time_mask.len();
    let aspect =
        |slot: usize| f64::from(sample.frames[slot].width) / f64::from(sample.frames[slot].height.max(1));
    let gaps: i32 = present.iter().map(|&slot| GAP * (count(slot) as i32 - 1)).sum::<i32>()
        + CAMERA_GAP * (present.len() as i32 - 1).max(0);
    let aspects: f64 = present.iter().map(|&slot| aspect(slot) * count(slot) as f64).sum();
    if aspects == 0.0 {
        return (Vec::new(), 0);
    }
    let height = (f64::from(WIDTH - 2 * MARGIN - gaps) / aspects).clamp(8.0, TALLEST_FRAME);
    let mut tiles = Vec::new();
    let mut x = f64::from(MARGIN);
    for slot in present {
        let width = height * aspect(slot);
        for position in 0..count(slot) {
            let place =
                Place { x: x as u32, y: top as u32, width: width.max(1.0) as u32, height: height as u32 };
            tiles.push(Tile { slot, position, place });
            x += width + f64::from(GAP);
        }
        x += f64::from(CAMERA_GAP - GAP);
    }
    (tiles, height as i32)
}

fn label_frames(area: &Area<'_>, sample: &Sample, tiles: &[Tile], top: i32) -> Result<(), PictureError> {
    if tiles.is_empty() {
        return text(area, "no camera", (MARGIN, top), &font(SANS, 16, GREY));
    }
    for tile in tiles {
        let frames = &sample.frames[tile.slot];
        let Place { x, y, height, .. } = tile.place;
        if tile.position == 0 {
            let name = CameraSlot::ALL[tile.slot].name().replace('_', " ");
            let label = format!("{name}, {} x {}", frames.width, frames.height);
            text(area, &label, (x as i32, top), &font(SANS, 16, INK))?;
        }
        let back = frames.time_mask.len() - 1 - tile.position;
        let when = if back == 0 { "step t".to_owned() } else { format!("t - {back}") };
        let valid = frames.time_mask.get(tile.position).is_some_and(|&mask| mask != 0);
        let label = if valid { when } else { format!("{when} (padding)") };
        text(area, &label, (x as i32, (y + height) as i32 + 5), &font(SANS, 14, GREY))?;
    }
    Ok(())
}

fn paste_frames(picture: &mut Picture, sample: &Sample, tiles: &[Tile]) {
    for tile in tiles {
        let frames = &sample.frames[tile.slot];
        let bytes = frames.height as usize * frames.width as usize * 3;
        let valid = frames.time_mask.get(tile.position).is_some_and(|&mask| mask != 0);
        if let Some(frame) = frames.pixels.chunks_exact(bytes).nth(tile.position) {
            picture.paste(frame, (frames.height, frames.width), tile.place, !valid);
        }
    }
}

/// One window of rows, as a panel shows it.
struct Panel<'a> {
    title: String,
    /// 128 wide.
    rows: &'a [f32],
    mask: &'a [u8],
    columns: &'a [u8],
    /// Position of the first row on the axis, relative to the step.
    start: i64,
    axis: &'a str,
}

fn draw_group(
    area: &Area<'_>,
    sample: &Sample,
    schema: &DatasetSchema,
    group: &Group,
    top: i32,
    last: bool,
) -> Result<(), PictureError> {
    let window = &schema.window;
    let resampled = window.action_rows != window.action_source_rows;
    let actions = match window.action_source {
        ActionSource::NextState => "actions (the next states)",
        ActionSource::Recorded if resampled => "actions (recorded, interpolated)",
        ActionSource::Recorded => "actions (recorded)",
    };
    let state_rows = sample.state_chunk_time_mask.len() as i64;
    let panels = [
        Panel {
            title: format!("{}: states", group.title),
            rows: &sample.state_chunk,
            mask: &sample.state_chunk_time_mask,
            columns: &schema.state_columns,
            start: 1 - state_rows,
            axis: "steps from t",
        },
        Panel {
            title: format!("{}: {}", group.title, actions),
            rows: &sample.action_chunk,
            mask: &sample.action_chunk_time_mask,
            columns: &schema.action_columns,
            start: if resampled { 0 } else { window.action_shift.into() },
            axis: if resampled { "row" } else { "steps from t" },
        },
    ];
    let half = (WIDTH - 2 * MARGIN - LEGEND_WIDTH) / 2;
    for (position, panel) in panels.iter().enumerate() {
        let left = MARGIN + half * position as i32;
        let height = PANEL_HEIGHT + if last { 24 } else { 0 };
        let part = area.clone().shrink((px(left), px(top)), (px(half - 12), px(height - 10)));
        draw_panel(&part, panel, group, last)?;
    }
    let left = WIDTH - MARGIN - LEGEND_WIDTH + 8;
    for (position, (_, name)) in group.entries.iter().enumerate() {
        let (x, y) = (left + 40 * (position / 6) as i32, top + 26 + 20 * (position % 6) as i32);
        let color = LINES[position % LINES.len()];
        let dash = Rectangle::new([(px(x), px(y + 7)), (px(x + 14), px(y + 10))], color.filled());
        area.draw(&dash).map_err(draw_error)?;
        text(area, name, (x + 20, y), &font(SANS, 15, INK))?;
    }
    Ok(())
}

fn draw_panel(area: &Area<'_>, panel: &Panel<'_>, group: &Group, last: bool) -> Result<(), PictureError> {
    let title = font(SANS, 16, INK);
    text(area, &panel.title, (0, 0), &title)?;
    let shown: Vec<(usize, u8)> = group
        .entries
        .iter()
        .enumerate()
        .filter(|(_, (entry, _))| panel.columns.contains(entry))
        .map(|(position, (entry, _))| (position, *entry))
        .collect();
    if shown.is_empty() {
        let at = (text_width(&panel.title, &title) + 14, 2);
        return text(area, "none recorded", at, &font(SANS, 14, GREY));
    }
    let count = panel.mask.len();
    let value = |row: usize, entry: u8| f64::from(panel.rows[row * STATE_DIM + usize::from(entry)]);
    let values = || shown.iter().flat_map(|&(_, entry)| (0..count).map(move |row| value(row, entry)));
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let (low, high) = axis(low, high);
    let x = |row: usize| (panel.start + row as i64) as f64;

    let mut chart = ChartBuilder::on(area)
        .margin_top(px(24))
        .margin_right(px(4))
        .x_label_area_size(px(if last { 42 } else { 18 }))
        .y_label_area_size(px(56))
        .build_cartesian_2d(x(0)..x(count - 1).max(x(0) + 1.0), low..high)
        .map_err(draw_error)?;
    for (first, end) in padded_runs(panel.mask) {
        let corners = [(x(first) - 0.5, low), (x(end) + 0.5, high)];
        chart.draw_series(std::iter::once(Rectangle::new(corners, SHADE.filled()))).map_err(draw_error)?;
    }
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(px(1) as u32))
        .axis_style(GREY.stroke_width(px(1) as u32))
        .label_style(font(SANS, 13, GREY))
        .axis_desc_style(font(SANS, 14, GREY))
        .x_labels(9)
        .y_labels(4)
        .x_label_formatter(&|v| format!("{v:.0}"))
        .y_label_formatter(&|v| number(*v));
    if last {
        mesh.x_desc(panel.axis);
    }
    mesh.draw().map_err(draw_error)?;
    for (position, entry) in shown {
        let color = LINES[position % LINES.len()];
        let line = LineSeries::new(
            (0..count).map(|row| (x(row), value(row, entry))),
            color.stroke_width(px(2) as u32),
        );
        chart.draw_series(line).map_err(draw_error)?;
    }
    Ok(())
}

/// Below this part of the values' size a series counts as constant: what is left is f32's
/// rounding, and an axis as narrow as that would show it as movement.
const CONSTANT: f64 = 1e-5;

/// The axis for values from `low` to `high`: a tenth more on both sides, or 2 % of the values'
/// size if that is more. A constant has a tenth of its size on both sides, zero has 0.5.
fn axis(low: f64, high: f64) -> (f64, f64) {
    let (range, size) = (high - low, low.abs().max(high.abs()));
    let gap = if size <= 1e-6 {
        0.5
    } else if range <= size * CONSTANT {
        size * 0.1
    } else {
        (range * 0.1).max(size * 0.02)
    };
    (low - gap, high + gap)
}

/// First and last position of each run of zeros.
fn padded_runs(mask: &[u8]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for position in (0..mask.len()).filter(|&position| mask[position] == 0) {
        match runs.last_mut() {
            Some(run) if run.1 + 1 == position => run.1 = position,
            _ => runs.push((position, position)),
        }
    }
    runs
}

#[cfg(test)]
mod tests;
