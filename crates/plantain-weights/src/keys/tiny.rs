//! The names of tiny autoencoders, which number their layers in a row.

use plantain_nn::{TinyDecoderConfig, TinyEncoderConfig};

use super::{DECODER_STARTS, ENCODER_STARTS, KeyMap, strings};

impl KeyMap {
    /// The map for a tiny decoder whose layers are numbered from `first` after `start`.
    pub(crate) fn tiny_decoder(config: &TinyDecoderConfig, start: &str, first: usize) -> Self {
        Self {
            unneeded: strings(ENCODER_STARTS),
            starts: decoder(config, start, first),
            ..Self::plain()
        }
    }

    /// The map for diffusers' tiny encoder.
    pub(crate) fn tiny_encoder(config: &TinyEncoderConfig) -> Self {
        Self {
            unneeded: strings(DECODER_STARTS),
            starts: encoder(config),
            ..Self::plain()
        }
    }
}

/// `AutoencoderTiny` numbers the layers of its decoder in a row: a convolution and its activation,
/// then per stage the blocks, an upsampling (but for the last stage) and a convolution. The first is number `first`, and all
/// names begin with `start`.
pub(super) fn decoder(
    config: &TinyDecoderConfig,
    start: &str,
    first: usize,
) -> Vec<(String, String)> {
    let layer = |index: usize, within: &str, to: &str| {
        (
            format!("{start}{}.{within}", first + index),
            format!("decoder.{to}."),
        )
    };
    let mut map = vec![layer(0, "", "conv_in")];
    let mut index = 2;
    let last = config.num_decoder_blocks.len().saturating_sub(1);
    for (stage, &blocks) in config.num_decoder_blocks.iter().enumerate() {
        map.extend(blocks_of(index, stage, blocks, layer));
        index += blocks;
        if stage == last {
            map.push(layer(index, "", "conv_out"));
        } else {
            map.push(layer(index + 1, "", &format!("stages.{stage}.conv")));
        }
        index += 2;
    }
    map
}

/// So it does with those of its encoder, which has no activations between them: per stage a convolution and the blocks,
/// and a last convolution.
pub(super) fn encoder(config: &TinyEncoderConfig) -> Vec<(String, String)> {
    let layer = |index: usize, within: &str, to: &str| {
        (
            format!("encoder.layers.{index}.{within}"),
            format!("encoder.{to}."),
        )
    };
    let mut map = Vec::new();
    let mut index = 0;
    for (stage, &blocks) in config.num_encoder_blocks.iter().enumerate() {
        let conv = match stage {
            0 => "conv_in".to_string(),
            _ => format!("stages.{stage}.conv"),
        };
        map.push(layer(index, "", &conv));
        map.extend(blocks_of(index + 1, stage, blocks, layer));
        index += 1 + blocks;
    }
    map.push(layer(index, "", "conv_out"));
    map
}

/// The blocks of a stage, numbered from `index`, as `layer` names them.
fn blocks_of(
    index: usize,
    stage: usize,
    blocks: usize,
    layer: impl Fn(usize, &str, &str) -> (String, String) + Copy,
) -> impl Iterator<Item = (String, String)> {
    (0..blocks).flat_map(move |block| {
        [(1, 0), (2, 2), (3, 4)].map(|(conv, position)| {
            let to = format!("stages.{stage}.blocks.{block}.conv{conv}");
            layer(index + block, &format!("conv.{position}."), &to)
        })
    })
}
