//! `plantain inspect`

use plantain::Model;
use plantain::weights::ComponentSummary;

use crate::args::InspectArgs;
use crate::commands::open_model;
use crate::failure::Failure;

pub(crate) fn run(args: &InspectArgs) -> Result<(), Failure> {
    let model = open_model(args.model.as_deref())?;
    if args.json {
        let json = serde_json::to_string_pretty(model.manifest());
        println!("{}", json.map_err(|e| Failure::new(e.to_string()))?);
        return Ok(());
    }
    describe(&model);
    for component in model.summary() {
        list(&component);
    }
    let defaults = &model.manifest().defaults;
    let (width, height) = match args.size {
        Some(size) => (size.width as u32, size.height as u32),
        None => (defaults.width, defaults.height),
    };
    let memory = model.estimated_memory(width, height, 1);
    println!(
        "memory at {width}x{height}: about {} ({} weights as f32, {} intermediate values)",
        megabytes(memory.total()),
        megabytes(memory.weights),
        megabytes(memory.activations)
    );
    Ok(())
}

fn describe(model: &Model) {
    let manifest = model.manifest();
    println!("{} ({})", manifest.name, model.tensors().origin());
    if let Some(description) = &manifest.description {
        println!("{description}");
    }
    if let Some(license) = &manifest.license {
        println!("licence: {license}");
    }
    let defaults = &manifest.defaults;
    println!(
        "sampler {}, {} steps, guidance {}, {}x{}",
        manifest.sampler.kind, defaults.steps, defaults.guidance, defaults.width, defaults.height
    );
    match &manifest.tokenizer {
        Some(tokenizer) => println!("prompts of up to {} tokens", tokenizer.max_length),
        None => println!("no tokenizer: cannot be prompted"),
    }
    let provenance = &manifest.provenance;
    println!(
        "from a {} layout, {} files{}",
        provenance.layout,
        provenance.sources.len(),
        if provenance.tool.is_empty() {
            String::new()
        } else {
            format!(", by {}", provenance.tool)
        }
    );
}

fn list(component: &ComponentSummary) {
    let types: Vec<_> = component
        .types
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    println!(
        "  {:13} {:>9.3} M parameters  {:>9}  tensors: {}",
        component.component.name(),
        component.parameters as f64 / 1e6,
        megabytes(component.bytes),
        types.join(", ")
    );
}

/// A number of bytes for people.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
