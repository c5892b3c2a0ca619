//! `plantain trace`

use plantain::DeviceOptions;
use plantain::trace::{SamplerTrace, TraceComponent, trace};
use plantain::weights::{read_tensors, write_tensors};

use crate::args::TraceArgs;
use crate::commands::{choose_runtime, open_model, warn_of_unused};
use crate::failure::Failure;

pub(crate) fn run(args: &TraceArgs) -> Result<(), Failure> {
    let settings = SamplerTrace {
        sampler: args.sampler,
        steps: args.steps,
        guidance: args.guidance,
        strength: args.strength,
    };
    if settings != SamplerTrace::default() && args.component != TraceComponent::Sampler {
        return Err(Failure::new(format!(
            "--sampler, --steps, --guidance and --strength have no meaning for the component {}",
            args.component
        )));
    }
    let inputs = read_tensors(&args.inputs).map_err(|error| {
        Failure::new(error.to_string()).help("the inputs are a safetensors file with F32 tensors")
    })?;
    let model = open_model(args.model.as_deref())?;
    warn_of_unused(&model);
    choose_runtime(args.on.fusion);
    let options = DeviceOptions {
        device: args.on.device,
        precision: args.precision,
    };
    let outputs = trace(&model, args.component, &inputs, options, settings)?;
    write_tensors(&args.output, &outputs).map_err(|error| {
        let path = args.output.display();
        Failure::new(format!("cannot write {path}: {error}"))
    })
}
