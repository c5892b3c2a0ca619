//! `plantain doctor`

use std::process::ExitCode;

use plantain::DeviceOptions;
use plantain::doctor::{BlockReport, ComponentReport, Examination, Report, Side, Verdict, examine};

use crate::args::DoctorArgs;
use crate::commands::{choose_runtime, open_model, table};
use crate::failure::Failure;
use crate::out;

/// Exit code where a device does not compute what the CPU does.
const UNWELL: u8 = 3;

pub(crate) fn run(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    choose_runtime(args.on.fusion);
    let model = open_model(args.model.as_deref())?;
    let device = Side {
        model: &model,
        options: DeviceOptions {
            device: args.on.device,
            precision: args.precision,
        },
    };
    let settings = Examination {
        size: args.size.map(|size| [size.width, size.height]),
        tolerance: args.tolerance,
    };
    let report = examine(device, Side::reference(&model), settings)?;
    if args.json {
        let json = serde_json::to_string(&report);
        out::line(json.map_err(|e| Failure::new(e.to_string()))?)?;
    } else {
        out::line(describe(&report))?;
    }
    Ok(match report.verdict {
        Verdict::Ok => ExitCode::SUCCESS,
        Verdict::Differs | Verdict::Broken => ExitCode::from(UNWELL),
    })
}

fn describe(report: &Report) -> String {
    let Report {
        model,
        size: [width, height],
        device,
        description,
        precision,
        tolerance,
        advice,
        ..
    } = report;
    let mut text = format!(
        "{model} at {width}x{height}, against the CPU in f32\n\
         {device} in {precision}: {description}\n"
    );
    for component in &report.components {
        text += &format!("\n{}\n", blocks(component, *tolerance));
    }
    text += "\nfirst divergence: ";
    text += &match &report.first_divergence {
        Some(first) => format!("{} of the {}", first.block, first.component),
        None => "none".to_string(),
    };
    text + &format!(
        " (tolerance {tolerance:e})\nverdict: {}; {advice}",
        report.verdict.name()
    )
}

/// A table, its first heading the name of the component.
fn blocks(component: &ComponentReport, tolerance: f64) -> String {
    let headings = [
        component.component,
        "shape",
        "largest\nerror",
        "relative\nerror",
        "not\nfinite",
        "device\nms",
        "CPU\nms",
    ];
    let rows = component.blocks.iter().map(|block| row(block, tolerance));
    table::plain(headings.into_iter(), rows)
}

fn row(block: &BlockReport, tolerance: f64) -> Vec<String> {
    let number = |value: Option<f64>| match value {
        None => "-".to_string(),
        Some(0.0) => "0".to_string(),
        Some(value) => format!("{value:.1e}"),
    };
    let shape: Vec<_> = block.shape.iter().map(ToString::to_string).collect();
    let mark = if block.agrees(tolerance) { "" } else { "! " };
    vec![
        block.name.clone(),
        shape.join("x"),
        number(block.max_abs),
        format!("{mark}{}", number(block.relative)),
        block.non_finite.to_string(),
        format!("{:.2}", block.device_ms),
        format!("{:.2}", block.reference_ms),
    ]
}
