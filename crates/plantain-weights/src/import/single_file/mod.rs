//! Checkpoints in one file, in the layout of latent diffusion's own code. They hold no configuration: what the networks are
//! like follows from the names and shapes of their tensors, and what those do not tell is Stable Diffusion's.

mod part;
mod text;
mod unet;
mod vae;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plantain_nn::{DecoderConfig, EncoderConfig, PerLevel, TextEncoderConfig, UNetConfig};
use plantain_sampling::{PredictionType, SamplerKind, ScheduleConfig};

use super::autoencoder::Half;
use super::scheduler::{self, Stated};
use super::{Targets, add_named, file_stem, tokenizer};
use crate::container::Container;
use crate::error::ReadError;
use crate::keys::KeyMap;
use crate::manifest::{
    Component, Components, Defaults, FORMAT_VERSION, Manifest, Provenance, SamplerInfo,
    TokenizerInfo,
};
use crate::package::{Model, ModelFile};
use crate::recipe::Recipe;
use crate::tensor::TensorRef;
use crate::tensors::TensorSource;
use part::Lacks;
pub(super) use part::Part;

/// What starts the names of each part.
const UNET: &str = "model.diffusion_model.";
const VAE: &str = "first_stage_model.";
/// CLIP's text encoder, with and without the name of the class that some versions of transformers put around it.
const CLIP: [&str; 2] = [
    "cond_stage_model.transformer.text_model.",
    "cond_stage_model.transformer.",
];
const OPEN_CLIP: &str = "cond_stage_model.model.";
/// Parts of other families, and what a model with them is.
const OTHERS: [(&str, &str); 4] = [
    ("conditioner.embedders.", "Stable Diffusion XL"),
    ("model.diffusion_model.joint_blocks.", "Stable Diffusion 3"),
    ("model.diffusion_model.double_blocks.", "FLUX"),
    ("double_blocks.", "FLUX"),
];
/// Pixels per latent pixel, and sides of the latents that Stable Diffusion 1 and 2 were trained on.
const SIDE: usize = 64;
/// Width of the text states of Stable Diffusion 2.
const WIDTH_OF_2: usize = 1024;
/// What tells models of Stable Diffusion 2 that predict velocities: the spread of these numbers is above 0.09, and below in those
/// that predict noise (source: ComfyUI's `supported_models.py`).
const TELLING: &str = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias";
const SPREAD: f64 = 0.09;
const SIDE_OF_2: usize = 96;

/// Why a part is nothing that this program can run.
#[derive(Debug)]
enum Problem {
    Lacks(String),
    Unsupported(String),
}

impl From<Lacks> for Problem {
    fn from(Lacks(name): Lacks) -> Self {
        Self::Lacks(name)
    }
}

impl Problem {
    fn at(self, path: &Path, prefix: &str) -> ReadError {
        let path = path.to_path_buf();
        match self {
            Self::Lacks(name) => ReadError::Incomplete {
                path,
                name: format!("{prefix}{name}"),
            },
            Self::Unsupported(what) => ReadError::Unsupported {
                path,
                what,
                supported: "models of the Stable Diffusion 1 and 2 kind",
            },
        }
    }
}

/// Whether `file` is a checkpoint of this layout, or of a family that has a similar one.
pub(super) fn is_checkpoint(file: &Container) -> bool {
    let mut names = file.tensors.keys();
    names.any(|name| {
        name.starts_with(UNET) || OTHERS.iter().any(|(start, _)| name.starts_with(start))
    })
}

