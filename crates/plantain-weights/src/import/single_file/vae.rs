//! The autoencoder of latent diffusion's own code: its architecture from names and shapes.

use plantain_nn::{DecoderConfig, EncoderConfig, KlDecoderConfig, KlEncoderConfig};

use super::super::autoencoder::Half;
use super::Problem;
use super::part::Part;
use crate::keys::KeyMap;

/// Recognises the decoder in `part`.
pub(super) fn recognise_decoder(part: &Part<'_>) -> Result<Half<DecoderConfig>, Problem> {
    let levels = part.count("decoder.up.");
    let channels = |level| part.length(&format!("decoder.up.{level}.block.0.conv1.weight"), 0);
    let blocks = part.count("decoder.up.0.block.");
    let config = KlDecoderConfig {
        latent_channels: part.length("decoder.conv_in.weight", 1)?,
        out_channels: part.length("decoder.conv_out.weight", 0)?,
        block_out_channels: (0..levels).map(channels).collect::<Result<_, _>>()?,
        layers_per_block: blocks.saturating_sub(1),
        mid_block_add_attention: part.has("decoder.mid.attn_1."),
        use_post_quant_conv: part.has("post_quant_conv."),
        up_block_types: vec!["UpDecoderBlock2D".to_string(); levels],
        ..KlDecoderConfig::default()
    };
    Ok(Half {
        config: DecoderConfig::AutoencoderKL(config),
        keys: KeyMap::ldm_decoder(levels, blocks),
    })
}

/// Recognises the encoder in `part`; `None` where it was taken away.
pub(super) fn recognise_encoder(part: &Part<'_>) -> Result<Option<Half<EncoderConfig>>, Problem> {
    if !part.has("encoder.") {
        return Ok(None);
    }
    let levels = part.count("encoder.down.");
    let channels = |level| part.length(&format!("encoder.down.{level}.block.0.conv1.weight"), 0);
    let blocks = part.count("encoder.down.0.block.");
    let config = KlEncoderConfig {
        in_channels: part.length("encoder.conv_in.weight", 1)?,
        // The encoder says mean and variance of each.
        latent_channels: part.length("encoder.conv_out.weight", 0)? / 2,
        block_out_channels: (0..levels).map(channels).collect::<Result<_, _>>()?,
        layers_per_block: blocks,
        mid_block_add_attention: part.has("encoder.mid.attn_1."),
        use_quant_conv: part.has("quant_conv."),
        down_block_types: vec!["DownEncoderBlock2D".to_string(); levels],
        ..KlEncoderConfig::default()
    };
    Ok(Some(Half {
        config: EncoderConfig::AutoencoderKL(config),
        keys: KeyMap::ldm_encoder(levels, blocks),
    }))
}
