//! Configurations of the two decoders.

use serde::{Deserialize, Serialize};

use super::{ConfigError, MAX_LEVELS, invalid, unsupported};

/// The decoder half of `AutoencoderKL` (source: diffusers `autoencoder_kl.py`, `vae.py`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KlDecoderConfig {
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels of the picture.
    pub out_channels: usize,
    /// Channels per level, finest first.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Whether the mid block has an attention.
    pub mid_block_add_attention: bool,
    /// Whether a 1x1 convolution precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Activation; only `silu` is supported.
    pub act_fn: String,
    /// Only `UpDecoderBlock2D` is supported.
    pub up_block_types: Vec<String>,
    /// The model latent is `(z - shift_factor) * scaling_factor`.
    pub scaling_factor: f64,
    /// See `scaling_factor`.
    pub shift_factor: Option<f64>,
}

impl Default for KlDecoderConfig {
    fn default() -> Self {
        Self {
            latent_channels: 4,
            out_channels: 3,
            block_out_channels: vec![64],
            layers_per_block: 1,
            norm_num_groups: 32,
            mid_block_add_attention: true,
            use_post_quant_conv: true,
            act_fn: "silu".into(),
            up_block_types: vec!["UpDecoderBlock2D".into()],
            scaling_factor: 0.18215,
            shift_factor: None,
        }
    }
}

/// The decoder half of `AutoencoderTiny`, TAESD (source: diffusers `autoencoder_tiny.py`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TinyDecoderConfig {
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels of the picture.
    pub out_channels: usize,
    /// Channels per level; only equal ones exist in the wild.
    pub decoder_block_out_channels: Vec<usize>,
    /// Blocks per level, coarsest first.
    pub num_decoder_blocks: Vec<usize>,
    /// Factor of each upsampling.
    pub upsampling_scaling_factor: usize,
    /// Only `relu` is supported.
    pub act_fn: String,
    /// Only `nearest` is supported.
    pub upsample_fn: String,
    /// The model latent is `(z - shift_factor) * scaling_factor`.
    pub scaling_factor: f64,
    /// See `scaling_factor`.
    pub shift_factor: Option<f64>,
}

impl Default for TinyDecoderConfig {
    fn default() -> Self {
        Self {
            latent_channels: 4,
            out_channels: 3,
            decoder_block_out_channels: vec![64; 4],
            num_decoder_blocks: vec![3, 3, 3, 1],
            upsampling_scaling_factor: 2,
            act_fn: "relu".into(),
            upsample_fn: "nearest".into(),
            scaling_factor: 1.0,
            shift_factor: None,
        }
    }
}

/// Either decoder, told apart by `_class_name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "_class_name")]
pub enum DecoderConfig {
    /// Stable Diffusion's own.
    AutoencoderKL(KlDecoderConfig),
    /// The tiny one.
    AutoencoderTiny(TinyDecoderConfig),
}

impl DecoderConfig {
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
            Self::AutoencoderTiny(c) => c
                .upsampling_scaling_factor
                .pow(c.num_decoder_blocks.len() as u32 - 1),
        }
    }

    /// `(scaling_factor, shift_factor)`: the model latent is `(z - shift) * scaling`, where `z` is
    /// what the decoder takes.
    pub fn scaling(&self) -> (f64, f64) {
        match self {
            Self::AutoencoderKL(c) => (c.scaling_factor, c.shift_factor.unwrap_or(0.0)),
            Self::AutoencoderTiny(c) => (c.scaling_factor, c.shift_factor.unwrap_or(0.0)),
        }
    }

    /// Checks that this crate can compute the model.
    ///
    /// # Errors
    /// The first key that is contradictory or asks for something not implemented.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (scaling, shift) = self.scaling();
        if !(1e-6..=1e6).contains(&scaling) || !(-1e6..=1e6).contains(&shift) {
            return Err(invalid(
                "vae",
                format!(
                    "`scaling_factor` {scaling} and `shift_factor` {shift} are no plausible scaling"
                ),
            ));
        }
        match self {
            Self::AutoencoderKL(c) => c.validate(),
            Self::AutoencoderTiny(c) => c.validate(),
        }
    }
}

impl KlDecoderConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        const NAME: &str = "vae";
        if self.act_fn != "silu" {
            return Err(unsupported(NAME, "act_fn", &self.act_fn, "only silu"));
        }
        if self.up_block_types.iter().any(|b| b != "UpDecoderBlock2D") {
            return Err(unsupported(
                NAME,
                "up_block_types",
                &self.up_block_types,
                "only UpDecoderBlock2D",
            ));
        }
        let channels = &self.block_out_channels;
        let groups = self.norm_num_groups;
        if channels.is_empty()
            || channels.len() > MAX_LEVELS
            || groups == 0
            || channels.iter().any(|c| *c == 0 || c % groups != 0)
            || self.latent_channels == 0
            || self.out_channels != 3
            || self.layers_per_block > 64
        {
            return Err(invalid(
                NAME,
                format!(
                    "`block_out_channels` {channels:?} must be 1 to {MAX_LEVELS} positive multiples of `norm_num_groups` {groups}, and `out_channels` 3"
                ),
            ));
        }
        Ok(())
    }
}

impl TinyDecoderConfig {
    /// Whether the last stage has no blocks, so that it is one convolution of the stage before (`layers/subpixel.rs`) and nothing but the
    /// picture has its size.
    pub fn ends_at_half_size(&self) -> bool {
        matches!(self.num_decoder_blocks[..], [.., _, 0])
    }

    fn validate(&self) -> Result<(), ConfigError> {
        const NAME: &str = "vae";
        if self.act_fn != "relu" {
            return Err(unsupported(NAME, "act_fn", &self.act_fn, "only relu"));
        }
        if self.upsample_fn != "nearest" {
            return Err(unsupported(
                NAME,
                "upsample_fn",
                &self.upsample_fn,
                "only nearest",
            ));
        }
        let (channels, blocks) = (&self.decoder_block_out_channels, &self.num_decoder_blocks);
        if channels.is_empty()
            || channels.len() > MAX_LEVELS
            || channels.len() != blocks.len()
            || channels.iter().any(|c| *c == 0 || *c != channels[0])
            || blocks.iter().any(|b| *b > 64)
            || self.upsampling_scaling_factor != 2
            || self.latent_channels == 0
            || self.out_channels != 3
        {
            return Err(invalid(
                NAME,
                format!(
                    "`decoder_block_out_channels` {channels:?} must be 1 to {MAX_LEVELS} equal widths, one per entry of `num_decoder_blocks` {blocks:?}, with `upsampling_scaling_factor` 2 and `out_channels` 3"
                ),
            ));
        }
        Ok(())
    }
}
