//! Name maps as data: what diffusers and transformers call a tensor, and its stable name here.
//!
//! Stable names are the module paths of `plantain-nn`, which equal the source's names but for these
//! tables.

use plantain_nn::{DecoderConfig, TinyDecoderConfig};

use crate::manifest::Component;

/// How the tensor names of one component of a source become stable ones.
#[derive(Debug)]
pub(crate) struct KeyMap {
    /// Dropped from the start of a name, where present.
    prefix: &'static str,
    /// Starts of names that no network here needs, and that are no mistake.
    unneeded: &'static [&'static str],
    /// Starts of names, replaced first: `(source, stable)`.
    starts: Vec<(String, String)>,
    /// Parts of names, replaced in order: `(source, stable)`.
    parts: &'static [(&'static str, &'static str)],
    /// Matrices that some sources store as 1x1 convolutions: `[C, C, 1, 1]` becomes `[C, C]`.
    matrices: &'static [&'static str],
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

const TEXT_UNNEEDED: &[&str] = &["embeddings.position_ids", "text_projection."];
const VAE_UNNEEDED: &[&str] = &["encoder.", "quant_conv."];

impl KeyMap {
    /// The map for `component` of a diffusers folder; the decoder's depends on its configuration.
    pub(crate) fn diffusers(component: Component, vae: Option<&DecoderConfig>) -> Self {
        let plain = Self {
            prefix: "",
            unneeded: &[],
            starts: Vec::new(),
            parts: &[],
            matrices: &[],
        };
        match component {
            Component::TextEncoder => Self {
                prefix: "text_model.",
                unneeded: TEXT_UNNEEDED,
                ..plain
            },
            Component::Unet => Self {
                parts: UNET_PARTS,
                matrices: UNET_MATRICES,
                ..plain
            },
            Component::Vae => Self {
                unneeded: VAE_UNNEEDED,
                starts: match vae {
                    Some(DecoderConfig::AutoencoderTiny(config)) => tiny_decoder(config),
                    _ => Vec::new(),
                },
                parts: VAE_PARTS,
                matrices: VAE_MATRICES,
                ..plain
            },
            Component::Refiner => plain,
        }
    }

    /// The stable name (without the component's prefix) of the source's `name`, or `None` when no
    /// network here needs that tensor. An unknown name is kept.
    pub(crate) fn stable(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix(self.prefix).unwrap_or(name);
        if self.unneeded.iter().any(|start| name.starts_with(start)) {
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

    /// The shape that the tensor with the stable name `name` has here, given its shape in the source.
    pub(crate) fn shape(&self, name: &str, mut shape: Vec<usize>) -> Vec<usize> {
        let matrix = self.matrices.iter().any(|end| name.ends_with(end));
        if matrix && let [_, _, 1, 1] = shape[..] {
            shape.truncate(2);
        }
        shape
    }
}

/// `AutoencoderTiny` numbers the layers of its decoder in a row: a convolution and its activation,
/// then per stage the blocks, an upsampling (but for the last stage) and a convolution.
fn tiny_decoder(config: &TinyDecoderConfig) -> Vec<(String, String)> {
    let mut map = vec![layer(0, "", "decoder.conv_in")];
    let mut index = 2;
    let last = config.num_decoder_blocks.len().saturating_sub(1);
    for (stage, &blocks) in config.num_decoder_blocks.iter().enumerate() {
        for block in 0..blocks {
            for (conv, position) in [(1, 0), (2, 2), (3, 4)] {
                let to = format!("decoder.stages.{stage}.blocks.{block}.conv{conv}");
                map.push(layer(index, &format!("conv.{position}."), &to));
            }
            index += 1;
        }
        if stage == last {
            map.push(layer(index, "", "decoder.conv_out"));
        } else {
            map.push(layer(
                index + 1,
                "",
                &format!("decoder.stages.{stage}.conv"),
            ));
        }
        index += 2;
    }
    map
}

fn layer(index: usize, within: &str, to: &str) -> (String, String) {
    (format!("decoder.layers.{index}.{within}"), format!("{to}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_maps(map: &KeyMap, pairs: &[(&str, Option<&str>)]) {
        for (source, stable) in pairs {
            assert_eq!(map.stable(source).as_deref(), *stable, "{source}");
        }
    }

    #[test]
    fn unet_names() {
        let block = "down_blocks.0.attentions.1.transformer_blocks.0";
        let map = KeyMap::diffusers(Component::Unet, None);
        let projection = "down_blocks.0.attentions.1.proj_in.weight";
        assert_eq!(map.shape(projection, vec![8, 8, 1, 1]), [8, 8]);
        let shortcut = "down_blocks.0.resnets.0.conv_shortcut.weight";
        assert_eq!(map.shape(shortcut, vec![8, 4, 1, 1]), [8, 4, 1, 1]);
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
        let map = KeyMap::diffusers(Component::TextEncoder, None);
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
        let map = KeyMap::diffusers(Component::Vae, None);
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
            assert_eq!(map.shape(&stable, vec![8, 8, 1, 1]), [8, 8]);
            assert_eq!(map.shape(&stable, vec![8, 8]), [8, 8]);
        }
        assert_maps(
            &map,
            &[("encoder.conv_in.weight", None), ("quant_conv.bias", None)],
        );
        assert_eq!(
            map.shape("post_quant_conv.weight", vec![4, 4, 1, 1]),
            [4, 4, 1, 1]
        );
    }

    #[test]
    fn tiny_decoder_names() {
        let config = DecoderConfig::AutoencoderTiny(TinyDecoderConfig::default());
        let map = KeyMap::diffusers(Component::Vae, Some(&config));
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
        let map = KeyMap::diffusers(Component::Vae, Some(&config));
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
}
