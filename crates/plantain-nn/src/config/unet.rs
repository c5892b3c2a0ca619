//! Configuration of the UNet.

use serde::{Deserialize, Serialize};

use super::{ConfigError, MAX_LEVELS, PerLevel, invalid, unsupported};

/// How many transformer layers an attention block has: one number, one per level, or one per block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TransformerLayers {
    /// The same everywhere.
    All(usize),
    /// One number, or one list over the blocks, per level.
    Each(Vec<PerLevel<usize>>),
}

impl TransformerLayers {
    fn has_lists(&self) -> bool {
        matches!(self, Self::Each(levels) if levels.iter().any(|l| matches!(l, PerLevel::Each(_))))
    }

    /// Layers of the `block`-th attention of `level`.
    pub fn get(&self, level: usize, block: usize) -> Option<usize> {
        match self {
            Self::All(n) => Some(*n),
            Self::Each(levels) => levels.get(level)?.get(block),
        }
    }
}

/// Kind of a down or up block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockType {
    /// Residual blocks, each followed by a transformer.
    CrossAttnDownBlock2D,
    /// Residual blocks alone.
    DownBlock2D,
    /// Residual blocks, each followed by a transformer.
    CrossAttnUpBlock2D,
    /// Residual blocks alone.
    UpBlock2D,
}

impl BlockType {
    /// Whether the block attends to the text.
    pub fn has_attention(self) -> bool {
        matches!(self, Self::CrossAttnDownBlock2D | Self::CrossAttnUpBlock2D)
    }
}

/// `UNet2DConditionModel`: the denoising network (source: diffusers `unet_2d_condition.py`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UNetConfig {
    /// Latent height and width the model was trained for.
    pub sample_size: Option<PerLevel<usize>>,
    /// Channels of the latent that comes in.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Down blocks, finest first.
    pub down_block_types: Vec<BlockType>,
    /// `UNetMidBlock2DCrossAttn`, or none.
    pub mid_block_type: Option<String>,
    /// Up blocks, coarsest first.
    pub up_block_types: Vec<BlockType>,
    /// Channels per level, finest first.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per down block; up blocks have one more.
    pub layers_per_block: PerLevel<usize>,
    /// Width of the text states; diffusers allows one per level, only equal ones are supported.
    pub cross_attention_dim: PerLevel<usize>,
    /// Heads per level (diffusers' historic name: the value is the number of heads). Levels without
    /// attention do not use theirs.
    pub attention_head_dim: PerLevel<usize>,
    /// Only `null` is supported, as in diffusers.
    pub num_attention_heads: Option<PerLevel<usize>>,
    /// Transformer layers per attention block.
    pub transformer_layers_per_block: TransformerLayers,
    /// The same for the up blocks, coarsest first, where they differ from the mirrored down blocks.
    pub reverse_transformer_layers_per_block: Option<TransformerLayers>,
    /// Whether the projections around the transformers are stored as linear layers rather than 1x1
    /// convolutions; both are computed as linear layers.
    pub use_linear_projection: bool,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Epsilon of the group normalisations of the residual blocks.
    pub norm_eps: f64,
    /// Sinusoidal embedding: cosine half first.
    pub flip_sin_to_cos: bool,
    /// Sinusoidal embedding: shift of the frequency exponent's denominator.
    pub freq_shift: f64,
    /// Width of LCM's guidance-scale embedding.
    pub time_cond_proj_dim: Option<usize>,
    /// `projection`: `class_labels` are vectors that a small MLP adds to the time embedding.
    pub class_embed_type: Option<String>,
    /// Width of `class_labels` when `class_embed_type` is `projection`.
    pub projection_class_embeddings_input_dim: Option<usize>,
    /// Only 1 is supported.
    pub downsample_padding: usize,
    /// Divisor of the residual sum in the mid block.
    pub mid_block_scale_factor: f64,
    /// Activation of the residual blocks.
    pub act_fn: String,
    /// Only `null` is supported.
    pub addition_embed_type: Option<String>,
    /// Only `null` is supported.
    pub encoder_hid_dim_type: Option<String>,
    /// Only `null` is supported.
    pub time_embedding_act_fn: Option<String>,
    /// Only `null` is supported.
    pub timestep_post_act: Option<String>,
    /// Only `null` is supported.
    pub encoder_hid_dim: Option<usize>,
    /// Only `null` is supported.
    pub time_embedding_dim: Option<usize>,
    /// Only `default` is supported.
    pub attention_type: String,
    /// Only `null` is supported.
    pub num_class_embeds: Option<usize>,
    /// Only `positional` is supported.
    pub time_embedding_type: String,
    /// Only `default` is supported.
    pub resnet_time_scale_shift: String,
    /// Only `false` is supported.
    pub only_cross_attention: PerLevel<bool>,
    /// Only `false` is supported.
    pub dual_cross_attention: bool,
    /// Only `false` is supported.
    pub center_input_sample: bool,
    /// Only `false` is supported.
    pub class_embeddings_concat: bool,
    /// Only 3 is supported.
    pub conv_in_kernel: usize,
    /// Only 3 is supported.
    pub conv_out_kernel: usize,
}

