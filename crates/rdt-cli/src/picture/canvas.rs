//! The sheet that pictures are drawn on: plotters at several times the final size, scaled
//! down for smooth edges, then frames pasted in at the final size.

use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::PictureError;

/// Each final pixel is the mean of this many squared drawn ones.
const SCALE: u32 = 3;

/// Proportional letters.
pub(super) const SANS: &str = "sans-serif";
/// Letters of equal width, for paths and numbers.
pub(super) const MONO: &str = "monospace";

/// Text.
pub(super) const INK: RGBColor = RGBColor(33, 37, 41);
/// Secondary text and axes.
pub(super) const GREY: RGBColor = RGBColor(108, 117, 125);
/// Grid lines.
pub(super) const GRID: RGBColor = RGBColor(228, 231, 235);
/// Background of what is only padding.
pub(super) const SHADE: RGBColor = RGBColor(240, 241, 243);

/// Line colours that stay apart for colour-blind eyes too (Okabe and Ito), then some more.
pub(super) const LINES: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(110, 84, 160),
    RGBColor(140, 86, 75),
    RGBColor(60, 60, 60),
    RGBColor(170, 180, 30),
];

/// What plotters draws on here.
pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Sizes and places are in final pixels; [`px`] turns them into drawn ones.
pub(super) fn px(final_pixels: i32) -> i32 {
    final_pixels * SCALE as i32
}

/// Any error of the drawing library.
pub(super) fn draw_error(error: impl std::fmt::Display) -> PictureError {
    PictureError::Draw(error.to_string())
}

/// A font of `size` final pixels.
pub(super) fn font(family: &'static str, size: i32, color: RGBColor) -> TextStyle<'static> {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        for (name, bytes) in
            [(SANS, epaint_default_fonts::UBUNTU_LIGHT), (MONO, epaint_default_fonts::HACK_REGULAR)]
        {
            // An unreadable font shows as an error of the first text drawn with it.
            let _ = plotters::style::register_font(name, FontStyle::Normal, bytes);
        }
    });
    (family, px(size)).into_font().color(&color)
}

/// Width of `text` in final pixels.
pub(super) fn text_width(text: &str, style: &TextStyle<'_>) -> i32 {
    style.font.box_size(text).map_or(0, |(width, _)| width as i32 / SCALE as i32)
}

/// Breaks `text` into lines of at most `width` final pixels, at most `most` of them; what
/// does not fit ends in an ellipsis.
pub(super) fn wrap(text: &str, style: &TextStyle<'_>, width: i32, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.len() == most;
        let Some(line) = lines.last_mut() else { break };
        let joined = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if line.is_empty() || text_width(&joined, style) <= width {
            *line = joined;
        } else if full {
            line.push_str(" ...");
            break;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A white sheet.
pub(super) struct Canvas {
    width: u32,
    height: u32,
    drawn: Vec<u8>,
}

impl Canvas {
    /// Of `width` x `height` final pixels.
    pub(super) fn new(width: u32, height: u32) -> Self {
        let bytes = (width * SCALE) as usize * (height * SCALE) as usize * 3;
        Self { width, height, drawn: vec![255; bytes] }
    }

    /// Draws with plotters.
    pub(super) fn draw(
        &mut self,
        draw: impl FnOnce(&Area<'_>) -> Result<(), PictureError>,
    ) -> Result<(), PictureError> {
        let size = (self.width * SCALE, self.height * SCALE);
        let area = BitMapBackend::with_buffer(&mut self.drawn, size).into_drawing_area();
        draw(&area)?;
        area.present().map_err(draw_error)
    }

    /// Scales the drawing down to its final size.
    pub(super) fn finish(self) -> Picture {
        let (scale, row) = (SCALE as usize, (self.width * SCALE) as usize * 3);
        let mut pixels = Vec::with_capacity((self.width * self.height) as usize * 3);
        for y in 0..self.height as usize {
            for x in 0..self.width as usize {
                for channel in 0..3 {
                    let mut sum = 0;
                    for line in 0..scale {
                        for column in 0..scale {
                            let at = (y * scale + line) * row + (x * scale + column) * 3 + channel;
                            sum += u32::from(self.drawn[at]);
                        }
                    }
                    pixels.push((sum / (SCALE * SCALE)) as u8);
                }
            }
        }
        Picture { width: self.width, height: self.height, pixels }
    }
}

/// Text at a place given in final pixels.
pub(super) fn text(
    area: &Area<'_>,
    text: &str,
    (x, y): (i32, i32),
    style: &TextStyle<'_>,
) -> Result<(), PictureError> {
    area.draw_text(text, style, (px(x), px(y))).map_err(draw_error)
}

/// A picture at its final size.
pub(super) struct Picture {
    /// Columns.
    pub(super) width: u32,
    /// Rows.
    pub(super) height: u32,
    /// RGB, row by row.
    pub(super) pixels: Vec<u8>,
}

/// A place on a picture, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Picture {
    /// Pastes a frame (`height * width * 3`, RGB) scaled to `place`; `faded` frames are
    /// pale, as they are not part of the episode.
    pub(super) fn paste(&mut self, frame: &[u8], (height, width): (u32, u32), place: Place, faded: bool) {
        let columns = weights(width, place.width);
        let rows = weights(height, place.height);
        for (y, (top, row_weights)) in (place.y..).zip(&rows) {
            for (x, (left, column_weights)) in (place.x..).zip(&columns) {
                if x >= self.width || y >= self.height {
                    continue;
                }
                let at = (y as usize * self.width as usize + x as usize) * 3;
                for channel in 0..3 {
                    let mut value = 0.0;
                    for (row, row_weight) in (*top..).zip(row_weights) {
                        for (column, column_weight) in (*left..).zip(column_weights) {
                            let from = (row * width as usize + column) * 3 + channel;
                            value += f32::from(frame[from]) * row_weight * column_weight;
                        }
                    }
                    let shown = if faded { 0.35 * value + 0.65 * 255.0 } else { value };
                    self.pixels[at + channel] = shown.round().clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
}

/// For each of `to` positions: the first source position and the weights of it and those
/// after it. A triangle filter: linear when enlarging, averaging when shrinking.
fn weights(from: u32, to: u32) -> Vec<(usize, Vec<f32>)> {
    let scale = f64::from(from) / f64::from(to);
    let reach = scale.max(1.0);
    (0..to)
        .map(|position| {
            let centre = (f64::from(position) + 0.5) * scale - 0.5;
            let first = (centre - reach).ceil().max(0.0);
            let last = (centre + reach).floor().min(f64::from(from) - 1.0);
            let raw: Vec<f64> = (first as usize..=last as usize)
                .map(|source| (1.0 - (source as f64 - centre).abs() / reach).max(0.0))
                .collect();
            let sum: f64 = raw.iter().sum();
            (first as usize, raw.iter().map(|weight| (weight / sum) as f32).collect())
        })
        .collect()
}
