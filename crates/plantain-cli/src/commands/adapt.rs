//! What is added to a model before it is used or written.

use plantain::Model;
use plantain::weights::Recipe;

use crate::args::AdaptArgs;
use crate::failure::Failure;
use crate::out;

/// `model` with what `args` ask for; what of a LoRA does not fit is listed, unless `quiet`.
pub(super) fn adapt(mut model: Model, args: &AdaptArgs, quiet: bool) -> Result<Model, Failure> {
    if let Some(path) = &args.vae {
        let had_encoder = model.manifest().components.vae_encoder.is_some();
        model = model
            .with_vae(path)
            .map_err(|error| Failure::new(error.to_string()))?;
        if !quiet && had_encoder && model.manifest().components.vae_encoder.is_none() {
            let path = path.display();
            out::note(format_args!(
                "note: {path} has no encoder; the model can no longer start from a picture"
            ));
        }
    }
    for lora in &args.loras {
        let (with, report) = model.with_lora(&lora.path, lora.weight)?;
        model = with;
        if !quiet {
            report_unmatched(&lora.path.display().to_string(), &report);
        }
    }
    for path in &args.embeddings {
        model = model.with_embedding(path)?;
    }
    if let Some(name) = &args.recipe {
        let recipe = Recipe::named(name).map_err(|error| Failure::new(error.to_string()))?;
        model = model.with_recipe(recipe);
    }
    Ok(model)
}

fn report_unmatched(path: &str, report: &plantain::weights::LoraReport) {
    const SHOWN: usize = 5;
    let unmatched = &report.unmatched;
    if unmatched.is_empty() {
        return;
    }
    out::note(format_args!(
        "warning: {path}: {} of its {} layers are not in the model and were left out:",
        unmatched.len(),
        unmatched.len() + report.applied
    ));
    for layer in unmatched.iter().take(SHOWN) {
        out::note(format_args!("  {layer}"));
    }
    if unmatched.len() > SHOWN {
        out::note(format_args!("  and {} more", unmatched.len() - SHOWN));
    }
}