impl Default for UNetConfig {
    fn default() -> Self {
        use BlockType::{CrossAttnDownBlock2D, CrossAttnUpBlock2D, DownBlock2D, UpBlock2D};
        Self {
            sample_size: None,
            in_channels: 4,
            out_channels: 4,
            down_block_types: vec![
                CrossAttnDownBlock2D,
                CrossAttnDownBlock2D,
                CrossAttnDownBlock2D,
                DownBlock2D,
            ],
            mid_block_type: Some("UNetMidBlock2DCrossAttn".into()),
            up_block_types: vec![
                UpBlock2D,
                CrossAttnUpBlock2D,
                CrossAttnUpBlock2D,
                CrossAttnUpBlock2D,
            ],
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: PerLevel::All(2),
            cross_attention_dim: PerLevel::All(1280),
            attention_head_dim: PerLevel::All(8),
            num_attention_heads: None,
            transformer_layers_per_block: TransformerLayers::All(1),
            reverse_transformer_layers_per_block: None,
            use_linear_projection: false,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            time_cond_proj_dim: None,
            class_embed_type: None,
            projection_class_embeddings_input_dim: None,
            downsample_padding: 1,
            mid_block_scale_factor: 1.0,
            act_fn: "silu".into(),
            addition_embed_type: None,
            encoder_hid_dim_type: None,
            time_embedding_act_fn: None,
            timestep_post_act: None,
            encoder_hid_dim: None,
            time_embedding_dim: None,
            attention_type: "default".into(),
            num_class_embeds: None,
            time_embedding_type: "positional".into(),
            resnet_time_scale_shift: "default".into(),
            only_cross_attention: PerLevel::All(false),
            dual_cross_attention: false,
            center_input_sample: false,
            class_embeddings_concat: false,
            conv_in_kernel: 3,
            conv_out_kernel: 3,
        }
    }
}

impl UNetConfig {
    /// Width of the time embedding.
    pub fn time_embed_dim(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    /// Attention heads at `level`, finest level 0. Valid after [`Self::validate`].
    pub fn heads(&self, level: usize) -> usize {
        self.attention_head_dim.get(level).unwrap_or(1)
    }

    /// Whether any block at `level`, finest level 0, attends to the text: on the way down, on the
    /// way up, or in the middle, which belongs to the last level.
    fn attends(&self, level: usize) -> bool {
        let last = self.block_out_channels.len() - 1;
        self.down_block_types[level].has_attention()
            || self.up_block_types[last - level].has_attention()
            || (level == last && self.mid_block_type.is_some())
    }

    /// Width of the text states. Valid after [`Self::validate`].
    pub fn text_dim(&self) -> usize {
        self.cross_attention_dim.get(0).unwrap_or(0)
    }

    /// Residual blocks of the down block at `level`. Valid after [`Self::validate`].
    pub fn down_layers(&self, level: usize) -> usize {
        self.layers_per_block.get(level).unwrap_or(1)
    }

    /// Transformer layers of the `block`-th attention of the down block at `level`, or of the mid
    /// block for the last level.
    pub fn down_transformer_layers(&self, level: usize, block: usize) -> usize {
        self.transformer_layers_per_block
            .get(level, block)
            .unwrap_or(1)
    }

    /// Transformer layers of the `block`-th attention of the `index`-th up block, coarsest first.
    pub fn up_transformer_layers(&self, index: usize, block: usize) -> usize {
        match &self.reverse_transformer_layers_per_block {
            Some(layers) => layers.get(index, block),
            None => {
                let level = self.block_out_channels.len() - 1 - index;
                self.transformer_layers_per_block.get(level, block)
            }
        }
        .unwrap_or(1)
    }

    /// Width of `class_labels`, when the model takes them.
    pub fn class_labels_dim(&self) -> Option<usize> {
        self.class_embed_type
            .as_ref()
            .and(self.projection_class_embeddings_input_dim)
    }

    /// Checks that this crate can compute the model.
    ///
    /// # Errors
    /// The first key that is contradictory or asks for something not implemented.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_features()?;
        self.validate_shapes()
    }

