//! Measurements beside earlier ones.

use super::row::{Report, Row};
use super::table::seconds;
use crate::commands::table::plain;

/// Ratios of new to old for the rows that have a partner, then those that have none.
pub(super) fn compare(old: &Report, new: &Report) -> String {
    let mut lines = Vec::new();
    let mut unknown = Vec::new();
    for row in &new.rows {
        match partner(row, &old.rows) {
            Some(old) => lines.push(ratios(old, row)),
            None => unknown.push(row),
        }
    }
    let lonely = |row: &&Row| partner(row, &new.rows).is_none();
    let missing: Vec<_> = old.rows.iter().filter(lonely).collect();
    let mut text = String::from("new / old: below 1 is faster or smaller now");
    if old.machine.cpu != new.machine.cpu {
        let cpu = &old.machine.cpu;
        text += &format!("\nthe old report is from another machine: {cpu}");
    }
    if !lines.is_empty() {
        let headings = [
            "part", "device", "old s", "new s", "median", "fastest", "first", "load", "host",
        ];
        text += "\n";
        text += &plain(headings.into_iter(), lines.into_iter());
    }
    text += &list("not in the old report:", &unknown);
    text + &list("not measured now:", &missing)
}

fn partner<'a>(row: &Row, rows: &'a [Row]) -> Option<&'a Row> {
    rows.iter().find(|other| row.is_partner(other))
}

fn ratios(old: &Row, new: &Row) -> Vec<String> {
    let ratio = |new: f64, old: f64| format!("{:.2}", new / old);
    let memory = new.peak_mb.zip(old.peak_mb);
    vec![
        new.part.clone(),
        new.place(),
        seconds(old.median_s),
        seconds(new.median_s),
        ratio(new.median_s, old.median_s),
        ratio(new.min_s, old.min_s),
        ratio(new.first_s, old.first_s),
        ratio(new.load_s, old.load_s),
        memory.map_or("-".into(), |(new, old)| ratio(new as f64, old as f64)),
    ]
}

/// Rows without a partner under a heading, or nothing.
fn list(heading: &str, rows: &[&Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let names = rows.iter().map(|row| {
        let (task, place, threads) = (row.task(), row.place(), row.threads);
        format!("\n  {place}: {task}, {threads} threads")
    });
    format!("\n{heading}{}", names.collect::<String>())
}