/// Opens the checkpoint `file`, which is at `path`, in place.
pub(super) fn open(file: Container, path: &Path) -> Result<Model, ReadError> {
    let parts = Parts::recognise(&file, path)?;
    let configs = parts.configs();
    let validated = configs.validate().and_then(|()| configs.check_fit());
    validated.map_err(|source| ReadError::Config {
        origin: path.display().to_string(),
        source,
    })?;
    let second = parts.is_second();
    let velocities = second && predicts_velocities(&file);
    let side = if velocities { SIDE_OF_2 } else { SIDE };
    let mut configs = configs;
    if let Some(unet) = &mut configs.unet {
        unet.sample_size = Some(PerLevel::All(side));
    }
    let (tokenizer, info, mut files) = read_tokenizer(path, &configs, second)?;
    files.push(path.to_path_buf());
    let root = path.parent().unwrap_or(path);
    let files = files.into_iter().map(|path| ModelFile::within(root, path));
    let layout = format!("single file, {}", file.format);
    let mut tensors = TensorSource::new(path.display().to_string());
    add_named(&mut tensors, file, "", |name| parts.targets(name))?;
    let sampler = sampler(velocities);
    let (steps, guidance) = scheduler::defaults(&sampler, &Stated::default(), &configs);
    let side = u32::try_from(side * configs.decoder_scale()).unwrap_or(u32::MAX);
    let mut manifest = Manifest {
        format: FORMAT_VERSION,
        name: file_stem(path),
        license: None,
        description: None,
        subjects: Vec::new(),
        styles: Vec::new(),
        subject_styles: Vec::new(),
        plain_ground: false,
        recipe: None,
        tokenizer: info,
        defaults: Defaults {
            steps,
            guidance,
            width: side,
            height: side,
        },
        components: configs,
        sampler,
        provenance: Provenance {
            layout,
            ..Provenance::default()
        },
    };
    if let Some(recipe) = Recipe::recognised(&manifest.name) {
        recipe.apply(&mut manifest);
    }
    Ok(Model {
        manifest,
        tokenizer,
        tensors: Arc::new(tensors),
        files: files.collect(),
        additions: Vec::new(),
    })
}

/// Both halves of the autoencoder that `part` of the file at `path` is.
pub(super) fn autoencoder(
    part: &Part<'_>,
    path: &Path,
) -> Result<(Half<DecoderConfig>, Option<Half<EncoderConfig>>), ReadError> {
    let decoder = vae::recognise_decoder(part).map_err(|problem| problem.at(path, ""))?;
    let encoder = vae::recognise_encoder(part).map_err(|problem| problem.at(path, ""))?;
    Ok((decoder, encoder))
}

/// The parts of a file that networks here are made of.
#[derive(Debug)]
struct Parts {
    unet: Half<UNetConfig>,
    text: Option<(&'static str, Half<TextEncoderConfig>)>,
    decoder: Option<Half<DecoderConfig>>,
    encoder: Option<Half<EncoderConfig>>,
}

impl Parts {
    fn recognise(file: &Container, path: &Path) -> Result<Self, ReadError> {
        let shapes = || {
            let tensors = file.tensors.iter();
            tensors.map(|(name, stored)| (name.as_str(), stored.shape.as_slice()))
        };
        for (start, family) in OTHERS {
            if file.tensors.keys().any(|name| name.starts_with(start)) {
                return Err(Problem::Unsupported(family.to_string()).at(path, ""));
            }
        }
        let open_clip = Part::of(shapes(), OPEN_CLIP);
        let clip = CLIP.map(|prefix| (prefix, Part::of(shapes(), prefix)));
        let clip = clip.iter().find(|(_, part)| !part.is_empty());
        let width =
            clip.and_then(|(_, part)| part.length("embeddings.token_embedding.weight", 1).ok());
        let second = !open_clip.is_empty() || width == Some(WIDTH_OF_2);
        let part = Part::of(shapes(), UNET);
        let unet = unet::recognise(&part, second).map_err(|problem| problem.at(path, UNET))?;
        let second = unet.config.use_linear_projection;
        let text = if open_clip.is_empty() {
            clip.map(|(prefix, part)| (*prefix, text::recognise_clip(part, second)))
        } else {
            Some((OPEN_CLIP, text::recognise_open_clip(&open_clip)))
        };
        let text = text.map(|(prefix, recognised)| {
            let recognised = recognised.map_err(|problem| problem.at(path, prefix))?;
            Ok((prefix, recognised))
        });
        let vae = Part::of(shapes(), VAE);
        let (decoder, encoder) = match vae.is_empty() {
            true => (None, None),
            false => {
                let at = |problem: Problem| problem.at(path, VAE);
                (
                    Some(vae::recognise_decoder(&vae).map_err(at)?),
                    vae::recognise_encoder(&vae).map_err(at)?,
                )
            }
        };
        Ok(Self {
            unet,
            text: text.transpose()?,
            decoder,
            encoder,
        })
    }

