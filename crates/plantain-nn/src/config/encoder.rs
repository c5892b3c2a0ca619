//! Configurations of the two encoders: the other keys of the same `config.json` as the decoders'.

use serde::{Deserialize, Serialize};

use super::{ConfigError, MAX_LEVELS, invalid, unsupported};

const NAME: &str = "vae_encoder";

/// The encoder half of `AutoencoderKL` (source: diffusers `autoencoder_kl.py`, `vae.py`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KlEncoderConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels per level, finest first.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level.
    pub layers_per_block: usize,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Whether the mid block has an attention.
    pub mid_block_add_attention: bool,
    /// Whether a 1x1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Activation; only `silu` is supported.
    pub act_fn: String,
    /// Only `DownEncoderBlock2D` is supported.
    pub down_block_types: Vec<String>,
}

impl Default for KlEncoderConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            latent_channels: 4,
            block_out_channels: vec![64],
            layers_per_block: 1,
            norm_num_groups: 32,
            mid_block_add_attention: true,
            use_quant_conv: true,
            act_fn: "silu".into(),
            down_block_types: vec!["DownEncoderBlock2D".into()],
        }
    }
}

/// The encoder half of `AutoencoderTiny`, TAESD (source: diffusers `autoencoder_tiny.py`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TinyEncoderConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels per level; only equal ones exist in the wild.
    pub encoder_block_out_channels: Vec<usize>,
    /// Blocks per level, finest first.
    pub num_encoder_blocks: Vec<usize>,
    /// Only `relu` is supported.
    pub act_fn: String,
}

impl Default for TinyEncoderConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            latent_channels: 4,
            encoder_block_out_channels: vec![64; 4],
            num_encoder_blocks: vec![1, 3, 3, 3],
            act_fn: "relu".into(),
        }
    }
}

/// Either encoder, told apart by `_class_name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "_class_name")]
pub enum EncoderConfig {
    /// Stable Diffusion's own.
    AutoencoderKL(KlEncoderConfig),
    /// The tiny one.
    AutoencoderTiny(TinyEncoderConfig),
}

impl EncoderConfig {
    /// Channels of the latent.
    pub fn latent_channels(&self) -> usize {
        match self {
            Self::AutoencoderKL(c) => c.latent_channels,
            Self::AutoencoderTiny(c) => c.latent_channels,
        }
    }

    /// Picture pixels per latent pixel, in each direction.
    pub fn scale(&self) -> usize {
        match self {
            Self::AutoencoderKL(c) => 1 << (c.block_out_channels.len() - 1),
            Self::AutoencoderTiny(c) => 1 << (c.num_encoder_blocks.len() - 1),
        }
    }

    /// Checks that this crate can compute the model.
    ///
    /// # Errors
    /// The first key that is contradictory or asks for something not implemented.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::AutoencoderKL(c) => c.validate(),
            Self::AutoencoderTiny(c) => c.validate(),
        }
    }
}

impl KlEncoderConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        if self.act_fn != "silu" {
            return Err(unsupported(NAME, "act_fn", &self.act_fn, "only silu"));
        }
        let blocks = &self.down_block_types;
        if blocks.iter().any(|block| block != "DownEncoderBlock2D") {
            let supported = "only DownEncoderBlock2D";
            return Err(unsupported(NAME, "down_block_types", blocks, supported));
        }
        let channels = &self.block_out_channels;
        let groups = self.norm_num_groups;
        if channels.is_empty()
            || channels.len() > MAX_LEVELS
            || groups == 0
            || channels.iter().any(|c| *c == 0 || c % groups != 0)
            || self.latent_channels == 0
            || self.in_channels != 3
            || self.layers_per_block == 0
            || self.layers_per_block > 64
        {
            return Err(invalid(
                NAME,
                format!(
                    "`block_out_channels` {channels:?} must be 1 to {MAX_LEVELS} positive multiples of `norm_num_groups` {groups}, `layers_per_block` 1 to 64, and `in_channels` 3"
                ),
            ));
        }
        Ok(())
    }
}

impl TinyEncoderConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        if self.act_fn != "relu" {
            return Err(unsupported(NAME, "act_fn", &self.act_fn, "only relu"));
        }
        let (channels, blocks) = (&self.encoder_block_out_channels, &self.num_encoder_blocks);
        if channels.is_empty()
            || channels.len() > MAX_LEVELS
            || channels.len() != blocks.len()
            || channels.iter().any(|c| *c == 0 || *c != channels[0])
            || blocks.iter().any(|b| *b > 64)
            || self.latent_channels == 0
            || self.in_channels != 3
        {
            return Err(invalid(
                NAME,
                format!(
                    "`encoder_block_out_channels` {channels:?} must be 1 to {MAX_LEVELS} equal widths, one per entry of `num_encoder_blocks` {blocks:?}, and `in_channels` 3"
                ),
            ));
        }
        Ok(())
    }
}
