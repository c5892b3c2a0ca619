//! `plantain convert`

use std::path::Path;

use plantain::Model;
use plantain::weights::{
    ConvertError, ConvertOptions, ConvertReport, Recipe, TargetType, convert, recipes,
};

use crate::args::ConvertArgs;
use crate::commands::adapt::adapt;
use crate::commands::inspect::megabytes;
use crate::commands::{counted, warn_of_license};
use crate::failure::Failure;
use crate::interrupt;
use crate::out;

pub(crate) fn run(args: ConvertArgs) -> Result<(), Failure> {
    // Both are there unless recipes are to be listed.
    let (Some(source), Some(destination)) = (args.source, args.destination) else {
        return list_recipes();
    };
    interrupt::install();
    let model = Model::open(&source).map_err(ConvertError::Read)?;
    let mut model = adapt(model, &args.adapt, false)?;
    if let Some(prediction_type) = args.prediction {
        model = model.with_prediction(prediction_type);
    }
    let options = ConvertOptions {
        dtype: args.dtype.map_or(TargetType::Keep, Into::into),
        allow_partial: args.allow_partial,
        name: args.name,
        license: args.license,
        description: args.description,
    };
    report(&destination, &write(&model, &destination, &options)?)
}

/// Says what was written, and what its user should know.
pub(super) fn report(destination: &Path, report: &ConvertReport) -> Result<(), Failure> {
    let manifest = &report.manifest;
    if manifest.tokenizer.is_none() {
        out::note("note: the source has no tokenizer; the model can be traced, but not prompted");
    }
    warn_of_license(manifest);
    let recipe = manifest.recipe.as_ref();
    out::line(format_args!(
        "{}: {} tensors, {:.1} M parameters, {}; sampled by {} in {}{}",
        destination.display(),
        report.tensors,
        report.parameters as f64 / 1e6,
        megabytes(report.bytes),
        manifest.sampler.kind,
        counted(manifest.defaults.steps as usize, "step"),
        recipe.map_or_else(String::new, |recipe| format!(" (recipe {recipe})"))
    ))
}

/// Writes the package, and lists what does not fit.
pub(super) fn write(
    model: &Model,
    destination: &Path,
    options: &ConvertOptions,
) -> Result<ConvertReport, Failure> {
    let report = match convert(model, destination, options, &interrupt::requested) {
        Err(ConvertError::Refused(report)) => {
            for problem in &report.problems {
                out::note(problem);
            }
            return Err(ConvertError::Refused(report).into());
        }
        report => report?,
    };
    for problem in &report.problems {
        out::note(format_args!("left out: {problem}"));
    }
    Ok(report)
}

fn list_recipes() -> Result<(), Failure> {
    for recipe in recipes() {
        let Recipe {
            name,
            about,
            sampler,
            steps,
            guidance,
            ..
        } = recipe;
        out::line(format_args!("{name:15} {about}"))?;
        out::line(format_args!(
            "{:15} {sampler}, {}, guidance {guidance} ({})",
            "",
            counted(*steps as usize, "step"),
            recipe.source
        ))?;
    }
    Ok(())
}