    fn validate_features(&self) -> Result<(), ConfigError> {
        const NAME: &str = "unet";
        let only_none = [
            ("addition_embed_type", &self.addition_embed_type),
            ("encoder_hid_dim_type", &self.encoder_hid_dim_type),
            ("time_embedding_act_fn", &self.time_embedding_act_fn),
            ("timestep_post_act", &self.timestep_post_act),
        ];
        for (key, value) in only_none {
            if let Some(value) = value {
                return Err(unsupported(NAME, key, value, "only null"));
            }
        }
        if let Some(value) = &self.mid_block_type
            && value != "UNetMidBlock2DCrossAttn"
        {
            return Err(unsupported(
                NAME,
                "mid_block_type",
                value,
                "UNetMidBlock2DCrossAttn or null",
            ));
        }
        match self.class_embed_type.as_deref() {
            None | Some("projection") => {}
            Some(value) => {
                return Err(unsupported(
                    NAME,
                    "class_embed_type",
                    value,
                    "projection or null",
                ));
            }
        }
        let only = [
            ("act_fn", self.act_fn.as_str(), &["silu", "swish"][..]),
            (
                "time_embedding_type",
                &self.time_embedding_type,
                &["positional"],
            ),
            (
                "resnet_time_scale_shift",
                &self.resnet_time_scale_shift,
                &["default"],
            ),
            ("attention_type", &self.attention_type, &["default"]),
        ];
        for (key, value, accepted) in only {
            if !accepted.contains(&value) {
                return Err(unsupported(NAME, key, value, "diffusers' default only"));
            }
        }
        let cross_only = match &self.only_cross_attention {
            PerLevel::All(value) => *value,
            PerLevel::Each(values) => values.contains(&true),
        };
        let flags = [
            ("only_cross_attention", cross_only),
            ("dual_cross_attention", self.dual_cross_attention),
            ("center_input_sample", self.center_input_sample),
            ("class_embeddings_concat", self.class_embeddings_concat),
            ("num_class_embeds", self.num_class_embeds.is_some()),
            ("num_attention_heads", self.num_attention_heads.is_some()),
            ("encoder_hid_dim", self.encoder_hid_dim.is_some()),
            ("time_embedding_dim", self.time_embedding_dim.is_some()),
        ];
        for (key, value) in flags {
            if value {
                return Err(unsupported(NAME, key, value, "not available"));
            }
        }
        for (key, value, supported, only) in [
            ("conv_in_kernel", self.conv_in_kernel, 3, "only 3"),
            ("conv_out_kernel", self.conv_out_kernel, 3, "only 3"),
            ("downsample_padding", self.downsample_padding, 1, "only 1"),
        ] {
            if value != supported {
                return Err(unsupported(NAME, key, value, only));
            }
        }
        Ok(())
    }

