//! Name maps as data: what diffusers, transformers and latent diffusion's own code call a tensor, and its stable name here.
//!
//! Stable names are the module paths of `plantain-nn`, which equal the source's names but for these
//! tables.

mod clip;
mod latent_diffusion;
mod tiny;

use plantain_nn::{DecoderConfig, EncoderConfig};

use crate::container::Stored;
use crate::manifest::{Component, Components};

/// How the tensor names of one component of a source become stable ones.
#[derive(Debug)]
pub(crate) struct KeyMap {
    /// Dropped from the start of a name, where present.
    prefix: &'static str,
    /// Starts of names that no network here needs, and that are no mistake.
    unneeded: Vec<String>,
    /// Starts of names, replaced first: `(source, stable)`.
    starts: Vec<(String, String)>,
    /// Parts of names, replaced in order: `(source, stable)`.
    parts: &'static [(&'static str, &'static str)],
    /// Matrices that some sources store as 1x1 convolutions: `[C, C, 1, 1]` becomes `[C, C]`.
    matrices: &'static [&'static str],
    /// Ends of names of tensors that are three on top of each other, and the ends of these.
    fused: &'static [(&'static str, [&'static str; 3])],
}

const UNET_PARTS: &[(&str, &str)] = &[
    (".to_out.0.", ".to_out."),
    (".ff.net.0.proj.", ".ff.proj."),
    (".ff.net.2.", ".ff.out."),
];

/// The second to fifth are of models saved before diffusers 0.12.
const VAE_PARTS: &[(&str, &str)] = &[
    (".to_out.0.", ".to_out."),
    (".query.", ".to_q."),
    (".key.", ".to_k."),
    (".value.", ".to_v."),
    (".proj_attn.", ".to_out."),
];

const VAE_MATRICES: &[&str] = &[
    ".to_q.weight",
    ".to_k.weight",
    ".to_v.weight",
    ".to_out.weight",
];

/// 1x1 convolutions where `use_linear_projection` is off; they compute the same as a linear layer.
const UNET_MATRICES: &[&str] = &[".proj_in.weight", ".proj_out.weight"];

/// Starts of the names of each half of an autoencoder, which the other half passes over.
const ENCODER_STARTS: &[&str] = &["encoder.", "quant_conv."];
const DECODER_STARTS: &[&str] = &["decoder.", "post_quant_conv."];

/// Whether a tensor that a source calls `name` is part of the encoder proper: a convolution after it may be left where the
/// encoder was taken away.
pub(crate) fn is_of_encoder(name: &str) -> bool {
    name.starts_with(ENCODER_STARTS[0])
}

impl KeyMap {
    /// The map for `component` of a diffusers folder; those of an autoencoder's halves depend on their configurations.
    pub(crate) fn diffusers(component: Component, configs: &Components) -> Self {
        match component {
            Component::TextEncoder => Self::clip(),
            Component::Unet | Component::Refiner => Self {
                parts: UNET_PARTS,
                matrices: UNET_MATRICES,
                ..Self::plain()
            },
            Component::Vae => Self {
                unneeded: strings(ENCODER_STARTS),
                starts: match &configs.vae {
                    Some(DecoderConfig::AutoencoderTiny(config)) => {
                        tiny::decoder(config, "decoder.layers.", 0)
                    }
                    _ => Vec::new(),
                },
                parts: VAE_PARTS,
                matrices: VAE_MATRICES,
                ..Self::plain()
            },
            Component::VaeEncoder => Self {
                unneeded: strings(DECODER_STARTS),
                starts: match &configs.vae_encoder {
                    Some(EncoderConfig::AutoencoderTiny(config)) => tiny::encoder(config),
                    _ => Vec::new(),
                },
                parts: VAE_PARTS,
                matrices: VAE_MATRICES,
                ..Self::plain()
            },
        }
    }

    fn plain() -> Self {
        Self {
            prefix: "",
            unneeded: Vec::new(),
            starts: Vec::new(),
            parts: &[],
            matrices: &[],
            fused: &[],
        }
    }

    /// The same map, for which names that begin with `start` are needed by no network.
    pub(crate) fn without(mut self, start: &str) -> Self {
        self.unneeded.push(start.to_string());
        self
    }

    /// Where the source's tensor `name` goes: its stable names, which are three for a fused tensor, in the order in which they
    /// lie in it; none when no network here needs it.
    pub(crate) fn targets(&self, name: &str) -> Vec<String> {
        for (from, to) in self.fused {
            if let Some(start) = name.strip_suffix(from) {
                let names = to.iter().map(|end| self.stable(&format!("{start}{end}")));
                return names.flatten().collect();
            }
        }
        self.stable(name).into_iter().collect()
    }

