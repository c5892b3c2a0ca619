//! The layout of Hugging Face diffusers: a folder per component.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plantain_nn::PerLevel;
use plantain_sampling::SamplerKind;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::files::{find_weights, read_json, read_text};
use super::scheduler::{self, Stated};
use super::{add_named, tokenizer};
use crate::container::Container;
use crate::error::ReadError;
use crate::keys::{KeyMap, is_of_encoder};
use crate::license::license_in_readme;
use crate::manifest::{
    Component, Components, Defaults, FORMAT_VERSION, Manifest, Provenance, SamplerInfo,
};
use crate::package::{Model, ModelFile};
use crate::recipe::Recipe;
use crate::tensors::TensorSource;

/// Parts of other model families; without them the rest of such a model is useless.
const OTHER_FAMILIES: [(&str, &str); 5] = [
    ("transformer", "a diffusion transformer"),
    ("text_encoder_2", "a second text encoder"),
    ("text_encoder_3", "a third text encoder"),
    ("image_encoder", "an image encoder"),
    ("prior", "a prior"),
];

/// The optional `model.json` beside `model_index.json`: what a person says about the model.
#[derive(Debug, Default, Deserialize)]
struct ModelCard {
    name: Option<String>,
    license: Option<String>,
    description: Option<String>,
    #[serde(default)]
    subjects: Vec<Vec<String>>,
    #[serde(default)]
    styles: Vec<Vec<String>>,
    #[serde(default)]
    subject_styles: Vec<Vec<usize>>,
    sampler: Option<SamplerKind>,
    steps: Option<u32>,
    guidance: Option<f64>,
    width: Option<u32>,
    height: Option<u32>,
    #[serde(default)]
    plain_ground: bool,
}

/// Opens the diffusers folder `root` in place.
pub(super) fn open(root: &Path) -> Result<Model, ReadError> {
    check_family(root)?;
    let mut configs = Components {
        text_encoder: config(root, Component::TextEncoder)?,
        unet: config(root, Component::Unet)?,
        vae: config(root, Component::Vae)?,
        vae_encoder: None,
        refiner: config(root, Component::Refiner)?,
    };
    let refused = |source| ReadError::Config {
        origin: root.display().to_string(),
        source,
    };
    configs.validate().map_err(refused)?;
    if has_encoder(root)? {
        configs.vae_encoder = config(root, Component::VaeEncoder)?;
        configs.validate().map_err(refused)?;
    }
    let (tensors, mut files) = read_tensors(root, &configs)?;
    let longest = configs
        .text_encoder
        .as_ref()
        .map_or(77, |c| c.max_position_embeddings);
    let folder = root.join("tokenizer");
    let (tokenizer, tokenizer_info) = tokenizer::read(&folder, longest)?.unzip();
    files.extend(tokenizer::files(&folder));
    files.extend(small_files(root));
    let files = files.into_iter().map(|path| ModelFile::within(root, path));
    Ok(Model {
        manifest: Manifest {
            tokenizer: tokenizer_info,
            ..manifest(root, configs)?
        },
        tokenizer,
        tensors: Arc::new(tensors),
        files: files.collect(),
        additions: Vec::new(),
    })
}

/// Refuses folders that hold no model, and models of other families.
fn check_family(root: &Path) -> Result<(), ReadError> {
    let not = |reason| ReadError::NotDiffusers {
        path: root.to_path_buf(),
        reason,
    };
    for (folder, what) in OTHER_FAMILIES {
        if root.join(folder).is_dir() {
            return Err(ReadError::Unsupported {
                path: root.join(folder),
                what: what.to_string(),
                supported: "models of the Stable Diffusion 1 and 2 kind: text_encoder, unet and vae",
            });
        }
    }
    if !Component::ALL
        .iter()
        .any(|c| root.join(c.folder()).is_dir())
    {
        return Err(if root.join("config.json").exists() {
            not("it looks like one component; give the folder above it")
        } else {
            not("there is no folder text_encoder, unet, vae or refiner in it")
        });
    }
    let index = root.join("model_index.json");
    if !index.exists() {
        return Ok(());
    }
    let listed: Map<String, Value> = read_json(&index)?;
    for component in Component::ALL {
        let used = |entry: &Value| entry.get(0).is_some_and(Value::is_string);
        if listed.get(component.name()).is_some_and(used) && !root.join(component.name()).is_dir() {
            return Err(ReadError::NoWeights {
                path: root.join(component.name()),
                reason: "model_index.json lists this folder, but it is not there; download the model again".to_string(),
            });
        }
    }
    Ok(())
}

/// The configuration of `component`, if its folder is there.
fn config<C: DeserializeOwned>(root: &Path, component: Component) -> Result<Option<C>, ReadError> {
    let folder = root.join(component.folder());
    if !folder.is_dir() {
        return Ok(None);
    }
    read_json(&folder.join("config.json")).map(Some)
}

