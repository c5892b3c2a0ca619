//! Autoencoders on their own, to replace a model's: tiny ones as TAESD publishes them or as diffusers saves them, and whole
//! ones in either layout.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plantain_nn::{DecoderConfig, EncoderConfig, TinyDecoderConfig, TinyEncoderConfig};

use super::files::{find_weights, read_json};
use super::single_file::{self, Part};
use super::{Targets, add_named};
use crate::addition::{Addition, AdditionKind};
use crate::container::Container;
use crate::error::ReadError;
use crate::keys::{KeyMap, is_of_encoder};
use crate::manifest::{Component, Components};
use crate::package::{Model, ModelFile};

impl Model {
    /// This model with the autoencoder at `path` instead of its own: a diffusers folder, a file in diffusers' or latent
    /// diffusion's names, or TAESD's decoder as its author publishes it. An autoencoder without an encoder leaves the model
    /// without one.
    ///
    /// # Errors
    /// When it cannot be read, is no autoencoder, or has another number of latent channels than the UNet.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/single_files/sd1.safetensors"))?;
    /// # let path = Path::new("../../tests/fixtures/tiny_decoders/taesd_decoder.safetensors");
    /// use plantain_weights::DecoderConfig;
    ///
    /// let model = model.with_vae(path)?;
    /// let decoder = model.manifest().components.vae.as_ref();
    /// assert!(matches!(decoder, Some(DecoderConfig::AutoencoderTiny(_))));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn with_vae(&self, path: &Path) -> Result<Self, ReadError> {
        let found = find(path)?;
        let mut model = self.clone();
        let configs = &mut model.manifest.components;
        configs.vae = Some(found.decoder.config);
        configs.vae_encoder = found.encoder.as_ref().map(|half| half.config.clone());
        let checked = configs.validate().and_then(|()| configs.check_fit());
        checked.map_err(|source| ReadError::Config {
            origin: path.display().to_string(),
            source,
        })?;
        let tensors = Arc::make_mut(&mut model.tensors);
        tensors.remove(Component::Vae);
        tensors.remove(Component::VaeEncoder);
        let encoder = found.encoder.as_ref().map(|half| &half.keys);
        for file in &found.files {
            add_named(tensors, Container::open(file)?, "", |name| {
                targets(&found.decoder.keys, encoder, name)
            })?;
        }
        let root = path.parent().unwrap_or(path);
        let read = found.files.into_iter();
        model
            .files
            .extend(read.map(|file| ModelFile::within(root, file)));
        let addition = Addition::of_path(AdditionKind::Vae, path);
        model.additions.push(addition);
        Ok(model)
    }
}

/// One half of an autoencoder, and what its tensors are called.
#[derive(Debug)]
pub(super) struct Half<C> {
    pub(super) config: C,
    pub(super) keys: KeyMap,
}

#[derive(Debug)]
struct Found {
    decoder: Half<DecoderConfig>,
    encoder: Option<Half<EncoderConfig>>,
    files: Vec<PathBuf>,
}

fn targets<'k>(decoder: &'k KeyMap, encoder: Option<&'k KeyMap>, name: &str) -> Targets<'k> {
    // What its training left.
    if ["loss.", "model_ema."]
        .iter()
        .any(|start| name.starts_with(start))
    {
        return None;
    }
    let halves = [
        (Component::Vae, Some(decoder)),
        (Component::VaeEncoder, encoder),
    ];
    halves.into_iter().find_map(|(component, keys)| {
        let keys = keys?;
        let names = keys.targets(name);
        (!names.is_empty()).then_some((component, keys, names))
    })
}

fn find(path: &Path) -> Result<Found, ReadError> {
    let metadata = path.metadata().map_err(|e| ReadError::io(path, e))?;
    if metadata.is_dir() {
        return in_folder(path, find_weights(path)?.files);
    }
    let file = Container::open(path)?;
    let tensors = file.tensors.iter();
    let part = Part::of(
        tensors.map(|(name, stored)| (name.as_str(), stored.shape.as_slice())),
        "",
    );
    let files = vec![path.to_path_buf()];
    if part.has("decoder.layers.") {
        let encoder = part.has("encoder.layers.").then(|| tiny_encoder(&part));
        let decoder = tiny_decoder(&part, Naming::DIFFUSERS);
        let (decoder, encoder) = (decoder, encoder.flatten());
        return decoder
            .map(|decoder| Found {
                decoder,
                encoder,
                files,
            })
            .ok_or_else(|| no_autoencoder(path));
    }
    if part.has("decoder.up_blocks.") && path.with_file_name("config.json").exists() {
        let folder = path.parent().unwrap_or(path);
        return in_folder(folder, files);
    }
    if part.has("decoder.up.") {
        let (decoder, encoder) = single_file::autoencoder(&part, path)?;
        return Ok(Found {
            decoder,
            encoder,
            files,
        });
    }
    let decoder = tiny_decoder(&part, Naming::TAESD).ok_or_else(|| no_autoencoder(path))?;
    Ok(Found {
        decoder,
        encoder: None,
        files,
    })
}