    /// The stable name (without the component's prefix) of the source's `name`, or `None` when no
    /// network here needs that tensor. An unknown name is kept.
    pub(crate) fn stable(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix(self.prefix).unwrap_or(name);
        if self
            .unneeded
            .iter()
            .any(|start| name.starts_with(start.as_str()))
        {
            return None;
        }
        let start = self.starts.iter().find(|(from, _)| name.starts_with(from));
        let name = match start {
            Some((from, to)) => format!("{to}{}", &name[from.len()..]),
            None => name.to_string(),
        };
        Some(
            self.parts
                .iter()
                .fold(name, |name, (from, to)| name.replace(from, to)),
        )
    }

    /// `stored` with the shape that the tensor with the stable name `name` has here.
    pub(crate) fn reshaped(&self, name: &str, mut stored: Stored) -> Stored {
        let matrix = self.matrices.iter().any(|end| name.ends_with(end));
        if matrix && let [_, _, 1, 1] = stored.shape[..] {
            stored.shape.truncate(2);
            if let Some(strides) = &mut stored.strides {
                strides.truncate(2);
            }
        }
        stored
    }
}

/// What diffusers calls the module that the weight with the stable name `stable` (with the prefix of `component`) belongs to;
/// a second name where older files have another one.
pub(crate) fn module_names(component: Component, stable: &str) -> Vec<String> {
    let name = stable.strip_prefix(component.name()).unwrap_or(stable);
    let name = name.trim_start_matches('.');
    let module = |name: &str| name.strip_suffix(".weight").unwrap_or(name).to_string();
    match component {
        Component::Unet => {
            let parts = UNET_PARTS.iter();
            let theirs = parts.fold(name.to_string(), |name, (from, to)| name.replace(to, from));
            vec![module(&theirs), module(name)]
        }
        Component::TextEncoder => {
            // Attention processors of 2023 called the projections as the UNet's.
            let projections = [("_proj", ""), ("self_attn.", "self_attn.to_")];
            let old = projections
                .iter()
                .fold(module(name), |name, (from, to)| name.replace(from, to));
            [module(name), old]
                .into_iter()
                .flat_map(|name| [format!("text_model.{name}"), name])
                .collect()
        }
        _ => vec![module(name)],
    }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use plantain_nn::{TinyDecoderConfig, TinyEncoderConfig};

    use super::*;

    fn decoder(config: DecoderConfig) -> Components {
        Components {
            vae: Some(config),
            ..Components::default()
        }
    }

    /// The shape that a tensor of shape `shape` gets.
    fn shape(map: &KeyMap, name: &str, shape: &[usize]) -> Vec<usize> {
        let stored = Stored {
            dtype: plantain_formats::ElementType::F16,
            shape: shape.to_vec(),
            strides: None,
            range: 0..0,
        };
        map.reshaped(name, stored).shape
    }

    fn assert_maps(map: &KeyMap, pairs: &[(&str, Option<&str>)]) {
        for (source, stable) in pairs {
            assert_eq!(map.stable(source).as_deref(), *stable, "{source}");
        }
    }

    #[test]
    fn unet_names() {
        let block = "down_blocks.0.attentions.1.transformer_blocks.0";
        let map = KeyMap::diffusers(Component::Unet, &Components::default());
        let projection = "down_blocks.0.attentions.1.proj_in.weight";
        assert_eq!(shape(&map, projection, &[8, 8, 1, 1]), [8, 8]);
        let shortcut = "down_blocks.0.resnets.0.conv_shortcut.weight";
        assert_eq!(shape(&map, shortcut, &[8, 4, 1, 1]), [8, 4, 1, 1]);
        for (source, stable) in [
            ("attn1.to_out.0.weight", "attn1.to_out.weight"),
            ("ff.net.0.proj.bias", "ff.proj.bias"),
            ("ff.net.2.weight", "ff.out.weight"),
            ("norm1.weight", "norm1.weight"),
        ] {
            let (source, stable) = (format!("{block}.{source}"), format!("{block}.{stable}"));
            assert_maps(&map, &[(&source, Some(&stable))]);
        }
    }

    #[test]
    fn text_encoder_names() {
        let map = KeyMap::diffusers(Component::TextEncoder, &Components::default());
        assert_maps(
            &map,
            &[
                (
                    "text_model.final_layer_norm.bias",
                    Some("final_layer_norm.bias"),
                ),
                ("final_layer_norm.bias", Some("final_layer_norm.bias")),
                ("text_model.embeddings.position_ids", None),
                ("text_projection.weight", None),
            ],
        );
    }

    #[test]
    fn kl_decoder_names_old_and_new() {
        let map = KeyMap::diffusers(Component::Vae, &Components::default());
        let attention = "decoder.mid_block.attentions.0";
        for old in [
            ("query", "to_q"),
            ("key", "to_k"),
            ("value", "to_v"),
            ("proj_attn", "to_out"),
            ("to_out.0", "to_out"),
        ] {
            let source = format!("{attention}.{}.weight", old.0);
            let stable = format!("{attention}.{}.weight", old.1);
            assert_maps(&map, &[(&source, Some(&stable))]);
            assert_eq!(shape(&map, &stable, &[8, 8, 1, 1]), [8, 8]);
            assert_eq!(shape(&map, &stable, &[8, 8]), [8, 8]);
        }
        assert_maps(
            &map,
            &[("encoder.conv_in.weight", None), ("quant_conv.bias", None)],
        );
        assert_eq!(
            shape(&map, "post_quant_conv.weight", &[4, 4, 1, 1]),
            [4, 4, 1, 1]
        );
    }

    #[test]
    fn tiny_decoder_names() {
        let config = DecoderConfig::AutoencoderTiny(TinyDecoderConfig::default());
        let map = KeyMap::diffusers(Component::Vae, &decoder(config));
        assert_maps(
            &map,
            &[
                ("decoder.layers.0.bias", Some("decoder.conv_in.bias")),
                (
                    "decoder.layers.2.conv.0.bias",
                    Some("decoder.stages.0.blocks.0.conv1.bias"),
                ),
                (
                    "decoder.layers.4.conv.4.weight",
                    Some("decoder.stages.0.blocks.2.conv3.weight"),
                ),
                (
                    "decoder.layers.6.weight",
                    Some("decoder.stages.0.conv.weight"),
                ),
                (
                    "decoder.layers.7.conv.2.bias",
                    Some("decoder.stages.1.blocks.0.conv2.bias"),
                ),
                (
                    "decoder.layers.11.weight",
                    Some("decoder.stages.1.conv.weight"),
                ),
                (
                    "decoder.layers.16.weight",
                    Some("decoder.stages.2.conv.weight"),
                ),
                (
                    "decoder.layers.17.conv.0.bias",
                    Some("decoder.stages.3.blocks.0.conv1.bias"),
                ),
                ("decoder.layers.18.bias", Some("decoder.conv_out.bias")),
                ("encoder.layers.0.weight", None),
            ],
        );
    }

    #[test]
    fn a_finest_level_without_blocks_is_its_last_convolution() {
        let config = DecoderConfig::AutoencoderTiny(TinyDecoderConfig {
            decoder_block_out_channels: vec![40; 5],
            num_decoder_blocks: vec![3, 4, 2, 1, 0],
            ..TinyDecoderConfig::default()
        });
        let map = KeyMap::diffusers(Component::Vae, &decoder(config));
        assert_maps(
            &map,
            &[
                (
                    "decoder.layers.17.conv.0.bias",
                    Some("decoder.stages.3.blocks.0.conv1.bias"),
                ),
                (
                    "decoder.layers.19.weight",
                    Some("decoder.stages.3.conv.weight"),
                ),
                ("decoder.layers.20.bias", Some("decoder.conv_out.bias")),
            ],
        );
    }

    #[test]
    fn encoders_take_what_decoders_leave() {
        let map = KeyMap::diffusers(Component::VaeEncoder, &Components::default());
        let attention = "encoder.mid_block.attentions.0";
        for (old, new) in [
            ("query", "to_q"),
            ("proj_attn", "to_out"),
            ("to_out.0", "to_out"),
        ] {
            let source = format!("{attention}.{old}.weight");
            let stable = format!("{attention}.{new}.weight");
            assert_maps(&map, &[(&source, Some(&stable))]);
            assert_eq!(shape(&map, &stable, &[8, 8, 1, 1]), [8, 8]);
        }
        let downsampler = "encoder.down_blocks.0.downsamplers.0.conv.bias";
        assert_maps(
            &map,
            &[
                (downsampler, Some(downsampler)),
                ("quant_conv.weight", Some("quant_conv.weight")),
                ("decoder.conv_in.weight", None),
                ("post_quant_conv.bias", None),
            ],
        );
        assert!(is_of_encoder(downsampler) && !is_of_encoder("quant_conv.weight"));
    }

    #[test]
    fn tiny_encoder_names() {
        let configs = Components {
            vae_encoder: Some(EncoderConfig::AutoencoderTiny(TinyEncoderConfig::default())),
            ..Components::default()
        };
        let map = KeyMap::diffusers(Component::VaeEncoder, &configs);
        assert_maps(
            &map,
            &[
                ("encoder.layers.0.bias", Some("encoder.conv_in.bias")),
                (
                    "encoder.layers.1.conv.2.bias",
                    Some("encoder.stages.0.blocks.0.conv2.bias"),
                ),
                (
                    "encoder.layers.2.weight",
                    Some("encoder.stages.1.conv.weight"),
                ),
                (
                    "encoder.layers.5.conv.4.weight",
                    Some("encoder.stages.1.blocks.2.conv3.weight"),
                ),
                (
                    "encoder.layers.10.weight",
                    Some("encoder.stages.3.conv.weight"),
                ),
                (
                    "encoder.layers.13.conv.0.weight",
                    Some("encoder.stages.3.blocks.2.conv1.weight"),
                ),
                ("encoder.layers.14.bias", Some("encoder.conv_out.bias")),
                ("decoder.layers.0.weight", None),
            ],
        );
    }
}
