//! The names of latent diffusion's own code (source: CompVis latent-diffusion).

use super::{DECODER_STARTS, ENCODER_STARTS, KeyMap, UNET_MATRICES, VAE_MATRICES, strings};

/// Within the blocks of latent diffusion's UNet, and then what diffusers' own transformers need.
const UNET_PARTS: &[(&str, &str)] = &[
    (".in_layers.0.", ".norm1."),
    (".in_layers.2.", ".conv1."),
    (".emb_layers.1.", ".time_emb_proj."),
    (".out_layers.0.", ".norm2."),
    (".out_layers.3.", ".conv2."),
    (".skip_connection.", ".conv_shortcut."),
    (".to_out.0.", ".to_out."),
    (".ff.net.0.proj.", ".ff.proj."),
    (".ff.net.2.", ".ff.out."),
];

/// Within latent diffusion's autoencoder.
const VAE_PARTS: &[(&str, &str)] = &[
    (".nin_shortcut.", ".conv_shortcut."),
    ("coder.norm_out.", "coder.conv_norm_out."),
    (".attentions.0.norm.", ".attentions.0.group_norm."),
    (".attentions.0.q.", ".attentions.0.to_q."),
    (".attentions.0.k.", ".attentions.0.to_k."),
    (".attentions.0.v.", ".attentions.0.to_v."),
    (".attentions.0.proj_out.", ".attentions.0.to_out."),
];

impl KeyMap {
    /// The map for latent diffusion's UNet, whose blocks `starts` calls as diffusers does.
    pub(crate) fn ldm_unet(starts: Vec<(String, String)>) -> Self {
        Self {
            starts,
            parts: UNET_PARTS,
            matrices: UNET_MATRICES,
            ..Self::plain()
        }
    }

    /// The map for latent diffusion's decoder of `levels` levels with `blocks` residual blocks each. It numbers its levels
    /// from the finest, diffusers from the coarsest.
    pub(crate) fn ldm_decoder(levels: usize, blocks: usize) -> Self {
        let mut starts = middle("decoder");
        for level in 0..levels {
            let from = format!("decoder.up.{level}");
            let to = format!("decoder.up_blocks.{}", levels - 1 - level);
            starts.extend(resnets(&from, &to, blocks));
            starts.push((format!("{from}.upsample."), format!("{to}.upsamplers.0.")));
        }
        Self {
            unneeded: strings(ENCODER_STARTS),
            ..Self::ldm_autoencoder(starts)
        }
    }

    /// The map for latent diffusion's encoder of `levels` levels with `blocks` residual blocks each.
    pub(crate) fn ldm_encoder(levels: usize, blocks: usize) -> Self {
        let mut starts = middle("encoder");
        for level in 0..levels {
            let from = format!("encoder.down.{level}");
            let to = format!("encoder.down_blocks.{level}");
            starts.extend(resnets(&from, &to, blocks));
            starts.push((
                format!("{from}.downsample."),
                format!("{to}.downsamplers.0."),
            ));
        }
        Self {
            unneeded: strings(DECODER_STARTS),
            ..Self::ldm_autoencoder(starts)
        }
    }

    fn ldm_autoencoder(starts: Vec<(String, String)>) -> Self {
        Self {
            starts,
            parts: VAE_PARTS,
            matrices: VAE_MATRICES,
            ..Self::plain()
        }
    }
}

/// The middle of one half of latent diffusion's autoencoder.
fn middle(half: &str) -> Vec<(String, String)> {
    let parts = [
        ("block_1", "resnets.0"),
        ("attn_1", "attentions.0"),
        ("block_2", "resnets.1"),
    ];
    parts
        .map(|(from, to)| {
            (
                format!("{half}.mid.{from}."),
                format!("{half}.mid_block.{to}."),
            )
        })
        .to_vec()
}

/// The residual blocks of a level of latent diffusion's autoencoder.
fn resnets(from: &str, to: &str, blocks: usize) -> impl Iterator<Item = (String, String)> {
    (0..blocks).map(move |block| {
        (
            format!("{from}.block.{block}."),
            format!("{to}.resnets.{block}."),
        )
    })
}
