//! The first samples that orders deliver, by episode: noise where they mix, stripes where not.

use std::path::Path;

use plotters::prelude::*;

use super::canvas::{Canvas, GREY, GRID, INK, LINES, MONO, SANS, draw_error, font, px, text};
use super::{PictureError, write_png};

const WIDTH: i32 = 1280;
const MARGIN: i32 = 32;
const TOP: i32 = 92;
/// Of one order: its width, its height with the words above, and the words' height.
const PANEL: (i32, i32, i32) = (596, 168, 44);

/// Draws a panel for each order: its name and figures, and a dot for each sample, from left to
/// right as they are delivered, from top to bottom by episode. `shown` has the episodes, of
/// `episodes`.
///
/// # Errors
/// The file cannot be written.
pub fn mixing(
    path: &Path,
    captions: &[(String, String)],
    shown: &[Vec<u32>],
    episodes: u32,
) -> Result<(), PictureError> {
    let lines = captions.len().div_ceil(2) as i32;
    let mut canvas = Canvas::new(WIDTH as u32, (TOP + lines * PANEL.1 + MARGIN) as u32);
    let longest = shown.iter().map(Vec::len).max().unwrap_or(1).max(1) as f64;
    canvas.draw(|area| {
        text(area, "Which episodes an order delivers", (MARGIN, 24), &font(SANS, 28, INK))?;
        let caption = format!(
            "the first {longest} samples from left to right, {episodes} episodes from top to bottom, a dot each"
        );
        text(area, &caption, (MARGIN, 60), &font(SANS, 15, GREY))?;
        for (at, ((name, figures), shown)) in (0..).zip(captions.iter().zip(shown)) {
            let (x, y) = (MARGIN + at % 2 * (PANEL.0 + 24), TOP + at / 2 * PANEL.1);
            text(area, name, (x, y), &font(SANS, 16, INK))?;
            text(area, figures, (x, y + 21), &font(MONO, 13, GREY))?;
            let (left, top) = (x, y + PANEL.2);
            let (right, bottom) = (x + PANEL.0, y + PANEL.1 - 16);
            let frame = [(px(left), px(top)), (px(right), px(bottom))];
            area.draw(&Rectangle::new(frame, GRID)).map_err(draw_error)?;
            for (place, &episode) in shown.iter().enumerate() {
                let across = place as f64 / longest * f64::from(px(right - left) - 6);
                let down = f64::from(episode) / f64::from(episodes.max(1)) * f64::from(px(bottom - top) - 6);
                let (x, y) = (px(left) + across as i32 + 2, px(top) + down as i32 + 2);
                let dot = Rectangle::new([(x - 1, y - 1), (x + 3, y + 3)], LINES[0].filled());
                area.draw(&dot).map_err(draw_error)?;
            }
        }
        Ok(())
    })?;
    let picture = canvas.finish();
    write_png(path, picture.width, picture.height, &picture.pixels)
}