/// Whether the autoencoder came with its encoder: some are saved without.
fn has_encoder(root: &Path) -> Result<bool, ReadError> {
    let folder = root.join(Component::VaeEncoder.folder());
    if !folder.is_dir() {
        return Ok(false);
    }
    for path in find_weights(&folder)?.files {
        let tensors = Container::open(&path)?.tensors;
        if tensors.keys().any(|name| is_of_encoder(name)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Maps the weight files of every component and gives their tensors stable names.
fn read_tensors(
    root: &Path,
    configs: &Components,
) -> Result<(TensorSource, Vec<PathBuf>), ReadError> {
    let mut tensors = TensorSource::new(root.display().to_string());
    let mut read = Vec::new();
    for component in Component::ALL {
        // The encoder's tensors are read with the decoder's, from the same files.
        if !configs.has(component) || component == Component::VaeEncoder {
            continue;
        }
        let folder = component.folder();
        let keys = key_maps(component, configs);
        let weights = find_weights(&root.join(folder))?;
        for path in &weights.files {
            let file = Container::open(path)?;
            add_named(&mut tensors, file, &format!("{folder}/"), |original| {
                keys.iter().find_map(|(component, keys)| {
                    let names = keys.targets(original);
                    (!names.is_empty()).then_some((*component, keys, names))
                })
            })?;
        }
        read.extend(weights.files);
        read.extend(weights.index);
        read.push(root.join(folder).join("config.json"));
    }
    Ok((tensors, read))
}

/// The name maps of the components in the folder of `component`.
fn key_maps(component: Component, configs: &Components) -> Vec<(Component, KeyMap)> {
    let there = |other: &Component| other.folder() == component.folder() && configs.has(*other);
    let map = |other| (other, KeyMap::diffusers(other, configs));
    Component::ALL.into_iter().filter(there).map(map).collect()
}

/// The other files that a model is read from, where they are there.
fn small_files(root: &Path) -> impl Iterator<Item = PathBuf> {
    [
        "model_index.json",
        "model.json",
        "README.md",
        "scheduler/scheduler_config.json",
    ]
    .map(|file| root.join(file))
    .into_iter()
    .filter(|path| path.exists())
}

/// The manifest, but for the tokenizer: what the scheduler suggests, then the recipe of a model with a known name, then what
/// the card says.
fn manifest(root: &Path, components: Components) -> Result<Manifest, ReadError> {
    let card = root.join("model.json");
    let card = if card.exists() {
        read_json(&card)?
    } else {
        ModelCard::default()
    };
    let (sampler, stated) = scheduler::read(&root.join("scheduler"))?;
    let mut manifest = Manifest {
        format: FORMAT_VERSION,
        name: card.name.clone().unwrap_or_else(|| folder_name(root)),
        license: card.license.clone().or_else(|| readme_license(root)),
        description: card.description.clone(),
        subjects: card.subjects,
        styles: card.styles,
        subject_styles: card.subject_styles,
        plain_ground: card.plain_ground,
        recipe: None,
        tokenizer: None,
        defaults: defaults(&sampler, &stated, &components),
        components,
        sampler,
        provenance: Provenance {
            layout: "diffusers".to_string(),
            ..Provenance::default()
        },
    };
    apply_recipe(&mut manifest, root, &stated);
    if let Some(kind) = card.sampler {
        manifest.sampler.kind = kind;
    }
    let stated = &mut manifest.defaults;
    stated.steps = card.steps.unwrap_or(stated.steps);
    stated.guidance = card.guidance.unwrap_or(stated.guidance);
    stated.width = card.width.unwrap_or(stated.width);
    stated.height = card.height.unwrap_or(stated.height);
    let checked = manifest.check_subject_styles();
    checked.map_err(|source| ReadError::Config {
        origin: root.join("model.json").display().to_string(),
        source,
    })?;
    Ok(manifest)
}

/// Applies the recipe of a model with a known name, or one that was trained on from such a model; what the files say of the prediction and the
/// size stays, as such a name may be that of a model in which it was otherwise.
fn apply_recipe(manifest: &mut Manifest, root: &Path, stated: &Stated) {
    let names = [Some(manifest.name.clone()), published_name(root)];
    let mut names = names.iter().flatten();
    let Some(recipe) = names.find_map(|name| Recipe::recognised(name)) else {
        return;
    };
    let kind = manifest.sampler.kind;
    if matches!(kind, SamplerKind::Lcm | SamplerKind::Tcd) && recipe.sampler != kind {
        return;
    }
    let before = manifest.clone();
    recipe.apply(manifest);
    let schedule = &mut manifest.sampler.schedule;
    schedule.prediction_type = stated.prediction_type.or(schedule.prediction_type);
    let sample_size = |manifest: &Manifest| manifest.components.unet.as_ref()?.sample_size.clone();
    if let (Some(size), Some(unet)) = (sample_size(&before), &mut manifest.components.unet) {
        unet.sample_size = Some(size);
        manifest.defaults.width = before.defaults.width;
        manifest.defaults.height = before.defaults.height;
    }
}

/// The licence that the model's card states, which hubs keep at the beginning of its README.
fn readme_license(root: &Path) -> Option<String> {
    license_in_readme(&read_text(&root.join("README.md")).ok()?)
}

/// What the model was called where it was published, which diffusers may have written down.
fn published_name(root: &Path) -> Option<String> {
    let index: Map<String, Value> = read_json(&root.join("model_index.json")).ok()?;
    index.get("_name_or_path")?.as_str().map(str::to_string)
}

fn folder_name(root: &Path) -> String {
    let full = root.canonicalize();
    let full = full.as_deref().unwrap_or(root);
    full.file_name()
        .map_or_else(|| "model".to_string(), |n| n.to_string_lossy().into_owned())
}

/// What the scheduler suggests, and the size that the UNet was trained at.
fn defaults(sampler: &SamplerInfo, stated: &Stated, components: &Components) -> Defaults {
    let (steps, guidance) = scheduler::defaults(sampler, stated, components);
    let scale = components.sampling_scale();
    let size = components
        .unet
        .as_ref()
        .and_then(|unet| unet.sample_size.as_ref());
    let [height, width] = match size {
        None => [64, 64],
        Some(PerLevel::All(side)) => [*side, *side],
        Some(PerLevel::Each(sides)) => [0, 1].map(|i| sides.get(i).copied().unwrap_or(64)),
    }
    .map(|side| u32::try_from(side.saturating_mul(scale)).unwrap_or(u32::MAX));
    Defaults {
        steps,
        guidance,
        width,
        height,
    }
}