fn no_autoencoder(path: &Path) -> ReadError {
    ReadError::Unsupported {
        path: path.to_path_buf(),
        what: "what this file holds".to_string(),
        supported: "TAESD's decoder, a tiny autoencoder of diffusers, or an autoencoder of Stable Diffusion (in diffusers' names with its config.json beside it)",
    }
}

/// A diffusers folder of an autoencoder alone, with its weights in `files`.
fn in_folder(folder: &Path, files: Vec<PathBuf>) -> Result<Found, ReadError> {
    let config = folder.join("config.json");
    let mut configs = Components {
        vae: Some(read_json(&config)?),
        ..Components::default()
    };
    for path in &files {
        let tensors = Container::open(path)?.tensors;
        if tensors.keys().any(|name| is_of_encoder(name)) {
            configs.vae_encoder = Some(read_json(&config)?);
        }
    }
    configs.validate().map_err(|source| ReadError::Config {
        origin: config.display().to_string(),
        source,
    })?;
    let decoder = KeyMap::diffusers(Component::Vae, &configs);
    let encoder = KeyMap::diffusers(Component::VaeEncoder, &configs);
    let half = configs.vae_encoder.map(|config| Half {
        config,
        keys: encoder,
    });
    let decoder = configs.vae.map(|config| Half {
        config,
        keys: decoder,
    });
    Ok(Found {
        decoder: decoder.ok_or_else(|| no_autoencoder(folder))?,
        encoder: half,
        files,
    })
}

/// How the layers of a tiny decoder are numbered.
#[derive(Clone, Copy)]
struct Naming {
    start: &'static str,
    /// Number of the first layer with weights: TAESD's file counts the clamping before it (source: madebyollin `taesd.py`).
    first: usize,
}

impl Naming {
    const DIFFUSERS: Self = Self {
        start: "decoder.layers.",
        first: 0,
    };
    const TAESD: Self = Self {
        start: "",
        first: 1,
    };
}

/// What a layer of a tiny autoencoder is.
#[derive(PartialEq)]
enum Layer {
    Convolution,
    Block,
    /// One without weights: an activation or an upsampling.
    Other,
}

fn layers(part: &Part<'_>, start: &str) -> Vec<Layer> {
    /// More than any has.
    const MOST: usize = 1024;
    let last = part.numbers(start).last().copied();
    let last = last.filter(|last| *last < MOST);
    let kind = |index| {
        if part.has(&format!("{start}{index}.conv.")) {
            Layer::Block
        } else if part.has(&format!("{start}{index}.weight")) {
            Layer::Convolution
        } else {
            Layer::Other
        }
    };
    last.map_or(Vec::new(), |last| (0..=last).map(kind).collect())
}

/// Blocks in a row, one entry per row.
fn rows_of_blocks(layers: &[Layer]) -> Vec<usize> {
    let rows = layers.split(|layer| *layer == Layer::Convolution);
    rows.map(|row| row.iter().filter(|layer| **layer == Layer::Block).count())
        .collect()
}

/// The tiny decoder in `part`: a convolution, then per level its blocks, an upsampling and a convolution.
fn tiny_decoder(part: &Part<'_>, naming: Naming) -> Option<Half<DecoderConfig>> {
    let Naming { start, first } = naming;
    let layers = layers(part, start);
    let blocks = rows_of_blocks(layers.get(first..)?);
    // Before the first convolution and after the last there is nothing.
    let [0, blocks @ .., 0] = &blocks[..] else {
        return None;
    };
    let conv_in = part.shape(&format!("{start}{first}.weight")).ok()?;
    let [channels, latent_channels, ..] = *conv_in else {
        return None;
    };
    let last = layers.len() - 1;
    let config = TinyDecoderConfig {
        latent_channels,
        out_channels: part.length(&format!("{start}{last}.weight"), 0).ok()?,
        decoder_block_out_channels: vec![channels; blocks.len()],
        num_decoder_blocks: blocks.to_vec(),
        ..TinyDecoderConfig::default()
    };
    Some(Half {
        keys: KeyMap::tiny_decoder(&config, start, first),
        config: DecoderConfig::AutoencoderTiny(config),
    })
}

/// The tiny encoder in `part`: per level a convolution and its blocks, and a last convolution.
fn tiny_encoder(part: &Part<'_>) -> Option<Half<EncoderConfig>> {
    const START: &str = "encoder.layers.";
    let layers = layers(part, START);
    let blocks = rows_of_blocks(&layers);
    let [0, blocks @ .., 0] = &blocks[..] else {
        return None;
    };
    let [channels, in_channels, ..] = *part.shape(&format!("{START}0.weight")).ok()? else {
        return None;
    };
    let last = layers.len() - 1;
    let config = TinyEncoderConfig {
        in_channels,
        latent_channels: part.length(&format!("{START}{last}.weight"), 0).ok()?,
        encoder_block_out_channels: vec![channels; blocks.len()],
        num_encoder_blocks: blocks.to_vec(),
        ..TinyEncoderConfig::default()
    };
    Some(Half {
        keys: KeyMap::tiny_encoder(&config),
        config: EncoderConfig::AutoencoderTiny(config),
    })
}
