//! The loss of a training run over its steps.

use std::path::Path;

use plotters::prelude::*;

use super::canvas::{
    Area, Canvas, GREY, GRID, INK, LINES, MONO, SANS, draw_error, font, px, text, text_width,
};
use super::columns::number;
use super::{PictureError, write_png};

const WIDTH: i32 = 1200;
const HEIGHT: i32 = 640;
/// From this ratio of largest to smallest loss on, the axis is logarithmic.
const LOGARITHMIC_FROM: f64 = 20.0;

/// Draws the loss over the training step: each value pale, their local mean on top.
///
/// `points` are (step, loss) in the order of the steps. Values that are not finite are
/// left out of the curve and counted in the caption; without any value the picture says so.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let points: Vec<(u64, f64)> = (1..200).map(|step| (step, 1.0 / step as f64)).collect();
/// rdt_cli::picture::loss_curve(&folder.path().join("loss.png"), &points)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The file cannot be written.
pub fn loss_curve(path: &Path, points: &[(u64, f64)]) -> Result<(), PictureError> {
    let finite: Vec<(f64, f64)> =
        points.iter().filter(|(_, loss)| loss.is_finite()).map(|&(step, loss)| (step as f64, loss)).collect();
    let lost = points.len() - finite.len();
    let mut canvas = Canvas::new(WIDTH as u32, HEIGHT as u32);
    canvas.draw(|area| {
        text(area, "Training loss", (32, 24), &font(SANS, 28, INK))?;
        let caption = caption(&finite, lost);
        let style = font(MONO, 14, GREY);
        text(area, &caption, (WIDTH - 32 - text_width(&caption, &style), 34), &style)?;
        if finite.is_empty() { Ok(()) } else { curve(area, &finite) }
    })?;
    let picture = canvas.finish();
    write_png(path, picture.width, picture.height, &picture.pixels)
}

fn caption(points: &[(f64, f64)], lost: usize) -> String {
    if points.is_empty() {
        return "no finite loss yet".to_owned();
    }
    let share = points.len().div_ceil(20);
    let mean = |part: &[(f64, f64)]| part.iter().map(|p| p.1).sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&points[..share]), mean(&points[points.len() - share..]));
    let lost = if lost == 0 { String::new() } else { format!(", {lost} not finite, not shown") };
    format!("mean of the first {share}: {}, of the last {share}: {}{lost}", number(first), number(last))
}

/// Mean over the neighbours on both sides, together about a twentieth of the run. It does
/// not lag behind a falling loss as a trailing mean would.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let most = points.len() / 40;
    let mut sums = vec![0.0];
    for &(_, loss) in points {
        sums.push(sums[sums.len() - 1] + loss);
    }
    // Not near the ends: a shorter or uneven reach there would show noise as a trend.
    (most..points.len().saturating_sub(most))
        .map(|at| {
            let (first, end) = (at - most, at + most + 1);
            (points[at].0, (sums[end] - sums[first]) / (end - first) as f64)
        })
        .collect()
}

fn curve(area: &Area<'_>, points: &[(f64, f64)]) -> Result<(), PictureError> {
    let low = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let logarithmic = low > 0.0 && high / low >= LOGARITHMIC_FROM;
    let shown = |loss: f64| if logarithmic { loss.log10() } else { loss };
    let (low, high) = if logarithmic { (low.log10(), high.log10()) } else { (low.min(0.0), high) };
    let gap = ((high - low) * 0.05).max(1e-9);
    let bottom = if logarithmic || low < 0.0 { low - gap } else { 0.0 };
    let first = points.first().map_or(0.0, |p| p.0);
    let last = points.last().map_or(1.0, |p| p.0).max(first + 1.0);

    let mut chart = ChartBuilder::on(area)
        .margin_top(px(72))
        .margin_left(px(24))
        .margin_right(px(32))
        .margin_bottom(px(20))
        .x_label_area_size(px(44))
        .y_label_area_size(px(64))
        .build_cartesian_2d(first..last, bottom..high + gap)
        .map_err(draw_error)?;
    let value = |v: &f64| number(if logarithmic { 10f64.powf(*v) } else { *v });
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(px(1) as u32))
        .axis_style(GREY.stroke_width(px(1) as u32))
        .label_style(font(SANS, 15, GREY))
        .axis_desc_style(font(SANS, 16, INK))
        .x_desc("training step")
        .y_desc(if logarithmic { "loss (logarithmic)" } else { "loss" })
        .x_labels(10)
        .y_labels(8)
        .x_label_formatter(&|v| format!("{v:.0}"))
        .y_label_formatter(&value)
        .draw()
        .map_err(draw_error)?;
    // The mean is of what is shown: of logarithms on a logarithmic axis.
    let values: Vec<(f64, f64)> = points.iter().map(|&(step, loss)| (step, shown(loss))).collect();
    let means = smoothed(&values);
    let pale = LINES[5].mix(0.55).stroke_width(px(1) as u32);
    chart.draw_series(LineSeries::new(values, pale)).map_err(draw_error)?;
    let strong = LINES[0].stroke_width(px(3) as u32);
    chart.draw_series(LineSeries::new(means, strong)).map_err(draw_error)?;
    Ok(())
}
