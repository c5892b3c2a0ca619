//! `plantain convert`

use plantain::weights::{ConvertError, ConvertOptions, TargetType, convert};

use crate::args::{ConvertArgs, Dtype};
use crate::commands::inspect::megabytes;
use crate::failure::Failure;
use crate::interrupt;
use crate::out;

pub(crate) fn run(args: ConvertArgs) -> Result<(), Failure> {
    let options = ConvertOptions {
        dtype: match args.dtype {
            None => TargetType::Keep,
            Some(Dtype::F32) => TargetType::F32,
            Some(Dtype::F16) => TargetType::F16,
            Some(Dtype::Bf16) => TargetType::Bf16,
            Some(Dtype::Int8) => TargetType::Int8,
        },
        allow_partial: args.allow_partial,
        name: args.name,
        license: args.license,
        description: args.description,
    };
    interrupt::install();
    let report = convert(
        &args.source,
        &args.destination,
        &options,
        &interrupt::requested,
    );
    let report = match report {
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
    if report.manifest.tokenizer.is_none() {
        out::note("note: the source has no tokenizer; the model can be traced, but not prompted");
    }
    out::line(format_args!(
        "{}: {} tensors, {:.1} M parameters, {}",
        args.destination.display(),
        report.tensors,
        report.parameters as f64 / 1e6,
        megabytes(report.bytes)
    ))
}
