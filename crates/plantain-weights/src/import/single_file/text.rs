//! The text encoders of single files: CLIP as transformers has it, and OpenCLIP, whose attention is one fused matrix.

use plantain_nn::{TextActivation, TextEncoderConfig};

use super::super::autoencoder::Half;
use super::Problem;
use super::part::Part;
use crate::keys::KeyMap;

/// Width of a head in every CLIP text encoder that Stable Diffusion uses.
const HEAD_WIDTH: usize = 64;

/// Layers of the text encoder of Stable Diffusion 2 as OpenCLIP has it. The states before the last one are read.
const OPEN_CLIP_LAYERS: usize = 24;

/// Recognises transformers' CLIP; `open_clip` tells that its weights are OpenCLIP's, which uses another activation.
pub(super) fn recognise_clip(
    part: &Part<'_>,
    open_clip: bool,
) -> Result<Half<TextEncoderConfig>, Problem> {
    let names = Names {
        tokens: "embeddings.token_embedding.weight",
        positions: "embeddings.position_embedding.weight",
        widening: "encoder.layers.0.mlp.fc1.weight",
    };
    let all = part.count("encoder.layers.");
    let whole = open_clip && (part.has("text_projection") || all == OPEN_CLIP_LAYERS);
    let layers = all - usize::from(whole);
    Ok(Half {
        config: config(part, &names, layers, open_clip)?,
        keys: KeyMap::clip().without(&format!("encoder.layers.{layers}.")),
    })
}

/// Recognises OpenCLIP. Where all of it is there, with the projection after its last layer, that layer is left out: Stable
/// Diffusion 2 reads the states before it. Converters from diffusers' layout have left it out already.
pub(super) fn recognise_open_clip(part: &Part<'_>) -> Result<Half<TextEncoderConfig>, Problem> {
    let names = Names {
        tokens: "token_embedding.weight",
        positions: "positional_embedding",
        widening: "transformer.resblocks.0.mlp.c_fc.weight",
    };
    let all = part.count("transformer.resblocks.");
    let whole = part.has("text_projection") || all == OPEN_CLIP_LAYERS;
    let layers = all.saturating_sub(usize::from(whole));
    Ok(Half {
        config: config(part, &names, layers, true)?,
        keys: KeyMap::open_clip().without(&format!("transformer.resblocks.{layers}.")),
    })
}

struct Names {
    tokens: &'static str,
    positions: &'static str,
    widening: &'static str,
}

fn config(
    part: &Part<'_>,
    names: &Names,
    layers: usize,
    open_clip: bool,
) -> Result<TextEncoderConfig, Problem> {
    let vocab_size = part.length(names.tokens, 0)?;
    let hidden_size = part.length(names.tokens, 1)?;
    Ok(TextEncoderConfig {
        vocab_size,
        hidden_size,
        intermediate_size: part.length(names.widening, 0)?,
        num_hidden_layers: layers,
        num_attention_heads: (hidden_size / HEAD_WIDTH).max(1),
        max_position_embeddings: part.length(names.positions, 0)?,
        hidden_act: match open_clip {
            true => TextActivation::Gelu,
            false => TextActivation::QuickGelu,
        },
        // The end of the text is the last token of the vocabulary.
        eos_token_id: vocab_size as i64 - 1,
        ..TextEncoderConfig::default()
    })
}
