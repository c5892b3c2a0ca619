//! Measurements as tables.

use comfy_table::{Table, presets};

use super::row::{Report, Row};
use crate::commands::table::plain;

/// A column: its heading, and what it says of a row.
type Column = (&'static str, fn(&Row) -> String);

/// What is not known.
const UNKNOWN: &str = "-";

/// Seconds, with as many digits as mean something.
pub(super) fn seconds(value: f64) -> String {
    match value {
        v if v < 1.0 => format!("{v:.4}"),
        v if v < 10.0 => format!("{v:.3}"),
        v if v < 100.0 => format!("{v:.2}"),
        v => format!("{v:.1}"),
    }
}

fn optional<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or(UNKNOWN.into(), text)
}

fn megabytes(value: Option<u64>) -> String {
    optional(value, |mb| mb.to_string())
}

fn psnr(row: &Row) -> String {
    if row.max_abs == 0.0 {
        return "same".into();
    }
    optional(row.psnr_db, |psnr| format!("{psnr:.1}"))
}

fn max_abs(row: &Row) -> String {
    if row.max_abs == 0.0 {
        return "0".into();
    }
    format!("{:.1e}", row.max_abs)
}

fn others(row: &Row) -> String {
    optional(row.other, |share| format!("{:.0} %", 100.0 * share))
}

const COLUMNS: [Column; 11] = [
    ("device", Row::place),
    ("load", |row| seconds(row.load_s)),
    ("first", |row| seconds(row.first_s)),
    ("step", |row| optional(row.step_s, seconds)),
    ("median", |row| seconds(row.median_s)),
    ("fastest", |row| seconds(row.min_s)),
    ("host\nMB", |row| megabytes(row.peak_mb)),
    ("device\nMB", |row| megabytes(row.device_mb)),
    ("PSNR\ndB", psnr),
    ("largest\nerror", max_abs),
    ("others", others),
];

/// A table for each part, without the columns of which nothing is known.
pub(super) fn terminal(rows: &[Row]) -> String {
    let parts = rows.chunk_by(|a, b| a.part == b.part);
    let tables = parts.map(|rows| {
        let runs = match rows[0].runs {
            1 => "1 run".to_string(),
            runs => format!("{runs} runs"),
        };
        let title = format!("{}, {runs}, seconds", rows[0].task());
        let known = |(_, text): &Column| rows.iter().any(|row| text(row) != UNKNOWN);
        let columns: Vec<_> = COLUMNS.into_iter().filter(known).collect();
        format!("{title}\n{}", lay_out(&columns, rows))
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

fn lay_out(columns: &[Column], rows: &[Row]) -> String {
    let cells = rows
        .iter()
        .map(|row| columns.iter().map(|(_, text)| text(row)).collect());
    plain(columns.iter().map(|(heading, _)| *heading), cells)
}

/// One table with everything, and the machine.
pub(super) fn markdown(report: &Report) -> String {
    let columns: [Column; 16] = [
        ("part", |row| row.part.clone()),
        ("device", |row| row.device.clone()),
        ("precision", |row| row.precision.clone()),
        ("size", |row| format!("{}x{}", row.width, row.height)),
        ("steps", |row| {
            optional(row.steps, |steps| steps.to_string())
        }),
        ("load s", |row| seconds(row.load_s)),
        ("first s", |row| seconds(row.first_s)),
        ("s/step", |row| optional(row.step_s, seconds)),
        ("s/picture", |row| optional(row.picture_s, seconds)),
        ("median s", |row| seconds(row.median_s)),
        ("fastest s", |row| seconds(row.min_s)),
        ("host MB", |row| megabytes(row.peak_mb)),
        ("device MB", |row| megabytes(row.device_mb)),
        ("PSNR dB", psnr),
        ("largest error", max_abs),
        ("others", others),
    ];
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(columns.iter().map(|(heading, _)| *heading));
    for row in &report.rows {
        table.add_row(columns.iter().map(|(_, text)| text(row)));
    }
    let model = report.rows.first().map_or("", |row| &row.model);
    format!("`{model}` on {}\n\n{table}\n", report.machine.summary())
}
