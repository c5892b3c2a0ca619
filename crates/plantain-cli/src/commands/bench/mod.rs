//! `plantain bench`

mod chart;
mod compare;
mod machine;
mod row;
mod subject;
mod table;
mod worker;

use indicatif::{ProgressBar, ProgressStyle};
use plantain::weights::check_destination;

use crate::args::BenchArgs;
use crate::failure::Failure;
use crate::out;
use machine::Machine;
use row::{Report, Row, cannot_write, write};
use worker::{Combination, Order, Worker};

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let combinations = combinations(args);
    if let (true, [combination]) = (args.worker, &combinations[..]) {
        return subject::serve(args, *combination);
    }
    let files = [&args.report, &args.markdown, &args.chart];
    for path in files.into_iter().flatten() {
        check_destination(path).map_err(|error| cannot_write(path, &error))?;
    }
    let old = args.compare.as_deref().map(Report::read).transpose()?;
    let rows = measure(args, &combinations)?;
    let report = Report {
        machine: Machine::describe(&rows),
        rows,
    };
    show(&report.rows, args.json)?;
    if let Some(old) = old {
        out::line("")?;
        out::line(compare::compare(&old, &report))?;
    }
    if let Some(path) = &args.report {
        write(path, &report.to_json()?)?;
    }
    if let Some(path) = &args.markdown {
        write(path, &table::markdown(&report))?;
    }
    if let Some(path) = &args.chart {
        write(path, &chart::svg(&report.rows)?)?;
    }
    Ok(())
}

fn combinations(args: &BenchArgs) -> Vec<Combination> {
    let mut combinations = Vec::new();
    for &part in &args.part {
        for &device in &args.device {
            combinations.extend(args.precision.iter().map(|&precision| Combination {
                device,
                precision,
                part,
            }));
        }
    }
    combinations
}

/// Runs every combination once, then every one once more, and so on: whatever slows the machine down for a while meets
/// them all.
fn measure(args: &BenchArgs, combinations: &[Combination]) -> Result<Vec<Row>, Failure> {
    let turns = combinations.len() as u64 * (u64::from(args.runs) + 3);
    let bar = ProgressBar::new(turns);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("loading");
    let mut workers = Vec::new();
    for combination in combinations {
        workers.push(Worker::start(args, *combination)?);
        bar.inc(1);
    }
    let mut turn = |order, message| -> Result<Vec<Row>, Failure> {
        bar.set_message(message);
        let mut rows = Vec::new();
        for worker in &mut workers {
            rows.extend(worker.order(order)?);
            bar.inc(1);
        }
        Ok(rows)
    };
    turn(Order::WarmUp, "warming up")?;
    for _ in 0..args.runs {
        turn(Order::Run, "timing")?;
    }
    let rows = turn(Order::Finish, "comparing with the CPU in f32")?;
    bar.finish_and_clear();
    Ok(rows)
}

fn show(rows: &[Row], json: bool) -> Result<(), Failure> {
    if !json {
        return out::line(table::terminal(rows));
    }
    for row in rows {
        let line = serde_json::to_string(row);
        out::line(line.map_err(|e| Failure::new(e.to_string()))?)?;
    }
    Ok(())
}
