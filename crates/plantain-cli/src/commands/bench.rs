//! `plantain bench`

use std::process::{Command, Stdio};

use plantain::bench::{BenchSettings, Part, Timing, bench};
use plantain::{DeviceChoice, Placement, PrecisionChoice};
use serde::{Deserialize, Serialize};

use crate::args::BenchArgs;
use crate::commands::{open_model, use_threads};
use crate::failure::Failure;
use crate::out;

/// One measurement. The keys are those of other programs' timings in this field, so that rows can be laid side by side.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    device: String,
    precision: String,
    part: String,
    load_s: f64,
    first_s: f64,
    median_s: f64,
    min_s: f64,
    runs: usize,
    /// Most memory that the process held; unknown on some systems.
    peak_mb: Option<u64>,
}

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for &device in &args.device {
        for &precision in &args.precision {
            rows.extend(args.part.iter().map(|&part| (device, precision, part)));
        }
    }
    if !args.json {
        out::line(format_args!(
            "{:8} {:9} {:12} {:>9} {:>9} {:>9} {:>9} {:>8}",
            "device", "precision", "part", "load", "first", "median", "fastest", "memory"
        ))?;
    }
    let alone = rows.len() == 1;
    for (device, precision, part) in rows {
        let row = if alone {
            measure(args, device, precision, part)?
        } else {
            measure_apart(args, device, precision, part)?
        };
        print(&row, args.json)?;
    }
    Ok(())
}

fn print(row: &Row, json: bool) -> Result<(), Failure> {
    if json {
        let line = serde_json::to_string(row).map_err(|e| Failure::new(e.to_string()))?;
        return out::line(format_args!("{line}"));
    }
    let memory = row.peak_mb.map_or("?".into(), |mb| format!("{mb} MB"));
    out::line(format_args!(
        "{:8} {:9} {:12} {:7.3} s {:7.3} s {:7.3} s {:7.3} s {memory:>8}",
        row.device, row.precision, row.part, row.load_s, row.first_s, row.median_s, row.min_s
    ))
}

fn measure(
    args: &BenchArgs,
    device: DeviceChoice,
    precision: PrecisionChoice,
    part: Part,
) -> Result<Row, Failure> {
    use_threads(args.threads);
    let model = open_model(args.model.as_deref())?;
    let placement = Placement { device, precision };
    let settings = BenchSettings {
        part,
        size: args.size.map(|size| [size.width, size.height]),
        steps: args.steps,
        runs: args.runs as usize,
    };
    let timing: Timing = bench(&model, placement, &settings)?;
    Ok(Row {
        device: device.resolve().to_string(),
        precision: format!("{:?}", precision.resolve()).to_lowercase(),
        part: part.to_string(),
        load_s: rounded(timing.load),
        first_s: rounded(timing.first),
        median_s: rounded(timing.median()),
        min_s: rounded(timing.min()),
        runs: timing.runs.len(),
        peak_mb: peak_megabytes(),
    })
}

/// [`measure`] in a process of its own: memory that one row took should not count for the next.
fn measure_apart(
    args: &BenchArgs,
    device: DeviceChoice,
    precision: PrecisionChoice,
    part: Part,
) -> Result<Row, Failure> {
    let failed = |reason: String| {
        Failure::new(format!(
            "timing {part} on {device} in {precision} failed: {reason}"
        ))
    };
    let program = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
    let mut command = Command::new(program);
    command.args([
        "bench",
        "--json",
        "--device",
        device.name(),
        "--precision",
        precision.name(),
    ]);
    command.args(["--part", part.name(), "--runs", &args.runs.to_string()]);
    if let Some(model) = &args.model {
        command.arg("--model").arg(model);
    }
    if let Some(size) = args.size {
        command
            .arg("--size")
            .arg(format!("{}x{}", size.width, size.height));
    }
    if let Some(steps) = args.steps {
        command.args(["--steps", &steps.to_string()]);
    }
    if let Some(threads) = args.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| failed(e.to_string()))
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1e4).round() / 1e4
}

/// Most memory that this process has held, where the system tells.
fn peak_megabytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes / 1024)
}