    /// Whether the model is of the second generation: it is the one that projects by linear layers.
    fn is_second(&self) -> bool {
        self.unet.config.use_linear_projection
    }

    fn configs(&self) -> Components {
        Components {
            text_encoder: self.text.as_ref().map(|(_, text)| text.config.clone()),
            unet: Some(self.unet.config.clone()),
            vae: self.decoder.as_ref().map(|vae| vae.config.clone()),
            vae_encoder: self.encoder.as_ref().map(|vae| vae.config.clone()),
            refiner: None,
        }
    }

    /// Which component the tensor `name` belongs to and its stable names there; `None` when nothing needs it: what is in none of
    /// the parts (noise schedules, averaged weights, counters, optimisers) is other programs' business.
    fn targets(&self, name: &str) -> Targets<'_> {
        let within = |prefix| name.strip_prefix(prefix);
        let named = |component, keys, name| {
            let names = KeyMap::targets(keys, name);
            (!names.is_empty()).then_some((component, keys, names))
        };
        if let Some(name) = within(VAE) {
            let decoder = self.decoder.as_ref();
            let decoder = decoder.and_then(|half| named(Component::Vae, &half.keys, name));
            let encoder = self.encoder.as_ref();
            return decoder.or_else(|| {
                encoder.and_then(|half| named(Component::VaeEncoder, &half.keys, name))
            });
        }
        if let Some((prefix, text)) = &self.text
            && let Some(name) = within(prefix)
        {
            return named(Component::TextEncoder, &text.keys, name);
        }
        named(Component::Unet, &self.unet.keys, within(UNET)?)
    }
}

/// A tokenizer in JSON, how it is used, and the files it was read from.
type ReadTokenizer = (Option<String>, Option<TokenizerInfo>, Vec<PathBuf>);

/// The tokenizer in the folder `tokenizer` beside the file, or CLIP's where the vocabulary is as large as that, and the files
/// read for it.
fn read_tokenizer(
    path: &Path,
    configs: &Components,
    second: bool,
) -> Result<ReadTokenizer, ReadError> {
    let Some(text) = &configs.text_encoder else {
        return Ok((None, None, Vec::new()));
    };
    let folder = path.with_file_name("tokenizer");
    let longest = text.max_position_embeddings;
    if let Some((json, info)) = tokenizer::read(&folder, longest)? {
        return Ok((Some(json), Some(info), tokenizer::files(&folder)));
    }
    if text.vocab_size != tokenizer::CLIP_VOCABULARY {
        return Ok((None, None, Vec::new()));
    }
    let (json, info) = tokenizer::clip(second, longest)?;
    Ok((Some(json), Some(info), Vec::new()))
}

/// Whether a network of Stable Diffusion 2 predicts velocities. Pruned ones have not the tensor that tells; those there are come from the
/// model at 512x512, which predicts noise.
fn predicts_velocities(file: &Container) -> bool {
    let Some(stored) = file
        .tensors
        .get(TELLING)
        .filter(|stored| stored.dtype.is_float())
    else {
        return false;
    };
    let values = TensorRef::stored(stored, file.data(stored)).decoded();
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let squares = values.iter().map(|v| (f64::from(*v) - mean).powi(2));
    (squares.sum::<f64>() / count).sqrt() > SPREAD
}

/// On Stable Diffusion's noise schedule.
fn sampler(velocities: bool) -> SamplerInfo {
    SamplerInfo {
        kind: SamplerKind::Ddim,
        schedule: ScheduleConfig {
            prediction_type: velocities.then_some(PredictionType::VPrediction),
            set_alpha_to_one: false,
            ..ScheduleConfig::default()
        },
    }
}