    fn validate_shapes(&self) -> Result<(), ConfigError> {
        const NAME: &str = "unet";
        let levels = self.block_out_channels.len();
        if levels == 0
            || levels > MAX_LEVELS
            || self.down_block_types.len() != levels
            || self.up_block_types.len() != levels
        {
            return Err(invalid(
                NAME,
                format!(
                    "`block_out_channels` has {levels} levels, `down_block_types` {}, `up_block_types` {}; they must agree, and be 1 to {MAX_LEVELS}",
                    self.down_block_types.len(),
                    self.up_block_types.len()
                ),
            ));
        }
        if !self
            .down_block_types
            .iter()
            .all(|b| matches!(b, BlockType::CrossAttnDownBlock2D | BlockType::DownBlock2D))
            || !self
                .up_block_types
                .iter()
                .all(|b| matches!(b, BlockType::CrossAttnUpBlock2D | BlockType::UpBlock2D))
        {
            return Err(invalid(
                NAME,
                "a down block among the up blocks, or the reverse",
            ));
        }
        let lists = [
            ("layers_per_block", self.layers_per_block.fits(levels)),
            ("cross_attention_dim", self.cross_attention_dim.fits(levels)),
            ("attention_head_dim", self.attention_head_dim.fits(levels)),
        ];
        for (key, fits) in lists {
            if !fits {
                return Err(invalid(NAME, format!("`{key}` needs {levels} values")));
            }
        }
        if let PerLevel::Each(dims) = &self.cross_attention_dim
            && dims.iter().any(|d| *d != dims[0])
        {
            return Err(unsupported(
                NAME,
                "cross_attention_dim",
                dims,
                "one width for all levels",
            ));
        }
        for (level, &channels) in self.block_out_channels.iter().enumerate() {
            let (groups, heads) = (self.norm_num_groups, self.heads(level));
            let divides = |parts: usize| parts > 0 && channels % parts == 0;
            if channels == 0 || !divides(groups) {
                return Err(invalid(
                    NAME,
                    format!(
                        "level {level}: {channels} channels do not divide into {groups} groups"
                    ),
                ));
            }
            if self.attends(level) && !divides(heads) {
                return Err(invalid(
                    NAME,
                    format!("level {level}: {channels} channels do not divide into {heads} heads"),
                ));
            }
            if self.down_layers(level) == 0 || self.down_layers(level) > 64 {
                return Err(invalid(
                    NAME,
                    format!("level {level}: `layers_per_block` must be 1 to 64"),
                ));
            }
        }
        self.validate_transformer_layers()?;
        if self.in_channels == 0 || self.out_channels == 0 || self.text_dim() == 0 {
            return Err(invalid(
                NAME,
                "`in_channels`, `out_channels` and `cross_attention_dim` must be positive",
            ));
        }
        if self.time_cond_proj_dim == Some(0) || self.class_labels_dim() == Some(0) {
            return Err(invalid(
                NAME,
                "`time_cond_proj_dim` and `projection_class_embeddings_input_dim` must be positive",
            ));
        }
        if self.class_embed_type.is_some() && self.projection_class_embeddings_input_dim.is_none() {
            return Err(invalid(
                NAME,
                "`class_embed_type` is projection, but `projection_class_embeddings_input_dim` is missing",
            ));
        }
        Ok(())
    }

    fn validate_transformer_layers(&self) -> Result<(), ConfigError> {
        const NAME: &str = "unet";
        let levels = self.block_out_channels.len();
        let down = &self.transformer_layers_per_block;
        let up = self.reverse_transformer_layers_per_block.as_ref();
        if up.is_none() && down.has_lists() {
            return Err(invalid(
                NAME,
                "`transformer_layers_per_block` with a list per level needs `reverse_transformer_layers_per_block`",
            ));
        }
        for level in 0..levels {
            let blocks = self.down_layers(level);
            let enough = |layers: Option<usize>| layers.is_some_and(|n| (1..=16).contains(&n));
            let down = (0..blocks).all(|block| enough(down.get(level, block)));
            let up = up.is_none_or(|up| {
                (0..=blocks).all(|block| enough(up.get(levels - 1 - level, block)))
            });
            if !down || !up {
                return Err(invalid(
                    NAME,
                    format!(
                        "level {level}: `transformer_layers_per_block` must give 1 to 16 layers for each block"
                    ),
                ));
            }
        }
        Ok(())
    }
}
