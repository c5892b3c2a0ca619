//! Measurements as bars.

use std::fmt::Display;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::row::Row;
use super::table::seconds;
use crate::failure::Failure;

const WIDTH: u32 = 800;
/// Of a bar and the gap beside it.
const BAR: u32 = 28;
/// Room for the names of the bars.
const NAMES: u32 = 200;
/// Room for what is above and below the bars.
const AROUND: u32 = 100;

const FONT: (&str, i32) = ("sans-serif", 14);

/// Dark enough for numbers beside them, and told apart by people who see few colours.
const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];

/// A bar for each row, a colour for each part.
pub(super) fn svg(rows: &[Row]) -> Result<String, Failure> {
    let mut svg = String::new();
    draw(rows, &mut svg)
        .map_err(|reason| Failure::new(format!("cannot draw the chart: {reason}")))?;
    Ok(svg)
}

fn draw(rows: &[Row], svg: &mut String) -> Result<(), String> {
    let height = AROUND + BAR * rows.len() as u32;
    let root = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE).map_err(reason)?;
    let longest = rows.iter().map(|row| row.median_s).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(caption(rows), ("sans-serif", 17))
        .margin(12)
        .margin_right(24)
        .set_label_area_size(LabelAreaPosition::Left, NAMES)
        .set_label_area_size(LabelAreaPosition::Bottom, 40)
        // Downwards, a unit for each row.
        .build_cartesian_2d(0.0..1.12 * longest, rows.len() as f64..0.0)
        .map_err(reason)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds")
        .label_style(FONT)
        .draw()
        .map_err(reason)?;
    let bars = rows.iter().zip(0..).map(|(row, i)| {
        let top = f64::from(i);
        let corners = [(0.0, top + 0.15), (row.median_s, top + 0.85)];
        Rectangle::new(corners, colour(rows, row).filled())
    });
    chart.draw_series(bars).map_err(reason)?;
    let beside = |x, i, gap, side, text| {
        let style = TextStyle::from(FONT.into_font()).pos(Pos::new(side, VPos::Center));
        EmptyElement::at((x, f64::from(i) + 0.5)) + Text::new(text, (gap, 0), style)
    };
    let names = rows.iter().zip(0..).map(|(row, i)| {
        let name = format!("{} {}", row.part, row.place());
        beside(0.0, i, -8, HPos::Right, name)
    });
    chart.draw_series(names).map_err(reason)?;
    let numbers = rows.iter().zip(0..);
    let numbers =
        numbers.map(|(row, i)| beside(row.median_s, i, 6, HPos::Left, seconds(row.median_s)));
    chart.draw_series(numbers).map_err(reason)?;
    root.present().map_err(reason)
}

fn caption(rows: &[Row]) -> String {
    let Some(row) = rows.first() else {
        return String::new();
    };
    let Row {
        model,
        width,
        height,
        ..
    } = row;
    format!("{model} at {width}x{height}: seconds a run, for a pipeline a picture")
}

fn colour(rows: &[Row], row: &Row) -> RGBColor {
    let mut parts: Vec<_> = rows.iter().map(|row| &row.part).collect();
    parts.dedup();
    let part = parts.iter().position(|part| **part == row.part);
    COLOURS[part.unwrap_or_default() % COLOURS.len()]
}

fn reason(error: impl Display) -> String {
    error.to_string()
}
