//! `plantain prune`

use std::path::Path;

use plantain::bench::{Bench, BenchSettings, Part};
use plantain::weights::{Component, ConvertOptions, PrunePlan, TargetType};
use plantain::{DeviceOptions, Model};

use crate::args::PruneArgs;
use crate::commands::convert::write;
use crate::commands::inspect::megabytes;
use crate::commands::table;
use crate::failure::Failure;
use crate::interrupt;
use crate::out;

/// Runs of each UNet that are timed.
const RUNS: usize = 3;

pub(crate) fn run(args: &PruneArgs) -> Result<(), Failure> {
    let plan = read_plan(&args.plan)?;
    interrupt::install();
    let model = Model::open(&args.model)?;
    let pruned = model
        .pruned(&plan)
        .map_err(|e| Failure::new(e.to_string()))?;
    let options = ConvertOptions {
        dtype: args.dtype.map_or(TargetType::Keep, Into::into),
        ..ConvertOptions::default()
    };
    let report = write(&pruned, &args.destination, &options)?;
    let rows = [("before", &model), ("after", &pruned)];
    let rows = rows.map(|(name, model)| row(name, model, args.no_timing));
    let rows = rows.into_iter().collect::<Result<Vec<_>, _>>()?;
    let headings = ["UNet", "M parameters", "GFLOP", "s a step"];
    out::line(table::plain(headings.into_iter(), rows.into_iter()))?;
    out::line(format_args!(
        "{}: {}; to be trained again before it draws anything",
        args.destination.display(),
        megabytes(report.bytes)
    ))
}

/// The plan of that name, or in the file of that name.
fn read_plan(plan: &str) -> Result<PrunePlan, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::new(format!("{plan}: {error}"));
    if !Path::new(plan).is_file() {
        return PrunePlan::named(plan).map_err(|error| {
            Failure::new(error.to_string()).help("or name a TOML file; docs/models.md shows one")
        });
    }
    let text = std::fs::read_to_string(plan).map_err(|error| failed(&error))?;
    PrunePlan::parse(&text).map_err(|error| failed(&error))
}

/// What the UNet of `model` costs, for one picture of the model's size without guidance.
fn row(name: &str, model: &Model, no_timing: bool) -> Result<Vec<String>, Failure> {
    let summary = model.summary();
    let unet = summary
        .iter()
        .find(|part| part.component == Component::Unet);
    let parameters = unet.map_or(0, |unet| unet.parameters);
    let seconds = if no_timing {
        "-".to_string()
    } else {
        format!("{:.3}", seconds(model)?)
    };
    Ok(vec![
        name.to_string(),
        format!("{:.1}", parameters as f64 / 1e6),
        format!("{:.1}", model.unet_flops() as f64 / 1e9),
        seconds,
    ])
}

fn seconds(model: &Model) -> Result<f64, Failure> {
    let settings = BenchSettings {
        part: Part::Unet,
        size: None,
        steps: None,
    };
    let mut bench = Bench::load(model, DeviceOptions::default(), &settings)?;
    bench.warm_up()?;
    for _ in 0..RUNS {
        bench.run()?;
    }
    Ok(bench.timing().median().unwrap_or_default())
}
