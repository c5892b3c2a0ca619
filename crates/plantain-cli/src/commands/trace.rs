//! `plantain trace`

use plantain::trace::{SamplerTrace, TraceComponent, trace};

use crate::args::TraceArgs;
use crate::commands::open_model;
use crate::failure::Failure;
use crate::tensors;

pub(crate) fn run(args: &TraceArgs) -> Result<(), Failure> {
    let settings = SamplerTrace {
        sampler: args.sampler,
        steps: args.steps,
        guidance: args.guidance,
    };
    if settings != SamplerTrace::default() && args.component != TraceComponent::Sampler {
        return Err(Failure::new(format!(
            "--sampler, --steps and --guidance have no meaning for the component {}",
            args.component
        )));
    }
    let inputs = tensors::read(&args.inputs)?;
    let model = open_model(args.model.as_deref())?;
    let outputs = trace(&model, args.component, &inputs, args.device, settings)?;
    tensors::write(&args.output, &outputs)
}
