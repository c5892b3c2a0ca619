//! `plantain inspect`

use plantain::weights::{
    Component, ComponentSummary, Components, DecoderConfig, EncoderConfig, Manifest, UNetConfig,
};
use plantain::{MemoryPlan, Model, PrecisionChoice, Request};

use crate::args::InspectArgs;
use crate::commands::{open_model, warn_of_unused};
use crate::failure::Failure;
use crate::out;

pub(crate) fn run(args: &InspectArgs) -> Result<(), Failure> {
    let model = open_model(args.model.as_deref())?;
    warn_of_unused(&model);
    if args.json {
        let json = serde_json::to_string_pretty(model.manifest());
        return out::line(json.map_err(|e| Failure::new(e.to_string()))?);
    }
    describe(&model)?;
    for component in model.summary() {
        list(&component)?;
        out::line(format_args!(
            "  {:13} {}",
            "",
            outline(&model.manifest().components, component.component)
        ))?;
    }
    let defaults = &model.manifest().defaults;
    let size = match args.size {
        Some(size) => [size.width, size.height],
        None => [defaults.width, defaults.height].map(|side| side as usize),
    };
    let subjects = &model.manifest().subjects;
    if !subjects.is_empty() {
        let usual = subjects.iter().filter_map(|names| names.first());
        let names: Vec<_> = usual
            .map(|name| with_style(name, model.manifest()))
            .collect();
        out::line(format_args!("draws {}: {}", names.len(), names.join(", ")))?;
    }
    let [width, height] = size;
    let request = Request::new("").size(size);
    if args.size.is_some() {
        request
            .settings(model.manifest())
            .map_err(plantain::Error::from)?;
    }
    let plan = MemoryPlan::new(&model, &request, PrecisionChoice::F32, u64::MAX);
    let needed = plan
        .map_err(|error| Failure::new(error.to_string()))?
        .needed;
    let kept = model.estimated_memory(defaults.width, defaults.height, 1);
    out::line(format_args!(
        "memory at {width}x{height}: about {} in f32 ({} weights, {} more for convolutions, {} the program and intermediate values)",
        megabytes(needed),
        megabytes(kept.weights),
        megabytes(kept.transformed),
        megabytes(needed.saturating_sub(kept.weights + kept.transformed))
    ))
}

/// A subject with the style that it is drawn in where a prompt names none, if that is not what other subjects are drawn in.
fn with_style(subject: &str, manifest: &Manifest) -> String {
    let usual = manifest.styles.iter().flatten().next();
    match manifest.styles_of(subject).first() {
        Some(style) if usual.is_some_and(|usual| usual != style) => format!("{subject} ({style})"),
        _ => subject.to_string(),
    }
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
        "sampler {}, {} steps, guidance {}, {}x{}{}",
        manifest.sampler.kind,
        defaults.steps,
        defaults.guidance,
        defaults.width,
        defaults.height,
        if manifest.plain_ground {
            ", wider or higher by more of the ground, white where a prompt names none"
        } else {
            ""
        }
    ))?;
    let styles = manifest.styles.iter().filter_map(|names| names.first());
    let styles: Vec<_> = styles.map(String::as_str).collect();
    if !styles.is_empty() {
        out::line(format_args!(
            "styles: {}; where a prompt names none, the first that a thing was taught in",
            styles.join(", ")
        ))?;
    }
    match &manifest.tokenizer {
        Some(tokenizer) => out::line(format_args!(
            "prompts of up to {} tokens",
            tokenizer.max_length
        )),
        None => out::line("no tokenizer: cannot be prompted"),
    }?;
    for added in manifest.tokenizer.iter().flat_map(|info| &info.embeddings) {
        let (word, vectors) = (&added.word, added.vectors);
        out::line(format_args!(
            "the word `{word}` is an embedding of {vectors} vectors"
        ))?;
    }
    if let Some(recipe) = &manifest.recipe {
        out::line(format_args!("sampled by the recipe {recipe}"))?;
    }
    let provenance = &manifest.provenance;
    out::line(format_args!(
        "from a {} layout, {}",
        provenance.layout,
        if provenance.tool.is_empty() {
            "read in place".to_string()
        } else {
            let files = provenance.sources.len();
            format!("{files} files, by {}", provenance.tool)
        }
    ))
}

fn list(component: &ComponentSummary) -> Result<(), Failure> {
    let types: Vec<_> = component
        .types
        .iter()
        .map(|(name, count)| match name.as_str() {
            "I8" => format!("{count} int8"),
            name => format!("{count} {name}"),
        })
        .collect();
    out::line(format_args!(
        "  {:13} {:>9.3} M parameters  {:>9}  tensors: {}",
        component.component.name(),
        component.parameters as f64 / 1e6,
        megabytes(component.bytes),
        types.join(", ")
    ))
}

/// The configuration of one component in a line; `--json` has all of it.
fn outline(components: &Components, component: Component) -> String {
    let text = match component {
        Component::TextEncoder => components.text_encoder.as_ref().map(|text| {
            format!(
                "{} layers of width {}, {} heads",
                text.num_hidden_layers, text.hidden_size, text.num_attention_heads
            )
        }),
        Component::Unet => components.unet.as_ref().map(unet),
        Component::Vae => components.vae.as_ref().map(|vae| {
            let kind = match vae {
                DecoderConfig::AutoencoderKL(_) => "AutoencoderKL",
                DecoderConfig::AutoencoderTiny(_) => "AutoencoderTiny",
            };
            let channels = vae.latent_channels();
            format!(
                "{kind}, {channels} latent channels, {} times larger",
                vae.scale()
            )
        }),
        Component::VaeEncoder => components.vae_encoder.as_ref().map(|encoder| {
            let kind = match encoder {
                EncoderConfig::AutoencoderKL(_) => "AutoencoderKL",
                EncoderConfig::AutoencoderTiny(_) => "AutoencoderTiny",
            };
            let scale = encoder.scale();
            format!("{kind}, {scale} times smaller, for drawing from a picture")
        }),
        Component::Refiner => components.refiner.as_ref().map(|refiner| {
            let larger = ["", ", twice the size"][usize::from(refiner.scale > 1)];
            let blocks = refiner.num_blocks;
            format!("{}, then {blocks} blocks{larger}", unet(&refiner.unet))
        }),
    };
    text.unwrap_or_default()
}

fn unet(config: &UNetConfig) -> String {
    let mid = config.mid_block_type.as_ref();
    format!(
        "channels {:?}, text width {}{}",
        config.block_out_channels,
        config.text_dim(),
        mid.map_or(", no mid block", |_| "")
    )
}

/// A number of bytes for people.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
