//! `plantain inspect`

use plantain::Model;
use plantain::weights::ComponentSummary;

use crate::args::InspectArgs;
use crate::commands::open_model;
use crate::failure::Failure;
use crate::out;

pub(crate) fn run(args: &InspectArgs) -> Result<(), Failure> {
    let model = open_model(args.model.as_deref())?;
    if args.json {
        let json = serde_json::to_string_pretty(model.manifest());
        return out::line(json.map_err(|e| Failure::new(e.to_string()))?);
    }
    describe(&model)?;
    for component in model.summary() {
        list(&component)?;
    }
    let defaults = &model.manifest().defaults;
    let (width, height) = match args.size {
        Some(size) => (size.width as u32, size.height as u32),
        None => (defaults.width, defaults.height),
    };
    let memory = model.estimated_memory(width, height, 1);
    out::line(format_args!(
        "memory at {width}x{height}: about {} ({} weights as f32, {} intermediate values)",
        megabytes(memory.total()),
        megabytes(memory.weights),
        megabytes(memory.activations)
    ))
}

fn describe(model: &Model) -> Result<(), Failure> {
    let manifest = model.manifest();
    out::line(format_args!(
        "{} ({})",
        manifest.name,
        model.tensors().origin()
    ))?;
    if let Some(description) = &manifest.description {
        out::line(description)?;
    }
    if let Some(license) = &manifest.license {
        out::line(format_args!("licence: {license}"))?;
    }
    let defaults = &manifest.defaults;
    out::line(format_args!(
        "sampler {}, {} steps, guidance {}, {}x{}",
        manifest.sampler.kind, defaults.steps, defaults.guidance, defaults.width, defaults.height
    ))?;
    match &manifest.tokenizer {
        Some(tokenizer) => out::line(format_args!(
            "prompts of up to {} tokens",
            tokenizer.max_length
        )),
        None => out::line("no tokenizer: cannot be prompted"),
    }?;
    let provenance = &manifest.provenance;
    out::line(format_args!(
        "from a {} layout, {} files{}",
        provenance.layout,
        provenance.sources.len(),
        if provenance.tool.is_empty() {
            String::new()
        } else {
            format!(", by {}", provenance.tool)
        }
    ))
}

fn list(component: &ComponentSummary) -> Result<(), Failure> {
    let types: Vec<_> = component
        .types
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    out::line(format_args!(
        "  {:13} {:>9.3} M parameters  {:>9}  tensors: {}",
        component.component.name(),
        component.parameters as f64 / 1e6,
        megabytes(component.bytes),
        types.join(", ")
    ))
}

/// A number of bytes for people.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
